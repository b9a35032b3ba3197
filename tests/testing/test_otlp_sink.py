"""The sink receives what the real exporters send."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from aiobs.testing import InMemoryTelemetry, OTLPSink, attributes_of


@pytest.fixture
def sink() -> Iterator[OTLPSink]:
    with OTLPSink() as running:
        yield running


@pytest.fixture
def span(aiobs_telemetry: InMemoryTelemetry) -> ReadableSpan:
    attributes = {"text": "é", "list": ["a", "b"], "number": 1, "share": 0.5, "yes": True}
    aiobs_telemetry.tracer_provider.get_tracer("t").start_span("s", attributes=attributes).end()
    return aiobs_telemetry.span()


def export(sink: OTLPSink, span: ReadableSpan, **options: object) -> SpanExportResult:
    exporter = OTLPSpanExporter(endpoint=f"{sink.endpoint}/v1/traces", **options)  # type: ignore[arg-type]  # passed on
    try:
        return exporter.export([span])
    finally:
        exporter.shutdown()


@pytest.mark.parametrize("compression", list(Compression))
def test_spans(sink: OTLPSink, span: ReadableSpan, compression: Compression) -> None:
    """Spans come decoded, compressed or not, with attributes of every type and their resource."""
    assert export(sink, span, compression=compression, headers={"X-Token": "t"}) is SpanExportResult.SUCCESS
    (received,) = sink.spans
    assert received.name == "s"
    assert attributes_of(received) == {"text": "é", "list": ["a", "b"], "number": 1, "share": 0.5, "yes": True}
    assert sink.resources[0]["telemetry.sdk.language"] == "python"
    assert [(sent.path, sent.status, sent.headers["x-token"]) for sent in sink.exports] == [("/v1/traces", 200, "t")]


def test_metrics_and_logs(sink: OTLPSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics and logs find their way by the standard variable."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=Resource({"r": 1}))
    meters.get_meter("t").create_counter("c").add(1)
    meters.shutdown()
    loggers = LoggerProvider(resource=Resource({"r": 2}))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
    loggers.get_logger("t").emit(LogRecord(body="hello"))
    loggers.shutdown()
    assert [metric.name for metric in sink.metrics] == ["c"]
    assert [record.body.string_value for record in sink.logs] == ["hello"]
    assert [resource["r"] for resource in sink.resources] == [1, 2]


def test_refusing(sink: OTLPSink, span: ReadableSpan) -> None:
    """``status`` refuses everything, and what is refused is not kept."""
    sink.status = 400
    assert export(sink, span) is SpanExportResult.FAILURE
    assert (sink.spans, [sent.status for sent in sink.exports]) == ([], [400])


def test_refusing_for_a_while(sink: OTLPSink, span: ReadableSpan) -> None:
    """``refuse`` is for so many requests: an exporter that retries gets through, and nothing comes twice."""
    sink.refuse(503, times=1, retry_after=0)
    assert export(sink, span) is SpanExportResult.SUCCESS
    assert [sent.status for sent in sink.exports] == [503, 200]
    assert len(sink.spans) == 1


def test_silence(span: ReadableSpan) -> None:
    """A silent sink is a timeout of the exporter, keeps nothing, and closes at once."""
    with OTLPSink(silence=60) as sink:
        assert export(sink, span, timeout=0.2) is SpanExportResult.FAILURE
        started = time.monotonic()
    assert time.monotonic() - started < 2
    assert (sink.spans, sink.failures) == ([], [])


def test_waiting(sink: OTLPSink, span: ReadableSpan) -> None:
    """``wait_for`` says whether the condition came true in time."""
    assert not sink.wait_for(lambda here: bool(here.spans), timeout=0.01)
    export(sink, span)
    assert sink.wait_for(lambda here: len(here.spans) == 1)


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        ("/v1/other", "application/x-protobuf", b"", 404),
        ("/v1/traces", "application/json", b"{}", 415),
        ("/v1/traces", "application/x-protobuf", b"\xff\xff", 400),
        ("/api/public/otel/v1/traces", "application/x-protobuf", b"", 200),
    ],
)
def test_what_it_takes(sink: OTLPSink, path: str, content_type: str, body: bytes, status: int) -> None:
    """Protobuf at ``…/v1/{traces,metrics,logs}``; everything else is refused with the fitting status."""
    connection = http.client.HTTPConnection(urlsplit(sink.origin).netloc, timeout=10)
    connection.request("POST", path, body, {"content-type": content_type})
    assert connection.getresponse().status == status
    connection.close()
