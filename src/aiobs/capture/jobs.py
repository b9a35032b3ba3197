"""Jobs: work that goes on at the provider after the call that asked for it has returned.

The call that submits one leaves word here; each call that asks after it is linked to that call's span, and the first
that finds it done says how long it took. A job that another process submitted is asked after without a link.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.trace import Span, SpanContext

from aiobs.call import Call, Job
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
_files: dict[tuple[str, str], Job | None] = {}
"""File → the batch whose results it has, None once they were taken; the oldest are forgotten first."""


def follow(call: Call, span: Span) -> None:
    """Note the job that a call submitted, or link the call to the one that submitted the job it asked after."""
    answered = call.response.job if call.response is not None else None
    if answered is not None and answered.files:
        _know_files(call.provider, answered)
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


def _know_files(provider: str, job: Job) -> None:
    """Where the results of a batch will be read; a file that was told of stays so."""
    for file in job.files:
        _files.setdefault((provider, file), job)
    while len(_files) > MOST:
        _files.pop(next(iter(_files)), None)


def has_files() -> bool:
    """The results of some batch may be read yet."""
    return bool(_files)


def take_file(provider: str, file: str) -> Job | None:
    """The job whose results are in the file; None if it is no such file, or was taken before."""
    job = _files.get((provider, file))
    if job is not None:
        _files[provider, file] = None
    return job


def take_answer(provider: str, job: Job) -> bool:
    """The results that came with the job itself are taken; False if they were before."""
    key = (provider, f"{job.id} itself")
    is_new = key not in _files
    _files[key] = None
    return is_new


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
    _files.clear()
