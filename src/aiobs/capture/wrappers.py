"""Running a function inside a recording: one driver per kind of function.

They differ by what has to be awaited and by where control can come back. A generator's recording covers its iteration,
and its context is attached for each step only: a context that stays attached across a yield would leak into whoever
iterates.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial, wraps
from typing import Any, Protocol

from aiobs.capture import deferred
from aiobs.capture.function import Target, start
from aiobs.clock import monotonic_ns
from aiobs.guard import guarded


class Recorded(Protocol):
    """What a driver reports to. One of ``finish``, ``fail`` and ``close`` comes last; ``at``: monotonic nanoseconds."""

    def enter(self) -> Any:
        """Make the recording's context current; gives what ``leave`` needs."""

    def leave(self, token: Any) -> None:
        """Make the context current that was before ``enter``, which gave the token, or None if it failed."""

    def suspend(self, token: Any) -> None:
        """As ``leave``, at a yield: the next ``enter`` goes on in the context of now."""

    def add(self, item: Any) -> None:
        """A generator yielded this."""

    def finish(self, result: Any) -> None:
        """The function returned, or the generator ended (``()``)."""

    def fail(self, error: BaseException, at: int | None = None) -> None:
        """The function raised."""

    def close(self, at: int | None = None) -> None:
        """The generator was closed before its end."""


Begin = Callable[[tuple[Any, ...], dict[str, Any]], Recorded | None]
"""Begins to record a call with these arguments, or says None: then nothing is recorded."""


def observed(function: Callable[..., Any], target: Target) -> Callable[..., Any]:
    """The function, observed, and of the same kind."""
    plain = _called(function)
    if inspect.isasyncgenfunction(plain):
        driver: Callable[..., Any] = async_generator
    elif inspect.isgeneratorfunction(plain):
        driver = generator
    elif inspect.iscoroutinefunction(plain):
        driver = coroutine
    else:
        driver = call
    wrapper = wraps(function)(driver(function, partial(start, target)))
    wrapper.__name__ = getattr(function, "__name__", target.name)  # what a partial or an instance has not
    wrapper.__qualname__ = getattr(function, "__qualname__", target.name)
    return wrapper


def _called(function: Callable[..., Any]) -> Any:
    """The function that runs when this is called: of an instance, that of its class."""
    plain = inspect.unwrap(function)
    if isinstance(plain, partial) or inspect.isroutine(plain) or isinstance(plain, type):
        return plain
    return type(plain).__call__


def call(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The plain function, recorded."""

    def run(*args: Any, **kwargs: Any) -> Any:
        recording = guarded(begin, args, kwargs)
        if recording is None:
            return function(*args, **kwargs)
        token = guarded(recording.enter)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            guarded(recording.fail, error)
            raise
        finally:
            guarded(recording.leave, token)
        guarded(recording.finish, result)
        return result

    return run


def coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The coroutine function, recorded."""

    async def run(*args: Any, **kwargs: Any) -> Any:
        recording = guarded(begin, args, kwargs)
        if recording is None:
            return await function(*args, **kwargs)
        token = guarded(recording.enter)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            guarded(recording.fail, error)
            raise
        finally:
            guarded(recording.leave, token)
        guarded(recording.finish, result)
        return result

    return run


def generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The generator function, recorded."""

    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        recording = guarded(begin, args, kwargs)
        if recording is None:
            return (yield from function(*args, **kwargs))
        return (yield from _steps(function(*args, **kwargs), recording))

    return run


def _steps(inner: Any, recording: Recorded) -> Generator[Any, Any, Any]:
    """Drive the generator as ``yield from`` does, with the recording current during each step and not between them."""
    resume, argument = inner.send, None
    while True:
        token, leave = guarded(recording.enter), recording.leave
        try:
            item = resume(argument)
            leave = recording.suspend
        except StopIteration as stop:
            guarded(recording.finish, ())
            return stop.value
        except BaseException as error:
            guarded(recording.fail, error)
            raise
        finally:
            guarded(leave, token)
        recording.add(item)
        try:
            argument = yield item
            resume = inner.send
        except GeneratorExit:
            _close(inner, recording)
            raise
        except BaseException as error:
            resume, argument = inner.throw, error


def _close(inner: Any, recording: Recorded) -> None:
    """Closed by the program, or by the collector, which may do so inside any lock: the span is ended a little later."""
    token = guarded(recording.enter)
    try:
        inner.close()
    except BaseException as error:
        deferred.dropped.put(partial(recording.fail, error, monotonic_ns()))
        raise
    finally:
        guarded(recording.leave, token)
    deferred.dropped.put(partial(recording.close, monotonic_ns()))


def async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """The async generator function, recorded."""

    async def run(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        recording = guarded(begin, args, kwargs) or _Unrecorded()
        inner = function(*args, **kwargs)
        resume, argument = inner.asend, None
        while True:
            token, leave = guarded(recording.enter), recording.leave
            try:
                item = await resume(argument)
                leave = recording.suspend
            except StopAsyncIteration:
                guarded(recording.finish, ())
                return
            except BaseException as error:
                guarded(recording.fail, error)
                raise
            finally:
                guarded(leave, token)
            recording.add(item)
            try:
                argument = yield item
                resume = inner.asend
            except GeneratorExit:
                await _close_async(inner, recording)
                raise
            except BaseException as error:
                resume, argument = inner.athrow, error

    return run


async def _close_async(inner: Any, recording: Recorded) -> None:
    token = guarded(recording.enter)
    try:
        await inner.aclose()
    except BaseException as error:
        guarded(recording.fail, error)
        raise
    finally:
        guarded(recording.leave, token)
    guarded(recording.close)


class _Unrecorded:
    """Stands in for a recording when nothing is recorded, as async generators know no ``yield from``."""

    def enter(self) -> None: ...

    def leave(self, token: Any) -> None: ...

    def suspend(self, token: Any) -> None: ...

    def add(self, item: Any) -> None: ...

    def finish(self, result: Any) -> None: ...

    def fail(self, error: BaseException, at: int | None = None) -> None: ...

    def close(self, at: int | None = None) -> None: ...
