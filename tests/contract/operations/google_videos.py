"""Google GenAI: generate_videos, and operations.get of what another process has started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.contract.operation import GEMINI, VERTEX, Operation
from tests.versions import has

_HAS_SOURCE = has("gemini sources of videos")  # newer ones warn of what they take without it
_VERTEX_NAME = "projects/p/locations/l/publishers/google/models/m/operations/7"


def _operation(name: str) -> Mapping[str, Any]:
    from google.genai.types import GenerateVideosOperation

    return {"operation": GenerateVideosOperation(name=name)}


OPERATIONS = (
    Operation(
        name="vertex-videos",
        sdk=VERTEX,
        operation="generate_videos",
        api="models.generate_videos",
        method=lambda client: client.models.generate_videos,
        prompt="source" if _HAS_SOURCE else "prompt",
        asks=lambda prompt: {"prompt": prompt} if _HAS_SOURCE else prompt,
        features=("gemini",),
        needles=1,
    ),
    Operation(
        name="vertex-operations",
        sdk=VERTEX,
        operation="fetch_response",
        api="operations.get",
        method=lambda client: client.operations.get,
        arguments={},
        objects=lambda: _operation(_VERTEX_NAME),
        features=("gemini",),
        needles=1,
    ),
    Operation(
        name="gemini-operations",
        sdk=GEMINI,
        operation="fetch_response",
        api="operations.get",
        method=lambda client: client.operations.get,
        arguments={},
        objects=lambda: _operation("models/m/operations/7"),
        features=("gemini",),
        needles=1,
    ),
)
