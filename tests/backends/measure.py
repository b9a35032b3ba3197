"""Spans a second through the exporter ``otlp`` into a real collector, and bytes a span: for docs/scaling.md, no test.

    PYTHONPATH=.:scripts python -m tests.backends.measure

Spans of real calls, with content and without, go through the queue again and again, as a burst; each line has the
median of the rounds, the least and the most.
"""

from __future__ import annotations

import gzip
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from aiobs import losses
from aiobs.exporters import otlp
from aiobs.exporters.delivery.queues import SpanQueue
from aiobs.exporters.sampling import Sampling
from tests.backends.load import make_calls, observed
from tests.backends.servers import Collector, collector

SPANS, BURST, ROUNDS = 1_000, 8_000, 7


def main() -> None:
    """Both kinds of spans."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; a burst of {BURST:,}, {ROUNDS} rounds")
    for content in ("no_content", "span_only"):
        with observed(["none"], capture_content=content) as kept:
            make_calls(SPANS)
            spans = kept.get_finished_spans()
        print(f"\n{content}")
        for size, text in (("protobuf", wire(spans)), ("protobuf, gzip", gzip.compress(wire(spans)))):
            print(f"  bytes a span, {size}: {len(text) / len(spans):,.0f}")
        with tempfile.TemporaryDirectory() as folder:
            rounds(spans, collector(Path(folder)))


def wire(spans: Sequence[ReadableSpan]) -> bytes:
    """As they are sent, in requests of 512."""
    parts = [spans[start : start + 512] for start in range(0, len(spans), 512)]
    return b"".join(encode_spans(part).SerializeToString() for part in parts)


def rounds(spans: Sequence[ReadableSpan], made: Collector) -> None:
    """Bursts into one collector."""
    burst = [spans[number % len(spans)] for number in range(BURST)]
    with made.running() as process:
        queue = SpanQueue("otlp", otlp.pipelines(endpoint=made.endpoint).span_exporter, None, Sampling(1.0, True))  # type: ignore[arg-type]  # traces are asked for
        measured = [one(queue, burst, lambda: seconds_of(process.pid)) for _ in range(ROUNDS + 1)][1:]
        queue.shutdown()
    assert not losses.lost
    for title, values in zip(
        ("spans a second", "µs of the program's CPU a span", "µs of the collector's CPU a span"),
        zip(*measured, strict=True),
        strict=True,
    ):
        print(f"  {title}: {statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})")


def one(queue: SpanQueue, burst: Sequence[ReadableSpan], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """Of a burst, from the first span queued to the last one taken: spans a second, our CPU and the collector's a span."""
    started, ours, before = time.monotonic(), time.process_time(), theirs()
    for span in burst:
        queue.on_end(span)
    queue.force_flush()
    took, used = time.monotonic() - started, time.process_time() - ours
    time.sleep(0.5)  # the collector's batch
    return len(burst) / took, used / len(burst) * 1e6, (theirs() - before) / len(burst) * 1e6


def seconds_of(process: int) -> float:
    """CPU that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
