"""Responses within a connection: each is begun below its session, and watched until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from opentelemetry.context import Context, attach, detach

from aiobs.call import Callsite, Request
from aiobs.capture.callsite import find_callsite
from aiobs.capture.provider import Operation, Provider, Socket
from aiobs.capture.recording import Recording, start
from aiobs.capture.streams import Tap
from aiobs.clock import monotonic_ns
from aiobs.errors import AiobsError
from aiobs.guard import guarded, typed

Kwargs = dict[str, Any]


class Dial(NamedTuple):
    """A connection that the program asked for; ``instance`` is the resource whose method it called."""

    provider: Provider
    socket: Socket
    instance: Any
    kwargs: Kwargs
    callsite: Callsite | None


class Turn(Tap):
    """Stays with one response until it ends. ``trouble``: an error that came before it began, and when."""

    def __init__(
        self, recording: Recording, key: str | None, given: Kwargs, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.key = key
        self._given = given
        self.trouble: tuple[Any, int] | None = None
        self.is_cut = False
        super().__init__(recording)
        self._loop = loop

    def take(self, chunk: Any) -> None:
        """A piece of the response."""
        self.last_at = monotonic_ns()
        self.chunks += 1
        if self.chunks == 1:
            guarded(self.first)
        guarded(self.fold, chunk)

    def fold(self, event: Any) -> None:
        """What an event says about the response."""
        self.recording.operation.fold_chunk(self.response, event)

    def update(self, settings: Mapping[str, Any], model: str | None) -> None:
        """It begins: what was learned of the session since it was asked for holds for it too."""
        self._given["settings"].update(settings)
        call = self.recording.call
        request = typed(Request, self.recording.operation.read_request, self._given)
        if request is not None:
            request.model, request.kwargs = call.request.model, call.request.kwargs
            call.request = request
        self.response.model = self.response.model or model

    def interrupted(self) -> None:
        """The provider broke it off."""
        guarded(self._release)
        self.recording.abandon(self.response, monotonic_ns())

    def close(self, error: BaseException | None) -> None:
        """The session is over, by an error or without one."""
        if self.trouble is not None:
            self.conclude(*self.trouble)
        elif error is None:
            self.abandon()
        else:
            self.failed(error)

    def conclude(self, error: Any, at: int) -> None:
        """It failed by what the provider said."""
        guarded(self.fold, error)
        guarded(self._release)
        self.recording.exhaust(self.response, at)


def begin(dial: Dial, operation: Operation, given: Kwargs, context: Context) -> Recording | None:
    """Begin to record a response in this context, or None when nothing would be recorded."""
    site = typed(Callsite, find_callsite, 0, dial.provider.own_packages)
    with _attached(context):
        return guarded(start, dial.provider, operation, dial.instance, (), given, site)


@contextmanager
def _attached(context: Context) -> Iterator[None]:
    token = guarded(attach, context)
    try:
        yield
    finally:
        if token is not None:
            guarded(detach, token)


def look_at(recording: Recording) -> None:
    """The hooks see a response that the provider began by itself; they cannot refuse it."""
    with suppress(AiobsError):
        for hook in recording.telemetry.hooks:
            guarded(_shown, hook.before, recording)


def _shown(before: Callable[[Any], None], recording: Recording) -> None:
    with suppress(AiobsError):
        before(recording.call)
