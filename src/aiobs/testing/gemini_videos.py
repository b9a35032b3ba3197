"""Gemini's videos: ``:predictLongRunning`` starts an operation, which both services answer for in ways of their own.

Nothing is kept: an operation is done, with one video, whenever somebody asks. ``Answer.fields`` says otherwise:
``done=False``, or an ``error``; ``Answer.text`` is in the place of the video.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aiobs.testing.gemini_request import field, refused
from aiobs.testing.gemini_usage import JSON_HEADERS
from aiobs.testing.script import Answer, Fault, Reply, Request

_PATH = re.compile(r"/v1[^/]*/(.+)")


def submit(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:predictLongRunning``: the operation's name, and not a word on whether it is done."""
    if (refusal := refused(request, "instances")) is not None:
        return refusal
    model = _path(request).rpartition(":")[0]
    number = hashlib.sha256(request.body).hexdigest()[:16]
    return _reply({"name": f"{model}/operations/{number}"}, answer)


def fetch(request: Request, answer: Answer) -> Reply | Fault:
    """The answer of Vertex AI to ``:fetchPredictOperation``."""
    if (refusal := refused(request, "operationName")) is not None:
        return refusal
    video = {"gcsUri": f"gs://simulated/{_file(answer)}", "mimeType": "video/mp4"}
    name = field(request.json, "operationName")
    return _operation(str(name), {"raiMediaFilteredCount": 0, "videos": [video]}, answer)


def get(request: Request, answer: Answer) -> Reply | Fault:
    """The answer of the Developer API to a GET of the operation."""
    video = {"video": {"uri": f"https://simulated.invalid/v1beta/files/{_file(answer)}"}}
    done = {"generateVideoResponse": {"generatedSamples": [video]}}
    return _operation(_path(request), done, answer)


def _file(answer: Answer) -> str:
    return quote(answer.text or "film", safe="") + ".mp4"


def _operation(name: str, done: Mapping[str, Any], answer: Answer) -> Reply:
    told = answer.fields
    if not told.get("done", True):
        return _reply({"name": name}, answer)
    return _reply({"name": name, "done": True, **({} if "error" in told else {"response": done})}, answer)


def _reply(body: Mapping[str, Any], answer: Answer) -> Reply:
    return Reply(200, JSON_HEADERS, json.dumps({**body, **answer.fields}).encode())


def _path(request: Request) -> str:
    found = _PATH.fullmatch(request.path)
    return found[1] if found is not None else request.path


ROUTES = (
    (re.compile(r"POST /v1[^/]*/.+:predictLongRunning"), submit),
    (re.compile(r"POST /v1[^/]*/.+:fetchPredictOperation"), fetch),
    (re.compile(r"GET /v1[^/]*/(?:.+/)?operations/[^/:]+"), get),
)
