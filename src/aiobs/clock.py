"""The clocks of recordings: whole nanoseconds, whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns, time_ns

from aiobs.guard import guarded


def wall_ns() -> int:
    """Nanoseconds since the epoch; 0 from a clock that is broken."""
    return _whole(time_ns)


def monotonic_ns() -> int:
    """Nanoseconds of the monotonic clock; 0 from one that is broken."""
    return _whole(perf_counter_ns)


def _whole(clock: Callable[[], int]) -> int:
    now = guarded(clock)
    return now if type(now) is int else 0
