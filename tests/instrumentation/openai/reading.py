"""What the tests of one operation read off signals and the session file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry

COMMON = ("code.", "server.", "gen_ai.operation.name", "gen_ai.provider.name", "aiobs.api.name", "aiobs.request.id")
MOVING = ("started_at", "ended_at", "duration_ms", "span_id", "trace_id", "session_id", "callsite")


def attributes_of(span: ReadableSpan, *prefixes: str) -> dict[str, Any]:
    """The attributes under the prefixes; without any, all but those that every call has or that move."""
    attributes = dict(span.attributes or {})
    if prefixes:
        return {key: value for key, value in attributes.items() if key.startswith(prefixes)}
    return {key: value for key, value in attributes.items() if not key.startswith((*COMMON, "gen_ai.response.time"))}


def with_content(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """The SDKs instrumented into the signals, content on spans and events."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    return signals


def said(signals: InMemoryTelemetry) -> list[dict[str, Any]]:
    """The parts of the one output message of the last call; none if there is no such message."""
    messages = json.loads((signals.spans[-1].attributes or {}).get("gen_ai.output.messages", "[]"))
    assert len(messages) <= 1
    return [part for message in messages for part in message["parts"]]


def asked(signals: InMemoryTelemetry) -> list[dict[str, Any]]:
    """The input messages of the last call."""
    return list(json.loads((signals.spans[-1].attributes or {})["gen_ai.input.messages"]))


def everything(signals: InMemoryTelemetry) -> str:
    """Every byte that left on any signal."""
    return "\n".join(
        [*(span.to_json() for span in signals.spans), *(log.to_json() for log in signals.logs), repr(signals.metrics())]
    )


def file_events() -> list[dict[str, Any]]:
    """The session file's events, the session ended."""
    observer.end()
    return list(json.loads(Path(str(observer.flush())).read_text())["events"])


def metrics_of(signals: InMemoryTelemetry) -> dict[str, list[Any]]:
    """The points of the conventions' metrics, without our own count of internal errors."""
    return {name: points for name, points in signals.metrics().items() if not name.startswith("aiobs.internal")}
