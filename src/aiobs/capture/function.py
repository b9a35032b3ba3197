"""``@observe`` and ``span()``: functions and blocks of the program's own as spans.

Everything that does not depend on the call (names, where the function is defined, what kind it is) is worked out once,
at decoration. A generator's span covers its iteration, and its context is attached for each step only: a context that
stays attached across a yield would leak into whoever iterates.
"""

from __future__ import annotations

import inspect
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from functools import wraps
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, SpanKind, StatusCode

from aiobs.ambient.session import Session, current_session
from aiobs.call import Callsite, FunctionCall
from aiobs.capture import telemetry as pipeline
from aiobs.capture.guard import guarded
from aiobs.capture.handoff import end_span
from aiobs.capture.reduce import DEFAULT_POLICY, REDACTED, SECRET_NAMES, reduced
from aiobs.capture.suppression import is_suppressed
from aiobs.errors import ConfigurationError, exception_text, public_name, scrub
from aiobs.semconv import names
from aiobs.semconv.encode import Attributes, callsite_attributes
from aiobs.semconv.serialise import attribute_value, clean_text, to_json

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """What is observed, worked out once."""

    name: str
    api: str
    module: str | None
    callsite: Callsite | None
    attributes: Attributes
    parameters: tuple[str, ...] = ()
    is_method: bool = False
    capture_args: bool = True
    capture_result: bool = True
    enh_prompt: bool = False
    auto_enhance_after: int | None = None


@overload
def observe(func: F) -> F: ...
@overload
def observe(
    func: None = None,
    *,
    name: str | None = None,
    capture_args: bool = True,
    capture_result: bool = True,
    enh_prompt: bool = False,
    auto_enhance_after: int | None = None,
) -> Observe: ...
def observe(
    func: F | None = None,
    *,
    name: str | None = None,
    capture_args: bool = True,
    capture_result: bool = True,
    enh_prompt: bool = False,
    auto_enhance_after: int | None = None,
) -> F | Observe:
    """Make every call of a function a span: ``@observe``, ``@observe()``, ``@observe(name="step")``.

    Works on functions, coroutines, generators, async generators and methods, and as ``with observe(name="step"):``.
    ``capture_args=False`` keeps the arguments, also in error texts, out of everything; ``capture_result=False`` the
    result. ``enh_prompt`` gives each call an id for prompt analysis; ``auto_enhance_after`` (at least 1) is recorded
    with it. Behaviour, signature and kind of the function stay what they are.
    """
    if auto_enhance_after is not None and (not isinstance(auto_enhance_after, int) or auto_enhance_after < 1):
        raise ConfigurationError(f"auto_enhance_after={auto_enhance_after!r} must be a whole number of 1 or more.")
    decorator = Observe(name, capture_args, capture_result, enh_prompt, auto_enhance_after)
    return decorator if func is None else decorator(func)


def span(name: str, **attributes: Any) -> Block:
    """``with span("step", key=value) as current:`` makes a block a span; also ``async with``."""
    caller = sys._getframe(1)
    return Block(_block_target(name, caller.f_globals.get("__name__")), attributes)


class Observe:
    """What ``observe(...)`` with options returns: a decorator, and a context manager."""

    def __init__(
        self,
        name: str | None,
        capture_args: bool,
        capture_result: bool,
        enh_prompt: bool,
        auto_enhance_after: int | None,
    ) -> None:
        self._name = name
        self._options: dict[str, Any] = {
            "capture_args": capture_args,
            "capture_result": capture_result,
            "enh_prompt": enh_prompt,
            "auto_enhance_after": auto_enhance_after,
        }
        self._blocks: list[Block] = []

    def __call__(self, function: F) -> F:
        """Decorate a function, also one that is a classmethod or staticmethod already."""
        if isinstance(function, (classmethod, staticmethod)):
            return cast("F", type(function)(self(function.__func__)))
        return cast("F", _wrapped(function, _function_target(function, self._name, self._options)))

    def __enter__(self) -> Span:
        block = span(self._name or "block")
        self._blocks.append(block)
        return block.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._blocks.pop().__exit__(kind, error, tb)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)


class Block:
    """One use of ``with span(...)``."""

    def __init__(self, target: Target, attributes: dict[str, Any]) -> None:
        self._target = target
        self._attributes = attributes
        self._recording: FunctionRecording | None = None
        self._token: Any = None

    def __enter__(self) -> Span:
        self._recording = guarded(start, self._target, (), {})
        if self._recording is None:
            return trace.INVALID_SPAN
        for key, value in self._attributes.items():
            if (usable := guarded(attribute_value, value)) is not None:
                guarded(self._recording.span.set_attribute, clean_text(key), usable)
        self._token = attach(self._recording.context)
        return self._recording.span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._recording is None:
            return
        detach(self._token)
        if error is None:
            self._recording.finish(None)
        else:
            self._recording.fail(error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)


