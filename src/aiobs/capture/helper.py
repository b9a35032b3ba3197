"""An SDK method that makes several model requests: one INTERNAL span around their spans, one event in the session file.

The span is opened at once where the method was given functions to call, and late where an answer says that the SDK will
ask for the rest of it: then it takes the place of the first request's span in the trace. It carries no usage, its
requests do.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode

from aiobs.ambient.current import Ambient, ambient_of
from aiobs.call import Call, Callsite, Failure, Request, Response, Server, total_usage
from aiobs.capture import deferred
from aiobs.capture import telemetry as pipeline
from aiobs.capture.callsite import find_callsite
from aiobs.capture.deferred import Abandonable
from aiobs.capture.handoff import checked, end_span, records
from aiobs.capture.suppression import is_suppressed
from aiobs.clock import monotonic_ns, wall_ns
from aiobs.errors import bare_failure, request_of, request_secrets
from aiobs.guard import guarded, typed
from aiobs.semconv.encode import helper_attributes, span_name
from aiobs.semconv.serialise import clean_text

if TYPE_CHECKING:
    from aiobs.capture.provider import Helper, Provider

_scope: ContextVar[HelperRecording | None] = ContextVar("aiobs-helper", default=None)


def enclosing(context: Context, client: object) -> HelperRecording | None:
    """The helper that makes the request which starts in this context.

    A request that a tool makes is not the helper's, whatever client it uses: there, the tool's span is current.
    """
    scope = _scope.get()
    if scope is None or scope.client is not client or scope.has_ended:
        return None
    return scope if trace.get_current_span(context) is scope.current else None


def start_helper(
    provider: Provider,
    helper: Helper,
    instance: Any,
    callsite: Callsite | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> HelperRecording | None:
    """Begin to record a call of a helper, or None: it makes one request, or another helper makes this call."""
    deferred.drain_if_any()
    context = get_current()
    client = provider.client_of(instance)
    if is_suppressed(context) or enclosing(context, client) is not None:
        return None
    model = helper.model_of(instance, args, kwargs)
    if model is None and not (helper.may_continue and helper.may_continue(kwargs)):
        return None
    recording = HelperRecording(provider, helper, client, context, callsite, kwargs)
    if model is not None:
        recording.callsite = callsite or typed(Callsite, find_callsite, 0, provider.own_packages)
        recording.open(model)
    return recording


class HelperRecording:
    """One call of a helper; ``finish``, ``fail`` or ``close`` ends it, once."""

    __slots__ = (
        "_ambient",
        "_calls",
        "_context",
        "_given",
        "_span",
        "_started",
        "_started_ns",
        "callsite",
        "client",
        "current",
        "has_ended",
        "helper",
        "model",
        "parent",
        "provider",
        "streams",
        "telemetry",
    )

    def __init__(
        self,
        provider: Provider,
        helper: Helper,
        client: object,
        parent: Context,
        callsite: Callsite | None,
        kwargs: dict[str, Any],
    ) -> None:
        self._given = kwargs
        self.telemetry = pipeline.current()
        self.provider = provider
        self.helper = helper
        self.client = client
        self.model: str | None = None
        self.callsite = callsite
        self.parent = parent
        self.current = trace.get_current_span(parent)
        self.has_ended = False
        self.streams: list[weakref.ref[Abandonable]] = []
        self._span: Span | None = None
        self._context: Context | None = None
        self._ambient: Ambient | None = None
        self._calls: list[Call] = []
        self._started_ns = wall_ns()
        self._started = monotonic_ns()

    @property
    def is_open(self) -> bool:
        """It has a span."""
        return self._span is not None

    def open(self, model: str) -> None:
        """Start the span now; from here on it is the current one."""
        self.model = model or None
        self._start_span(self.parent)
        if self._span is not None:
            self.current = self._span
            self._context = trace.set_span_in_context(self._span, self.parent)

    def open_above(self, first: Span, context: Context, call: Call) -> None:
        """Start the span late, as if it had been there before the span of the first request (whose context it is).

        The two change places: that the first one's parent is another one can still be said, as it has not ended.
        """
        self.model, self.callsite = call.request.model, call.callsite
        self._start_span(context)
        above: Any = self._span
        if hasattr(above, "_parent") and hasattr(first, "_parent"):
            above._parent, first._parent = first._parent, above.get_span_context()

    def _start_span(self, context: Context) -> None:
        self._span = guarded(self._new_span, context) or pipeline.stand_in(context)
        self._ambient = typed(Ambient, ambient_of, self._span, self.parent)

    def _new_span(self, context: Context) -> Span:
        name = span_name(self.helper.name, self.model)
        return checked(self.telemetry.tracer.start_span(name, context, SpanKind.INTERNAL, start_time=self._started_ns))

    def under(self, context: Context) -> Context:
        """The context that a request starts in: below the span, also where that was opened late."""
        if self._span is None or self._context is not None:
            return context
        return trace.set_span_in_context(self._span, context)

    def take(self, call: Call) -> bool:
        """Keep a request that ended for the one event of the session file; False if it has to be its own."""
        if self._ambient is None or self._ambient.session is None or self.has_ended:
            return False
        self._calls.append(call)
        return True

    # What the drivers report.

    def enter(self) -> Any:
        """Requests that start now are this helper's."""
        return _scope.set(self), guarded(attach, self._context) if self._context is not None else None

    def leave(self, token: Any) -> None:
        """Requests that start from now on are not."""
        scope, context = token
        if context is not None:
            guarded(detach, context)
        _scope.reset(scope)

    suspend = leave
    """A chunk goes to the program."""

    def add(self, item: Any) -> None:
        """A chunk went to the program: the requests have looked at it."""

    def finish(self, result: Any) -> None:
        """The helper returned, or its stream was read to the end."""
        self._end(Response())

    def close(self, at: int | None = None) -> None:
        """The stream was closed before its end."""
        for stream in self.streams:
            if (tap := stream()) is not None:
                guarded(tap.abandon)
        self._end(Response(), at, incomplete=True)

    def fail(self, error: BaseException, at: int | None = None) -> None:
        """The helper raised."""
        if isinstance(error, Exception):
            self._end(None, at, failure=typed(Failure, self._failure, error) or bare_failure(error))
        else:
            self._end(None, at, cancelled=True)

    def _failure(self, error: Exception) -> Failure:
        secrets = (*self.provider.secrets(self.client, self._given), *request_secrets(request_of(error)))
        return self.telemetry.clean(self.provider.failure_of(error), secrets)

    def _end(
        self,
        response: Response | None,
        at: int | None = None,
        *,
        failure: Failure | None = None,
        incomplete: bool = False,
        cancelled: bool = False,
    ) -> None:
        self.has_ended = True
        if self._span is None:
            return
        duration = max(0, (monotonic_ns() if at is None else at) - self._started)
        server = typed(Server, self.provider.server_of, self.client) or Server(self.provider.name, None, None)
        call = Call(
            provider=self.provider.name,
            operation=self.helper.name,
            api=self.helper.api,
            server=server,
            request=Request(model=self.model),
            response=response,
            failure=failure,
            callsite=self.callsite,
            started_ns=self._started_ns,
            duration_ns=duration,
            incomplete=incomplete,
            cancelled=cancelled,
            context=self._ambient.context if self._ambient is not None else None,
        )
        try:
            if records(self._span):
                guarded(self._write, self._span, call)
        finally:
            event = guarded(merged, call, self._calls) or call
            end_ns = self._started_ns + duration
            session = self._ambient.session if self._ambient is not None else None
            end_span(self._span, end_ns, self.parent, self.telemetry.sink, session, event)

    def _write(self, span: Span, call: Call) -> None:
        if call.failure is not None:
            described = call.failure.message if self.telemetry.describes_errors else call.failure.type
            guarded(span.set_status, StatusCode.ERROR, clean_text(described))
        span.set_attributes(helper_attributes(call))


def merged(whole: Call, requests: list[Call]) -> Call:
    """One call of several: what was asked first, what was answered last, the usage of all."""
    if not requests:
        return whole
    first, last = requests[0], requests[-1]
    answered = [request.response for request in requests if request.response is not None]
    usage = total_usage(response.usage for response in answered if response.usage is not None)
    return replace(
        last,
        request=first.request,
        response=replace(answered[-1], usage=usage) if answered else None,
        failure=whole.failure,
        callsite=whole.callsite or first.callsite,
        started_ns=whole.started_ns,
        duration_ns=whole.duration_ns,
        first_chunk_ns=first.first_chunk_ns,
        chunks=sum(request.chunks for request in requests),
        incomplete=whole.incomplete or last.incomplete,
        cancelled=whole.cancelled,
        attempts=1 + sum(request.retries for request in requests),
    )
