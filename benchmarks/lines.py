"""OTLP/JSON lines: our encoder against the official file exporter, batches of 512 spans in turn, in one process.

    pip install opentelemetry-exporter-otlp-json-file
    python benchmarks/lines.py [--rounds 40]

Prints CPU time per span of both and their ratio, medians with quartiles. Both write to a file; what they write is equal
but for the flags of W3C, which the official one leaves out.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

BATCH = 512
TARGET = 0.35


def spans(count: int, content: int = 0) -> list[ReadableSpan]:
    """Chat calls as aiobs records them, with so many characters of content on each."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("aiobs", "1.0")
    for _ in range(count):
        span = tracer.start_span("chat gpt-4o", attributes=REQUEST)
        span.set_attributes(ANSWER)
        if content:
            span.set_attribute("gen_ai.input.messages", '[{"role":"user","parts":["' + "x " * (content // 2) + '"]}]')
        span.end()
    return list(memory.get_finished_spans())


REQUEST = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 100,
    "server.address": "api.openai.com",
    "server.port": 443,
    "aiobs.api.name": "chat.completions.create",
    "code.file.path": "/srv/app.py",
    "code.line.number": 12,
    "code.function.name": "main",
}
ANSWER = {
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 20,
}


def cpu(call: Callable[[], object]) -> float:
    """Microseconds of CPU per span."""
    start = time.process_time_ns()
    call()
    return (time.process_time_ns() - start) / 1000 / BATCH


def compare(title: str, batch: list[ReadableSpan], rounds: int, folder: Path) -> float:
    """Print one row; the median of the ratios."""
    from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter

    from aiobs.exporters.otlp_json import OTLPJSONSpanExporter

    official, ours = FileSpanExporter(folder / "official.jsonl"), OTLPJSONSpanExporter(folder / "ours.jsonl")
    pairs = []
    for number in range(rounds + 2):
        gc.collect()
        pair = cpu(lambda: official.export(batch)), cpu(lambda: ours.export(batch))
        if number >= 2:  # caches are filled
            pairs.append(pair)
    ratios = [mine / theirs for theirs, mine in pairs]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{title:24} official {theirs:6.1f} us  aiobs {mine:6.1f} us  x{ratio:.2f} ({low:.2f}-{high:.2f})")
    return ratio


def main() -> int:
    """Compare a span without content, and one with 1 kB and 50 kB; 1 if the first misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratio = compare("a chat call", spans(BATCH), arguments.rounds, Path(folder))
        compare("with 1 kB of content", spans(BATCH, 1_000), arguments.rounds, Path(folder))
        compare("with 50 kB of content", spans(BATCH, 50_000), 4, Path(folder))
    print(f"target x{TARGET}: {'ok' if ratio <= TARGET else 'MISSED'}")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
