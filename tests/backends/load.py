"""Calls of the real OpenAI SDK as a program makes them, and what an exporter in the same process got of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import openai
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aiobs
from aiobs import Instrumentor, configure, observe
from aiobs.exporters.registry import Exporter
from aiobs.testing import Answer, Simulator
from aiobs.testing.script import Fault, Request

MODELS = ("gpt-4o-mini", "gpt-4o", "o3-mini")
TEXT = 'Say hello to everybody: Größe, 你好, 👋🏽, "quoted", \u2028 a new line, \t\\'
THREADS = 4
STREAMED, FAILED, IN_A_FUNCTION = 25, 40, 50
"""One call in so many."""


@contextmanager
def observed(exporters: Sequence[str | Exporter], **options: Any) -> Iterator[InMemorySpanExporter]:
    """aiobs with these exporters, and one beside them that keeps every span at once, without a queue."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, resource=Resource.create({"service.name": "backends"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    configure(exporters=[*exporters], tracer_provider=provider, **options)
    Instrumentor().instrument()
    try:
        yield kept
    finally:
        aiobs.shutdown()
        provider.shutdown()


def call(client: openai.OpenAI, number: int) -> None:
    """One call: most are plain, some streamed, some fail, some are made by a function that is observed."""
    if number % IN_A_FUNCTION == 0:
        answered(client, number)
    else:
        _call(client, number)


@observe
def answered(client: openai.OpenAI, number: int) -> int:
    """A function of the program's; its number."""
    _call(client, number)
    return number


def _call(client: openai.OpenAI, number: int) -> None:
    question = "fail" if number % FAILED == 1 else f"{number}: {TEXT}" + " more" * (number % 17)
    asked: dict[str, Any] = {
        "model": MODELS[number % len(MODELS)],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}],
        "seed": number,
    }
    if number % STREAMED == 2:
        for _ in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
            pass
    else:
        with suppress(openai.APIStatusError):
            client.chat.completions.create(**asked)


def failing(request: Request) -> Answer | None:
    """The simulator's rule for what is to fail: it refuses for the rate."""
    is_to_fail = request.json["messages"][-1]["content"] == "fail"
    return Answer(fault=Fault(status=429, message="slow down")) if is_to_fail else None


def make_calls(count: int, simulator: Simulator | None = None) -> None:
    """So many, in a few threads, to this simulator or one of their own."""
    if simulator is None:
        with Simulator() as own:
            return make_calls(count, own)
    simulator.on(failing)
    client = simulator.openai()
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(call, client, number) for number in range(count)]:
            done.result()


def expected_spans(count: int) -> int:
    """A call is a span, and a function that makes one is another."""
    return count + len(range(0, count, IN_A_FUNCTION))


def tokens(spans: Sequence[ReadableSpan]) -> dict[tuple[str, ...], int]:
    """What spans say was used, by requested model and kind (``input``, ``output``)."""
    found: dict[tuple[str, ...], int] = {}
    for attributes in (span.attributes or {} for span in spans):
        for kind in ("input", "output"):
            used = attributes.get(f"gen_ai.usage.{kind}_tokens")
            if isinstance(used, int):
                key = str(attributes["gen_ai.request.model"]), kind
                found[key] = found.get(key, 0) + used
    return found
