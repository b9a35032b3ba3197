"""OpenAI's decisions: every predicate is likely, every choice is the first one, every score is the first level's.

Of ``Answer``, ``usage``, ``fields`` and ``refusal`` (of every question) mean something here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aiobs.testing.improvise import as_dicts, overlaid, token_count
from aiobs.testing.openai_common import bad_request, missing
from aiobs.testing.openai_responses_stored import whole
from aiobs.testing.script import Answer, Reply, Request


def reply(request: Request, answer: Answer) -> Reply:
    """The answer to ``POST /decisions``."""
    asked = request.json
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    for name in ("model", "input", "questions"):
        if not asked.get(name):
            return missing(name)
    answers = [_answer(each, answer.refusal is not None) for each in as_dicts(asked["questions"])]
    usage = overlaid(_usage(asked, answers), answer.usage or {})
    return whole({"answers": answers, "model": asked["model"], "usage": usage, **answer.fields})


def _answer(question: Mapping[str, Any], is_refused: bool) -> dict[str, Any]:
    common = {"name": question.get("name")}
    if is_refused:
        return {**common, "type": "refusal"}
    if question.get("type") == "choice":
        first = next((each.get("value") for each in as_dicts(question.get("choices"))), "")
        probabilities = [{"value": first, "probability": 0.9}]
        return {**common, "type": "choice", "choice": first, "confidence": 0.9, "probabilities": probabilities}
    if question.get("type") == "score":
        label = next((each.get("label") for each in as_dicts(question.get("levels"))), "")
        probabilities = [{"label": label, "value": 0, "probability": 0.9}]
        return {**common, "type": "score", "score": 0.0, "confidence": 0.9, "probabilities": probabilities}
    return {**common, "type": "predicate", "probability": 0.9}


def _usage(asked: Mapping[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    spent = token_count(json.dumps([asked["input"], asked["questions"]]))
    return {
        "input_tokens": spent,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": len(answers),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": spent + len(answers),
    }


ROUTES = ((re.compile(r"POST /v1/decisions"), reply),)
