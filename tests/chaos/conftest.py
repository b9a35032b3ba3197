"""One house for all trials of a process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from aiobs.testing import Simulator
from tests.chaos.situations import House
from tests.chaos.trial import Trials


@pytest.fixture(scope="session")
def trials() -> Iterator[Trials]:
    """The provider, clients and event loop that every trial uses."""
    with Simulator() as simulator:
        house = House(simulator)
        yield Trials(house)
        gc.unfreeze()
        house.close()
