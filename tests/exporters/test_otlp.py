"""OTLP by the standard variables and by options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

import aiobs
from aiobs import configure, span
from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters import otlp
from aiobs.exporters.registry import Exporter
from aiobs.testing import OTLPSink


@pytest.fixture(autouse=True)
def dead_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test talks to a collector that happens to run here."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def closed() -> Iterator[list[Any]]:
    made: list[Any] = []
    yield made
    for exporter in made:
        exporter.shutdown()


def made(closed: list[Any], **options: Any) -> dict[str, Any]:
    """The exporters by signal."""
    found = vars(otlp.pipelines(**options))
    exporters = {name.removesuffix("_exporter"): found[name] for name in found if name.endswith("_exporter")}
    closed += [exporter for exporter in exporters.values() if exporter is not None]
    return exporters


def test_a_span_arrives_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official exporter, in batches, to the endpoint of the environment."""
    with OTLPSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        configure(exporters=["otlp"])
        with span("chat"):
            pass
        aiobs.flush()
        assert [received.name for received in sink.spans] == ["chat"]


def test_signals_can_be_left_out(monkeypatch: pytest.MonkeyPatch, closed: list[Any]) -> None:
    """OTEL_METRICS_EXPORTER=none and its like, and the option."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "None ")
    assert [signal for signal, exporter in made(closed).items() if exporter] == ["span"]
    monkeypatch.delenv("OTEL_METRICS_EXPORTER")
    assert [signal for signal, exporter in made(closed, signals="traces metrics").items() if exporter] == [
        "span",
        "metric",
    ]
    with pytest.raises(ConfigurationError, match="use one or more of traces, metrics, logs"):
        otlp.pipelines(signals="traces,spans")


@pytest.mark.parametrize("endpoint", ["http://c:1", "http://c:1/", "http://c:1/v1/traces"])
def test_an_endpoint_is_a_base_or_that_of_traces(endpoint: str, closed: list[Any]) -> None:
    """Each signal's path is added; headers and timeout reach the official exporter."""
    exporters = made(closed, endpoint=endpoint, headers="x-team=search,authorization=Bearer%20k", timeout="3")
    assert [exporter._endpoint for exporter in exporters.values()] == [
        f"http://c:1/v1/{signal}" for signal in ("traces", "logs", "metrics")
    ]


def test_headers_and_timeout_reach_the_server() -> None:
    """As a mapping or as text, values as in the standard variable."""
    with OTLPSink() as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, headers="x-team=search,x-key=Bearer%20k")])
        with span("s"):
            pass
        aiobs.flush()
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, headers={"x-team": "ads"}, signals="traces")])
        with span("s"):
            pass
        aiobs.flush()
        sent = [export.headers for export in sink.exports if export.path == "/v1/traces"]
    assert [(headers["x-team"], headers.get("x-key")) for headers in sent] == [("search", "Bearer k"), ("ads", None)]


def test_headers_that_cannot_be_read_are_not_shown() -> None:
    """They hold credentials."""
    with pytest.raises(ConfigurationError, match="write name=value") as raised:
        otlp.pipelines(headers="Bearer sk-secret")
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("general", "own", "expected"),
    [
        (None, None, "http/protobuf"),
        ("grpc", None, "grpc"),
        ("grpc", "http/protobuf", "http/protobuf"),
        (" GRPC ", "", "grpc"),
    ],
)
def test_the_protocol_is_the_signals_or_the_general_one(
    monkeypatch: pytest.MonkeyPatch, general: str | None, own: str | None, expected: str
) -> None:
    """The signal's variable wins; http/protobuf is the default."""
    for name, value in (("OTEL_EXPORTER_OTLP_PROTOCOL", general), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", own)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert otlp.protocol_of("traces") == expected


def test_an_unknown_protocol_is_a_mistake_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to give instead."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(ConfigurationError, match=r"'http/json' is not supported; use http/protobuf or grpc"):
        otlp.pipelines()


def test_grpc_without_its_extra_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra says how to get it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(MissingExtra, match=r'pip install "aiobs\[grpc\]"'):
        otlp.pipelines()
