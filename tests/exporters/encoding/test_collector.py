"""A real collector takes our lines as they are, and writes the same; and we read what it writes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from aiobs.exporters.encoding.decoder import logs_of, spans_of
from aiobs.exporters.encoding.encoder import log_lines, metric_lines, span_lines
from aiobs.exporters.encoding.metrics_decoder import metrics_of
from aiobs.reading import otlp_json as reading
from tests.exporters.encoding import signals

COLLECTOR = os.environ.get("AIOBS_OTELCOL")  # read before the fixtures clear the environment

pytestmark = [
    pytest.mark.skipif(not COLLECTOR, reason="needs a collector: set AIOBS_OTELCOL to an otelcol binary"),
    pytest.mark.timeout(180),
]
some = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking would go through the collector for minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

CONFIGURATION = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{jsonl: {{path: "{path}"}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [jsonl]}}
    logs: {{receivers: [otlp], exporters: [jsonl]}}
    metrics: {{receivers: [otlp], exporters: [jsonl]}}
"""


class Collector(NamedTuple):
    """Where it listens and what file it writes."""

    origin: str
    path: Path

    def post(self, signal: str, line: bytes) -> int:
        """Send one line as an OTLP/HTTP request in JSON."""
        request = urllib.request.Request(
            f"{self.origin}/v1/{signal}", line, {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)

    def last(self) -> dict[str, Any]:
        """The last line of its file."""
        found: dict[str, Any] = [*reading.objects(self.path)][-1]
        return found


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("collector")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path, configuration = folder / "out.jsonl", folder / "c.yaml"
    configuration.write_text(CONFIGURATION.format(port=port, path=path))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(COLLECTOR), "--config", str(configuration)], stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield Collector(f"http://127.0.0.1:{port}", path)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(log.read_text("utf-8", "replace"))


def plain(value: Any) -> Any:
    """Without what has its default, which the two leave out in different places."""
    if isinstance(value, dict):
        found = {name: plain(item) for name, item in value.items()}
        return {name: item for name, item in found.items() if item not in ("", "0", 0, [], {}, None)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if type(value) is int else value  # a collector writes 1e+16 with all its zeros


@pytest.mark.parametrize(
    ("signal", "items", "write"),
    [
        ("traces", st.lists(signals.spans(), min_size=1, max_size=3), span_lines),
        ("logs", st.lists(signals.logs(), min_size=1, max_size=3), log_lines),
        ("metrics", signals.metrics(), metric_lines),
    ],
)
def test_its_file_is_ours(
    collector: Collector, signal: str, items: st.SearchStrategy[Any], write: Callable[[Any], Iterable[bytes]]
) -> None:
    """Every line is accepted, and what the collector writes of it is equal."""

    @some
    @given(items)
    def check(found: Any) -> None:
        (line,) = write(found)
        assert collector.post(signal, line) == 200
        assert plain(collector.last()) == plain(json.loads(line))

    check()


@pytest.mark.parametrize(
    ("signal", "items", "write", "read"),
    [
        ("traces", st.lists(signals.spans(), min_size=1, max_size=3), span_lines, spans_of),
        ("logs", st.lists(signals.logs(), min_size=1, max_size=3), log_lines, logs_of),
        ("metrics", signals.metrics(), metric_lines, metrics_of),
    ],
)
def test_we_read_its_file(
    collector: Collector,
    signal: str,
    items: st.SearchStrategy[Any],
    write: Callable[[Any], Iterable[bytes]],
    read: Callable[[Any], Any],
) -> None:
    """What is read back from its lines is written as the line that was sent, but for defaults."""

    @some
    @given(items)
    def check(found: Any) -> None:
        (line,) = write(found)
        collector.post(signal, line)
        (back,) = write(read(collector.last()))
        assert plain(json.loads(back)) == plain(json.loads(line))

    check()


def test_rows_of_what_the_official_exporter_sends(collector: Collector) -> None:
    """Protobuf in, the collector's line out, and our rows of it."""
    from tests.exporters.encoding.test_encoding import named

    exporter = OTLPSpanExporter(f"{collector.origin}/v1/traces")
    exporter.export([named("official", {"list": ("a", "b"), "n": 1, "b": b"\x00"})])
    exporter.shutdown()
    row = [*reading.spans(collector.path)][-1]
    assert (row["name"], row["attributes"]) == ("official", {"list": ("a", "b"), "n": 1, "b": b"\x00"})
    assert (row["resource"], row["scope"]["name"], row["kind"]) == ({"service.name": "s"}, "scope", "internal")
