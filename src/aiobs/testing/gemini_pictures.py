"""Vertex AI's ``:predict`` of models that make pictures; texts to be embedded go to ``gemini_embeddings``.

``Answer.text`` is what the bytes of each picture say, ``Answer.refusal`` why one more is kept back.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from aiobs.testing import gemini_embeddings
from aiobs.testing.gemini_request import field, refused
from aiobs.testing.gemini_usage import JSON_HEADERS
from aiobs.testing.improvise import as_count, as_dict, as_dicts
from aiobs.testing.script import Answer, Fault, Reply, Request

_MOST = 8
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def predict(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:predict``: as many pictures as are asked for, masks with a label where segments are."""
    if (refusal := refused(request, "instances")) is not None:
        return refusal
    if all(_ABOUT_PICTURES.isdisjoint(instance) for instance in as_dicts(request.json["instances"])):
        return gemini_embeddings.predict(request, answer)
    asked = as_dict(request.json.get("parameters"))
    made = [_picture(answer, asked) for _ in range(as_count(field(asked, "sampleCount"), _MOST) or 1)]
    if answer.refusal is not None:
        made.append({"raiFilteredReason": answer.refusal})
    return Reply(200, JSON_HEADERS, json.dumps({"predictions": made, **answer.fields}).encode())


def _picture(answer: Answer, asked: Any) -> dict[str, Any]:
    data = _PIXEL if answer.text is None else answer.text.encode()
    kind = field(as_dict(field(asked, "outputOptions")), "mimeType") or "image/png"
    labels = {"labels": [{"label": "cat", "score": 0.9}]} if asked.get("mode") in _SEGMENTS else {}
    return {"bytesBase64Encoded": base64.b64encode(data).decode(), "mimeType": kind, **labels}


_ABOUT_PICTURES = frozenset({"prompt", "image", "personImage"})
_SEGMENTS = frozenset({"FOREGROUND", "BACKGROUND", "PROMPT", "SEMANTIC", "INTERACTIVE"})

ROUTES = (
    (re.compile(r"POST /v1[^/]*/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers|endpoints)/.+:predict"), predict),
)
