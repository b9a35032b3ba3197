"""The laboratory: one process per worker, in which everything is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Order = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def order() -> Iterator[Order]:
    """``order(kind=…, calls=…)`` and ``order(scene=…)``, as ``measure`` takes them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIOBS_", "OTEL_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.memory.measure"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**environment, "PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    to, back = process.stdin, process.stdout

    def given(**what: Any) -> dict[str, Any]:
        to.write(json.dumps(what) + "\n")
        to.flush()
        found: dict[str, Any] = json.loads(back.readline())
        assert "error" not in found, found["error"]
        return found

    with process:
        yield given
        to.close()
