"""The two drivers: run an SDK method inside its recording. They differ by one ``await``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from opentelemetry.context import attach, detach

from aiobs.call import Call, Callsite
from aiobs.capture import deferred
from aiobs.capture.callsite import find_callsite
from aiobs.capture.provider import Operation, Provider
from aiobs.capture.recording import Recording, start
from aiobs.capture.telemetry import Hook, current
from aiobs.capture.watch import watch
from aiobs.errors import AiobsError
from aiobs.guard import guarded

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def call_sync(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """Call a sync SDK method; its result, or its exception, is handed on untouched."""
    if current().is_idle:
        return wrapped(*args, **kwargs)
    recording = _begin(provider, operation, instance, kwargs, guarded(find_callsite, 1, provider.own_packages))
    if recording is None:
        return wrapped(*args, **kwargs)
    kwargs = _admit(recording, kwargs)
    token = attach(recording.context)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        recording.fail(error)
        raise
    finally:
        detach(token)
    if not guarded(watch, recording, result):
        recording.finish_unread()
    return result


def call_async(
    provider: Provider, operation: Operation, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Coroutine[Any, Any, Any]:
    """A coroutine for an async SDK method: the callsite is read now, the span starts when it is awaited."""
    if current().is_idle:
        awaitable: Coroutine[Any, Any, Any] = wrapped(*args, **kwargs)
        return awaitable
    callsite = guarded(find_callsite, 1, provider.own_packages)
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
    recording = _begin(provider, operation, instance, kwargs, callsite)
    if recording is None:
        return await wrapped(*args, **kwargs)
    kwargs = _admit(recording, kwargs)
    token = attach(recording.context)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        recording.fail(error)
        raise
    finally:
        detach(token)
    if not guarded(watch, recording, result):
        recording.finish_unread()
    return result


def _begin(
    provider: Provider, operation: Operation, instance: Any, kwargs: Kwargs, callsite: Callsite | None
) -> Recording | None:
    deferred.drain_if_any()
    return guarded(start, provider, operation, instance, kwargs, callsite)


def _admit(recording: Recording, kwargs: Kwargs) -> Kwargs:
    """Let the hooks look at the call: they may refuse it (AiobsError) or add to the request."""
    hooks = recording.telemetry.hooks
    if not hooks:
        return kwargs
    for hook in hooks:
        refusal = guarded(_asked, hook, recording.call)
        if refusal is not None:
            recording.fail(refusal)
            raise refusal
    return {**kwargs, **recording.call.request.additions}


def _asked(hook: Hook, call: Call) -> AiobsError | None:
    """What the hook says: a refusal goes to the program, any other exception to the guard."""
    try:
        hook.before(call)
    except AiobsError as refusal:
        return refusal
    return None
