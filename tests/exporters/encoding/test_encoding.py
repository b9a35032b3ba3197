"""OTLP/JSON: what the official encoder makes of the same signals, and back again without a loss."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from aiobs import guard
from aiobs.exporters.encoding import encoder as otlp_encoding
from aiobs.exporters.encoding.decoder import logs_of, spans_of
from aiobs.exporters.encoding.encoder import log_lines, metric_lines, span_lines
from aiobs.exporters.encoding.metrics_decoder import metrics_of
from aiobs.semconv.otlp_json import attributes_of, value_of, value_text
from tests.exporters.encoding import signals

often = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def one(lines: Iterable[bytes]) -> dict[str, Any]:
    """The only line, parsed."""
    (line,) = lines
    assert b"\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def as_protobuf(message: Any, line: Any) -> Any:
    """A line as a message: protobuf's own JSON has ids in base64."""
    return ParseDict(_in_base64(line), message())


def _in_base64(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _in_base64(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_in_base64(item) for item in value]
    return base64.b64encode(bytes.fromhex(value)).decode() if key in ("traceId", "spanId", "parentSpanId") else value


def test_a_line_is_written_as_the_specification_says() -> None:
    """Ids in hexadecimal, 64-bit integers as text, enumerations as numbers, bytes in base64; no defaults."""
    span = ReadableSpan(
        name="chat",
        context=SpanContext(1, 2, False, TraceFlags(1)),
        parent=SpanContext(1, 3, True),
        resource=Resource({"service.name": "s"}, "https://r"),
        attributes={"text": "x", "number": 5, "share": 1.0, "yes": True, "list": ("a",), "bytes": b"ab"},
        kind=SpanKind.CLIENT,
        status=Status(StatusCode.ERROR, "no"),
        start_time=10**18,
        end_time=10**18 + 1,
        instrumentation_scope=InstrumentationScope("aiobs", "1", "https://s"),
    )
    assert [*span_lines([span])] == [
        b'{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},'
        b'"schemaUrl":"https://r","scopeSpans":[{"scope":{"name":"aiobs","version":"1"},"schemaUrl":"https://s","spans":['
        b'{"traceId":"00000000000000000000000000000001","spanId":"0000000000000002","parentSpanId":"0000000000000003",'
        b'"flags":769,"name":"chat","kind":3,"startTimeUnixNano":"1000000000000000000",'
        b'"endTimeUnixNano":"1000000000000000001","attributes":[{"key":"text","value":{"stringValue":"x"}},'
        b'{"key":"number","value":{"intValue":"5"}},{"key":"share","value":{"doubleValue":1.0}},'
        b'{"key":"yes","value":{"boolValue":true}},{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"}]}}},'
        b'{"key":"bytes","value":{"bytesValue":"YWI="}}],"status":{"message":"no","code":2}}]}]}]}'
    ]


@often
@given(st.lists(signals.spans(), min_size=1, max_size=3))
def test_spans_are_what_the_official_encoder_makes_of_them(spans: list[ReadableSpan]) -> None:
    """Every field, but for two that the official one leaves out: the W3C flags and the trace state of links."""
    ours = as_protobuf(ExportTraceServiceRequest, one(span_lines(spans)))
    for group in ours.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                span.flags &= 0x300
                for link in span.links:
                    link.flags &= 0x300
                    link.trace_state = ""
    assert ours == encode_spans(spans)


@often
@given(st.lists(signals.logs(), min_size=1, max_size=3))
def test_log_records_are_what_the_official_encoder_makes_of_them(records: list[Any]) -> None:
    """Every field."""
    assert as_protobuf(ExportLogsServiceRequest, one(log_lines(records))) == encode_logs(records)


@often
@given(signals.metrics())
def test_metrics_are_what_the_official_encoder_makes_of_them(data: Any) -> None:
    """Gauges, sums, histograms of both kinds, exemplars."""
    ours = as_protobuf(ExportMetricsServiceRequest, one(metric_lines(data)))
    theirs = encode_metrics(data)
    for message in (ours, theirs):
        for metric in message.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.gauge.data_points:
                point.start_time_unix_nano = 0  # which the official one leaves out of gauges
    assert ours == theirs


@often
@given(signals.spans())
def test_spans_come_back(span: ReadableSpan) -> None:
    """Everything that a span has, and what is written of it again is the same line."""
    (line,) = span_lines([span])
    (back,) = spans_of(json.loads(line))
    for name in ("name", "context", "kind", "start_time", "end_time", "resource", "instrumentation_scope"):
        assert getattr(back, name) == getattr(span, name), name
    assert (back.parent and back.parent.span_id) == (span.parent and span.parent.span_id)
    assert (back.parent and back.parent.is_remote) == (span.parent and span.parent.is_remote)
    assert (back.status.status_code, back.status.description) == (span.status.status_code, span.status.description)
    for name in ("dropped_attributes", "dropped_events", "dropped_links"):
        assert getattr(back, name) == getattr(span, name), name
    assert dict(back.attributes or {}) == dict(span.attributes or {})
    assert [
        (event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes) for event in back.events
    ] == [
        (event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes) for event in span.events
    ]
    assert [(link.context, dict(link.attributes or {}), link.dropped_attributes) for link in back.links] == [
        (link.context, dict(link.attributes or {}), link.dropped_attributes) for link in span.links
    ]
    assert [*span_lines([back])] == [line]


@often
@given(signals.logs())
def test_log_records_come_back(record: Any) -> None:
    """What is written of it again is the same line, and the fields are the same."""
    (line,) = log_lines([record])
    (back,) = logs_of(json.loads(line))
    assert [*log_lines([back])] == [line]
    assert (back.log_record.timestamp, back.log_record.event_name) == (
        record.log_record.timestamp,
        record.log_record.event_name,
    )
    assert (back.log_record.trace_id, back.log_record.span_id) == (
        record.log_record.trace_id,
        record.log_record.span_id,
    )
    assert dict(back.log_record.attributes) == dict(record.log_record.attributes)
    assert back.dropped_attributes == record.dropped_attributes


@often
@given(signals.metrics())
def test_metrics_come_back(data: Any) -> None:
    """Equal as dataclasses, but that sums of integers are floats, which OTLP has only."""
    (line,) = metric_lines(data)
    assert metrics_of(json.loads(line)) == data


@often
@given(signals.values)
def test_values_come_back(value: Any) -> None:
    """Every type of attribute."""
    assert value_of(json.loads(value_text(value)), tuple) == value


def test_what_json_and_otlp_have_no_word_for() -> None:
    """NaN and infinity are words, integers beyond 64 bits and objects are text, a cycle ends."""
    cycle: list[Any] = [1]
    cycle.append(cycle)
    found = [json.loads(value_text(value)) for value in (float("nan"), float("-inf"), 2**63, {1: b"a"}, object(), None)]
    assert found == [
        {"doubleValue": "NaN"},
        {"doubleValue": "-Infinity"},
        {"stringValue": str(2**63)},
        {"kvlistValue": {"values": [{"key": "1", "value": {"bytesValue": "YQ=="}}]}},
        {"stringValue": '"<object>"'},
        {},
    ]
    assert value_of(json.loads(value_text(cycle)))[0] == 1
    assert json.loads(value_text(_nested(3000)))


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_lone_surrogates_become_replacement_characters() -> None:
    """In names, keys and values; the rest of the batch is as it was."""
    spans = [named("a\ud800b"), named("good", {"k\udfff": "v\ud83d", "long": "x" * 200 + "\ud83d"})]
    groups = one(span_lines(spans))["resourceSpans"]
    first, second = groups[0]["scopeSpans"][0]["spans"]
    assert (first["name"], attributes_of(second["attributes"])) == (
        "a\ufffdb",
        {"k\ufffd": "v\ufffd", "long": "x" * 200 + "\ufffd"},
    )


def named(name: str, attributes: Any = None, resource: Any = None, scope: Any = None) -> ReadableSpan:
    return ReadableSpan(
        name=name,
        context=SpanContext(1, 2, False),
        attributes=attributes,
        resource=resource or Resource({"service.name": "s"}),
        instrumentation_scope=scope or InstrumentationScope("scope"),
        start_time=1,
        end_time=2,
    )


def test_items_are_grouped_by_resource_and_scope() -> None:
    """Equal ones are one, whichever objects they are; their order is that of the first item of each."""
    one_, two = Resource({"n": 1}), Resource({"n": 2})
    spans = [
        named("a", resource=one_),
        named("b", resource=two),
        named("c", resource=Resource({"n": 1})),
        named("d", resource=one_, scope=InstrumentationScope("other")),
    ]
    groups = one(span_lines(spans))["resourceSpans"]
    shape = [[[span["name"] for span in scope["spans"]] for scope in group["scopeSpans"]] for group in groups]
    assert shape == [[["a", "c"], ["d"]], [["b"]]]


@pytest.mark.quiet_guard
def test_an_item_that_cannot_be_written_costs_itself() -> None:
    """The others of its batch are written, and the failure is counted."""
    broken: Any = named("broken")
    broken._kind = "no kind"
    assert [span.name for span in spans_of(one(span_lines([named("a"), broken, named("b")])))] == ["a", "b"]
    assert guard.errors["_span: KeyError"] == 1


def test_lines_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is longer becomes several lines; an item that is longer by itself is one."""
    monkeypatch.setattr(otlp_encoding, "MAX_LINE_BYTES", 2_000)
    spans = [named(str(number), {"text": "x" * size}) for number, size in enumerate([900, 900, 900, 5_000, 10])]
    lines = [*span_lines(spans)]
    assert [[span.name for span in spans_of(json.loads(line))] for line in lines] == [["0"], ["1"], ["2"], ["3"], ["4"]]
    assert [len(line) > 2_000 for line in lines] == [False, False, False, True, False]


def test_spans_of_the_sdk_itself() -> None:
    """Attributes, events, links and drops as a real tracer leaves them."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with provider.get_tracer("t", "1").start_as_current_span("parent") as span:
        span.set_attributes({"list": ["a"], "number": 1, "yes": True})
        for number in range(200):
            span.add_event(str(number), {"n": number})
    (span_out,) = memory.get_finished_spans()
    (back,) = spans_of(one(span_lines([span_out])))
    assert back.to_json() == span_out.to_json()
    assert back.dropped_events == span_out.dropped_events == 72


def test_metrics_of_the_sdk_itself() -> None:
    """Counters, gauges and both histograms as a real meter leaves them, without points too."""
    reader = InMemoryMetricReader()
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    meter = provider.get_meter("m")
    meter.create_counter("counter", "1", "c").add(2, {"a": "b"})
    meter.create_up_down_counter("updown").add(-1.5)
    meter.create_gauge("gauge").set(3)
    for name in ("plain", "exponential"):
        histogram = meter.create_histogram(name)
        for value in (0, 0.5, 3, -2):
            histogram.record(value)
    data = reader.get_metrics_data()
    assert data is not None
    ours = as_protobuf(ExportMetricsServiceRequest, one(metric_lines(data)))
    theirs = encode_metrics(data)
    assert {metric.name for metric in ours.resource_metrics[0].scope_metrics[0].metrics} >= {"exponential", "gauge"}
    for message in (ours, theirs):
        for metric in message.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.exponential_histogram.data_points:
                point.ClearField("negative")  # the official one leaves out buckets that are empty
    assert ours == theirs
    assert metrics_of(one(metric_lines(data))).resource_metrics[0].resource == data.resource_metrics[0].resource


@pytest.mark.parametrize("read", [spans_of, logs_of, metrics_of])
@pytest.mark.parametrize(
    "line",
    [
        {},
        {"resourceSpans": 1, "resourceLogs": 1, "resourceMetrics": 1},
        {"resourceSpans": [1], "resourceLogs": [1], "resourceMetrics": [1]},
        {
            "resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}],
            "resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": "xyz"}]}]}],
            "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": "x"}]}}]}]}],
        },
    ],
)
def test_what_is_no_otlp_is_refused(read: Callable[[Any], Sequence[Any]], line: Any) -> None:
    """With one kind of exception."""
    with pytest.raises(ValueError, match="no OTLP/JSON"):
        read(line)
