"""Ending a span whose record goes to the session file beside it."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from aiobs.ambient.session import Session
from aiobs.call import Record
from aiobs.capture.telemetry import Sink
from aiobs.guard import guarded


def end_span(
    span: Span,
    end_ns: int,
    parent: Context,
    sink: Sink | None,
    session: Session | None,
    record: Record | None,
) -> None:
    """End the span; hand the record over just before, and see to it that somebody took it.

    ``parent`` is the context that the span was started in.
    """
    if sink is None or session is None or record is None:
        guarded(span.end, end_ns)
        return
    identity = span.get_span_context()
    above = trace.get_current_span(parent).get_span_context()
    guarded(sink.put, identity.span_id, record)
    guarded(span.end, end_ns)
    guarded(sink.settle, identity.span_id, identity.trace_id, above.span_id or None, session.id)
