"""``@observe`` and ``span()``: functions and blocks of the program's own as spans."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from opentelemetry import trace
from opentelemetry.trace import Span

from aiobs.call import Callsite
from aiobs.capture.function import FunctionRecording, Target, start
from aiobs.capture.wrappers import observed
from aiobs.errors import ConfigurationError
from aiobs.guard import guarded
from aiobs.semconv.serialise import attribute_value, clean_text

F = TypeVar("F", bound=Callable[..., Any])


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


class SpanBlock(ABC):
    """A context manager that gives a span, sync and async alike."""

    @abstractmethod
    def __enter__(self) -> Span: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)


class Observe(SpanBlock):
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
        # Open blocks per task: one object may be entered by several at once, and by one several times.
        self._blocks: ContextVar[tuple[Block, ...]] = ContextVar("aiobs-blocks", default=())

    def __call__(self, function: F) -> F:
        """Decorate a function, also one that is a classmethod or staticmethod already."""
        if isinstance(function, (classmethod, staticmethod)):
            return cast("F", type(function)(self(function.__func__)))
        return cast("F", observed(function, _function_target(function, self._name, self._options)))

    def __enter__(self) -> Span:
        block = span(self._name or "block")
        self._blocks.set((*self._blocks.get(), block))
        return block.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        *left, block = self._blocks.get()
        self._blocks.set(tuple(left))
        block.__exit__(kind, error, tb)


class Block(SpanBlock):
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
        self._token = guarded(self._recording.enter)
        return self._recording.span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._recording is None:
            return
        guarded(self._recording.leave, self._token)
        if error is None:
            guarded(self._recording.finish, None)
        else:
            guarded(self._recording.fail, error)


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
        attributes={},
        parameters=parameters,
        is_method=bool(scope) and not scope.endswith("<locals>") and parameters[:1] in (("self",), ("cls",)),
        **options,
    )


def _block_target(name: str, module: str | None) -> Target:
    return Target(name=name, api=f"{module}.{name}", module=module, callsite=None, attributes={}, capture_args=False)
