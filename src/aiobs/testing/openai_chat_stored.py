"""OpenAI's stored chat completions, all of which have always been there: what is asked for is made for whoever asks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from aiobs.testing import openai_chat
from aiobs.testing.improvise import as_dict
from aiobs.testing.openai_responses_stored import whole
from aiobs.testing.script import Answer, Reply, Request

_MODEL = "gpt-4.1"
_LABEL = re.compile(r"metadata\[(.+)\]")


def listed(request: Request, answer: Answer) -> Reply:
    """``GET /chat/completions``: as many as are asked for, two at most, labelled and of the model as asked for."""
    asked = dict(parse_qsl(request.query))
    labels = {found[1]: value for key, value in asked.items() if (found := _LABEL.fullmatch(key))}
    number = min(2, int(asked["limit"]) if asked.get("limit", "").isdecimal() else 2)
    names = [f"chatcmpl-stored{index}" for index in range(1, number + 1)]
    data = [_completion(request, answer, name, labels, asked.get("model", _MODEL)) for name in names]
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
    return whole({"object": "list", "data": data, "has_more": False, **ends, **answer.fields})


def retrieve(request: Request, answer: Answer) -> Reply:
    """``GET /chat/completions/{id}``."""
    return whole({**_completion(request, answer, _name(request), {}, _MODEL), **answer.fields})


def update(request: Request, answer: Answer) -> Reply:
    """``POST /chat/completions/{id}``: with its new labels."""
    labels = as_dict(as_dict(request.json).get("metadata"))
    return whole({**_completion(request, answer, _name(request), labels, _MODEL), **answer.fields})


def _name(request: Request) -> str:
    return request.path.rpartition("/")[2]


def _completion(request: Request, answer: Answer, name: str, labels: Mapping[str, Any], model: str) -> dict[str, Any]:
    asked = {"model": model, "messages": [{"role": "user", "content": "What was asked long ago"}]}
    reply = openai_chat.reply(replace(request, json=asked), replace(answer, fields={}))
    assert isinstance(reply, Reply)
    assert isinstance(reply.body, bytes)
    return {**json.loads(reply.body), "id": name, "metadata": dict(labels)}


_COMPLETIONS = r"(/v1|/openai/v1)/chat/completions"
ROUTES = (
    (re.compile(f"GET {_COMPLETIONS}"), listed),
    (re.compile(f"GET {_COMPLETIONS}/[^/]+"), retrieve),
    (re.compile(f"POST {_COMPLETIONS}/[^/]+"), update),
)
