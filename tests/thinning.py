"""Which of the cases that come from crossing operations with programs run, so that a full run takes minutes.

The operations that most programs call (``CORE``) go through everything. Of each other one a part of the crossed cases
runs, always the same: they share the mechanism, and each has tests of its own. ``AIOBS_EVERY_CASE=1`` runs them all, and
``make soak`` does. ``AIOBS_OPERATIONS=core`` leaves the others out of the crossed suites, as the matrix does.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable

import pytest

from tests.contract.drivers import OPERATIONS

CORE = frozenset(
    {
        "openai-chat",
        "openai-responses",
        "openai-embeddings",
        "gemini",
        "vertex",
        "gemini-embeddings",
        "vertex-embeddings",
    }
)
ONE_IN = {"tests/chaos/": 1, "tests/contract/": 1, "tests/differential/": 5, "tests/memory/": 5, "tests/needles/": 5}
"""Of so many crossed cases of an operation one runs, by suite."""

_OTHERS = tuple(operation.name for operation in OPERATIONS if operation.name not in CORE)


def is_due(item: pytest.Item) -> bool:
    """The case runs."""
    place = item.nodeid
    share = next((share for suite, share in ONE_IN.items() if place.startswith(suite)), None)
    if share is None or os.environ.get("AIOBS_EVERY_CASE") or not any(name in item.name for name in _OTHERS):
        return True
    return _CORE_ONLY is False and zlib.crc32(place.encode()) % share == 0


_CORE_ONLY = os.environ.get("AIOBS_OPERATIONS") == "core"


def due(items: Iterable[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Those that run, and those that do not."""
    run: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (run if is_due(item) else left).append(item)
    return run, left
