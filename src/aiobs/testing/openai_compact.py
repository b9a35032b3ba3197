"""OpenAI's way to make a conversation short, and to count its tokens.

Of ``Answer``, ``usage`` and ``fields`` mean something here.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aiobs.testing.improvise import as_dicts, overlaid, token_count
from aiobs.testing.openai_common import CREATED, bad_request, missing
from aiobs.testing.openai_responses_stored import whole
from aiobs.testing.script import Answer, Reply, Request


def compact(request: Request, answer: Answer) -> Reply:
    """``POST /responses/compact``: the user's messages, and what stands for all the rest."""
    asked = request.json
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    if not asked.get("model"):
        return missing("model")
    number = f"simulated{request.number:06d}"
    item = {"type": "compaction", "id": f"cmp_{number}", "encrypted_content": "c2ltdWxhdGVk"}
    body = {"id": f"resp_{number}", "object": "response.compaction", "created_at": CREATED}
    usage = overlaid(_usage(asked), answer.usage or {})
    return whole({**body, "output": [*_messages(asked.get("input")), item], "usage": usage, **answer.fields})


def _messages(given: Any) -> list[dict[str, Any]]:
    """The user's own words, as they come back."""
    said = [{"role": "user", "content": given}] if isinstance(given, str) else as_dicts(given)
    mine = [str(item.get("content")) for item in said if item.get("role") == "user"]
    return [
        {
            "type": "message",
            "id": f"msg_{index}",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": text}],
        }
        for index, text in enumerate(mine)
    ]


def _usage(asked: dict[str, Any]) -> dict[str, Any]:
    prompt = _tokens(asked)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 32,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + 32,
    }


def count(request: Request, answer: Answer) -> Reply:
    """``POST /responses/input_tokens``."""
    asked = request.json if isinstance(request.json, dict) else {}
    return whole({"object": "response.input_tokens", "input_tokens": _tokens(asked), **answer.fields})


def _tokens(asked: dict[str, Any]) -> int:
    return token_count(json.dumps([asked.get("instructions"), asked.get("input")]))


_RESPONSES = r"(/v1|/openai/v1|/openai)?/responses"
ROUTES = (
    (re.compile(f"POST {_RESPONSES}/compact"), compact),
    (re.compile(f"POST {_RESPONSES}/input_tokens"), count),
)
