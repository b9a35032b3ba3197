"""``@observe`` and ``span()``: functions and blocks of the program's own as spans."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import FunctionType, TracebackType
from typing import Any, TypeVar, cast, overload

from opentelemetry import trace
from opentelemetry.trace import Span

from aiobs.capture.function import FunctionRecording, Target, start
from aiobs.capture.reduce import CapturePolicy
from aiobs.capture.targets import Options, checked_options, function_target
from aiobs.capture.wrappers import observed
from aiobs.guard import guarded
from aiobs.semconv import names
from aiobs.semconv.serialise import attribute_value, clean_text

F = TypeVar("F", bound=Callable[..., Any])

_OBSERVED = "__aiobs_observed__"
"""On a function that is observed: a class that is decorated leaves it as it is."""


@overload
def observe(func: F) -> F: ...
@overload
def observe(
    func: None = None,
    *,
    name: str | None = None,
    capture: CapturePolicy | None = None,
    capture_args: bool | Mapping[str, Any] = True,
    capture_result: bool = True,
    capture_instance: bool = False,
    called_from: bool = False,
    enh_prompt: bool = False,
    auto_enhance_after: int | None = None,
    as_type: str | None = None,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    transform_to_string: Callable[[list[Any]], str] | None = None,
) -> Observe: ...
def observe(
    func: F | None = None,
    *,
    name: str | None = None,
    capture: CapturePolicy | None = None,
    capture_args: bool | Mapping[str, Any] = True,
    capture_result: bool = True,
    capture_instance: bool = False,
    called_from: bool = False,
    enh_prompt: bool = False,
    auto_enhance_after: int | None = None,
    as_type: str | None = None,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    transform_to_string: Callable[[list[Any]], str] | None = None,
) -> F | Observe:
    """Make every call of a function a span: ``@observe``, ``@observe()``, ``@observe(name="step")``.

    Works on functions, coroutines, generators, async generators, methods, anything that can be called, on classes
    (their public methods), and as ``with observe(name="step"):``. Behaviour, signature and kind stay what they are.

    ``capture`` says how much of arguments and result is kept; ``capture_args=False`` keeps the arguments, also in error
    texts, out of everything, ``{"exclude": [...]}`` those of some parameters; ``capture_result=False`` the result.
    ``capture_instance`` tells the class of self, ``called_from`` the line of the call. ``enh_prompt`` gives each call
    an id for prompt analysis; after every ``auto_enhance_after`` of them (at least 1) the prompt enhancer runs.

    As Langfuse calls them: ``capture_input`` is ``capture_args``, ``capture_output`` is ``capture_result``; ``as_type``
    (span, generation, embedding, agent, tool, chain, retriever, evaluator, guardrail) is told as
    ``aiobs.observation.type``; ``transform_to_string`` makes a text, the result of a generator, of the list of what it
    yielded (10,000 items at most). Raises ConfigurationError for an option that cannot work.
    """
    options = checked_options(
        name=name,
        capture=capture,
        capture_args=capture_args,
        capture_result=capture_result,
        capture_instance=capture_instance,
        called_from=called_from,
        enh_prompt=enh_prompt,
        auto_enhance_after=auto_enhance_after,
        as_type=as_type,
        capture_input=capture_input,
        capture_output=capture_output,
        transform_to_string=transform_to_string,
    )
    decorator = Observe(options)
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

    def __init__(self, options: Options) -> None:
        self._options = options
        # Open blocks per task: one object may be entered by several at once, and by one several times.
        self._blocks: ContextVar[tuple[Block, ...]] = ContextVar("aiobs-blocks", default=())

    def __call__(self, function: F) -> F:
        """Decorate a function, also one that is a classmethod or staticmethod already; or the methods of a class."""
        if isinstance(function, type):
            return cast("F", _with_observed_methods(function, self._options))
        return cast("F", _observed(function, self._options))

    def __enter__(self) -> Span:
        told = {names.OBSERVATION_TYPE: self._options.as_type} if self._options.as_type else {}
        block = span(self._options.name or "block", **told)
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


def _observed(function: Any, options: Options) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        is_static = isinstance(function, staticmethod)
        return type(function)(_wrapped(function.__func__, options, is_static=is_static))
    return _wrapped(function, options)


def _wrapped(function: Any, options: Options, *, is_static: bool = False) -> Any:
    wrapper = observed(function, function_target(function, options, is_static=is_static))
    setattr(wrapper, _OBSERVED, True)
    return wrapper


def _with_observed_methods(cls: type, options: Options) -> type:
    """The class itself, the public methods that it defines observed; one that is observed already stays as it is."""
    for name, found in list(vars(cls).items()):
        function = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
        is_open = isinstance(function, FunctionType) and not hasattr(function, _OBSERVED)
        if is_open and not name.startswith("_"):
            setattr(cls, name, _observed(found, options.named(options.name and f"{options.name}.{name}")))
    return cls


def _block_target(name: str, module: str | None) -> Target:
    return Target(
        name=guarded(clean_text, name) or "block",
        api=f"{module}.{name}",
        module=module,
        callsite=None,
        attributes={},
        capture_args=False,
    )
