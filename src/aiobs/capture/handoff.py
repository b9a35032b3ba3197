"""Spans whose record goes to the session file beside them: starting one and ending one, whatever the tracer does."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from aiobs.ambient.session import Session
from aiobs.call import Record
from aiobs.capture.telemetry import Sink
from aiobs.guard import guarded


def checked(span: Span) -> Span:
    """The span that a tracer gave, if it is one."""
    if not isinstance(span, Span):
        raise TypeError(f"start_span() gave a {type(span).__name__}")
    return span


def records(span: Span) -> bool:
    """The span wants to know; one that cannot say so is told."""
    return guarded(span.is_recording) is not False


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
    try:
        guarded(_put, sink, span, record)
    finally:
        guarded(span.end, end_ns)
    guarded(_settle, sink, span, parent, session)


def _put(sink: Sink, span: Span, record: Record) -> None:
    sink.put(span.get_span_context().span_id, record)


def _settle(sink: Sink, span: Span, parent: Context, session: Session) -> None:
    identity = span.get_span_context()
    above = trace.get_current_span(parent).get_span_context()
    sink.settle(identity.span_id, identity.trace_id, above.span_id or None, session.id)
