"""Which spans an exporter gets: a share of the traces, each whole, and errors whatever the share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes

from aiobs.errors import ConfigurationError
from aiobs.exporters.replies.untraced import TRACE_ID
from aiobs.exporters.rewriting.rewriter import RewrittenSpan

_LOW_64 = 2**64 - 1


class Sampling(NamedTuple):
    """A share of traces (0 to 1), and whether spans that failed come through in any case.

    The choice is that of the SDK's ``TraceIdRatioBased``, by the low 64 bits of the trace's id: every exporter, and
    every service, with the same share chooses the same traces, and a smaller share is part of a larger one.
    """

    share: float = 1.0
    keep_errors: bool = True

    def takes(self, span: ReadableSpan) -> ReadableSpan | None:
        """The span if the exporter gets it, marked as sampled; None if not."""
        context: Any = span.context
        if context is None or context.trace_id == TRACE_ID:  # what an export makes in its receiver here is none
            return None
        if context.trace_flags.sampled and self.takes_trace(context.trace_id):
            return span
        if not (self.keep_errors and span.status.status_code is StatusCode.ERROR):
            return None
        return span if context.trace_flags.sampled else _sampled(span, context)

    def takes_trace(self, trace_id: int) -> bool:
        """The trace is among the share; so is what belongs to no trace (id 0)."""
        if trace_id == TRACE_ID:
            return False
        return self.share >= 1 or not trace_id or (trace_id & _LOW_64) < round(self.share * 2**64)


def as_share(value: Any) -> float:
    """A number from 0 to 1. Raises ConfigurationError for anything else."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"{value!r} is not a share; use a number from 0 to 1, e.g. 0.1 for a tenth.")
    return share


class KeepErrors(Sampler):
    """Another sampler's decisions, but what it drops is recorded still, so that it can be kept if it fails.

    Nothing of such a span leaves but through an exporter of aiobs with ``keep_errors``, and the session file. It costs
    about what a sampled span costs.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """As the other sampler says, with ``RECORD_ONLY`` instead of ``DROP``."""
        result = self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP:
            return result
        return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)

    def get_description(self) -> str:
        """With the other sampler's."""
        return f"KeepErrors{{{self._sampler.get_description()}}}"


def _sampled(span: ReadableSpan, context: SpanContext) -> ReadableSpan:
    flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
    return RewrittenSpan(
        span,
        name=span.name,
        context=SpanContext(context.trace_id, context.span_id, context.is_remote, flags, context.trace_state),
        attributes=span.attributes,
        resource=span.resource,
        events=span.events,
        links=span.links,
        status=span.status,
        scope=span.instrumentation_scope,
    )
