"""A bench to compare programs on."""

from __future__ import annotations

import pytest

from aiobs.testing import InMemoryTelemetry, Simulator
from tests.contract.conftest import no_certificates
from tests.differential.engine import Bench

__all__ = ["no_certificates"]


@pytest.fixture
def bench(simulator: Simulator, signals: InMemoryTelemetry, capfd: pytest.CaptureFixture[str]) -> Bench:
    """Compares on a simulator of its own."""
    return Bench(simulator, signals, capfd.readouterr)
