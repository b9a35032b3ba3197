"""What a batch has made: each request in it becomes a span of its own when the program reads the results.

A batch is submitted, asked after, and read, by calls of their own; its requests were made elsewhere and earlier. Their
spans say what was answered and used. They are linked to the call that submitted the batch, and their times are those of
the reading: how long a request took nobody has told, so no histogram of durations has them. Each file, and each answer
that brings results along, is told of once in this process. Nothing is read that the SDK does not have in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.trace import Span, SpanKind

from aiobs.ambient.current import Ambient, ambient_of
from aiobs.call import Call, Callsite, Job, Request, Response, Result, Server
from aiobs.capture import jobs
from aiobs.capture import telemetry as pipeline
from aiobs.capture.callsite import find_callsite
from aiobs.capture.handoff import checked, records
from aiobs.capture.provider import Operation, Provider, Results
from aiobs.capture.recording import Recording
from aiobs.capture.suppression import is_suppressed
from aiobs.clock import wall_ns
from aiobs.guard import guarded, typed
from aiobs.semconv import names
from aiobs.semconv.encode import span_name, start_attributes

MOST = 1000
"""Requests of one batch that become spans: a program that reads a large file waits for them, 0.1 s or so."""

_ABOVE = 3
_log = logging.getLogger("aiobs")


def read_sync(
    provider: Provider,
    results: Results,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Read a file for the program; if it has the results of a batch, tell of them."""
    content = wrapped(*args, **kwargs)
    if jobs.has_files():
        site = typed(Callsite, find_callsite, _ABOVE, provider.own_packages)
        guarded(_tell_of_file, provider, results, instance, args, kwargs, content, site)
    return content


