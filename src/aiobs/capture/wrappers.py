"""One wrapper per kind of function. They differ by what has to be awaited and by where control can come back.

A generator's span covers its iteration, and its context is attached for each step only: a context that stays attached
across a yield would leak into whoever iterates.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial, wraps
from time import perf_counter_ns
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current

from aiobs.capture import deferred
from aiobs.capture.function import FunctionRecording, Target, Yielded, start
from aiobs.guard import guarded


def wrapped(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    """The function, observed, and of the same kind."""
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
    """Closed by the program, or by the collector, which may do so inside any lock: the span is ended a little later."""
    try:
        _in_context(recording.context, generator.close)
    except BaseException as error:
        deferred.dropped.put(partial(recording.fail, error, perf_counter_ns()))
        raise
    deferred.dropped.put(partial(recording.finish, items, perf_counter_ns()))


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
