"""OpenAI's moderations: what holds the word ``violence`` is flagged for that.

Of ``Answer``, ``fields`` mean something here.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aiobs.testing.openai_common import bad_request, missing
from aiobs.testing.openai_responses_stored import whole
from aiobs.testing.script import Answer, Reply, Request

_CATEGORIES = ("harassment", "hate", "self-harm", "sexual", "violence")


def reply(request: Request, answer: Answer) -> Reply:
    """The answer to ``POST /moderations``."""
    asked = request.json
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    if asked.get("input") is None:
        return missing("input")
    results = [_result("violence" in json.dumps(each)) for each in _inputs(asked["input"])]
    model = asked.get("model") or "omni-moderation-latest"
    return whole({"id": f"modr-simulated{request.number:06d}", "model": model, "results": results, **answer.fields})


def _inputs(given: Any) -> list[Any]:
    """Texts are judged each for itself, parts together."""
    return given if isinstance(given, list) and all(isinstance(each, str) for each in given) else [given]


def _result(is_violent: bool) -> dict[str, Any]:
    found = {name: is_violent and name == "violence" for name in _CATEGORIES}
    scores = {name: 0.9 if is_so else 0.001 for name, is_so in found.items()}
    applied = {name: ["text"] for name in _CATEGORIES}
    return {
        "flagged": is_violent,
        "categories": found,
        "category_scores": scores,
        "category_applied_input_types": applied,
    }


ROUTES = ((re.compile(r"POST (/v1|/openai/v1)/moderations"), reply),)
