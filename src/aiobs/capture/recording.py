"""One call inside one span: start, then exactly one of finish, fail, cancel or abandon.

Knows no SDK and does no I/O; the drivers (``drivers.py``) and the taps (``streams.py``) tell it what
happened. Nothing here raises: each step runs under the guard, so that losing one step loses one thing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context, create_key, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode

from aiobs.ambient.current import Ambient, ambient_of
from aiobs.ambient.session import Session
from aiobs.call import Call, Callsite, Choice, Failure, Prompt, Request, Response, Server, Told
from aiobs.capture import deferred, jobs, marked
from aiobs.capture import telemetry as pipeline
from aiobs.capture.handoff import end_span, records
from aiobs.capture.helper import HelperRecording, enclosing
from aiobs.capture.provider import Operation, Provider
from aiobs.capture.spans import start_span
from aiobs.capture.suppression import is_suppressed
from aiobs.clock import monotonic_ns, wall_ns
from aiobs.errors import bare_failure, request_of, request_secrets, scrub, stack_trace
from aiobs.guard import guarded, typed
from aiobs.semconv import names
from aiobs.semconv.attributes import put_attributes
from aiobs.semconv.content import Content, content_of
from aiobs.semconv.encode import Attributes, end_attributes, exception_attributes, span_name, start_attributes
from aiobs.semconv.metrics import INFERENCE
from aiobs.semconv.serialise import SENTINELS, attribute_value, clean_text
from aiobs.semconv.superseded import superseded_attributes

_ACTIVE = create_key("aiobs-active-recording")
_SPAN_ONLY = "openai."
"""What the conventions have for spans (and some metrics) of OpenAI, not for events."""


def start(
    provider: Provider,
    operation: Operation,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    callsite: Callsite | None,
    started_ns: int | None = None,
) -> Recording | None:
    """Begin to record a call, or None when nothing would be recorded or somebody already records this call.

    ``started_ns``: epoch nanoseconds of a start that is past.
    """
    deferred.drain_if_any()
    if args:
        kwargs = guarded(operation.named, args, kwargs) or kwargs
    context = get_current()
    client = guarded(provider.client_of, instance)
    if client is None:
        client = instance
    if operation.instead is not None:
        operation = typed(Operation, operation.instead, kwargs) or operation
    # In an empty context nobody asks for silence, and nobody records.
    if context and (is_suppressed(context) or guarded(_is_recorded, provider, context, client, operation)):
        return None
    helper = guarded(enclosing, context, client) if provider.helpers else None
    if helper is not None:
        context = helper.under(context)
        callsite = helper.callsite or callsite
    at = wall_ns() if started_ns is None else started_ns
    return _begin(provider, operation, client, kwargs, context, helper, callsite, at)


def _begin(
    provider: Provider,
    operation: Operation,
    client: object,
    kwargs: dict[str, Any],
    context: Context,
    helper: HelperRecording | None,
    callsite: Callsite | None,
    started_ns: int,
) -> Recording | None:
    """The span, and what is recorded beside it, if anybody gets either."""
    telemetry = pipeline.current()
    server = typed(Server, provider.server_of, client) or Server(provider.name, None, None)
    model = guarded(_model, provider, kwargs)
    span = guarded(_start_span, telemetry, operation, server, model, kwargs, context, started_ns)
    span = span or pipeline.stand_in(context)
    ambient = typed(Ambient, ambient_of, span, context)
    session = ambient.session if ambient is not None and telemetry.sink is not None else None
    is_recorded = records(span)
    if not (is_recorded or session or telemetry.hooks or telemetry.instruments):
        return None
    try:
        call = Call(
            provider=provider.name,
            operation=operation.name,
            api=operation.api,
            server=server,
            request=typed(Request, operation.read_request, kwargs) or Request(model=model),
            callsite=callsite,
            started_ns=started_ns,
            context=ambient.context if ambient is not None else None,
            captures_embeddings=telemetry.capture_embeddings,
            session_request=operation.session_request,
            session_response=operation.session_response,
        )
        return Recording(
            telemetry, provider, operation, call, span, is_recorded, session, context, client, kwargs, helper
        )
    except BaseException:  # Ctrl-C in the middle of it
        guarded(span.end)
        raise


def _model(provider: Provider, kwargs: dict[str, Any]) -> str | None:
    model = provider.model_of(kwargs)
    return model if isinstance(model, str) else None


def _named_after(find: Callable[[dict[str, Any]], Any], kwargs: dict[str, Any]) -> str | None:
    found = find(kwargs)
    return found if isinstance(found, str) else None


def _start_span(
    telemetry: pipeline.Telemetry,
    operation: Operation,
    server: Server,
    model: str | None,
    kwargs: dict[str, Any],
    context: Context,
    started_ns: int,
) -> Span:
    find, what = operation.named_after, operation.name
    name = span_name(what, model if find is None else guarded(_named_after, find, kwargs))
    attributes = start_attributes(what, server, model)
    return start_span(telemetry.tracer, name, context, SpanKind.CLIENT, attributes, started_ns)


def _is_recorded(provider: Provider, context: Context, client: object, operation: Operation) -> bool:
    """An SDK method that calls another one of the same client, or a span of another GenAI instrumentation."""
    if (recording := active(client, context)) is not None and recording.is_open:
        return True
    current = trace.get_current_span(context)
    if not current.is_recording():
        return False
    scope = getattr(getattr(current, "instrumentation_scope", None), "name", None) or ""
    if scope.startswith(provider.rivals):
        return True
    if scope == names.SCOPE or getattr(current, "kind", None) is not SpanKind.CLIENT:
        return False
    attributes = getattr(current, "attributes", None) or {}
    return attributes.get(names.OPERATION) == operation.name


class Recording:
    """One call inside one span. Ends once, whoever comes first; in a forked child it is not ours to end."""

    __slots__ = (
        "__weakref__",
        "_forks",
        "_given",
        "_open",
        "_started",
        "call",
        "client",
        "context",
        "headers",
        "helper",
        "is_recorded",
        "mark",
        "operation",
        "parent",
        "provider",
        "sent",
        "session",
        "span",
        "telemetry",
        "wants_content",
    )

    def __init__(
        self,
        telemetry: pipeline.Telemetry,
        provider: Provider,
        operation: Operation,
        call: Call,
        span: Span,
        is_recorded: bool,
        session: Session | None,
        parent: Context,
        client: object,
        kwargs: dict[str, Any],
        helper: HelperRecording | None,
    ) -> None:
        self.telemetry = telemetry
        self.provider = provider
        self.operation = operation
        self.call = call
        self.span = span
        self.is_recorded = is_recorded
        self.session = session
        self.client = client
        self.helper = helper
        self.parent = parent
        self._forks = deferred.forks
        # Weakly: the context is ours too, and what the program passed and got would wait for the cycle collector.
        self.context = Context({**trace.set_span_in_context(span, parent), _ACTIVE: weakref.ref(self)})
        self._given = kwargs
        self.sent: Any = None  # the HTTP request, as far as a seam of the SDK has shown it
        self.headers: Any = None  # those of the HTTP response that counts, likewise
        self._open = [True]
        self.mark = marked.mark_in(parent) if marked.has_begun else None
        if self.mark is not None:
            call.attributes[names.ENH_PROMPT_ID] = self.mark.id
        self.wants_content = self._asks_for_content()
        if self.wants_content:
            call.request.kwargs = _snapshot(kwargs)
        self._started = monotonic_ns()

    def _asks_for_content(self) -> bool:
        telemetry = self.telemetry
        is_kept = self.session is not None or (self.mark is not None and self.mark.wants(self.call))
        if is_kept and telemetry.content_in_file:
            return True
        if not self.is_recorded:
            return False
        return telemetry.content_on_spans or (telemetry.content_on_events and telemetry.logger is not None)

    # What the drivers and taps report. Each claims the end first; who comes second does nothing.

    def after(self, duration_ns: int) -> int:
        """The instant, of the monotonic clock, that long after the start."""
        return self._started + duration_ns

    def finish(self, result: Any, at: int | None = None) -> None:
        """The call returned a whole answer, now or ``at`` (of the monotonic clock)."""
        if self._claim(monotonic_ns() if at is None else at):
            self._conclude(self._read, result)

    def finish_unread(self, response: Response | None = None, at: int | None = None) -> None:
        """The call is over and its body was not ours to read."""
        if self._claim(monotonic_ns() if at is None else at):
            self.call.response = response
            self._conclude()

    def exhaust(self, response: Response, at: int) -> None:
        """A stream was read to its end."""
        if self._claim(at):
            self._conclude(self._settle_stream, response)

    def abandon(self, response: Response, at: int) -> None:
        """A stream was closed, broken off or dropped; its end is the last chunk's (``at``)."""
        if self._claim(at):
            self.call.incomplete = True
            self._conclude(self._settle_stream, response)

    def fail(self, error: BaseException, response: Response | None = None, at: int | None = None) -> None:
        """The call raised. A cancellation or KeyboardInterrupt is not an error: the program wanted it."""
        if self._claim(monotonic_ns() if at is None else at):
            self._conclude(self._take_failure, error, response)

    def _conclude(self, step: Callable[..., None] | None = None, *args: Any) -> None:
        """Take down how the call went, and end: whatever becomes of the one, the other happens."""
        try:
            if step is not None:
                guarded(step, *args)
        finally:
            guarded(self._end)

    def _take_failure(self, error: BaseException, response: Response | None) -> None:
        if isinstance(error, Exception):
            self.call.failure = failure = typed(Failure, self._failure, error) or bare_failure(error)
            self.call.request_id = failure.request_id
        else:
            self.call.cancelled = True
        if response is not None:
            self._settle_stream(response)
        elif (answer := guarded(self.provider.answer_of, error)) is not None:
            self._read(answer)

    def _failure(self, error: Exception) -> Failure:
        """Never keeps the exception: its traceback holds the driver's frame, which holds us."""
        secrets = (*self._secrets(), *request_secrets(request_of(error)))
        failure = self.telemetry.clean(self.provider.failure_of(error), secrets)
        if self.telemetry.describes_errors:
            failure.stacktrace = scrub(stack_trace(error), secrets)
        return failure

    def _secrets(self) -> tuple[str, ...]:
        """What is told to nobody; raises rather than leaving one out."""
        return (*self.provider.secrets(self.client, self._given), *request_secrets(self.sent))

    def _without_secrets(self, text: str) -> str:
        return scrub(text, self._secrets())

    def _read(self, result: Any) -> None:
        response = typed(Response, self.operation.read_response, result)
        if response is None:
            return
        response.wants_content = self.wants_content
        if isinstance(
            response.native, str
        ):  # text as it came, perhaps a page instead of an answer: it may say anything
            result = response.native = guarded(self._without_secrets, response.native)
        if self.wants_content:
            response.choices = typed(dict, self.operation.read_choices, result) or {}
            response.documents = typed(list, self.operation.read_documents, result) or []
        self.call.response = response
        if response.request_id is not None:
            self.call.request_id = response.request_id
        if response.failure is not None:
            self._adopt_failure(response.failure)

    def _adopt_failure(self, failure: Failure) -> None:
        """The answer itself says that the call failed."""
        if self.call.failure is None:
            self.note_failure(failure)

    def note_failure(self, failure: Failure) -> None:
        """The call failed, though nothing was raised."""
        cleaned = guarded(self._cleaned, failure)
        self.call.failure = cleaned or replace(failure, type="error", exception_type="error", message="error")

    def _cleaned(self, failure: Failure) -> Failure:
        return self.telemetry.clean(failure, self._secrets())

    def _claim(self, at: int) -> bool:
        try:
            self._open.pop()  # atomic: of two threads that end the same recording one gets an IndexError
        except IndexError:
            return False
        if deferred.forks != self._forks:
            return False
        self.call.duration_ns = max(0, at - self._started)
        return True

    @property
    def is_open(self) -> bool:
        """Not ended yet."""
        return bool(self._open)

    def first_chunk(self, at: int) -> None:
        """The first streamed chunk arrived."""
        self.call.first_chunk_ns = at - self._started

    def _settle_stream(self, response: Response) -> None:
        self.call.response = response
        if self.operation.settle is not None:
            guarded(self.operation.settle, response)
        if not response.is_whole:
            reasons = [response.choices[index].finish_reason for index in sorted(response.choices)]
            response.finish_reasons = reasons or response.finish_reasons or [None]
        if None in response.finish_reasons:
            self.call.incomplete = True
        if response.failure is not None:
            self._adopt_failure(response.failure)
        if not self.wants_content:
            response.choices = {}

    # Writing it down.

    def _end(self) -> None:
        try:
            self._write()
        finally:
            self._close()

    def _write(self) -> None:
        call, attributes = self.call, Attributes()
        if self.operation.has_jobs:
            guarded(self._follow_job)
        if call.request_id is None and self.headers is not None:
            guarded(self._look_for_request_id)
        if call.request.characters is not None:
            guarded(call.charge)
        content = guarded(self._content_to_export) if self.wants_content else None
        for hook in self.telemetry.hooks:
            guarded(_ask, hook, call)
        if self.is_recorded:
            attributes = guarded(self._span_attributes) or {}
            said = guarded(content.texts) if content is not None and self.telemetry.content_on_spans else None
            guarded(put_attributes, self.span, {**attributes, **said} if said else attributes)
            if call.response is not None and call.response.agent_name is not None:
                guarded(self._name_after, call.response.agent_name)
            if call.failure is not None:
                guarded(self._set_status)
        if self.is_recorded and (logger := self.telemetry.logger) is not None:
            guarded(self._emit_events, logger, attributes, content)
        if (instruments := self.telemetry.instruments) is not None:
            guarded(instruments.record, call, self.context)
        if self.mark is not None and self.mark.wants(call):
            guarded(self._tell_mark, self.mark)

    def _tell_mark(self, mark: marked.Mark) -> None:
        """The marked call in which this one was made wants to know of it; its content only where a file may have it."""
        has_content = self.wants_content
        mark.take(self.call, self._prompt() if has_content else None, self._choices() if has_content else [])

    def _follow_job(self) -> None:
        above = trace.get_current_span(self.parent).get_span_context().span_id or None
        jobs.follow(self.call, self.span, self.session.id if self.session is not None else None, above)

    def _close(self) -> None:
        call = self.call
        is_told = call.is_place or (self.helper is not None and guarded(self._hand_to_helper, self.helper))
        end_span(
            self.span,
            call.started_ns + call.duration_ns,
            self.parent,
            self.telemetry.sink,
            self.session,
            Told() if is_told else (self.operation.has_jobs and guarded(jobs.progress, call)) or call,
        )
        self._given, self.sent = {}, None  # the program's own objects: a stream that it keeps must not keep them
        if not is_told:
            call.request.kwargs = {}

    def _look_for_request_id(self) -> None:
        """The answer did not tell it (a stream, a body that was not ours to read); its header is dear to look up."""
        found = self.headers.get(self.provider.request_id_header)
        if type(found) is str and found:
            self.call.request_id = found

    def _hand_to_helper(self, helper: HelperRecording) -> bool:
        """True if the helper's event will tell of this request."""
        response = self.call.response
        if not helper.is_open and response is not None and response.continues:
            helper.open_above(self.span, self.context, self.call)
        return helper.take(self.call)

    def _content_to_export(self) -> Content | None:
        telemetry = self.telemetry
        if not (self.is_recorded and (telemetry.content_on_spans or telemetry.content_on_events)):
            return None
        response = self.call.response
        documents = response.documents if response is not None else []
        return content_of(self._prompt(), self._choices(), telemetry.limits, documents)

    def _prompt(self) -> Prompt:
        recalled, response = self.operation.read_recalled, self.call.response
        if recalled is None:
            found = typed(Prompt, self.operation.read_prompt, self.call.request.kwargs)
        else:
            found = typed(Prompt, recalled, response.native) if response is not None else None
        return found or Prompt([])

    def _choices(self) -> list[Choice]:
        response = self.call.response
        return [response.choices[index] for index in sorted(response.choices)] if response else []

    def _span_attributes(self) -> Attributes:
        attributes = end_attributes(self.call)
        if self.telemetry.duplicates:
            attributes.update(superseded_attributes(self.call))
        for key, value in self.call.attributes.items():
            if (usable := attribute_value(value)) is not None:
                attributes[key] = usable
        return attributes

    def _name_after(self, agent: str) -> None:
        """The answer has told who acted."""
        if self.call.operation == names.INVOKE_AGENT:
            self.span.update_name(span_name(names.INVOKE_AGENT, agent))

    def _set_status(self) -> None:
        failure = self.call.failure
        if failure is not None:
            message = failure.message if self.telemetry.describes_errors else failure.type
            self.span.set_status(StatusCode.ERROR, clean_text(message))

    def _emit_events(self, logger: Logger, attributes: Attributes, content: Content | None) -> None:
        call = self.call
        if call.failure is not None:
            described = exception_attributes(call.failure, described=self.telemetry.describes_errors)
            guarded(self._emit, logger, names.EXCEPTION_EVENT, SeverityNumber.WARN, described)
        if call.operation not in INFERENCE:
            return
        details: dict[str, Any] = {
            **start_attributes(call.operation, call.server, call.request.model),
            **{key: value for key, value in attributes.items() if not key.startswith(_SPAN_ONLY)},
        }
        if content is not None and self.telemetry.content_on_events:
            details.update(content.values())
        self._emit(logger, names.DETAILS_EVENT, SeverityNumber.DEBUG, details)

    def _emit(self, logger: Logger, name: str, severity: SeverityNumber, attributes: dict[str, Any]) -> None:
        logger.emit(context=self.context, severity_number=severity, event_name=name, attributes=attributes)


def _ask(hook: pipeline.Hook, call: Call) -> None:
    added = hook.finish(call)
    if added is None:
        return
    if not isinstance(added, Mapping):
        raise TypeError(f"the hook's finish() gave a {type(added).__name__}, not a mapping")
    call.attributes.update(added)


def active(client: object, context: Context) -> Recording | None:
    """The recording of the request that this client (None: any) makes in this context, for the seams of its SDK."""
    reference: Any = context.get(_ACTIVE)
    if reference is None:
        return None
    recording: Recording | None = reference()
    return recording if recording is not None and (client is None or recording.client is client) else None


def _snapshot(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What was passed, lists copied: a program that appends to its history while it streams changes ours not."""
    return {
        key: value.copy() if type(value) is list else value
        for key, value in kwargs.items()
        if type(value).__name__ not in SENTINELS
    }
