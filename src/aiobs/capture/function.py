"""One call of an observed function, or one block: start, then finish or fail once.

What does not depend on the call (names, where the function is defined) is in its ``Target``, worked out once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode

from aiobs.ambient.current import Ambient, ambient_of
from aiobs.ambient.session import Session
from aiobs.call import Callsite, FunctionCall
from aiobs.capture import deferred
from aiobs.capture import telemetry as pipeline
from aiobs.capture.handoff import end_span, records
from aiobs.capture.reduce import DEFAULT_POLICY, is_secret, reduced
from aiobs.capture.spans import start_span
from aiobs.capture.suppression import is_suppressed
from aiobs.clock import monotonic_ns, wall_ns
from aiobs.errors import exception_text, public_name, scrub
from aiobs.guard import guarded, typed
from aiobs.semconv import names
from aiobs.semconv.attributes import put_attributes
from aiobs.semconv.credentials import REDACTED
from aiobs.semconv.encode import Attributes, callsite_attributes
from aiobs.semconv.serialise import clean_text, plain_to_json


@dataclass(frozen=True, slots=True)
class Target:
    """What is observed, worked out once.

    ``name`` is the span's, ``api`` (and ``title``, if it is not the name) the session file's. ``content`` are the
    attributes that arguments and result go to. ``tool`` is set for a tool that a model called, ``cause_of`` where an
    SDK puts an error of its own around what the function raised, ``error_of`` where a result can say that the function
    failed: it gives the ``error.type``, or None.
    """

    name: str
    api: str
    module: str | None
    callsite: Callsite | None
    attributes: Attributes
    title: str | None = None
    content: tuple[str, str] = (names.INPUT, names.OUTPUT)
    tool: str | None = None
    cause_of: Callable[[BaseException], BaseException] | None = None
    error_of: Callable[[Any], str | None] | None = None
    parameters: tuple[str, ...] = ()
    is_method: bool = False
    capture_args: bool = True
    capture_result: bool = True
    enh_prompt: bool = False
    auto_enhance_after: int | None = None


class FunctionRecording:
    """One call of an observed function: start, then finish or fail once."""

    __slots__ = (
        "_items",
        "_parent",
        "_started",
        "_started_ns",
        "call",
        "context",
        "is_recorded",
        "session",
        "span",
        "target",
        "telemetry",
    )

    def __init__(
        self,
        telemetry: pipeline.Telemetry,
        target: Target,
        span: Span,
        is_recorded: bool,
        session: Session | None,
        parent: Context,
        started_ns: int,
    ) -> None:
        self.telemetry = telemetry
        self.target = target
        self.span = span
        self.is_recorded = is_recorded
        self.session = session
        self.context = trace.set_span_in_context(span, parent)
        self.call: FunctionCall | None = None
        self._items: Yielded | None = None
        self._parent = parent
        self._started_ns = started_ns
        self._started = monotonic_ns()

    def enter(self) -> Any:
        """Make the span the current one."""
        return attach(self.context)

    def leave(self, token: Any) -> None:
        """Make the span current again that was before."""
        if token is not None:
            detach(token)

    def add(self, item: Any) -> None:
        """The generator yielded this."""
        if self._items is None:
            self._items = Yielded()
        self._items.add(item)

    def finish(self, result: Any) -> None:
        """The function returned, or the generator ended."""
        if self._items is not None:
            self.close()
            return
        kind: str | None = None
        try:
            if self.call is not None and self._is_captured(self.target.capture_result):
                self.call.result = guarded(reduced, result)
            if self.target.error_of is not None:
                kind = guarded(self._error_in, self.target.error_of, result)
        finally:  # Ctrl-C may hit in the middle of it
            self._end({} if kind is None else {names.ERROR_TYPE: kind}, None)

    def _error_in(self, error_of: Callable[[Any], str | None], result: Any) -> str | None:
        """What a result that is an error says of it."""
        kind = error_of(result)
        if kind is not None and self.is_recorded:
            guarded(self.span.set_status, StatusCode.ERROR, kind)
        return kind

    def close(self, at: int | None = None) -> None:
        """The generator ended, or was closed early, which is as good, now or ``at`` (of the monotonic clock)."""
        if self.call is not None and self._is_captured(self.target.capture_result):
            self.call.result = (self._items or Yielded()).picture()
        self._end({}, at)

    def fail(self, error: BaseException, at: int | None = None) -> None:
        """The function raised; a cancellation or KeyboardInterrupt is not an error."""
        if self.target.cause_of is not None:
            error = guarded(self.target.cause_of, error) or error
        if self.call is not None:
            self.call.error = guarded(_error_text, error, self._is_captured(self.target.capture_args))
        if not isinstance(error, Exception):
            self._end({names.CANCELLED: True}, at)
            return
        kind = guarded(public_name, type(error)) or type(error).__name__
        try:
            if self.is_recorded:
                guarded(self._set_status, error, kind)
        finally:
            self._end({names.ERROR_TYPE: kind}, at)

    def _set_status(self, error: Exception, kind: str) -> None:
        told = self.telemetry.describes_errors and self.target.capture_args
        self.span.set_status(StatusCode.ERROR, clean_text(scrub(exception_text(error))) if told else kind)

    def _is_captured(self, wanted: bool) -> bool:
        """What the function got or gave is wanted, and some output may have it."""
        return wanted and (self.telemetry.content_in_file or self.telemetry.content_on_spans)

    def _end(self, attributes: Attributes, at: int | None) -> None:
        duration = max(0, (monotonic_ns() if at is None else at) - self._started)
        if self.call is not None:
            self.call.duration_ns = duration
        try:
            if self.is_recorded:
                guarded(self._write, attributes)
            if self.target.tool is not None:
                guarded(self._record_tool, duration, attributes.get(names.ERROR_TYPE))
        finally:
            end_span(self.span, self._started_ns + duration, self._parent, self.telemetry.sink, self.session, self.call)

    def _write(self, attributes: Attributes) -> None:
        call, callsite = self.call, self.target.callsite
        if callsite is not None:
            attributes.update(callsite_attributes(callsite))
        if call is not None and self.telemetry.content_on_spans:
            given, returned = self.target.content
            if call.kwargs is not None:
                passed = call.kwargs if call.args is None else {"args": call.args, "kwargs": call.kwargs}
                attributes[given] = plain_to_json(passed)
            if self.target.capture_result and names.ERROR_TYPE not in attributes:
                result = call.result if self.target.tool is None else _as_object(call.result)
                attributes[returned] = plain_to_json(result)
        if attributes:
            put_attributes(self.span, attributes)

    def _record_tool(self, duration: int, error_type: Any) -> None:
        instruments = self.telemetry.instruments
        if instruments is not None and self.target.tool is not None:
            instruments.record_tool(self.target.tool, duration, error_type, self.context)


def start(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionRecording | None:
    """Begin to record a call of an observed function, or None when nothing would be recorded."""
    deferred.drain_if_any()
    context = get_current()
    telemetry = pipeline.current()
    if telemetry.is_idle or (context and is_suppressed(context)):  # an empty one has nothing to say
        return None
    enh_prompt_id = str(uuid.uuid4()) if target.enh_prompt else None
    started_ns = wall_ns()
    span = guarded(_start_span, telemetry, target, context, started_ns, enh_prompt_id) or pipeline.stand_in(context)
    ambient = typed(Ambient, ambient_of, span, context)
    session = ambient.session if ambient is not None and telemetry.sink is not None else None
    is_recorded = records(span)
    if not is_recorded and session is None:
        return None
    recording = FunctionRecording(telemetry, target, span, is_recorded, session, context, started_ns)
    if session is not None or telemetry.content_on_spans:
        recording.call = guarded(_record, target, args, kwargs, telemetry, started_ns, enh_prompt_id)
        if recording.call is not None and ambient is not None:
            recording.call.context = ambient.context
    return recording


def _start_span(
    telemetry: pipeline.Telemetry, target: Target, context: Context, started_ns: int, enh_prompt_id: str | None
) -> Span:
    attributes = target.attributes
    if enh_prompt_id is not None:
        attributes = {**attributes, names.ENH_PROMPT: True, names.ENH_PROMPT_ID: enh_prompt_id}
    if target.auto_enhance_after is not None:
        attributes = {**attributes, names.ENH_PROMPT_AFTER: target.auto_enhance_after}
    name = clean_text(target.name)
    return start_span(telemetry.tracer, name, context, SpanKind.INTERNAL, attributes, started_ns)


def _record(
    target: Target,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    telemetry: pipeline.Telemetry,
    started_ns: int,
    enh_prompt_id: str | None,
) -> FunctionCall:
    captured = target.capture_args and (telemetry.content_in_file or telemetry.content_on_spans)
    return FunctionCall(
        name=target.title or target.name,
        api=target.api,
        module=target.module,
        args=_arguments(target, args) if captured and target.tool is None else None,
        kwargs=_keywords(kwargs) if captured else None,
        callsite=target.callsite,
        started_ns=started_ns,
        enh_prompt=target.enh_prompt,
        enh_prompt_id=enh_prompt_id,
        auto_enhance_after=target.auto_enhance_after,
    )


def _arguments(target: Target, args: tuple[Any, ...]) -> list[Any]:
    """Positional arguments without self or cls; those of parameters that are named like a secret are redacted."""
    first = 1 if target.is_method else 0
    named = target.parameters
    return [
        REDACTED if position < len(named) and is_secret(named[position]) else reduced(value)
        for position, value in enumerate(args)
        if position >= first
    ]


def _keywords(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: REDACTED if is_secret(name) else reduced(value) for name, value in kwargs.items()}


def _as_object(result: Any) -> Any:
    """The conventions want an object of a tool."""
    return result if isinstance(result, dict) else {"result": result}


def _error_text(error: BaseException, is_captured: bool) -> str:
    """An error text can quote an argument: the class alone where arguments are not captured."""
    name = type(error).__name__
    return f"{name}: {scrub(exception_text(error))}" if is_captured else name


class Yielded:
    """What a generator has yielded: the first items as the policy keeps them, and how many there were."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._count = 0

    def add(self, item: Any) -> None:
        """One more item; only the first few are looked at."""
        self._count += 1
        if self._count <= DEFAULT_POLICY.max_items:
            self._kept.append(guarded(reduced, item))

    def picture(self) -> list[Any]:
        """The items as a reduced list."""
        left_out = self._count - len(self._kept)
        return [*self._kept, f"... (+{left_out} more)"] if left_out else self._kept
