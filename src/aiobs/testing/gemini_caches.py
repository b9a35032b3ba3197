"""Gemini's cached contents: ``POST …/cachedContents``. Nothing is kept."""

from __future__ import annotations

import hashlib
import json
import re

from aiobs.testing.gemini_request import refused
from aiobs.testing.gemini_usage import JSON_HEADERS, prompt_counts
from aiobs.testing.script import Answer, Fault, Reply, Request

_PATH = re.compile(r"POST /v1[^/]*/((?:projects/[^/]+/locations/[^/]+/)?cachedContents)")
_CREATED = "2026-01-01T00:00:00.000000Z"
_EXPIRES = "2026-01-01T01:00:00.000000Z"


def create(request: Request, answer: Answer) -> Reply | Fault:
    """The answer: its name, the model asked for, and the tokens of the contents."""
    if (refusal := refused(request, "model")) is not None:
        return refusal
    place = request.path.split("/", 2)[2]
    body = {
        "name": f"{place}/{hashlib.sha256(request.body).hexdigest()[:16]}",
        "model": request.json["model"],
        "createTime": _CREATED,
        "updateTime": _CREATED,
        "expireTime": _EXPIRES,
        "usageMetadata": {"totalTokenCount": sum(prompt_counts(request.json).values())},
    }
    return Reply(200, JSON_HEADERS, json.dumps({**body, **answer.fields}).encode())


ROUTES = ((_PATH, create),)