def read_async(
    provider: Provider,
    results: Results,
    wrapped: Callable[..., Any],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Coroutine[Any, Any, Any]:
    """The same of an async client."""
    site = typed(Callsite, find_callsite, _ABOVE, provider.own_packages) if jobs.has_files() else None

    async def read() -> Any:
        content = await wrapped(*args, **kwargs)
        guarded(_tell_of_file, provider, results, instance, args, kwargs, content, site)
        return content

    return read()


def _tell_of_file(
    provider: Provider,
    results: Results,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    content: Any,
    site: Callsite | None,
) -> None:
    if pipeline.current().is_idle or is_suppressed(get_current()):
        return
    body = results.body_of(content)
    file = results.file_of(args, kwargs)
    if body is None or file is None or (job := jobs.take_file(provider.name, file)) is None:
        return
    lines = _Lines(body)
    found = (typed(Result, results.read_line, line, job) for line in islice(lines, MOST))
    _Teller(provider, results.api, instance, site, job).tell(found, left=lines.left)


def tell_of_answer(recording: Recording) -> None:
    """Tell of the results that the answer to a poll has brought along."""
    operation, call = recording.operation, recording.call
    job = call.response.job if call.response is not None else None
    if operation.read_results is None or call.response is None or job is None or not job.is_done:
        return
    found = operation.read_results(call.response.native)
    if not found or not jobs.take_answer(recording.provider.name, job):
        return
    rest = iter(found)
    teller = _Teller(recording.provider, call.api, recording.client, call.callsite, job)
    teller.tell(islice(rest, MOST), left=lambda: sum(1 for _ in rest))


class _Lines:
    """The lines that are not empty, one at a time."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def __iter__(self) -> Iterator[bytes]:
        while self._at < len(self._body):
            end = self._body.find(b"\n", self._at)
            end = len(self._body) if end < 0 else end
            line, self._at = self._body[self._at : end].strip(), end + 1
            if line:
                yield line

    def left(self) -> int:
        """How many there are yet, empty ones included."""
        rest = self._body.count(b"\n", self._at)
        return rest + (self._at < len(self._body) and not self._body.endswith(b"\n"))


class _Teller:
    """Writes one span per request of one batch."""

    def __init__(self, provider: Provider, api: str, instance: Any, site: Callsite | None, job: Job) -> None:
        self._provider = provider
        self._api = api
        self._site = site
        self._job = job
        self._client = provider.client_of(instance)
        self._server = typed(Server, provider.server_of, self._client) or Server(provider.name, None, None)
        self._submitted = jobs.submitted(provider.name, job.id)
        self._operations = {operation.api: operation for operation in reversed(provider.operations)}
        self._broken = 0

    def tell(self, found: Iterator[Result | None], left: Callable[[], int]) -> None:
        """Tell of each; None stands for what could not be read. ``left`` counts those that are too many.

        The last one is told of when it is known how many have no span: it says so.
        """
        last: tuple[Operation, Result] | None = None
        for result in found:
            operation = self._operations.get(result.api) if result is not None else None
            if result is None or operation is None:
                self._broken += 1
                continue
            if last is not None:
                guarded(self._record, *last)
            last = operation, result
        unrecorded = guarded(self._unrecorded, left) or 0
        if last is not None:
            guarded(self._record, *last, unrecorded)

    def _unrecorded(self, left: Callable[[], int]) -> int:
        """How many have no span: logged and counted."""
        broken, over, batch = self._broken, left(), self._job.id
        if broken:
            _log.warning("aiobs: %d results of batch %s could not be read; they have no span", broken, batch)
        if over:
            _log.warning("aiobs: batch %s has %d results beyond the first %d; they have no span", batch, over, MOST)
        instruments = pipeline.current().instruments if broken or over else None
        if instruments is not None:
            guarded(instruments.record_unrecorded, broken + over, self._server, get_current())
        return broken + over

    def _record(self, operation: Operation, result: Result, unrecorded: int = 0) -> None:
        self._job.model = result.model or self._job.model  # a refusal does not say whom it is from
        result.model = self._job.model
        recording = self._begin(operation, result)
        if recording is None:
            return
        if unrecorded:
            recording.call.attributes[names.BATCH_UNRECORDED] = unrecorded
        if result.failure is not None:
            recording.note_failure(result.failure)
            recording.finish_unread(Response(request_id=result.request_id))
        else:
            recording.finish(result.answer)

    def _begin(self, operation: Operation, result: Result) -> Recording | None:
        telemetry, context = pipeline.current(), get_current()
        started_ns = wall_ns()
        span = guarded(self._start_span, telemetry, operation.name, result.model, started_ns) or pipeline.stand_in(
            context
        )
        ambient = typed(Ambient, ambient_of, span, context)
        session = ambient.session if ambient is not None and telemetry.sink is not None else None
        is_recorded = records(span)
        if not (is_recorded or session or telemetry.hooks or telemetry.instruments):
            return None
        call = Call(
            provider=self._provider.name,
            operation=operation.name,
            api=self._api,
            server=self._server,
            request=Request(model=result.model),
            callsite=self._site,
            started_ns=started_ns,
            context=ambient.context if ambient is not None else None,
            captures_embeddings=telemetry.capture_embeddings,
            session_request=operation.session_request,
            session_response=operation.session_response,
            is_past=True,
        )
        call.attributes.update(self._whose(result))
        return Recording(
            telemetry, self._provider, operation, call, span, is_recorded, session, context, self._client, {}, None
        )

    def _start_span(self, telemetry: pipeline.Telemetry, operation: str, model: str | None, started_ns: int) -> Span:
        attributes = start_attributes(operation, self._server, model)
        name, kind = span_name(operation, model), SpanKind.CLIENT
        span = checked(telemetry.tracer.start_span(name, get_current(), kind, attributes, (), started_ns))
        by = self._submitted.by if self._submitted is not None else None
        if by is not None and by.is_valid:
            span.add_link(by)
        return span

    def _whose(self, result: Result) -> dict[str, Any]:
        given = {names.BATCH_ID: self._job.id, names.BATCH_CUSTOM_ID: result.custom_id}
        return {key: value for key, value in given.items() if value is not None}
