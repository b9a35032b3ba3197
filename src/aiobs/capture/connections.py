"""What one connection is known to be doing: its session, and the responses that are asked for and open in it.

The session's span is never current in the program's code; its responses are its children. Nothing here takes a lock:
one thread may send while another receives, and lists and dicts change in single steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from opentelemetry import trace
from opentelemetry.context import Context

from aiobs.call import Request, Response
from aiobs.capture import deferred
from aiobs.capture.inputs import Inputs
from aiobs.capture.provider import NOTHING, Ending, Sign, Step
from aiobs.capture.recording import Recording, start
from aiobs.capture.turns import Dial, Kwargs, Turn, begin, look_at
from aiobs.clock import monotonic_ns
from aiobs.guard import guarded, typed

Args = tuple[Any, ...]

_OLDEST = 64
"""Responses that were asked for and not begun; a server that never answers keeps no more of them alive."""

_counting: WeakValueDictionary[tuple[str, str], SocketTap] = WeakValueDictionary()
"""Session (its provider and id) → the connection that counts it; a further one repeats what that has been told."""


def recorded(dial: Dial) -> SocketTap | None:
    """Begin to record the session of a connection, or None when nothing would be recorded."""
    deferred.drain_if_any()
    recording = _begun(dial)
    if recording is None:
        return None
    tap = guarded(SocketTap, dial, recording)
    if tap is None:
        guarded(recording.finish_unread)
    return tap


def _begun(dial: Dial) -> Recording | None:
    given = {**dial.kwargs, "settings": {}}
    return guarded(start, dial.provider, dial.socket.session, dial.instance, (), given, dial.callsite)


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
        recording = _begun(dial)
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
        operation, given = self.dial.socket.whole, self._given(sign.asked, Inputs())
        recording = begin(self.dial, operation, given, self.context) if operation is not None else None
        if recording is not None:
            guarded(look_at, recording)
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
                guarded(look_at, turn.recording)
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
        recording = begin(self.dial, self.dial.socket.response, given, self.context)
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


def _running_loop() -> asyncio.AbstractEventLoop | None:
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None
