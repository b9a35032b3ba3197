"""OpenAI's responses that have always been there: those whose id begins with ``resp_stored``.

Asked for, one is as the Answer says; cancelled, it has been on its way.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from aiobs.testing import openai_responses
from aiobs.testing.openai_responses_stored import Kept, cancel, retrieve, store
from aiobs.testing.script import Answer, Fault, Reply, Request

_ASKED: dict[str, Any] = {"model": "gpt-4.1", "input": "What was asked long ago", "background": True}


def retrieve_known(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /responses/resp_stored…``: finished."""
    _keep(request, answer, polls=0)
    return retrieve(request, answer)


def cancel_known(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /responses/resp_stored…/cancel``."""
    _keep(request, answer, polls=1)
    return cancel(request, answer)


def _keep(request: Request, answer: Answer, polls: int) -> None:
    name = request.path.partition("/responses/")[2].partition("/")[0]
    response = openai_responses.made(request.number, _ASKED, replace(answer, fields={"id": name, **answer.fields}))
    store.keep(request, Kept({**response, "id": name}, answer.chunks, polls))


_KNOWN = r"(/v1|/openai/v1|/openai)?/responses/resp_stored[^/]*"
ROUTES = (
    (re.compile(f"GET {_KNOWN}"), retrieve_known),
    (re.compile(f"POST {_KNOWN}/cancel"), cancel_known),
)
