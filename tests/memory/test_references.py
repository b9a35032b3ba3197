"""We hold nothing of the program's: what it lets go of dies when it would have died without us."""

from __future__ import annotations

import pytest

from tests.memory.conftest import Order
from tests.memory.references import SCENES, is_left_open

CHOSEN = [name for name in SCENES if not name.startswith("vertex")]


@pytest.mark.parametrize("scene", CHOSEN)
def test_objects_die_as_without_us(order: Order, scene: str) -> None:
    """With the cycle collector off, answers, streams, responses, prompts, errors, tasks and clients go as they did."""
    ours, bare = order(scene=scene), order(scene=scene, bare=True)
    if is_left_open(scene):
        assert ours.keys() == bare.keys()
        ours |= {name: lives for name, lives in bare.items() if name.startswith(("prompt", "message"))}
    assert ours == bare
