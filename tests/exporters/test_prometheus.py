"""Metrics at an address that Prometheus scrapes, and the bound on the values of a label."""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import aiobs
from aiobs import Instrumentor, configure
from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters import prometheus
from aiobs.exporters.registry import Exporter
from aiobs.exporters.rewriting.cardinality import LabelLimit
from aiobs.testing import Simulator


@pytest.fixture(autouse=True)
def no_server_stays() -> Iterator[None]:
    yield
    aiobs.shutdown()
    for server, _ in prometheus._served.values():
        server.shutdown()
        server.server_close()
    prometheus._served.clear()


def scrape() -> str:
    found = prometheus.address()
    assert found is not None
    with urllib.request.urlopen(f"http://{found[0]}:{found[1]}/metrics") as answer:
        return str(answer.read().decode())


def call(simulator: Simulator, model: str) -> None:
    simulator.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])


def counts(text: str) -> dict[str, float]:
    """Calls by the model asked for."""
    lines = [line for line in text.splitlines() if line.startswith("gen_ai_client_inference_duration_seconds_count")]
    models = [line.partition('gen_ai_request_model="')[2].partition('"')[0] for line in lines]
    return dict(zip(models, (float(line.rpartition(" ")[2]) for line in lines), strict=True))


def test_a_scrape_has_the_calls_of_models() -> None:
    """In Prometheus's names, with exporters exchanged in between: the address stays."""
    with Simulator() as simulator:
        configure(exporters=[Exporter("prometheus", port=0)])
        Instrumentor().instrument()
        call(simulator, "a")
        call(simulator, "a")
        before = prometheus.address()
        assert counts(scrape()) == {"a": 2.0}
        configure(exporters=[Exporter("prometheus", port=0), "memory"])
        call(simulator, "b")
        assert (prometheus.address(), counts(scrape())) == (before, {"b": 1.0})


def test_labels_are_bounded() -> None:
    """The first values are told apart, all others are one series, and its counts are their sum."""
    with Simulator() as simulator:
        configure(exporters=[Exporter("prometheus", port=0, label_limit=2)])
        Instrumentor().instrument()
        for model in ("a", "b", "c", "d", "d"):
            call(simulator, model)
        assert counts(scrape()) == {"a": 1.0, "b": 1.0, "other": 3.0}
        call(simulator, "e")
        assert counts(scrape()) == {"a": 1.0, "b": 1.0, "other": 4.0}


def test_sums_gauges_and_histograms_are_added_up() -> None:
    """A thousand values of a label in a hundred series and one."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("m")
    counter, sizes, level = meter.create_counter("c"), meter.create_histogram("h"), meter.create_gauge("g")
    for number in range(1_000):
        counter.add(1, {"user": str(number)})
        sizes.record(number, {"user": str(number)})
        level.set(number, {"user": str(number)})
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {
        m.name: m.data.data_points for m in LabelLimit(100).apply(data).resource_metrics[0].scope_metrics[0].metrics
    }
    assert {name: len(points) for name, points in metrics.items()} == {"c": 101, "h": 101, "g": 101}
    others = {name: points[-1] for name, points in metrics.items()}
    assert {point.attributes["user"] for point in others.values() if point.attributes} == {"other"}
    assert others["c"].value == 900  # type: ignore[union-attr]  # a counter's point
    assert (others["h"].count, others["h"].min, others["h"].max) == (900, 100, 999)  # type: ignore[union-attr]  # a histogram's
    assert sum(others["h"].bucket_counts) == 900  # type: ignore[union-attr]  # a histogram's point
    assert others["g"].value == 999  # type: ignore[union-attr]  # a gauge's point


def test_the_standard_variables_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_EXPORTER_PROMETHEUS_HOST and _PORT."""
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
    configure(exporters=["prometheus"])
    assert prometheus.address() is not None
    assert prometheus.address()[0] == "127.0.0.1"  # type: ignore[index]  # as the line before says
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "http")
    with pytest.raises(ConfigurationError, match="port='http' is not a whole number"):
        configure(exporters=["prometheus", "none"])


def test_a_child_of_a_fork_leaves_the_port_to_its_parent() -> None:
    """When the parent has gone the port is free, though the child lives."""
    configure(exporters=[Exporter("prometheus", host="127.0.0.1", port=0)])
    found = prometheus.address()
    assert found is not None
    waits, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
    for server, _ in prometheus._served.values():
        server.shutdown()
        server.server_close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(found)
    os.close(ends)
    os.waitpid(child, 0)


def test_without_its_extra_it_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra says how to get it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r'pip install "aiobs\[prometheus\]"'):
        configure(exporters=["prometheus"])
