"""Leaks put in on purpose, to show that the suite would find them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

from aiobs.capture import recording, streams

_kept: list[Any] = []
_never = threading.Event()


def _after(kind: Any, method: str, then: Callable[[Any], None]) -> None:
    original = getattr(kind, method)

    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        then(self)
        return result

    _put(kind, method, both)


def _put(kind: Any, method: str, broken: Callable[..., Any]) -> None:
    setattr(kind, method, broken)


def _keep_the_span() -> None:
    _after(recording.Recording, "_end", lambda one: _kept.append(one.span))


def _keep_the_call() -> None:
    _after(recording.Recording, "_end", lambda one: _kept.append(one.call))


def _keep_the_descriptor() -> None:
    _after(recording.Recording, "_end", lambda one: _kept.append(os.dup(0)))


def _start_a_thread() -> None:
    def start(one: Any) -> None:
        threading.Thread(target=_never.wait, daemon=True).start()

    _after(recording.Recording, "_end", start)


def _start_a_task() -> None:
    def start(one: Any) -> None:
        _kept.append(asyncio.ensure_future(asyncio.Event().wait()))

    _after(recording.Recording, "_end", start)


def _leave_the_shadow() -> None:
    _put(streams.Tap, "_unshadow", lambda tap: None)


def _leave_the_shadow_to_the_collector() -> None:
    _put(streams.Tapped, "__del__", lambda chunks: None)


def _stream_and_tap_hold_each_other() -> None:
    original = streams.StreamTap.attach

    def attach(tap: Any, stream: Any) -> None:
        tap.stream = stream
        original(tap, stream)

    _put(streams.StreamTap, "attach", attach)


def _the_recording_keeps_the_error() -> None:
    original = recording.Recording.fail

    def fail(one: Any, error: BaseException, *args: Any) -> None:
        one.call.attributes["error"] = error
        original(one, error, *args)

    _put(recording.Recording, "fail", fail)


BREAKAGES: dict[str, Callable[[], None]] = {
    "span-kept": _keep_the_span,
    "call-kept": _keep_the_call,
    "descriptor-kept": _keep_the_descriptor,
    "thread-per-call": _start_a_thread,
    "task-per-call": _start_a_task,
    "shadow-left": _leave_the_shadow,
    "shadow-waits": _leave_the_shadow_to_the_collector,
    "stream-tap-cycle": _stream_and_tap_hold_each_other,
    "error-kept": _the_recording_keeps_the_error,
}
