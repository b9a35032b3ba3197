"""Jobs: work that goes on at the provider after the call that asked for it has returned.

The call that submits one leaves word here; each call that asks after it is linked to that call's span, and the first
that finds it done says how long it took, and what it used. A job that another process submitted is asked after without
a link. The session file has one event for both: what a poll found out changes that of the submitting call.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.trace import Span, SpanContext

from aiobs.call import Call, Job, Progress
from aiobs.clock import monotonic_ns

POLLS = frozenset({"fetch_response", "fetch_batch"})
"""Operations that do nothing but ask how far a job is."""

MOST = 4096
"""Jobs that are remembered; the oldest ones are forgotten first."""


@dataclass(slots=True)
class Submitted:
    """A job; ``by``: the call of this process that submitted it, ``at``: monotonic nanoseconds.

    ``session`` and ``parent`` are that call's place in the session file, ``operation`` and ``model`` what it asked for.
    """

    by: SpanContext | None = None
    at: int = 0
    session: str | None = None
    parent: int | None = None
    polls: int = 0
    is_done: bool = False
    operation: str = ""
    model: str | None = None


_submitted: dict[tuple[str, str], Submitted] = {}
_files: dict[tuple[str, str], Job | None] = {}
"""File → the batch whose results it has, None once they were taken; the oldest are forgotten first."""


def follow(call: Call, span: Span, session: str | None, parent: int | None) -> None:
    """Note the job that a call submitted, or link the call to the one that submitted the job it asked after.

    ``session`` and ``parent`` (a span id) are the call's own.
    """
    answered = call.response.job if call.response is not None else None
    if answered is not None and answered.files:
        _know_files(call.provider, answered)
    if call.request.job is not None:
        _ask(call, answered, span)
    elif (begun := _begun(call, answered)) is not None:
        by, at, model = span.get_span_context(), monotonic_ns(), call.request.model
        _remember((call.provider, begun), Submitted(by, at, session, parent, operation=call.operation, model=model))


def _begun(call: Call, answered: Job | None) -> str | None:
    """The id of the job that goes on from here."""
    if answered is not None:
        return None if answered.is_done else answered.id
    return call.request.starts if call.failure is None and not call.cancelled else None


def _ask(call: Call, answered: Job | None, span: Span) -> None:
    key = call.provider, str(call.request.job)
    known = _submitted.get(key)
    is_done = answered is not None and answered.is_done
    if known is None and is_done:
        _remember(key, Submitted(is_done=True))  # so that the next one that finds it done does not count it again
    if known is None:
        return
    if known.by is not None and call.operation in POLLS:
        known.polls += 1
        call.polls = known.polls
    if is_done and known.is_done and call.response is not None:
        call.response.usage = None
    elif is_done:
        known.is_done = True
        if answered is not None:
            call.job_usage, call.job_operation, call.job_model = answered.usage, known.operation, known.model
        call.job_duration_ns = max(0, monotonic_ns() - known.at)
    if known.by is not None and known.by.is_valid:
        span.add_link(known.by)


def progress(call: Call) -> Progress | None:
    """What the session file takes in place of a poll; None for a call that has an event of its own.

    That is any other call, one after a job of another process or of no session, and a poll that came to nothing.
    """
    known = submitted(call.provider, call.request.job) if call.request.job is not None else None
    if known is None or known.by is None or known.session is None or not _says_how_far(call):
        return None
    return Progress(call, known.by.span_id, known.by.trace_id, known.parent, known.session)


def _says_how_far(call: Call) -> bool:
    """It is a poll, and has got an answer, and read it to the end."""
    answered = call.response is not None and call.response.job is not None
    return call.operation in POLLS and answered and not (call.incomplete or call.cancelled)


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
