"""What the real collector writes is what was recorded: 10,000 calls, bursts, and a collector that dies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

import aiobs
from aiobs import losses, span
from aiobs.exporters.registry import Exporter
from aiobs.exporters.spool.folder import BATCH_ITEMS
from aiobs.losses import Loss
from aiobs.testing import Simulator
from tests.backends.load import expected_spans, make_calls, observed
from tests.backends.servers import Collector, collector, until
from tests.docs.test_readme import WAYS, follow

CALLS = 10_000
OUTAGE = float(os.environ.get("AIOBS_OUTAGE_SECONDS", "60"))  # read before the fixtures clear the environment
KINDS = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3, SpanKind.PRODUCER: 4, SpanKind.CONSUMER: 5}
STATUSES = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}
BURST = 100
FLAGS = 0x100
"""The official exporter says only that it knows whether a parent is remote; the trace's own flags it leaves out."""


# The mapping: a span of the SDK as OTLP/JSON has it, and the collector writes it


def as_otlp(span: ReadableSpan) -> dict[str, Any]:
    """Numbers of 64 bits are text, ids hexadecimal; what is empty or 0 is left out, but for the status."""
    context, scope = span.get_span_context(), span.instrumentation_scope
    assert isinstance(context, SpanContext)
    assert scope is not None
    found = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else None,
        "flags": FLAGS,
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": attributes_as_otlp(span.attributes),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": str(event.timestamp),
                "attributes": attributes_as_otlp(event.attributes),
            }
            for event in span.events
        ],
        "resource": {"attributes": attributes_as_otlp(span.resource.attributes)},
        "scope": {
            "name": scope.name,
            "version": scope.version,
        },
    }
    status = {"message": span.status.description, "code": STATUSES[span.status.status_code]}
    return {**without_empty(found), "status": without_empty(status)}


def without_empty(found: Mapping[str, Any]) -> dict[str, Any]:
    """Without what OTLP/JSON leaves out."""
    return {name: value for name, value in found.items() if value not in (None, "", [], 0)}