def _function_target(function: Callable[..., Any], name: str | None, options: dict[str, Any]) -> Target:
    code = getattr(inspect.unwrap(function), "__code__", None)
    qualname = str(getattr(function, "__qualname__", type(function).__qualname__))
    module = getattr(function, "__module__", None)
    callsite = Callsite(code.co_filename, code.co_firstlineno, qualname) if code else None
    parameters = code.co_varnames[: code.co_argcount] if code else ()
    scope = qualname.rpartition(".")[0]
    return Target(
        name=name or str(getattr(function, "__name__", qualname)),
        api=f"{module}.{qualname}",
        module=module,
        callsite=callsite,
        attributes=callsite_attributes(callsite) if callsite else {},
        parameters=parameters,
        is_method=bool(scope) and not scope.endswith("<locals>") and parameters[:1] in (("self",), ("cls",)),
        **options,
    )


def _block_target(name: str, module: str | None) -> Target:
    return Target(name=name, api=f"{module}.{name}", module=module, callsite=None, attributes={}, capture_args=False)


class FunctionRecording:
    """One call of an observed function: start, then finish or fail once."""

    __slots__ = ("_parent", "_started", "_started_ns", "call", "context", "session", "span", "target", "telemetry")

    def __init__(
        self,
        telemetry: pipeline.Telemetry,
        target: Target,
        span: Span,
        session: Session | None,
        parent: Context,
        started_ns: int,
    ) -> None:
        self.telemetry = telemetry
        self.target = target
        self.span = span
        self.session = session
        self.context = trace.set_span_in_context(span, parent)
        self.call: FunctionCall | None = None
        self._parent = parent
        self._started_ns = started_ns
        self._started = perf_counter_ns()

    def finish(self, result: Any) -> None:
        """The function returned."""
        if self.call is not None and self.target.capture_result:
            self.call.result = result.picture() if type(result) is Yielded else guarded(reduced, result)
        self._end({})

    def fail(self, error: BaseException) -> None:
        """The function raised; a cancellation or KeyboardInterrupt is not an error."""
        if self.call is not None:
            self.call.error = guarded(_error_text, error, self.target)
        if not isinstance(error, Exception):
            self._end({names.CANCELLED: True})
            return
        kind = public_name(type(error))
        if self.span.is_recording():
            told = self.telemetry.describes_errors and self.target.capture_args
            guarded(self.span.set_status, StatusCode.ERROR, clean_text(scrub(exception_text(error))) if told else kind)
        self._end({names.ERROR_TYPE: kind})

    def _end(self, attributes: Attributes) -> None:
        duration = perf_counter_ns() - self._started
        if self.span.is_recording():
            guarded(self._write, attributes)
        if self.call is not None:
            self.call.duration_ns = duration
        end_span(self.span, self._started_ns + duration, self._parent, self.telemetry.sink, self.session, self.call)

    def _write(self, attributes: Attributes) -> None:
        call = self.call
        if call is not None and self.telemetry.content_on_spans:
            if self.target.capture_args and self.target.parameters is not None and call.args is not None:
                attributes[names.INPUT] = to_json({"args": call.args, "kwargs": call.kwargs})
            if self.target.capture_result and names.ERROR_TYPE not in attributes:
                attributes[names.OUTPUT] = to_json(call.result)
        if attributes:
            self.span.set_attributes(attributes)


def start(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionRecording | None:
    """Begin to record a call of an observed function, or None when nothing would be recorded."""
    context = get_current()
    if is_suppressed(context):
        return None
    telemetry = pipeline.current()
    if telemetry.is_idle:
        return None
    enh_prompt_id = str(uuid.uuid4()) if target.enh_prompt else None
    started_ns = time_ns()
    span = guarded(_start_span, telemetry, target, context, started_ns, enh_prompt_id) or trace.INVALID_SPAN
    session = current_session(context) if telemetry.sink is not None else None
    if not span.is_recording() and session is None:
        return None
    recording = FunctionRecording(telemetry, target, span, session, context, started_ns)
    if session is not None or telemetry.content_on_spans:
        recording.call = guarded(_record, target, args, kwargs, telemetry, started_ns, enh_prompt_id)
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
    return telemetry.tracer.start_span(name, context, SpanKind.INTERNAL, attributes, start_time=started_ns)


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
        name=target.name,
        api=target.api,
        module=target.module,
        args=_arguments(target, args) if captured else None,
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
        REDACTED if position < len(named) and named[position].lower() in SECRET_NAMES else reduced(value)
        for position, value in enumerate(args)
        if position >= first
    ]


