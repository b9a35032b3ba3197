"""Recordings that ended where nothing may be locked, or that nobody will end.

A finaliser may run inside any call, also inside one that holds a lock of an exporter: it only puts its recording on a
``SimpleQueue`` (which is reentrant). The next call, ``flush()`` or the exit of the process ends it.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from aiobs.guard import guarded


class Abandonable(Protocol):
    """A tap on a stream, as this module sees it."""

    @property
    def is_stranded(self) -> bool:
        """Nobody can read on: the event loop that it needs is closed."""

    def abandon(self) -> None:
        """End the recording as incomplete, if it is still open."""


dropped: SimpleQueue[Callable[[], None]] = SimpleQueue()
"""What finalisers leave: functions that end a recording."""

_open: weakref.WeakSet[Abandonable] = weakref.WeakSet()


forks = 0
"""How often this process, and those that it is a child of, have been forked."""


def opened(tap: Abandonable) -> None:
    """Remember, weakly, a stream that is being read."""
    _open.add(tap)


def closed(tap: Abandonable) -> None:
    """Forget a stream that ended."""
    _open.discard(tap)


def drain_if_any() -> None:
    """End what finalisers left; costs next to nothing when that is nothing."""
    if not dropped.empty():
        drain()


def drain() -> None:
    """End what finalisers left."""
    while True:
        try:
            end = dropped.get_nowait()
        except Empty:
            return
        guarded(end)


def settle() -> None:
    """End every stream that nobody can read on; for ``flush()``.

    The SDK's stream and its generator hold each other, so a stream that a program let go of waits for the cycle
    collector: it runs here, and only if a stream is open.
    """
    if _open:
        gc.collect()
    drain()
    for tap in list(_open):
        if tap.is_stranded:
            guarded(tap.abandon)


def settle_all() -> None:
    """End every open stream; for the exit of the process."""
    drain()
    for tap in list(_open):
        guarded(tap.abandon)


def forget_all() -> None:
    """In a forked child: streams and calls that the parent has open are the parent's."""
    global forks
    forks += 1
    _open.clear()
    while not dropped.empty():
        dropped.get_nowait()


os.register_at_fork(after_in_child=forget_all)
