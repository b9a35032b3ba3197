"""What the signals and the session file say of the one call that a program made."""

from __future__ import annotations

import json
import linecache
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry
from tests.contract.drivers import Driver


@dataclass(frozen=True)
class Outcome:
    """How a call ended, as its span says."""

    status: StatusCode = StatusCode.UNSET
    error_type: str | None = None
    reasons: tuple[str, ...] | None = None
    incomplete: bool | None = None
    cancelled: bool | None = None


def outcome(span: ReadableSpan) -> Outcome:
    """Read off the span."""
    attributes: Any = span.attributes
    return Outcome(
        status=span.status.status_code,
        error_type=attributes.get("error.type"),
        reasons=attributes.get("gen_ai.response.finish_reasons"),
        incomplete=attributes.get("aiobs.incomplete"),
        cancelled=attributes.get("aiobs.cancelled"),
    )


def client_span(signals: InMemoryTelemetry, driver: Driver) -> ReadableSpan:
    """The only CLIENT span, which has the driver's identity."""
    (span,) = [span for span in signals.spans if span.kind is SpanKind.CLIENT]
    attributes: Any = span.attributes
    assert span.name == driver.span_name
    assert {key: attributes.get(key) for key in _IDENTITY} == {
        "gen_ai.operation.name": driver.of.operation,
        "gen_ai.provider.name": driver.of.sdk.server,
        "gen_ai.request.model": driver.of.arguments.get("model"),
        "gen_ai.request.stream": True if driver.streams else None,
        "server.address": "127.0.0.1",
        "aiobs.api.name": driver.of.api,
    }
    return span


_IDENTITY = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "server.address",
    "aiobs.api.name",
)


def assert_counted_once(signals: InMemoryTelemetry, driver: Driver, error_type: str | None) -> None:
    """One point of the duration, with the span's error.type; a details event for inference, an exception event if
    it failed.
    """
    (point,) = signals.metrics()[driver.of.duration]
    assert (point.count, point.attributes.get("error.type")) == (1, error_type)
    details = signals.events("gen_ai.client.inference.operation.details")
    assert [event.severity_number.name for event in details] == (["DEBUG"] if driver.of.is_inference else [])
    failures = signals.events("gen_ai.client.operation.exception")
    assert [event.severity_number.name for event in failures] == (["WARN"] if error_type else [])
    span = client_span(signals, driver)
    assert span.context is not None
    assert {event.span_id for event in (*details, *failures)} <= {span.context.span_id}


def file_events() -> list[dict[str, Any]]:
    """The events of the session file so far."""
    return list(json.loads(Path(str(observer.flush())).read_text())["events"])


def shown(signals: InMemoryTelemetry) -> str:
    """Everything on every signal, as text."""
    spans = [span.to_json() for span in signals.spans]
    logs = [log.to_json() for log in signals.logs]
    return "\n".join([*spans, *logs, repr(signals.metrics())])


def line_of(span: ReadableSpan) -> str:
    """The source of the line that ``code.*`` names."""
    attributes: Any = span.attributes
    return linecache.getline(attributes["code.file.path"], attributes["code.line.number"])
