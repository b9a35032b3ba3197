"""Connections that stay open: a span for the session, and one for each response in it.

The SDK's own connection goes to the program. What it sends and receives passes through ``send`` and ``receive``, which
ask the socket's readers what each event tells. The session's span is never current in the program's code; its responses
are its children. What hangs on a connection is let go of with it, and nothing here takes a lock: one thread may send
while another receives, and lists and dicts change in single steps.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach

from aiobs.call import Callsite, Request, Response
from aiobs.capture import deferred
from aiobs.capture.callsite import find_callsite
from aiobs.capture.drivers import admit
from aiobs.capture.inputs import Inputs
from aiobs.capture.provider import NOTHING, Ending, Operation, Provider, Sign, Socket, Step
from aiobs.capture.recording import Recording, start
from aiobs.capture.streams import Tap
from aiobs.capture.telemetry import current
from aiobs.clock import monotonic_ns
from aiobs.errors import AiobsError
from aiobs.guard import guarded, typed

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_OLDEST = 64
"""Responses that were asked for and not begun; a server that never answers keeps no more of them alive."""


class Dial(NamedTuple):
    """A connection that the program asked for, not dialled yet; ``instance`` is the resource whose method it called."""

    provider: Provider
    socket: Socket
    instance: Any
    kwargs: Kwargs
    callsite: Callsite | None

    def begin(self) -> SocketTap | None:
        """Begin to record the session, or None when nothing would be recorded."""
        deferred.drain_if_any()
        given = {**self.kwargs, "settings": {}}
        recording = guarded(start, self.provider, self.socket.session, self.instance, (), given, self.callsite)
        if recording is None:
            return None
        tap = guarded(SocketTap, self, recording)
        if tap is None:
            guarded(recording.finish_unread)
        return tap


_dials: WeakKeyDictionary[Any, Dial] = WeakKeyDictionary()
"""Managers that have not been entered."""

_held: WeakKeyDictionary[Any, Grip] = WeakKeyDictionary()
"""Connections that are recorded."""


_counting: WeakValueDictionary[tuple[str, str], SocketTap] = WeakValueDictionary()
"""Session (its provider and id) → the connection that counts it; a further one repeats what that has been told."""


class Grip:
    """What a connection holds of its tap: let go of with the connection, inside any call, it only leaves word."""

    __slots__ = ("tap",)

    def __init__(self, tap: SocketTap) -> None:
        self.tap = tap

    def __del__(self) -> None:
        if self.tap.recording.is_open:
            deferred.dropped.put(self.tap.abandon)


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


class SocketTap:
    """Stays with one connection until it is closed."""

    def __init__(self, dial: Dial, recording: Recording) -> None:
        self.dial = dial
        self.recording = recording
        self.last_at = monotonic_ns()
        self.closing = False
        self.broken = False
        self._loop = _running_loop()
        self._begin(recording)

    def _begin(self, recording: Recording) -> None:
        self.recording = recording
        self.wants_content = recording.wants_content
        self.response = Response(wants_content=recording.wants_content)
        self.settings: dict[str, Any] = typed(dict, self.dial.socket.initial, self.dial.kwargs) or {}
        self.inputs = Inputs()
        self.asked: deque[Turn] = deque(maxlen=_OLDEST)
        self.open: dict[str | None, Turn] = {}
        self._last_inputs = self.inputs
        self.has_spoken = False
        self.repeats = bool(guarded(self._joins))
        guarded(deferred.opened, self)

    def _joins(self) -> bool:
        """The session is one that another connection counts; if none does, this one will."""
        find = self.dial.socket.attached_to
        session = find(self.dial.kwargs) if find is not None else None
        return session is not None and not self._counts(session)

    def _counts(self, session: str) -> bool:
        known = _counting.get(key := (self.dial.provider.name, session))
        if known is not None and known is not self and known.recording.is_open:
            return False
        _counting[key] = self
        return True

    @property
    def context(self) -> Context:
        """Where the responses' spans start: below the session's."""
        return trace.set_span_in_context(self.recording.span, self.recording.parent)

    @property
    def is_stranded(self) -> bool:
        """The event loop that the connection lives in is closed."""
        return self._loop is not None and self._loop.is_closed()

    # What goes out

    def sent(self, name: str, args: Args, kwargs: Kwargs) -> Turn | None:
        """The program sends something; the response that it asks for by that."""
        if not self.recording.is_open:
            return None
        sign = self.dial.socket.read_sent(name, args, kwargs, self.wants_content)
        if sign is NOTHING:
            return None
        is_more = sign.asked is None and bool(self.open)
        self._take_input(sign, self._last_inputs if is_more else self.inputs)
        if sign.step is not Step.ASKED or is_more or self.repeats:
            return None
        self._settle_troubled()
        turn = self._new_turn(sign.asked, sign.key)
        if turn is not None:
            self.asked.append(turn)
        return turn

    def unsent(self, turn: Turn | None, error: BaseException) -> None:
        """Something did not go out, and with it the response that it would have asked for."""
        if turn is not None:
            with suppress(ValueError):
                self.asked.remove(turn)
            guarded(turn.failed, error)
        self.refused(error)

    def _take_input(self, sign: Sign, inputs: Inputs) -> None:
        if sign.settings is not None:
            self.settings.update((key, value) for key, value in sign.settings.items() if value is not None)
        if not self.wants_content:
            return
        for message in sign.messages:
            inputs.add(message)
        if sign.sound is not None:
            inputs.hear(*sign.sound)
        if sign.clears:
            inputs.clear()
        if sign.transcript is not None:
            last = self._last_inputs
            is_late = last.has(sign.item) if sign.item is not None else bool(self.open)
            (last if is_late else inputs).transcribe(sign.item, sign.transcript)
        elif sign.item is not None:
            inputs.commit(sign.item)

    def _settle_troubled(self) -> None:
        """The error that came after a response was asked for was about it: another one is asked for now."""
        while self.asked and self.asked[0].trouble is not None:
            turn = self.asked.popleft()
            turn.close(None)

    # What comes in

    def received(self, event: Any) -> None:
        """The program got an event."""
        if not self.recording.is_open and not self._revived():
            return
        self.last_at = monotonic_ns()
        sign = self.dial.socket.read_received(event, self.wants_content)
        if sign is NOTHING:
            return
        self._take_input(sign, self.inputs)
        if sign.step is Step.SESSION or (sign.step is not None and not self.repeats):
            self._STEPS[sign.step](self, sign, event if sign.chunk is None else sign.chunk)

    def _revived(self) -> bool:
        """The SDK has dialled again by itself: that is a session of its own."""
        if not self.broken or self.closing:
            return False
        dial = self.dial
        given = {**dial.kwargs, "settings": {}}
        recording = guarded(start, dial.provider, dial.socket.session, dial.instance, (), given, dial.callsite)
        if recording is None:
            return False
        self.broken = False
        self._begin(recording)
        return True

    def _on_session(self, sign: Sign, event: Any) -> None:
        guarded(self.dial.socket.session.fold_chunk, self.response, event)
        if self.response.id is not None and self.dial.socket.attached_to is None:
            self._counts(self.response.id)

    def _created(self, sign: Sign, event: Any) -> None:
        if (turn := self._turn(sign)) is not None:
            guarded(turn.fold, event)

    def _speaks(self, sign: Sign, event: Any) -> None:
        if (turn := self._turn(sign)) is not None:
            turn.take(event)

    def _goes_on(self, sign: Sign, event: Any) -> None:
        if (turn := self.open.get(sign.key)) is not None:
            turn.take(event)

    def _ends(self, sign: Sign, event: Any) -> None:
        if (turn := self.open.pop(sign.key, None)) is None:
            return
        guarded(turn.fold, event)
        if self.response.conversation is not None:
            self.response.conversation = turn.response.conversation or self.response.conversation
        if turn.is_cut or sign.step is Step.BREAKS_OFF:
            turn.interrupted()
        else:
            turn.exhausted()

    def _interrupted(self, sign: Sign, event: Any) -> None:
        if (turn := self.open.get(sign.key)) is not None:
            turn.is_cut = True
            turn.take(event)

    def _fails(self, sign: Sign, event: Any) -> None:
        turn = self.open.pop(sign.key, None) or self._claimed(sign.key)
        if turn is not None:
            turn.conclude(event, monotonic_ns())

    def _trouble(self, sign: Sign, event: Any) -> None:
        turn = next((turn for turn in self.asked if turn.key is not None and turn.key == sign.key), None)
        if turn is not None:
            self.asked.remove(turn)
            turn.conclude(event, monotonic_ns())
        elif sign.key is None and self.asked:
            self.asked[-1].trouble = event, monotonic_ns()

    def _whole(self, sign: Sign, answer: Any) -> None:
        """How long it took nobody has told: it has come, at once."""
        operation = self.dial.socket.whole
        recording = self._start(operation, self._given(sign.asked, Inputs())) if operation is not None else None
        if recording is not None:
            guarded(_look_at, recording)
            recording.call.is_past = True
            recording.finish(answer)

    _STEPS: ClassVar[Mapping[Step, Callable[[SocketTap, Sign, Any], None]]] = {
        Step.SESSION: _on_session,
        Step.CREATED: _created,
        Step.SPEAKS: _speaks,
        Step.GOES_ON: _goes_on,
        Step.ENDS: _ends,
        Step.INTERRUPTED: _interrupted,
        Step.BREAKS_OFF: _ends,
        Step.FAILS: _fails,
        Step.WHOLE: _whole,
        Step.TROUBLE: _trouble,
    }

    def _turn(self, sign: Sign) -> Turn | None:
        """The response of that name: the open one, the one that was asked for, or one that nobody asked for."""
        key = sign.key
        turn = self.open.get(key)
        if turn is None:
            turn = self._claimed(key)
            if turn is None and (turn := self._new_turn(sign.asked, key)) is not None:
                guarded(_look_at, turn.recording)
            if turn is not None:
                self.open[key] = turn
        return turn

    def _claimed(self, key: str | None) -> Turn | None:
        """The response that was asked for by that name, else the one that was asked for first."""
        turn = next((turn for turn in self.asked if turn.key == key), self.asked[0] if self.asked else None)
        if turn is not None:
            self.asked.remove(turn)
            turn.trouble = None
            guarded(turn.update, self.settings, self.response.model)
        return turn

    def _new_turn(self, asked: Any, key: str | None) -> Turn | None:
        inputs = self._last_inputs = self.inputs
        self.inputs = Inputs()
        given = self._given(asked, inputs)
        recording = self._start(self.dial.socket.response, given)
        if recording is None:
            return None
        self.has_spoken = True
        turn = guarded(Turn, recording, key, given, self._loop)
        if turn is None:
            guarded(recording.finish_unread)
            return None
        turn.response.model = self.response.model
        return turn

    def _given(self, asked: Any, inputs: Inputs) -> Kwargs:
        """What the readers of a response get."""
        dial, settings = self.dial, dict(self.settings)
        named = asked.get("model") if isinstance(asked, dict) else None
        return {
            **dial.kwargs,
            "model": named or _words(dial.kwargs.get("model")) or settings.get("model"),
            "asked": asked,
            "inputs": inputs,
            "settings": settings,
            "conversation": self.response.conversation,
        }

    def _start(self, operation: Operation, given: Kwargs) -> Recording | None:
        dial = self.dial
        site = typed(Callsite, find_callsite, 0, dial.provider.own_packages)
        with _attached(self.context):
            return guarded(start, dial.provider, operation, dial.instance, (), given, site)

    # How it ends

    def refused(self, error: BaseException) -> None:
        """Sending or receiving raised; most of what it can raise does not end the session."""
        if not self.recording.is_open:
            return
        ending = self.dial.socket.read_ending(error)
        if ending is Ending.BROKEN and not self.closing:
            self.broken = True
            self._end(error)
        elif ending is not None:
            self.broken = not self.closing
            self._end()

    def closed(self, because: BaseException | None) -> None:
        """The program closed the connection, while it handled this; a cancellation or Ctrl-C is no error."""
        self._end(None if isinstance(because, (Exception, GeneratorExit)) else because)

    def abandon(self) -> None:
        """Let go of without closing it, or the process ends: its end is the last event's."""
        if self.recording.is_open:
            self.recording.call.incomplete = True
            self._end(at=self.last_at)

    def fail(self, error: BaseException) -> None:
        """Dialling raised."""
        self._end(error)

    def _end(self, error: BaseException | None = None, at: int | None = None) -> None:
        recording = self.recording
        if not recording.is_open:
            return
        guarded(deferred.closed, self)
        turns = (*self.open.values(), *self.asked)
        self.open.clear()
        self.asked.clear()
        for turn in turns:
            guarded(turn.close, error)
        guarded(self._settle, recording)
        if error is None:
            recording.finish_unread(self.response, at)
        else:
            recording.fail(error)

    def _settle(self, recording: Recording) -> None:
        """What was learned of the session since it began."""
        socket, call = self.dial.socket, recording.call
        call.is_place = self.has_spoken
        call.response = self.response
        if socket.session.settle is not None:
            guarded(socket.session.settle, self.response)
        if self.repeats:
            self.response.usage = None
        given = {**self.dial.kwargs, "settings": self.settings}
        request = typed(Request, socket.session.read_request, given)
        if request is not None:
            request.model = call.request.model  # the span is named already
            call.request = request
        if recording.wants_content:
            call.request.kwargs = {**given, "inputs": self.inputs}


def _words(value: Any) -> str | None:
    """What was given, and no sentinel of the SDK's."""
    return value if isinstance(value, str) and value else None


def _look_at(recording: Recording) -> None:
    """The hooks see a response that the provider began by itself; they cannot refuse it."""
    with suppress(AiobsError):
        for hook in recording.telemetry.hooks:
            guarded(_shown, hook.before, recording)


def _shown(before: Callable[[Any], None], recording: Recording) -> None:
    with suppress(AiobsError):
        before(recording.call)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None


@contextmanager
def _attached(context: Context) -> Iterator[None]:
    token = guarded(attach, context)
    try:
        yield
    finally:
        if token is not None:
            guarded(detach, token)


# What runs in the methods' places


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
        tap = None if current().is_idle else guarded(dial.begin)
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
    return guarded(dial.begin) if dial is not None else None


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
