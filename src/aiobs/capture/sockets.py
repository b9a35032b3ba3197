"""Connections that stay open: a span for the session, and one for each response in it.

The SDK's own connection goes to the program. What it sends and receives passes through ``send`` and ``receive``, which
ask the socket's readers what each event tells. What hangs on a connection is let go of with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.context import attach, detach

from aiobs.call import Callsite
from aiobs.capture import deferred
from aiobs.capture.callsite import find_callsite
from aiobs.capture.connections import Args, SocketTap, recorded
from aiobs.capture.drivers import admit
from aiobs.capture.provider import Provider, Socket
from aiobs.capture.telemetry import current
from aiobs.capture.turns import Dial, Kwargs
from aiobs.guard import guarded, typed

_dials: WeakKeyDictionary[Any, Dial] = WeakKeyDictionary()
"""Managers that have not been entered."""

_held: WeakKeyDictionary[Any, Grip] = WeakKeyDictionary()
"""Connections that are recorded."""


class Grip:
    """What a connection holds of its tap: let go of with the connection, inside any call, it only leaves word."""

    __slots__ = ("tap",)

    def __init__(self, tap: SocketTap) -> None:
        self.tap = tap

    def __del__(self) -> None:
        if self.tap.recording.is_open:
            deferred.dropped.put(self.tap.abandon)


def connect(
    provider: Provider, socket: Socket, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """Make the manager of a connection; it is dialled when that is entered."""
    manager = wrapped(*args, **kwargs)
    if not current().is_idle:
        guarded(_note, provider, socket, instance, args, kwargs, manager)
    return manager


def _note(provider: Provider, socket: Socket, instance: Any, args: Args, kwargs: Kwargs, manager: Any) -> Dial:
    site = typed(Callsite, find_callsite, 2, provider.own_packages)
    dial = Dial(provider, socket, instance, socket.session.named(args, kwargs), site)
    _dials[manager] = dial
    return dial


def connect_lazily(
    provider: Provider, socket: Socket, wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs
) -> Any:
    """Make the SDK's context manager, which dials when it is entered: the generator in it is recorded."""
    manager = wrapped(*args, **kwargs)
    if not current().is_idle:
        dial = guarded(_note, provider, socket, instance, args, kwargs, manager)
        if dial is not None:
            guarded(_go_around, manager, dial)
    return manager


def _go_around(manager: Any, dial: Dial) -> None:
    manager.gen = Dialled(dial, manager.gen)


class Dialled:
    """The generator of a context manager that dials: the session lasts from its first step to its last."""

    def __init__(self, dial: Dial, inner: Any) -> None:
        self._dial: Dial | None = dial
        self._inner = inner
        self._grip: Grip | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __aiter__(self) -> Dialled:
        return self

    async def __anext__(self) -> Any:
        if self._dial is None:
            return await self._last(self._inner.__anext__())
        dial, self._dial = self._dial, None
        tap = None if current().is_idle else guarded(recorded, dial)
        if tap is None:
            return await self._inner.__anext__()
        token = guarded(attach, tap.recording.context)
        try:
            admit(tap.recording, {})
            connection = await self._inner.__anext__()
        except BaseException as error:
            guarded(tap.fail, error)
            raise
        finally:
            _leave(token)
        self._grip = guarded(_hold, connection, tap)
        return connection

    async def athrow(self, *error: Any) -> Any:
        """An exception of the program's goes into the generator, which closes the connection."""
        return await self._last(self._inner.athrow(*error))

    async def aclose(self) -> Any:
        """The generator is closed."""
        return await self._last(self._inner.aclose())

    async def _last(self, step: Any) -> Any:
        grip = self._grip
        if grip is None:
            return await step
        grip.tap.closing, because = True, sys.exception()
        try:
            return await step
        finally:
            guarded(grip.tap.closed, because)


def _hold(connection: Any, tap: SocketTap) -> Grip:
    grip = _held[connection] = Grip(tap)
    guarded(tap.dial.socket.session.fold_chunk, tap.response, connection)
    return grip


def _dial_of(manager: Any) -> Dial | None:
    return None if current().is_idle else _dials.get(manager)


def _tap_of(connection: Any) -> SocketTap | None:
    grip = _held.get(connection)
    return grip.tap if grip is not None else None


def _begun(manager: Any) -> SocketTap | None:
    dial = guarded(_dial_of, manager)
    return guarded(recorded, dial) if dial is not None else None


def _enter(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = _begun(instance)
    if tap is None:
        return wrapped(*args, **kwargs)
    token = guarded(attach, tap.recording.context)
    try:
        admit(tap.recording, {})
        connection = wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(tap.fail, error)
        raise
    finally:
        _leave(token)
    guarded(_hold, connection, tap)
    return connection


async def _enter_async(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = _begun(instance)
    if tap is None:
        return await wrapped(*args, **kwargs)
    token = guarded(attach, tap.recording.context)
    try:
        admit(tap.recording, {})
        connection = await wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(tap.fail, error)
        raise
    finally:
        _leave(token)
    guarded(_hold, connection, tap)
    return connection


def _leave(token: Any) -> None:
    if token is not None:
        guarded(detach, token)


def _receive(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = guarded(_tap_of, instance)
    if tap is None:
        return wrapped(*args, **kwargs)
    try:
        event = wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(tap.refused, error)
        raise
    guarded(tap.received, event)
    return event


async def _receive_async(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = guarded(_tap_of, instance)
    if tap is None:
        return await wrapped(*args, **kwargs)
    try:
        event = await wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(tap.refused, error)
        raise
    guarded(tap.received, event)
    return event


def _send(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = guarded(_tap_of, instance)
    if tap is None:
        return wrapped(*args, **kwargs)
    turn = guarded(tap.sent, _name(wrapped), args, kwargs)
    try:
        if turn is not None:
            admit(turn.recording, {})
        return wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(tap.unsent, turn, error)
        raise


async def _send_async(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = guarded(_tap_of, instance)
    if tap is None:
        return await wrapped(*args, **kwargs)
    turn = guarded(tap.sent, _name(wrapped), args, kwargs)
    try:
        if turn is not None:
            admit(turn.recording, {})
        return await wrapped(*args, **kwargs)
    except BaseException as error:
        guarded(tap.unsent, turn, error)
        raise


def _name(method: Callable[..., Any]) -> str:
    return getattr(method, "__name__", "")


def _close(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = guarded(_tap_of, instance)
    if tap is None:
        return wrapped(*args, **kwargs)
    tap.closing, because = True, sys.exception()
    try:
        return wrapped(*args, **kwargs)
    finally:
        guarded(tap.closed, because)


async def _close_async(wrapped: Callable[..., Any], instance: Any, args: Args, kwargs: Kwargs) -> Any:
    tap = guarded(_tap_of, instance)
    if tap is None:
        return await wrapped(*args, **kwargs)
    tap.closing, because = True, sys.exception()
    try:
        return await wrapped(*args, **kwargs)
    finally:
        guarded(tap.closed, because)


enter = (_enter, _enter_async)
receive = (_receive, _receive_async)
send = (_send, _send_async)
close = (_close, _close_async)
"""Sync and async, told apart by ``Method.is_async``."""
