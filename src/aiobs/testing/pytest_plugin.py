"""Fixtures for tests of LLM programs; loaded by pytest by itself, and light: nothing is imported before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aiobs.testing import InMemoryTelemetry, Simulator


@pytest.fixture
def aiobs_simulator() -> Iterator[Simulator]:
    """A running provider simulator."""
    from aiobs.testing import Simulator

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def aiobs_telemetry() -> Iterator[InMemoryTelemetry]:
    """OpenTelemetry providers that keep everything in memory; none is set global."""
    from aiobs.testing import InMemoryTelemetry

    with InMemoryTelemetry() as telemetry:
        yield telemetry
