"""Whoever reads the attributes of a span that starts gets them, though most spans are started without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import wrapt
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision as To
from opentelemetry.sdk.trace.sampling import ParentBased, SamplingResult, StaticSampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind

from aiobs.capture.spans import start_span

GIVEN = {"gen_ai.operation.name": "chat", "server.port": 443}


class Reader(SpanProcessor):
    """Keeps the attributes that it sees when a span starts."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Keep them."""
        self.seen.append(dict(span.attributes or {}))


class Asking(StaticSampler):
    """A sampler of the program's."""

    def __init__(self, seen: list[dict[str, Any]]) -> None:
        super().__init__(To.RECORD_AND_SAMPLE)
        self.seen = seen

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *rest: Any,
        **named: Any,
    ) -> SamplingResult:
        """Keep what it is asked about."""
        self.seen.append(dict(attributes or {}))
        return super().should_sample(parent_context, trace_id, name, kind, attributes, *rest, **named)


def started(provider: TracerProvider) -> Span:
    """A span that was started with the attributes."""
    span = start_span(provider.get_tracer("test"), "chat", Context(), SpanKind.CLIENT, dict(GIVEN), 1)
    assert isinstance(span, Span)
    return span


def reading(provider: TracerProvider) -> list[dict[str, Any]]:
    """A processor of the program's own."""
    reader = Reader()
    provider.add_span_processor(reader)
    return reader.seen


def wrapped(provider: TracerProvider) -> list[dict[str, Any]]:
    """A processor whose empty ``on_start`` somebody has wrapped."""
    seen: list[dict[str, Any]] = []

    def keep(inner: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        seen.append(dict(args[0].attributes))
        return inner(*args, **kwargs)

    processor = SimpleSpanProcessor(InMemorySpanExporter())
    processor.on_start = wrapt.FunctionWrapper(processor.on_start, keep)
    provider.add_span_processor(processor)
    return seen


@pytest.mark.parametrize("read_by", [reading, wrapped])
def test_a_processor_reads_them_when_the_span_starts(read_by: Callable[[TracerProvider], list[dict[str, Any]]]) -> None:
    """Also one that is added when spans have been started without."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    started(provider)
    seen = read_by(provider)
    started(provider)
    assert seen == [GIVEN]


@pytest.mark.parametrize("around", [lambda sampler: sampler, ParentBased])
def test_a_sampler_reads_them(around: Callable[[Any], Any]) -> None:
    """The program's own, also inside of one of the SDK's."""
    seen: list[dict[str, Any]] = []
    started(TracerProvider(around(Asking(seen)), shutdown_on_exit=False))
    assert seen == [GIVEN]


@pytest.mark.parametrize("sampler", [StaticSampler(To.RECORD_AND_SAMPLE), ParentBased(TraceIdRatioBased(1.0))])
def test_nobody_reads_them_and_they_are_there(sampler: Any) -> None:
    """With exporters alone the SDK gets a span without, and the span has them before anything else happens."""
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter := InMemorySpanExporter()))
    span = started(provider)
    assert dict(span.attributes or {}) == GIVEN
    span.end()
    assert [dict(one.attributes or {}) for one in exporter.get_finished_spans()] == [GIVEN]
