"""Copies of signals with what steps changed: everything that can hold text is seen, nothing else is lost."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from aiobs import guard
from aiobs.exporters.rewriting.rewriter import FAILED, Rewriter
from aiobs.exporters.rewriting.steps import CurrentSteps

RESOURCE = Resource({"who": "secret resource"})


def upper(name: str, value: Any) -> Any:
    """Shows that a value was seen; leaves out what is called so."""
    return None if name == "left.out" else value.upper() if isinstance(value, str) else value


def a_span(**attributes: Any) -> Any:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=4))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("scope", "1", attributes={"of": "secret scope"})
    link = Link(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)), {"l": "secret link"})
    span = tracer.start_span("secret name", links=[link], attributes=attributes)
    span.add_event("secret event", {"e": "secret detail"})
    span.set_status(Status(StatusCode.ERROR, "secret status"))
    span.end()
    return exporter.get_finished_spans()[0]


def test_every_text_of_a_span_is_seen() -> None:
    """Name, status, attributes, events, links, scope and resource; times, ids and numbers stay."""
    original = a_span(a="secret value", b=1, c=("x",), d=True)
    found = Rewriter([upper]).span(original)
    assert "secret" not in found.to_json()
    assert found.instrumentation_scope.attributes == {"of": "SECRET SCOPE"}
    for field in ("context", "parent", "kind", "start_time", "end_time"):
        assert getattr(found, field) == getattr(original, field)
    assert found.attributes == {"a": "SECRET VALUE", "b": 1, "c": ("x",), "d": True}
    assert original.to_json().count("secret") == Rewriter([]).span(original).to_json().count("secret") == 7


def test_what_the_sdk_dropped_is_still_counted() -> None:
    """A span with room for four attributes."""
    original = a_span(**dict.fromkeys("abcdef", "x"))
    found = Rewriter([upper]).span(original)
    assert (found.dropped_attributes, found.dropped_events, found.dropped_links) == (2, 0, 0)


def test_a_description_that_is_left_out_makes_room_for_the_type() -> None:
    """A status never says nothing of what went wrong."""
    without = Rewriter([lambda name, value: None if name == "status.description" else value])
    assert without.span(a_span(**{"error.type": "timeout"})).status.description == "timeout"
    assert without.span(a_span()).status.description is None


def test_every_text_of_a_log_record_is_seen() -> None:
    """Body, attributes, scope and resource; severity, times, ids and the event's name stay."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    given = LogRecord(
        timestamp=5, severity_number=SeverityNumber.WARN, body={"a": ["secret"]}, event_name="e",
        attributes={"x": "secret", "left.out": "secret", "nested": {"k": 1}},
    )  # fmt: skip
    provider.get_logger("scope").emit(given)
    [original] = exporter.get_finished_logs()

    def step(name: str, value: Any) -> Any:
        return {"a": ["seen"]} if name == "body" else upper(name, value)

    found = Rewriter([step]).log(original)
    assert found.log_record.body == {"a": ["seen"]}
    assert dict(found.log_record.attributes or {}) == {"x": "SECRET", "nested": {"k": 1}}
    assert found.resource.attributes["who"] == "SECRET RESOURCE"
    for field in ("timestamp", "observed_timestamp", "severity_number", "event_name", "trace_id", "span_id"):
        assert getattr(found.log_record, field) == getattr(original.log_record, field)
    assert original.log_record.body == {"a": ["secret"]}


def test_every_text_of_metrics_is_seen() -> None:
    """Attributes of data points and exemplars, scope and resource; values stay."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=RESOURCE, shutdown_on_exit=False)
    meter = provider.get_meter("scope", attributes={"of": "secret scope"})
    meter.create_counter("count").add(3, {"m": "secret"})
    meter.create_histogram("sizes").record(1.5, {"m": "secret"})
    data = reader.get_metrics_data()
    assert data is not None
    found = Rewriter([upper]).metrics(data)
    assert "secret" not in found.to_json()
    [counter, histogram] = found.resource_metrics[0].scope_metrics[0].metrics
    assert [point.value for point in counter.data.data_points if hasattr(point, "value")] == [3]
    assert [point.sum for point in histogram.data.data_points if hasattr(point, "sum")] == [1.5]


def test_a_resource_is_rewritten_anew_when_steps_change() -> None:
    """It is kept for as long as they are the same, and not a span longer."""
    steps = CurrentSteps()
    steps.use("none")
    resource = Resource({"owner": "bob@example.com"})
    rewriter = Rewriter([steps])
    before = rewriter.resource(resource)
    assert rewriter.resource(resource) is before
    assert before.attributes == {"owner": "bob@example.com"}
    steps.use("email")
    after = rewriter.resource(resource)
    assert after.attributes == {"owner": "[EMAIL]"}
    steps.use()  # nothing is said: nothing changes
    assert rewriter.resource(resource) is after
    resource._attributes = Resource({"owner": "child"})._attributes  # as it is done in the child of a fork
    assert rewriter.resource(resource).attributes == {"owner": "child"}


@pytest.mark.quiet_guard
def test_what_could_not_be_looked_at_does_not_leave() -> None:
    """A step that fails costs its attribute, and that is counted."""

    def broken(name: str, value: Any) -> Any:
        if name == "b":
            raise RecursionError
        return value

    found = Rewriter([broken, upper]).span(a_span(a="x", b="secret"))
    assert found.attributes == {"a": "X", "b": FAILED}
    assert sum(guard.errors.values()) == 1
