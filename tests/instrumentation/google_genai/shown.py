"""What these tests look at: attributes without those that move, the tree of spans, content, the session file."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors
from opentelemetry.sdk.trace import ReadableSpan

from aiobs import observer
from aiobs.testing import InMemoryTelemetry
from tests.versions import has, needs

SDK = tuple(map(int, genai.__version__.split(".")[:2]))
"""Major and minor version of the SDK that is installed."""

_MOVING = ("code.", "server.port", "gen_ai.response.time_to_first_chunk", "aiobs.session.id", "session.", "label.")


_SINCE = {
    "aiobs.http.status_code": "gemini retries and HTTP status",
    "gen_ai.response.id": "gemini ids of answers",
    "gen_ai.request.reasoning.level": "gemini thinking levels",
}
"""What not every release tells, and what must be there for it."""


def told(attributes: dict[str, Any]) -> dict[str, Any]:
    """Of the attributes that a span should have, those that this release tells."""
    return {key: value for key, value in attributes.items() if key not in _SINCE or has(_SINCE[key])}


def refused(*ways: Callable[..., Any]) -> pytest.MarkDecorator:
    """Ways of calling that are refused; not every release reads what a refusal of an async stream says."""
    unread = needs("gemini errors of async streams")
    return pytest.mark.parametrize(
        "call", [pytest.param(way, marks=unread if "streamed_async" in way.__name__ else ()) for way in ways]
    )


def raises_inside_a_stream() -> AbstractContextManager[Any]:
    """What an error that comes as a chunk is: an exception, and an empty chunk to old releases."""
    return pytest.raises(errors.ServerError) if has("gemini errors inside streams") else nullcontext()


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """The attributes but for those that move with the test file, the port, the clock and the session."""
    return {key: value for key, value in (span.attributes or {}).items() if not key.startswith(_MOVING)}


def content_of(span: ReadableSpan) -> dict[str, Any]:
    """Messages, instructions and tools on a span, parsed, under the last words of their names."""
    return {
        key.removeprefix("gen_ai."): json.loads(str(value))
        for key, value in (span.attributes or {}).items()
        if key.endswith((".messages", "definitions", "instructions"))
    }


def tree_of(signals: InMemoryTelemetry) -> list[Any]:
    """Every span's name with its children in a list after it, in the order they started."""
    below: dict[int | None, list[ReadableSpan]] = {}
    for span in sorted(signals.spans, key=lambda span: span.start_time or 0):
        below.setdefault(span.parent.span_id if span.parent else None, []).append(span)

    def grow(parent: int | None) -> list[Any]:
        grown: list[Any] = []
        for span in below.get(parent, []):
            assert span.context is not None
            children = grow(span.context.span_id)
            grown += [span.name, children] if children else [span.name]
        return grown

    return grow(None)


def file_events(kind: str = "events") -> list[dict[str, Any]]:
    """The events of the session file so far: of models, or ``function_events``."""
    return list(json.loads(Path(str(observer.flush())).read_text())[kind])


def everything(signals: InMemoryTelemetry) -> str:
    """Every byte that left on any signal."""
    spans = [span.to_json() for span in signals.spans]
    logs = [log.to_json() for log in signals.logs]
    return "\n".join([*spans, *logs, repr(signals.metrics())])
