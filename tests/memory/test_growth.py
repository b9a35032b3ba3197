"""A program may make as many calls as it likes: nothing of ours grows with their number.

``make soak`` makes 20,000 of each (``AIOBS_MEMORY_CALLS``), on every SDK client; the numbers are in
``docs/reliability.md``.
"""

from __future__ import annotations

import os

import pytest

from tests.memory.bounds import exceeded
from tests.memory.conftest import Order
from tests.memory.kinds import KINDS

CALLS = int(os.environ.get("AIOBS_MEMORY_CALLS", "300"))
IS_SOAK = CALLS > 1000
CHOSEN = [kind for name, kind in KINDS.items() if IS_SOAK or not name.startswith("vertex")]


@pytest.mark.timeout(3600 if IS_SOAK else 300)
@pytest.mark.parametrize("kind", CHOSEN, ids=str)
def test_nothing_grows(order: Order, kind: object) -> None:
    """At most 50 bytes per call, and no descriptor, thread, task or tracked object, whatever the kind of call.

    breaks-apps #97
    """
    found = order(kind=str(kind), calls=CALLS)
    print(f"\n| {kind} | {CALLS} | {found['bytes']:.1f} | {found['descriptors']} | {found['threads']} |")
    assert not exceeded(found, CALLS), found
    assert found["spans"] >= KINDS[str(kind)].spans, "the calls were not recorded: nothing was measured"
