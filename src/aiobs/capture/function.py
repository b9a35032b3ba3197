"""One call of an observed function, or one block: start, then finish or fail once.

What does not depend on the call (names, where the function is defined) is in its ``Target``, worked out once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode

from aiobs.ambient.current import Ambient, ambient_of
from aiobs.ambient.session import Session
from aiobs.call import Callsite, FunctionCall
from aiobs.capture import deferred
from aiobs.capture import telemetry as pipeline
from aiobs.capture.callsite import OWN, find_callsite
from aiobs.capture.handoff import end_span, records
from aiobs.capture.marked import Mark, deliver
from aiobs.capture.reduce import CapturePolicy, is_secret, reduced
from aiobs.capture.spans import start_span
from aiobs.capture.suppression import is_suppressed
from aiobs.clock import monotonic_ns, wall_ns
from aiobs.errors import exception_text, public_name, scrub, stack_trace
from aiobs.guard import guarded, typed
from aiobs.semconv import names
from aiobs.semconv.attributes import put_attributes
from aiobs.semconv.credentials import REDACTED
from aiobs.semconv.encode import Attributes, callsite_attributes
from aiobs.semconv.serialise import clean_text, plain_to_json, truncate

LONGEST_ERROR = 65_536
"""Bytes of an error text that are kept."""

MOST_YIELDED = 10_000
"""Items of a generator that ``transform_to_string`` gets."""

_DRIVERS = ("aiobs.capture.wrappers", "aiobs.capture.drivers", "aiobs.capture.streams")
"""Where an exception passes that a recording inside of this one has told of."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Target:
    """What is observed, worked out once.

    ``name`` is the span's, without surrogates; ``api`` (and ``title``, if it is not the name) the session file's.
    ``content`` are the attributes that arguments and result go to. ``tool`` is set for a tool that a model called,
    ``cause_of`` where an SDK puts an error of its own around what the function raised, ``error_of`` where a result can
    say that the function failed: it gives the ``error.type``, or None. ``hides``: some arguments are redacted:
    ``hidden`` are their positions, ``hidden_from`` the one from which on all are, ``excluded`` their keywords, and
    ``keywords``, if given, those outside of which all are. ``transform`` makes one text of what a generator yielded.
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
    hides: bool = False
    hidden: frozenset[int] = frozenset()
    hidden_from: int = sys.maxsize
    excluded: frozenset[str] = frozenset()
    keywords: frozenset[str] | None = None
    is_method: bool = False
    policy: CapturePolicy | None = None
    capture_args: bool = True
    capture_result: bool = True
    capture_instance: bool = False
    called_from: bool = False
    enh_prompt: bool = False
    auto_enhance_after: int | None = None
    transform: Callable[[list[Any]], str] | None = None


class FunctionRecording:
    """One call of an observed function: start, then finish or fail once."""

    __slots__ = (
        "_forks",
        "_hidden",
        "_items",
        "_parent",
        "_policy",
        "_started",
        "_started_ns",
        "call",
        "context",
        "is_recorded",
        "mark",
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
        mark: Mark | None,
    ) -> None:
        self.telemetry = telemetry
        self.target = target
        self.span = span
        self.is_recorded = is_recorded
        self.session = session
        self.mark = mark
        self.context = trace.set_span_in_context(span, parent if mark is None else mark.within(parent))
        self.call: FunctionCall | None = None
        self._policy = target.policy or telemetry.policy
        self._hidden: tuple[str, ...] = ()
        self._items: Yielded | None = None
        self._forks = deferred.forks
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

    def suspend(self, token: Any) -> None:
        """A generator has come to a yield: its own context waits for it, the one of before is current again."""
        context = guarded(get_current)
        self.context = self.context if context is None else context
        self.leave(token)

    def record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take down what the function was called with."""
        target = self.target
        given: list[Any] | None = None
        named: dict[str, Any] | None = None
        if target.capture_args and self.telemetry.keeps_content:
            given = _arguments(target, args, self._policy) if target.tool is None else None
            named = _keywords(target, kwargs, self._policy)
            if target.hides or (named and REDACTED in named.values()):
                self._hidden = _hidden_texts(target, args, kwargs)
        call = FunctionCall(target.title or target.name, target.api, target.module, given, named)
        call.callsite, call.started_ns = target.callsite, self._started_ns
        call.enh_prompt, call.auto_enhance_after = target.enh_prompt, target.auto_enhance_after
        if self.mark is not None:
            call.enh_prompt_id = self.mark.id
        self.call = call
        if target.called_from or target.capture_instance:
            self._record_caller(args)

    def _record_caller(self, args: tuple[Any, ...]) -> None:
        if self.call is None:
            return
        if self.target.called_from:
            self.call.called_from = guarded(find_callsite, 1, OWN)
        if self.target.capture_instance and self.target.is_method and args:
            kind = args[0] if isinstance(args[0], type) else type(args[0])
            self.call.instance = f"<{kind.__name__}>"

    def add(self, item: Any) -> None:
        """The generator yielded this."""
        if self._items is None:
            self._items = self._yielded()
        self._items.add(item)

    @property
    def _keeps_result(self) -> bool:
        return self.target.capture_result and self.telemetry.keeps_content

    def _yielded(self) -> Yielded:
        is_told = self.call is not None and self._keeps_result
        return Yielded(self._policy, self.target.transform if is_told else None)

    def finish(self, result: Any) -> None:
        """The function returned, or the generator ended."""
        if self._items is not None:
            self.close()
            return
        kind: str | None = None
        try:
            if self.call is not None and self._keeps_result:
                self.call.result = guarded(reduced, result, self._policy)
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
        try:
            if self.call is not None and self._keeps_result:
                self.call.result = (self._items or self._yielded()).picture()
        finally:  # as above, and ``transform`` is the program's own
            self._end({}, at)

    def fail(self, error: BaseException, at: int | None = None) -> None:
        """The function raised; a cancellation or KeyboardInterrupt is not an error."""
        if self.target.cause_of is not None:
            error = guarded(self.target.cause_of, error) or error
        is_told = self.target.capture_args and self.telemetry.keeps_content
        if self.call is not None:
            self.call.error = guarded(_error_text, error, self._hidden if is_told else None)
        if not isinstance(error, Exception):
            self._end({names.CANCELLED: True}, at)
            return
        kind = guarded(public_name, type(error)) or type(error).__name__
        try:
            if self.is_recorded:
                guarded(self._set_status, error, kind)
                guarded(self._tell_of_exception, error, kind)
        finally:
            self._end({names.ERROR_TYPE: kind}, at)

    @property
    def _describes_errors(self) -> bool:
        return self.telemetry.describes_errors and self.target.capture_args

    def _set_status(self, error: Exception, kind: str) -> None:
        self.span.set_status(StatusCode.ERROR, _bounded(error, self._hidden) if self._describes_errors else kind)

    def _tell_of_exception(self, error: Exception, kind: str) -> None:
        """One event for each exception, however many observed functions it passes: the innermost tells."""
        logger = self.telemetry.logger
        if logger is None or self.target.tool is not None or _has_been_told(error):
            return
        attributes: Attributes = {names.EXCEPTION_TYPE: clean_text(kind)}
        if self._describes_errors:
            attributes[names.EXCEPTION_MESSAGE] = _bounded(error, self._hidden)
            attributes[names.EXCEPTION_STACKTRACE] = _cut(stack_trace(error), self._hidden)
        logger.emit(
            context=self.context,
            severity_number=SeverityNumber.WARN,
            event_name=names.FUNCTION_EXCEPTION_EVENT,
            attributes=attributes,
        )

    def _end(self, attributes: Attributes, at: int | None) -> None:
        if deferred.forks != self._forks:  # of the parent process, which ends it itself
            return
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
            if self.mark is not None and self.mark.trace is not None:
                guarded(self._deliver, self.mark)

    def _deliver(self, mark: Mark) -> None:
        """Give what came of it to the enhancer that waits for so many of them."""
        after, identity = self.target.auto_enhance_after, self.span.get_span_context()
        if self.call is not None and after is not None:
            ids = (f"{identity.trace_id:032x}", f"{identity.span_id:016x}")
            deliver(mark, self.target.api, after, self.call, ids, self.telemetry)

    def _write(self, attributes: Attributes) -> None:
        call, callsite = self.call, self.target.callsite
        if callsite is not None:
            attributes.update(callsite_attributes(callsite))
        if call is not None and self.telemetry.content_on_spans:
            given, returned = self.target.content
            if call.kwargs is not None:
                attributes[given] = plain_to_json(_given(call))
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
    mark = Mark(is_awaited=target.auto_enhance_after is not None) if target.enh_prompt else None
    started_ns = wall_ns()
    span = guarded(_start_span, telemetry, target, context, started_ns, mark) or pipeline.stand_in(context)
    ambient = typed(Ambient, ambient_of, span, context)
    session = ambient.session if ambient is not None and telemetry.sink is not None else None
    is_recorded = records(span)
    if not is_recorded and session is None:
        return None
    recording = FunctionRecording(telemetry, target, span, is_recorded, session, context, started_ns, mark)
    if session is not None or telemetry.content_on_spans or (mark is not None and mark.trace is not None):
        guarded(recording.record, args, kwargs)
        if recording.call is not None and ambient is not None:
            recording.call.context = ambient.context
    return recording


