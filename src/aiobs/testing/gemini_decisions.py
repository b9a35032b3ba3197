"""Gemini's decisions: everything is likely, every choice is the first one, every score is the first level's.

Of ``Answer``, ``usage``, ``fields`` and ``refusal`` (the input is blocked) mean something here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aiobs.testing.gemini_usage import JSON_HEADERS
from aiobs.testing.improvise import as_dict, overlaid, token_count
from aiobs.testing.script import Answer, Fault, Reply, Request


def reply(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``POST /decisions``."""
    asked = request.json
    if not isinstance(asked, dict):
        return Fault(400, message="Invalid JSON payload received. Unexpected token.")
    for name in ("model", "input", "questions"):
        if not asked.get(name):
            return Fault(400, message=f"`{name}` is required.")
    answers = {name: _answer(as_dict(each)) for name, each in as_dict(asked["questions"]).items()}
    told = {"answers": answers} if answer.refusal is None else {"prompt_feedback": {"block_reason": "safety"}}
    body = {**told, "usage": overlaid(_usage(asked, len(answers)), answer.usage or {}), **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    if question.get("type") == "choice":
        first = next(iter(as_dict(question.get("criteria"))), "")
        return {"type": "choice", "choice": first, "confidence": 0.9, "probabilities": {first: 0.9}}
    if question.get("type") == "score":
        levels = question.get("criteria")
        legend = {str(number): level for number, level in enumerate(levels if isinstance(levels, list) else ())}
        return {"type": "score", "score": 0.0, "confidence": 0.9, "legend": legend, "probabilities": {"0": 0.9}}
    return {"type": "noul", "noul": 0.9, "confidence": 0.9}


def _usage(asked: Mapping[str, Any], answers: int) -> dict[str, Any]:
    spent = token_count(json.dumps([asked["input"], asked["questions"]]))
    return {"total_input_tokens": spent, "total_output_tokens": answers, "total_tokens": spent + answers}


ROUTES = ((re.compile(r"POST /v1(?:alpha|beta|beta1)?(?:/projects/[^/]+/locations/[^/]+)?/decisions"), reply),)
