"""Tokens, calls and errors by PromQL, in Prometheus and in VictoriaMetrics, are those of the spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan

import aiobs
from aiobs.exporters import prometheus as scraped
from aiobs.exporters.registry import Exporter
from tests.backends import servers
from tests.backends.load import make_calls, observed, tokens

CALLS = 1_000
MODEL, ERROR = "gen_ai_request_model", "error_type"
TOKENS = {kind: f"gen_ai_client_inference_operation_{kind}_tokens_sum" for kind in ("input", "output")}
COUNTED = {kind: f"gen_ai_client_inference_usage_{kind}_tokens_total" for kind in ("input", "output")}
DURATION = "gen_ai_client_inference_duration_seconds_count"

Found = dict[tuple[str, ...], int]


def query(address: str, text: str, *labels: str) -> Found:
    """What PromQL finds, by the values of these labels."""
    answer = servers.get(f"{address}/api/v1/query", query=text)
    assert answer["status"] == "success", answer
    return {
        tuple(series["metric"].get(label, "") for label in labels): int(float(series["value"][1]))
        for series in answer["data"]["result"]
    }


def totals(address: str, names: dict[str, str]) -> Found:
    """Tokens by model and kind."""
    found = {kind: query(address, f"sum by ({MODEL}) ({name})", MODEL) for kind, name in names.items()}
    return {(model, kind): count for kind, counts in found.items() for (model,), count in counts.items()}


def check_totals(address: str, expected: Found, failures: Found) -> None:
    """Both metrics of tokens, and the number of calls by model and error."""
    servers.until_equal(lambda: totals(address, TOKENS), expected, 30)
    assert totals(address, COUNTED) == expected
    calls = query(address, f"sum by ({MODEL}, {ERROR}) ({DURATION})", MODEL, ERROR)
    assert calls == failures


def counted(spans: Sequence[ReadableSpan]) -> Found:
    """Calls by model and error, from the spans."""
    found: Counter[tuple[str, ...]] = Counter()
    for attributes in (span.attributes or {} for span in spans):
        if model := attributes.get("gen_ai.request.model"):
            found[str(model), str(attributes.get("error.type", ""))] += 1
    return dict(found)


def test_prometheus_scrapes_what_was_used(tmp_path: Path, nothing_served: None) -> None:
    """The exporter ``prometheus``, scraped each second while calls are made."""
    servers.program("prometheus")
    with observed([Exporter("prometheus", host="127.0.0.1", port=0)]) as kept:
        found = scraped.address()
        assert found is not None
        with servers.prometheus(tmp_path, f"{found[0]}:{found[1]}") as address:
            make_calls(CALLS)
            spans = kept.get_finished_spans()
            check_totals(address, tokens(spans), counted(spans))


@pytest.mark.parametrize("way", ["directly", "through the collector"])
def test_victoria_metrics_takes_what_was_used(tmp_path: Path, way: str) -> None:
    """OTLP metrics; VictoriaMetrics writes names as Prometheus does."""
    with servers.victoria_metrics(tmp_path) as address:
        if way == "directly":
            exporter = Exporter("otlp", endpoint=f"{address}/opentelemetry", signals="metrics")
            make_and_check(address, exporter)
            return
        to_victoria = {"metrics_endpoint": f"{address}/opentelemetry/v1/metrics", "compression": "gzip"}
        made = servers.collector(tmp_path, **{"otlphttp/victoria": to_victoria})
        with made.running():
            make_and_check(address, Exporter("otlp", endpoint=made.endpoint, signals="metrics"))


def make_and_check(address: str, exporter: Exporter) -> None:
    """Calls with this exporter, and what is in the database afterwards."""
    with observed([exporter]) as kept:
        make_calls(CALLS)
        assert aiobs.flush()
        spans = kept.get_finished_spans()
        check_totals(address, tokens(spans), counted(spans))