def _start_span(
    telemetry: pipeline.Telemetry, target: Target, context: Context, started_ns: int, mark: Mark | None
) -> Span:
    attributes = target.attributes
    if mark is not None:
        attributes = {**attributes, names.ENH_PROMPT: True, names.ENH_PROMPT_ID: mark.id}
    if target.auto_enhance_after is not None:
        attributes = {**attributes, names.ENH_PROMPT_AFTER: target.auto_enhance_after}
    return start_span(telemetry.tracer, target.name, context, SpanKind.INTERNAL, attributes, started_ns)


def _arguments(target: Target, args: tuple[Any, ...], policy: CapturePolicy) -> list[Any]:
    """Positional arguments without self or cls; those of parameters that are named like a secret are redacted."""
    given = args[1:] if target.is_method else args
    if not target.hides:
        return [reduced(value, policy) for value in given]
    return [
        REDACTED if _is_hidden_position(target, position) else reduced(value, policy)
        for position, value in enumerate(given)
    ]


def _keywords(target: Target, kwargs: dict[str, Any], policy: CapturePolicy) -> dict[str, Any]:
    if not target.excluded:
        return {name: REDACTED if is_secret(name) else reduced(value, policy) for name, value in kwargs.items()}
    return {
        name: REDACTED if is_secret(name) or _is_excluded(target, name) else reduced(value, policy)
        for name, value in kwargs.items()
    }