def attributes_as_otlp(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """In their order."""
    return [{"key": name, "value": value_as_otlp(value)} for name, value in (attributes or {}).items()]


def value_as_otlp(value: Any) -> dict[str, Any]:
    """A value in the envelope of its type."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"arrayValue": {"values": [value_as_otlp(item) for item in value]} if value else {}}
    names = {bool: "boolValue", str: "stringValue", int: "intValue", float: "doubleValue"}
    return {names[type(value)]: str(value) if type(value) is int else value}


def by_id(spans: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Spans by their ids; two of the same would be a span that arrived twice."""
    found = {str(span["spanId"]): span for span in spans}
    assert len(found) == len(spans)
    return found


# What arrives


@pytest.mark.nonconforming(
    "the same calls are checked in the next test: looking at each of them takes longer than they do"
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_ten_thousand_calls_are_ten_thousand_spans(collector: Collector, protocol: str) -> None:
    """Every span arrives once, with everything that it has; plain calls, streams, failures, functions, with content."""
    count = CALLS if protocol == "http/protobuf" else CALLS // 10  # the same spans; grpc only carries them otherwise
    endpoint = collector.endpoint if protocol == "http/protobuf" else f"http://{collector.grpc}"
    with observed([Exporter("otlp", endpoint=endpoint, protocol=protocol)], capture_content="span_and_event") as kept:
        make_calls(count)
        assert aiobs.flush()
        recorded = kept.get_finished_spans()
    assert len(recorded) == expected_spans(count)
    until(lambda: len(collector.spans()) >= len(recorded), 30, "as many spans as were recorded")
    arrived, expected = by_id(collector.spans()), by_id([as_otlp(span) for span in recorded])
    assert arrived.keys() == expected.keys()
    different = [(arrived[key], expected[key]) for key in expected if arrived[key] != expected[key]]
    assert not different, f"{len(different)} differ, the first: {different[0]}"
    assert not losses.lost


def test_calls_are_of_every_kind(collector: Collector) -> None:
    """Of the load: streams have a first chunk, failures a status and a type, functions a child, all calls content."""
    with observed([Exporter("otlp", endpoint=collector.endpoint)], capture_content="span_only"):
        make_calls(200)
        assert aiobs.flush()
    spans = until(lambda: found if len(found := collector.spans()) >= expected_spans(200) else [], 30, "all spans")
    keys = [{pair["key"] for pair in span["attributes"]} for span in spans]
    counted = {
        "streamed": sum("gen_ai.response.time_to_first_chunk" in names for names in keys),
        "failed": sum(span["status"].get("code") == 2 for span in spans),
        "inside": sum("parentSpanId" in span for span in spans),
        "asked": sum("gen_ai.input.messages" in names for names in keys),
    }
    assert counted == {"streamed": 8, "failed": 5, "inside": 4, "asked": 200}


@pytest.mark.nonconforming("the program that sends is another process")
@pytest.mark.parametrize("way", WAYS)
def test_a_reader_of_the_readme_sees_a_call(
    collector: Collector, way: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Its lines, by code and without, and a collector on this machine: the call is there when the program has ended."""
    follow(way, collector.endpoint, simulator, tmp_path)
    [found] = until(collector.spans, 10, "a span")
    assert found["name"] == "chat gpt-4o-mini"


def test_the_burst_arrives(tmp_path_factory: pytest.TempPathFactory) -> None:
    """8,000 spans while the collector stands still, as fast as a program can make them."""
    made = collector(tmp_path_factory.mktemp("collector"))
    with made.running() as process, observed([Exporter("otlp", endpoint=made.endpoint)]):
        process.send_signal(signal.SIGSTOP)
        for number in range(8_000):
            with span(f"s{number}"):
                pass
        process.send_signal(signal.SIGCONT)
        assert aiobs.flush()
        until(lambda: len(made.spans()) >= 8_000, 30, "8,000 spans")
    assert sorted(span["name"] for span in made.spans()) == sorted(f"s{number}" for number in range(8_000))
    assert not losses.lost


@pytest.mark.quiet_guard
def test_a_collector_that_dies_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be sent meanwhile is counted, said once, and the rest arrives: nothing is lost quietly."""
    made = collector(tmp_path_factory.mktemp("collector"))
    with observed([Exporter("otlp", endpoint=made.endpoint, timeout=1, signals="traces")]), caplog.at_level("WARNING"):
        for is_up in (True, False, True):
            if is_up:
                with made.running():
                    emit(f"up {len(made.spans())}", 300)
            else:
                emit("down", 200)
    names = [span["name"] for span in made.spans()]
    assert (names.count("up 0"), names.count("up 300"), names.count("down")) == (300, 300, 0)
    assert losses.lost == {Loss("otlp", "span", "export_failed"): 200}
    told = [
        record.getMessage() for record in caplog.records if record.name == "aiobs" and record.levelname == "WARNING"
    ]
    assert ["the exporter otlp lost 200 span(s)" in text for text in told if "lost" in text] == [True]


def test_a_minute_without_a_collector_loses_nothing(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Gone under load for a minute, and back: with a spool every span is there in the end.

    It is ended, not killed: what a collector has taken and not written yet is its own to lose.
    """
    made, ended, made_calls = collector(tmp_path_factory.mktemp("collector")), threading.Event(), 0

    def load(simulator: Simulator) -> None:
        nonlocal made_calls
        while not ended.is_set():
            make_calls(BURST, simulator)
            made_calls += BURST
            ended.wait(0.25)  # some four hundred spans a second

    exporters = [Exporter("otlp", endpoint=made.endpoint, timeout=1, spool=str(tmp_path / "spool"), signals="traces")]
    with observed(exporters, capture_content="span_only") as kept, Simulator() as simulator:
        caller = threading.Thread(target=load, args=(simulator,))
        with made.running():
            caller.start()
            until(lambda: len(made.spans()) >= BURST, 30, "the first spans")
        before = made_calls
        assert not ended.wait(OUTAGE)
        during = made_calls - before
        with made.running():
            until(lambda: made_calls > before + during + BURST, 60, "calls after the outage")
            ended.set()
            caller.join()
            until(aiobs.flush, 60, "the spool is empty")
            ids = {span.context.span_id: span for span in kept.get_finished_spans() if span.context is not None}
            until(lambda: len({*spans_by_id(made)}) >= len(ids), 30, "every span")
    arrived = spans_by_id(made)
    assert during > 10 * OUTAGE, "the load went on while nobody listened"
    assert [name for name in (f"{number:016x}" for number in ids) if name not in arrived] == []
    assert not losses.lost
    assert sum(map(len, arrived.values())) - len(arrived) <= BATCH_ITEMS, "more than the batch that was under way"


def spans_by_id(made: Collector) -> dict[str, list[Mapping[str, Any]]]:
    """What has arrived, some of it twice."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for arrived in made.spans():
        found.setdefault(arrived["spanId"], []).append(arrived)
    return found


def emit(name: str, count: int) -> None:
    """So many spans, sent or given up."""
    for _ in range(count):
        with span(name):
            pass
    aiobs.flush()
