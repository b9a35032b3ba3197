"""``collector-config/`` as a real collector and a real Prometheus read it: from a program to the stores."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

import aiobs
from aiobs import losses
from aiobs.exporters import prometheus as scraped
from aiobs.exporters.registry import Exporter
from aiobs.testing import Simulator
from tests.backends import servers
from tests.backends.load import expected_spans, make_calls, observed, tokens
from tests.backends.test_metrics import TOKENS, check_totals, counted, query, totals

CONFIG = Path(__file__).resolve().parents[2] / "collector-config"
CALLS = 300
CORE = ("collector.yaml", "agent.yaml", "gateway.yaml")
DASHBOARD = json.loads((CONFIG / "dashboards" / "aiobs.json").read_text("utf-8"))
VARIABLES = {"$model": ".*", "$label": "label_team", "$__rate_interval": "5m", "$__range": "5m"}


@pytest.mark.parametrize("name", CORE)
def test_the_collector_accepts_what_is_for_the_core(name: str) -> None:
    """SX-02: ``validate`` finds nothing wrong."""
    told = said(servers.program("otelcol"), "validate", "--config", str(CONFIG / name))
    assert told == ""


@pytest.mark.parametrize("name", ["agent.contrib.yaml", "gateway.contrib.yaml"])
def test_the_core_does_not_know_what_is_for_contrib(name: str) -> None:
    """Else it could be run here, and should be."""
    told = said(servers.program("otelcol"), "validate", "--config", str(CONFIG / name), is_right=False)
    assert "unknown type" in told


def test_prometheus_accepts_its_configuration() -> None:
    """With the prices, by its own tool."""
    tool = Path(servers.program("prometheus")).with_name("promtool")
    assert "SUCCESS: 6 rules found" in said(str(tool), "check", "config", str(CONFIG / "prometheus.yml"))


def said(*command: str, is_right: bool = True) -> str:
    """What a command says, if it ends as it is to."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == is_right, done.stderr
    return done.stdout + done.stderr


# From a program to the stores


@contextmanager
def one_collector(stores: dict[str, str], folder: Path) -> Iterator[str]:
    """``collector.yaml``, on other ports; the endpoint for programs."""
    http = f"{servers.HOST}:{servers.free_port()}"
    ports = {"grpc": {"endpoint": f"{servers.HOST}:{servers.free_port()}"}, "http": {"endpoint": http}}
    (folder / "ports.json").write_text(json.dumps({"receivers": {"otlp": {"protocols": ports}}, **QUIET}), "utf-8")
    with collector(["collector.yaml", str(folder / "ports.json")], f"http://{http}/", stores, folder):
        yield f"http://{http}"


@contextmanager
def agent_and_gateway(stores: dict[str, str], folder: Path) -> Iterator[str]:
    """``agent.yaml`` in front of ``gateway.yaml``; the endpoint for programs."""
    gateway, grpc, http = (f"{servers.HOST}:{servers.free_port()}" for _ in range(3))
    agents = {"GATEWAY_ENDPOINT": gateway, "OTLP_GRPC": grpc, "OTLP_HTTP": http}
    (folder / "gateway").mkdir()
    with (
        collector(["gateway.yaml"], gateway, {**stores, "GATEWAY_GRPC": gateway}, folder / "gateway"),
        collector(["agent.yaml"], f"http://{http}/", agents, folder),
    ):
        yield f"http://{http}"


QUIET = {"service": {"telemetry": {"metrics": {"level": "none"}}}}
"""No port for the collector's own metrics: tests run beside each other."""


@contextmanager
def collector(names: list[str], ready: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A collector with these files."""
    files = [f"--config={CONFIG / name}" for name in names]
    with servers.running(
        [servers.program("otelcol"), *files], ready, folder, environment={**environment, "OWN_METRICS": "none"}
    ):
        yield


@pytest.mark.parametrize("way", [one_collector, agent_and_gateway])
def test_everything_gets_to_its_store(way: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces to collectors in the place of Jaeger and Tempo, metrics to VictoriaMetrics in that of Prometheus."""
    with ExitStack() as stack:
        jaeger, tempo = (servers.collector(tmp_path_factory.mktemp(name)) for name in ("jaeger", "tempo"))
        stack.enter_context(jaeger.running())
        stack.enter_context(tempo.running())
        metrics = stack.enter_context(servers.victoria_metrics(tmp_path_factory.mktemp("metrics")))
        stores = {
            "JAEGER_ENDPOINT": jaeger.grpc,
            "TEMPO_ENDPOINT": tempo.endpoint,
            "PROMETHEUS_ENDPOINT": f"{metrics}/opentelemetry",
        }
        endpoint = stack.enter_context(way(stores, tmp_path_factory.mktemp("way")))
        with observed([Exporter("otlp", endpoint=endpoint)]) as kept:
            make_calls(CALLS)
            assert aiobs.flush()
            spans = kept.get_finished_spans()
        assert len(spans) == expected_spans(CALLS)
        for store in (jaeger, tempo):
            servers.until_equal(partial(ids_in, store), ids(spans), 30)
        check_totals(metrics, tokens(spans), counted(spans))


def ids(spans: Sequence[ReadableSpan]) -> list[str]:
    """In their order."""
    return sorted(f"{span.get_span_context().span_id:016x}" for span in spans)  # type: ignore[union-attr]  # each has one


def ids_in(store: servers.Collector) -> list[str]:
    """Those of the spans that arrived, in their order."""
    return sorted(span["spanId"] for span in store.spans())


def test_every_panel_of_the_dashboard_has_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_served: None
) -> None:
    """In a real Prometheus that scrapes a program, with the prices of prices.yml."""
    servers.program("prometheus")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=backends,label.team=search")
    with observed([Exporter("prometheus", host=servers.HOST, port=0)]) as kept:
        found = scraped.address()
        assert found is not None
        with servers.prometheus(tmp_path, f"{found[0]}:{found[1]}", CONFIG / "prices.yml") as prometheus:
            losses.lose("example", "span", "queue_full", 3, "for the panel that shows losses")
            with Simulator() as simulator:  # the same server: a series begins once, and a rate needs two samples
                make_calls(CALLS, simulator)
                spans = kept.get_finished_spans()
                servers.until_equal(partial(totals, prometheus, TOKENS), tokens(spans), 30)
                make_calls(CALLS, simulator)
            check_dashboard(prometheus)


def check_dashboard(prometheus: str) -> None:
    """Every query has an answer; costs are of the three models that have a price, errors of the type that there was."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            text = filled_in(target["expr"])
            servers.until(partial(query, prometheus, text), 30, f"{panel['title']}: {text}")
    models = query(prometheus, expression("Cost by model"), "gen_ai_request_model")
    assert {model for (model,) in models} == {"gpt-4o-mini", "gpt-4o", "o3-mini"}
    assert {team for (team,) in query(prometheus, expression("Cost by label"), "label_team")} == {"search"}
    assert {kind for (kind,) in query(prometheus, expression("Errors by model"), "error_type")} == {
        "openai.RateLimitError"
    }


def expression(title: str) -> str:
    """The first query of a panel."""
    [panel] = [panel for panel in DASHBOARD["panels"] if panel["title"] == title]
    return filled_in(panel["targets"][0]["expr"])


def filled_in(text: str) -> str:
    """With what Grafana would put in the place of variables."""
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text