def _is_hidden_position(target: Target, position: int) -> bool:
    return position in target.hidden or position >= target.hidden_from


def _is_excluded(target: Target, name: str) -> bool:
    return name in target.excluded or (target.keywords is not None and name not in target.keywords)


def _hidden_texts(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    """The texts that are redacted: an error may quote them."""
    given = args[1:] if target.is_method else args
    hidden = [value for position, value in enumerate(given) if _is_hidden_position(target, position)]
    hidden += [value for name, value in kwargs.items() if is_secret(name) or _is_excluded(target, name)]
    return tuple(value for value in hidden if type(value) is str)


def _given(call: FunctionCall) -> dict[str, Any] | None:
    """What a function was called with, as one value."""
    if call.args is None:
        return call.kwargs
    passed = {"args": call.args, "kwargs": call.kwargs}
    return passed if call.instance is None else {"instance": call.instance, **passed}


def _as_object(result: Any) -> Any:
    """The conventions want an object of a tool."""
    return result if isinstance(result, dict) else {"result": result}


def _error_text(error: BaseException, hidden: tuple[str, ...] | None) -> str:
    """An error text can quote an argument: the class alone (``hidden`` is None) where arguments are not captured."""
    name = type(error).__name__
    return name if hidden is None else f"{name}: {_bounded(error, hidden)}"


def _bounded(error: BaseException, hidden: tuple[str, ...]) -> str:
    return _cut(exception_text(error), hidden)


def _cut(text: str, hidden: tuple[str, ...]) -> str:
    """A text of any length without secrets, bounded; a secret that lies across the bound is seen whole."""
    if len(text) > LONGEST_ERROR:
        return truncate(scrub(text[: 2 * LONGEST_ERROR], hidden), LONGEST_ERROR)
    return clean_text(scrub(text, hidden))


def _has_been_told(error: BaseException) -> bool:
    """The exception came through another recording, inside of this one: not through the driver that reports it."""
    entry = error.__traceback__
    driver = entry.tb_frame if entry is not None else None
    while entry is not None:
        if entry.tb_frame is not driver and entry.tb_frame.f_globals.get("__name__") in _DRIVERS:
            return True
        entry = entry.tb_next
    return False


class Yielded:
    """What a generator has yielded: the first items as the policy keeps them, and how many there were.

    ``transform``, if there is one, makes one text of all of them (the first 10,000), which are kept alive for that.
    """

    def __init__(self, policy: CapturePolicy, transform: Callable[[list[Any]], str] | None) -> None:
        self._policy = policy
        self._transform = transform
        self._items: list[Any] = []
        self._kept: list[Any] = []
        self._count = 0

    def add(self, item: Any) -> None:
        """One more item; only the first few are looked at."""
        self._count += 1
        if self._count <= self._policy.max_items:
            self._kept.append(guarded(reduced, item, self._policy))
        if self._transform is not None and self._count <= MOST_YIELDED:
            self._items.append(item)

    def picture(self) -> Any:
        """The items as one text, or as a reduced list."""
        if self._transform is not None:
            text = guarded(self._transform, self._items)
            if isinstance(text, str):
                return guarded(reduced, text, self._policy)
        left_out = self._count - len(self._kept)
        return [*self._kept, f"... (+{left_out} more)"] if left_out else self._kept
