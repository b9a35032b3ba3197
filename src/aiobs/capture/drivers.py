"""The drivers: run an SDK method inside its recording, or inside that of a helper.

Sync and async differ by one ``await``; a lazy method differs in that the request begins with the first chunk.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import format_trace_id

from aiobs.call import Call, Callsite
from aiobs.capture import wrappers
from aiobs.capture.callsite import find_callsite
from aiobs.capture.helper import HelperRecording, start_helper
from aiobs.capture.provider import Helper, Operation, Provider
from aiobs.capture.recording import Recording, start
from aiobs.capture.results import tell_of_answer
from aiobs.capture.streams import LazyChunks
from aiobs.capture.telemetry import Hook, current
from aiobs.capture.watch import watch
from aiobs.errors import AiobsError
from aiobs.guard import guarded, typed

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_ABOVE = 3
"""Frames between ``find_callsite`` and whoever called the SDK's method: the guard, a driver, the patch."""


def call_sync(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """Call a sync SDK method; its result, or its exception, is handed on untouched."""
    if current().is_idle:
        return wrapped(*args, **kwargs)
    site = typed(Callsite, find_callsite, _ABOVE, provider.own_packages)
    recording = guarded(start, provider, operation, instance, args, kwargs, site)
    if recording is None:
        return wrapped(*args, **kwargs)
    kwargs = admit(recording, kwargs)
    token = guarded(attach, recording.context)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(recording.fail, error)
        raise
    finally:
        del args, kwargs  # the traceback of an error keeps this frame
        if token is not None:  # no token, no way back
            guarded(detach, token)
    return _watched(recording, result)


def call_async(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Coroutine[Any, Any, Any]:
    """A coroutine for an async SDK method: the callsite is read now, the span starts when it is awaited."""
    if current().is_idle:
        awaitable: Coroutine[Any, Any, Any] = wrapped(*args, **kwargs)
        return awaitable
    callsite = typed(Callsite, find_callsite, _ABOVE, provider.own_packages)
    return _run(provider, operation, wrapped, instance, args, kwargs, callsite)


async def _run(
    provider: Provider,
    operation: Operation,
    wrapped: Callable[..., Any],
    instance: Any,
    args: Args,
    kwargs: Kwargs,
    callsite: Callsite | None,
) -> Any:
    recording = guarded(start, provider, operation, instance, args, kwargs, callsite)
    if recording is None:
        return await wrapped(*args, **kwargs)
    kwargs = admit(recording, kwargs)
    token = guarded(attach, recording.context)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(recording.fail, error)
        raise
    finally:
        del args, kwargs  # the traceback of an error keeps this frame
        if token is not None:  # no token, no way back
            guarded(detach, token)
    return _watched(recording, result)


def call_paged(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """The SDK's own promise of a page: the request, and with it the span, begins when it is awaited or iterated."""
    promise = wrapped(*args, **kwargs)
    if current().is_idle:
        return promise
    site = typed(Callsite, find_callsite, _ABOVE, provider.own_packages)
    guarded(_record_pages, promise, partial(_run, provider, operation), instance, args, kwargs, site)
    return promise


def _record_pages(
    promise: Any, run: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs, site: Callsite | None
) -> None:
    """Run each of the promise's requests; it is referred to weakly, so that it dies as it does without us."""
    get_page: Callable[[Any], Any] = type(promise)._get_page
    reference = weakref.ref(promise)

    def page() -> Any:
        asked = reference()
        return run(lambda *_, **__: get_page(asked), instance, args, kwargs, site)

    vars(promise)["_get_page"] = page


def call_lazily(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """An iterator in place of the SDK's generator, which has not started: the request begins with the first chunk."""
    if current().is_idle:
        return wrapped(*args, **kwargs)
    return LazyChunks(partial(_first, provider, operation, wrapped, instance, args, kwargs))


def _first(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> tuple[Any, Any]:
    """The iterator, and its first chunk: the request is made in between."""
    site = typed(Callsite, find_callsite, 2, provider.own_packages)
    recording = guarded(start, provider, operation, instance, args, kwargs, site)
    if recording is None:
        chunks = wrapped(*args, **kwargs)
        return chunks, next(chunks)
    kwargs = admit(recording, kwargs)
    try:
        generator = wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(recording.fail, error)
        raise
    finally:
        del args, kwargs  # the traceback of an error keeps this frame
    chunks = _watched(recording, generator)
    token = guarded(attach, recording.context)
    try:
        return chunks, next(chunks)
    finally:
        if token is not None:  # no token, no way back
            guarded(detach, token)


def _watched(recording: Recording, result: Any) -> Any:
    """What the program gets: the SDK's own object, but for bare chunks. What a batch has made is told of after it."""
    try:
        handed_on = guarded(watch, recording, result)
    except BaseException:  # Ctrl-C in the middle of it
        guarded(recording.finish_unread)
        raise
    if handed_on is None:
        guarded(recording.finish_unread)
        return result
    if recording.operation.read_results is not None:
        guarded(tell_of_answer, recording)
    return handed_on


# Helpers


def help_sync(
    provider: Provider, helper: Helper, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """Call a helper."""
    if current().is_idle or _makes_one_request(helper, instance, args, kwargs):
        return wrapped(*args, **kwargs)
    return wrappers.call(wrapped, partial(start_helper, provider, helper, instance, None))(*args, **kwargs)


def help_async(
    provider: Provider, helper: Helper, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """A coroutine for an async helper; the callsite is read now, as it may be awaited in a task of its own."""
    if current().is_idle or _makes_one_request(helper, instance, args, kwargs):
        return wrapped(*args, **kwargs)
    site = typed(Callsite, find_callsite, _ABOVE, provider.own_packages)
    return wrappers.coroutine(wrapped, partial(start_helper, provider, helper, instance, site))(*args, **kwargs)


def help_lazily(
    provider: Provider, helper: Helper, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """A generator around a helper's generator, sync or async, or around that which its coroutine gives.

    The SDK's own where the call makes one request.
    """
    made = wrapped(*args, **kwargs)
    if current().is_idle or _makes_one_request(helper, instance, args, kwargs):
        return made

    def begin(_: Args, __: Kwargs) -> HelperRecording | None:
        return start_helper(provider, helper, instance, None, args, kwargs)

    if hasattr(made, "__await__"):
        return _around_awaited(made, begin)
    driver = wrappers.async_generator if hasattr(made, "__anext__") else wrappers.generator
    return driver(lambda: made, begin)()


async def _around_awaited(made: Awaitable[Any], begin: wrappers.Begin) -> Any:
    inner = await made
    return wrappers.async_generator(lambda: inner, begin)()


def _makes_one_request(helper: Helper, instance: Any, args: Args, kwargs: Kwargs) -> bool:
    return helper.may_continue is None and guarded(helper.model_of, instance, args, kwargs) is None


def admit(recording: Recording, kwargs: Kwargs) -> Kwargs:
    """Let the hooks look at the call: they may refuse it (AiobsError) or add to the request."""
    hooks = recording.telemetry.hooks
    if not hooks:
        return kwargs
    guarded(_show, recording, kwargs)
    try:
        for hook in hooks:
            refusal = guarded(_asked, hook, recording.call)
            if refusal is not None:
                raise refusal
    except BaseException as error:
        guarded(recording.fail, error)
        raise
    return guarded(_with_additions, kwargs, recording.call) or kwargs


def _show(recording: Recording, kwargs: Kwargs) -> None:
    recording.call.request.given = kwargs
    if recording.is_recorded or recording.session is not None:
        recording.call.trace_id = format_trace_id(recording.span.get_span_context().trace_id)


def _with_additions(kwargs: Kwargs, call: Call) -> Kwargs:
    call.request.given = None
    return {**kwargs, **call.request.additions}


def _asked(hook: Hook, call: Call) -> AiobsError | None:
    """What the hook says: a refusal goes to the program, any other exception to the guard."""
    try:
        hook.before(call)
    except AiobsError as refusal:
        return refusal
    return None