def _keywords(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: REDACTED if name.lower() in SECRET_NAMES else reduced(value) for name, value in kwargs.items()}


def _error_text(error: BaseException, target: Target) -> str:
    """An error text can quote an argument."""
    name = type(error).__name__
    return f"{name}: {scrub(exception_text(error))}" if target.capture_args else name


# One wrapper per kind of function. They differ by what has to be awaited and by where control can come back.


def _wrapped(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    plain = inspect.unwrap(function)
    if inspect.isasyncgenfunction(plain):
        return _wrapped_async_generator(function, target)
    if inspect.isgeneratorfunction(plain):
        return _wrapped_generator(function, target)
    if inspect.iscoroutinefunction(plain):
        return _wrapped_coroutine(function, target)
    return _wrapped_function(function, target)


def _wrapped_function(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        recording = guarded(start, target, args, kwargs)
        if recording is None:
            return function(*args, **kwargs)
        token = attach(recording.context)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            recording.fail(error)
            raise
        finally:
            detach(token)
        recording.finish(result)
        return result

    return call


def _wrapped_coroutine(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        recording = guarded(start, target, args, kwargs)
        if recording is None:
            return await function(*args, **kwargs)
        token = attach(recording.context)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            recording.fail(error)
            raise
        finally:
            detach(token)
        recording.finish(result)
        return result

    return call


def _wrapped_generator(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    @wraps(function)
    def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        recording = guarded(start, target, args, kwargs)
        if recording is None:
            return (yield from function(*args, **kwargs))
        return (yield from _steps(function(*args, **kwargs), recording))

    return iterate


def _steps(generator: Any, recording: FunctionRecording) -> Generator[Any, Any, Any]:
    """Drive the generator as ``yield from`` does, with the span current during each step and not between them."""
    items = Yielded()
    resume, argument = generator.send, None
    while True:
        try:
            item = _in_context(recording.context, resume, argument)
        except StopIteration as stop:
            recording.finish(items)
            return stop.value
        except BaseException as error:
            recording.fail(error)
            raise
        items.add(item)
        try:
            argument = yield item
            resume = generator.send
        except GeneratorExit:
            _close(generator, recording, items)
            raise
        except BaseException as error:
            resume, argument = generator.throw, error


def _close(generator: Any, recording: FunctionRecording, items: Yielded) -> None:
    try:
        _in_context(recording.context, generator.close)
    except BaseException as error:
        recording.fail(error)
        raise
    recording.finish(items)


def _in_context(context: Context, function: Callable[..., Any], *args: Any) -> Any:
    token = attach(context)
    try:
        return function(*args)
    finally:
        detach(token)


def _wrapped_async_generator(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    @wraps(function)
    async def iterate(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        recording = guarded(start, target, args, kwargs) or _Unrecorded()
        generator = function(*args, **kwargs)
        items = Yielded()
        resume, argument = generator.asend, None
        while True:
            try:
                item = await _in_context_async(recording.context, resume, argument)
            except StopAsyncIteration:
                recording.finish(items)
                return
            except BaseException as error:
                recording.fail(error)
                raise
            items.add(item)
            try:
                argument = yield item
                resume = generator.asend
            except GeneratorExit:
                await _close_async(generator, recording, items)
                raise
            except BaseException as error:
                resume, argument = generator.athrow, error

    return iterate


async def _close_async(generator: Any, recording: FunctionRecording | _Unrecorded, items: Yielded) -> None:
    try:
        await _in_context_async(recording.context, generator.aclose)
    except BaseException as error:
        recording.fail(error)
        raise
    recording.finish(items)


async def _in_context_async(context: Context, function: Callable[..., Any], *args: Any) -> Any:
    token = attach(context)
    try:
        return await function(*args)
    finally:
        detach(token)


class _Unrecorded:
    """Stands in for a recording when nothing is recorded, as async generators know no ``yield from``."""

    def __init__(self) -> None:
        self.context = get_current()

    def finish(self, result: Any) -> None:
        """Nothing."""

    def fail(self, error: BaseException) -> None:
        """Nothing."""


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
