"""Jobs: work that goes on at the provider after the call that asked for it has returned.

The call that submits one leaves word here; each call that asks after it is linked to that call's span, and the first
that finds it done says how long it took. A job that another process submitted is asked after without a link.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.trace import Span, SpanContext

from aiobs.call import Call
from aiobs.clock import monotonic_ns

_ASKING = "fetch_"
"""How operations begin that ask how far a job is; others (to cancel it) are linked to it too, and are no polls."""

MOST = 4096
"""Jobs that are remembered; the oldest ones are forgotten first."""


@dataclass(slots=True)
class Submitted:
    """A job that a call of this process has submitted; ``at``: monotonic nanoseconds."""

    by: SpanContext
    at: int
    polls: int = 0
    is_done: bool = False


_submitted: dict[tuple[str, str], Submitted] = {}


def follow(call: Call, span: Span) -> None:
    """Note the job that a call submitted, or link the call to the one that submitted the job it asked after."""
    answered = call.response.job if call.response is not None else None
    if call.request.job is None:
        if answered is not None and not answered.is_done:
            _remember((call.provider, answered.id), Submitted(span.get_span_context(), monotonic_ns()))
        return
    known = _submitted.get((call.provider, call.request.job))
    if known is None:
        return
    if call.operation.startswith(_ASKING):
        known.polls += 1
        call.polls = known.polls
    if answered is not None and answered.is_done and not known.is_done:
        known.is_done = True
        call.job_duration_ns = max(0, monotonic_ns() - known.at)
    if known.by.is_valid:
        span.add_link(known.by)


def submitted(provider: str, job: str) -> Submitted | None:
    """What is known of a job."""
    return _submitted.get((provider, job))


def _remember(key: tuple[str, str], job: Submitted) -> None:
    _submitted[key] = job
    while len(_submitted) > MOST:
        _submitted.pop(next(iter(_submitted)), None)


def forget_all() -> None:
    """Forget every job."""
    _submitted.clear()
