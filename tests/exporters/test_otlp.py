"""OTLP by the standard variables, and the registry of exporters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters import otlp, registry
from aiobs.exporters.registry import Pipelines, exporter
from aiobs.testing import OTLPSink


@pytest.fixture(autouse=True)
def dead_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test talks to a collector that happens to run here."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def closed() -> Iterator[list[Pipelines]]:
    made: list[Pipelines] = []
    yield made
    for pipelines in made:
        for part in (*pipelines.span_processors, *pipelines.log_processors, *pipelines.metric_readers):
            part.shutdown()


def test_a_span_arrives_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official exporter, in batches, to the endpoint of the environment."""
    with OTLPSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(otlp.span_processor())
        provider.get_tracer("aiobs").start_span("chat").end()
        provider.shutdown()
        assert [span.name for span in sink.spans] == ["chat"]


def test_signals_can_be_left_out(monkeypatch: pytest.MonkeyPatch, closed: list[Pipelines]) -> None:
    """OTEL_METRICS_EXPORTER=none and its like."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "None ")
    closed.append(otlp.pipelines())
    assert [len(closed[0].span_processors), closed[0].metric_readers, closed[0].log_processors] == [1, (), ()]
    assert isinstance(closed[0].span_processors[0].span_exporter, OTLPSpanExporter)  # type: ignore[attr-defined]


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
    assert otlp.protocol("TRACES") == expected


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


@pytest.mark.parametrize("name", ["console", "json", "none", "otlp"])
def test_our_exporters_have_names(name: str, closed: list[Pipelines]) -> None:
    """Each name makes pipelines."""
    closed.append(exporter(name)())
    assert bool(closed[0].span_processors) == (name in ("console", "otlp"))


def test_installed_packages_add_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point group aiobs.exporters."""

    def points(group: str) -> list[Any]:
        return [EntryPoint("mine", "aiobs.exporters.registry:nothing", group)] if group == "aiobs.exporters" else []

    monkeypatch.setattr(registry, "entry_points", points)
    assert exporter("mine")() == Pipelines()
    with pytest.raises(ConfigurationError, match=r"no exporter 'x'. Known are: console, json, mine, none, otlp"):
        exporter("x")
