"""A program's calls at an OTLP endpoint, over both protocols, configured by the standard variables alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import aiobs
from aiobs import observe, observer
from aiobs.testing import OTLPSink, Simulator
from tests.fakes.otlp_grpc import grpc_receiver

Arrived = Callable[[], list[str]]


@contextmanager
def over_http() -> Iterator[tuple[str, Arrived]]:
    with OTLPSink() as sink:
        yield sink.endpoint, lambda: [span.name for span in sink.spans]


@contextmanager
def over_grpc() -> Iterator[tuple[str, Arrived]]:
    with grpc_receiver() as (port, receiver):
        yield f"http://127.0.0.1:{port}", lambda: receiver.names


RECEIVERS = {"http/protobuf": over_http, "grpc": over_grpc}


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_calls_reach_an_otlp_endpoint(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    """SX-02: the endpoint and protocol of the environment are enough; after flush() the spans are there."""

    @observe
    def summarize() -> str | None:
        ask = [{"role": "user", "content": "x"}]
        answer = simulator.openai().chat.completions.create(model="m", messages=ask)  # type: ignore[arg-type]  # a plain dict
        return str(answer.choices[0].message.content)

    for signal in ("METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")  # the receiver of the one protocol has traces only
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with RECEIVERS[protocol]() as (endpoint, arrived):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        observer.observe()
        summarize()
        assert aiobs.flush()
        assert sorted(arrived()) == ["chat m", "summarize"]
        observer.reset()


def test_without_an_endpoint_nothing_leaves(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """SX-02: no endpoint is named, so there is no exporter, whatever listens on the standard port."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    exported: list[object] = []
    monkeypatch.setattr(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter.export",
        lambda self, spans: exported.append(spans),
    )
    observer.observe()
    simulator.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert aiobs.flush()
    assert exported == []
