"""How much may be left behind."""

from __future__ import annotations

from typing import Any

BYTES = 50
"""Per call, over the calls of one measurement."""


def exceeded(found: dict[str, Any], calls: int) -> list[str]:
    """Which bounds a measurement exceeds."""
    bounds = {
        "bytes": BYTES,
        "descriptors": 0,
        "threads": 0,
        "tasks": 0,
        "objects": max(10, calls // 100),  # what the measurement itself makes, and caches that fill by chance
    }
    return [name for name, bound in bounds.items() if found[name] > bound]
