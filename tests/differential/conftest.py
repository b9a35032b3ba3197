"""A bench to compare programs on."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from aiobs.testing import InMemoryTelemetry, Simulator
from tests.contract.conftest import no_certificates
from tests.differential.engine import Bench

__all__ = ["no_certificates"]


@pytest.fixture
def bench(simulator: Simulator, signals: InMemoryTelemetry, capfd: pytest.CaptureFixture[str]) -> Bench:
    """Compares on a simulator of its own."""
    return Bench(simulator, signals, capfd.readouterr)


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> Iterator[None]:
    """Programs that run the collector find what is theirs, and find it quickly."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
