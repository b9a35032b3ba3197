"""The package as users meet it: light to import, fixtures that are there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from aiobs import testing
from aiobs.testing import InMemoryTelemetry, Simulator


def test_the_plugin_is_light() -> None:
    """pytest loads it in every run: it imports no SDK of a provider or of OpenTelemetry, and starts nothing."""
    program = (
        "import sys, threading, aiobs.testing.pytest_plugin;"
        "heavy = ('openai', 'google', 'opentelemetry', 'http.server', 'aiobs.runtime', 'aiobs.testing.simulator');"
        "print([name for name in heavy if name in sys.modules], threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[] 1\n"


def test_a_simulator_without_a_client_imports_no_sdk() -> None:
    """Who talks to it with something else needs no provider's SDK."""
    program = "import sys, aiobs.testing as t; t.Simulator().start().close(); print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False\n"


def test_the_entry_point() -> None:
    """The plugin is registered with pytest."""
    (plugin,) = [point for point in entry_points(group="pytest11") if point.name == "aiobs"]
    assert plugin.value == "aiobs.testing.pytest_plugin"


def test_the_fixtures(aiobs_simulator: Simulator, aiobs_telemetry: InMemoryTelemetry) -> None:
    """A running simulator, and telemetry that is empty."""
    answer = aiobs_simulator.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert "Hi" in answer.choices[0].message.content
    assert aiobs_telemetry.spans == ()


def test_the_table_of_contents() -> None:
    """Every public name is there, from the module that is said to have it, and no other."""
    assert sorted(testing.__all__) == testing.__all__ == sorted(testing._HOMES)
    for name, home in testing._HOMES.items():
        assert getattr(testing, name) is getattr(importlib.import_module(home), name)
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match=r"module 'aiobs\.testing' has no attribute 'Nonsense'"):
        _ = testing.Nonsense
