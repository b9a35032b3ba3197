"""Starting a span with attributes that need no second look.

The SDK checks and copies what a span is given at its start one by one, so that its sampler and the processors'
``on_start`` can read it: more than a µs each. Where the sampler is one of the SDK's that decide by the trace alone, and
``on_start`` of every processor is empty, as that of the exporters' is, nobody can tell attributes that are there at the
start from those that are put there (``put_attributes``) when it has started.
"""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer

from aiobs.capture.handoff import checked
from aiobs.semconv.attributes import put_attributes
from aiobs.semconv.encode import Attributes


def start_span(
    tracer: Tracer, name: str, context: Context, kind: SpanKind, attributes: Attributes, started_ns: int
) -> Span:
    """``tracer.start_span()`` with these attributes, which are clean; raises if that gives no span."""
    if not (attributes and _nobody_reads(tracer)):
        return checked(tracer.start_span(name, context, kind, attributes, (), started_ns))
    span = checked(tracer.start_span(name, context, kind, None, (), started_ns))
    if span.is_recording():
        put_attributes(span, attributes)
    return span


def _nobody_reads(tracer: Any) -> bool:
    """The attributes of a span that starts; asked anew of another tracer, or if a processor was added."""
    global _known
    sampler = getattr(tracer, "sampler", None)
    processors = getattr(getattr(tracer, "span_processor", None), "_span_processors", None)
    if not (_known[0] is tracer and _known[1] is sampler and _known[2] is processors):
        is_known = _is_the_sdks(tracer) and isinstance(processors, tuple)
        is_unread = is_known and _is_blind(sampler) and not any(map(_may_read, processors or ()))
        _known = tracer, sampler, processors, is_unread
    return _known[3]


_known: tuple[Any, Any, Any, bool] = (None, None, None, False)


def _is_the_sdks(tracer: Any) -> bool:
    method = type(tracer).start_span
    return type(method) is FunctionType and method.__module__ == "opentelemetry.sdk.trace"


def _is_blind(sampler: Any) -> bool:
    """It decides by the trace alone; so does one that asks others, if they all do."""
    kind = type(sampler)
    if kind.__module__ != "opentelemetry.sdk.trace.sampling" or kind.__name__ not in _BLIND:
        return False
    return not kind.__name__.startswith("ParentBased") or all(map(_is_blind, vars(sampler).values()))


_BLIND = frozenset({"StaticSampler", "TraceIdRatioBased", "ParentBased", "ParentBasedTraceIdRatio"})


def _may_read(processor: Any) -> bool:
    """Its ``on_start`` is more than an empty function: nothing as short as one reads anything."""
    on_start = processor.on_start
    if type(on_start) is not MethodType or type(on_start.__func__) is not FunctionType:
        return True
    return len(on_start.__code__.co_code) > len(_reads_nothing.__code__.co_code)


def _reads_nothing(self: Any, span: Any, parent_context: Any = None) -> None: ...
