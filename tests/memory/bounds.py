"""How much may be left behind."""

from __future__ import annotations

from typing import Any

BYTES = 50
"""Per call, over the calls of one measurement."""

ONCE = 65_536
"""What caches and the allocator may take, however many calls there are: 3 bytes per call in 20,000."""

WORKERS = 8
"""Threads that an event loop's own executor may start in the middle of a measurement, once."""

OF_A_WORKER = 32_768
"""Bytes that such a thread has for itself as long as it lives: its state, and the chunk that its frames lie in."""


def exceeded(found: dict[str, Any], calls: int) -> list[str]:
    """Which bounds a measurement exceeds."""
    bounds = {
        "bytes": BYTES + (ONCE + OF_A_WORKER * found["threads"]) / calls,
        "descriptors": 0,
        "threads": WORKERS,
        "tasks": 0,
        "objects": max(100, calls // 100),  # what the measurement makes, a worker, caches that fill by chance
    }
    return [name for name, bound in bounds.items() if found[name] > bound]
