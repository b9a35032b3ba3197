"""Telemetry in memory."""

from __future__ import annotations

import pytest
from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, get_logger_provider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from aiobs.testing import InMemoryTelemetry


@pytest.fixture
def telemetry(aiobs_telemetry: InMemoryTelemetry) -> InMemoryTelemetry:
    return aiobs_telemetry


def test_spans(telemetry: InMemoryTelemetry) -> None:
    """Finished spans are there in the order they ended, and by name."""
    tracer = telemetry.tracer_provider.get_tracer("t")
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        assert telemetry.spans == ()
    assert [span.name for span in telemetry.spans] == ["inner", "outer"]
    assert telemetry.span("inner").parent == telemetry.span("outer").context


def test_the_only_span(telemetry: InMemoryTelemetry) -> None:
    """``span`` says what there is when there is not exactly one."""
    tracer = telemetry.tracer_provider.get_tracer("t")
    tracer.start_span("a").end()
    assert telemetry.span().name == "a"
    tracer.start_span("a").end()
    with pytest.raises(AssertionError, match=r"2 spans 'a'; there are \['a', 'a'\]"):
        telemetry.span("a")
    with pytest.raises(AssertionError, match="0 spans 'b'"):
        telemetry.span("b")


def test_metrics(telemetry: InMemoryTelemetry) -> None:
    """Data points by metric name, those of all scopes together."""
    assert telemetry.metrics() == {}
    for scope in ("one", "two"):
        telemetry.meter_provider.get_meter(scope).create_counter("c").add(2, {"scope": scope})
    points = {point.attributes["scope"]: point.value for point in telemetry.metrics()["c"]}
    assert points == {"one": 2, "two": 2}


def test_logs_and_events(telemetry: InMemoryTelemetry) -> None:
    """Log records in order, events by name."""
    logger = telemetry.logger_provider.get_logger("t")
    logger.emit(LogRecord(body="plain"))
    logger.emit(LogRecord(body="told", event_name="happened"))
    assert [log.log_record.body for log in telemetry.logs] == ["plain", "told"]
    assert [event.body for event in telemetry.events("happened")] == ["told"]


def test_clear(telemetry: InMemoryTelemetry) -> None:
    """Spans and logs are forgotten; new ones are kept."""
    tracer = telemetry.tracer_provider.get_tracer("t")
    tracer.start_span("old").end()
    telemetry.logger_provider.get_logger("t").emit(LogRecord(body="old"))
    telemetry.clear()
    assert (telemetry.spans, telemetry.logs) == ((), ())
    tracer.start_span("new").end()
    assert telemetry.span().name == "new"


def test_nothing_is_global(telemetry: InMemoryTelemetry) -> None:
    """The global providers are not these."""
    assert trace.get_tracer_provider() is not telemetry.tracer_provider
    assert metrics.get_meter_provider() is not telemetry.meter_provider
    assert get_logger_provider() is not telemetry.logger_provider


def test_tracer_options() -> None:
    """Keywords go to the TracerProvider; the block shuts everything down."""
    with InMemoryTelemetry(sampler=ALWAYS_OFF) as telemetry:
        telemetry.tracer_provider.get_tracer("t").start_span("dropped").end()
    assert telemetry.spans == ()
