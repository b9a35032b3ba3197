"""The clocks of recordings: whole nanoseconds, whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns, time_ns

from aiobs.guard import guarded


def wall_ns() -> int:
    """Nanoseconds since the epoch; 0 from a clock that is broken."""
    try:
        now = time_ns()
        if type(now) is int:
            return now
    except Exception:  # told below, where the guard is
        pass
    return _broken(time_ns)


def monotonic_ns() -> int:
    """Nanoseconds of the monotonic clock; 0 from one that is broken."""
    try:
        now = perf_counter_ns()
        if type(now) is int:
            return now
    except Exception:  # told below, where the guard is
        pass
    return _broken(perf_counter_ns)


def _broken(clock: Callable[[], object]) -> int:
    guarded(_refuse, clock)
    return 0


def _refuse(clock: Callable[[], object]) -> None:
    raise TypeError(f"the clock gave a {type(clock()).__name__}")
