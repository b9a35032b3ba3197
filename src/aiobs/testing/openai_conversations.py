"""OpenAI's conversations, all of which have always been there.

Of ``Answer``, ``fields`` mean something here.
"""

from __future__ import annotations

import re

from aiobs.testing.improvise import as_dict
from aiobs.testing.openai_common import CREATED
from aiobs.testing.openai_responses_stored import whole
from aiobs.testing.script import Answer, Reply, Request


def create(request: Request, answer: Answer) -> Reply:
    """``POST /conversations``."""
    return _conversation(request, answer, f"conv_simulated{request.number:06d}")


def there(request: Request, answer: Answer) -> Reply:
    """``GET /conversations/{id}``, and ``POST`` with new labels."""
    return _conversation(request, answer, _name(request))


def delete(request: Request, answer: Answer) -> Reply:
    """``DELETE /conversations/{id}``."""
    return whole({"id": _name(request), "object": "conversation.deleted", "deleted": True, **answer.fields})


def _conversation(request: Request, answer: Answer, name: str) -> Reply:
    labels = as_dict(as_dict(request.json).get("metadata"))
    return whole({"id": name, "object": "conversation", "created_at": CREATED, "metadata": labels, **answer.fields})


def _name(request: Request) -> str:
    return request.path.rpartition("/")[2]


_CONVERSATIONS = r"(/v1|/openai/v1)/conversations"
ROUTES = (
    (re.compile(f"POST {_CONVERSATIONS}"), create),
    (re.compile(f"(GET|POST) {_CONVERSATIONS}/[^/]+"), there),
    (re.compile(f"DELETE {_CONVERSATIONS}/[^/]+"), delete),
)
