"""What a call costs stays what it was: counted, not timed, against the counts in ``benchmarks/counts.json``."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
KEPT: dict[str, Any] = json.loads((BENCHMARKS / "counts.json").read_text("utf-8"))
TOLERANCE = 0.10
SMALL = 10  # instructions that are no matter, however few there were


def counting() -> ModuleType:
    """``benchmarks/count.py``, which is a script and in no package."""
    specification = importlib.util.spec_from_file_location("aiobs_count", BENCHMARKS / "count.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def differences(found: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """Scenarios that cost more than they did, or so much less that the guard would be loose; and those that are gone."""
    told = [f"{name}: not measured any more" for name in kept if name not in found]
    for name, counts in found.items():
        for unit, now in counts.items():
            before = kept.get(name, {}).get(unit, 0)
            room = max(SMALL, TOLERANCE * before)
            if now > before + room:
                told.append(f"{name}: {now} {unit}, it took {before}")
            elif now < before - room:
                told.append(f"{name}: only {now} {unit} instead of {before}; keep that: benchmarks/count.py --write")
    return told


COUNTING = counting()


@pytest.mark.skipif(COUNTING.versions() != KEPT["versions"], reason=f"the counts are those of {KEPT['versions']}")
@pytest.mark.timeout(300)
def test_a_call_costs_what_it_did() -> None:
    """S1-84: no scenario, `@observe` among them, takes a tenth more than its kept count."""
    found = COUNTING.counts("aiobs", "start", "lines")
    assert not (told := differences(found, KEPT["counts"])), "\n".join(told)


def test_the_docs_have_the_kept_counts() -> None:
    """The table of docs/performance.md is that of counts.json."""
    assert COUNTING.PAGE.read_text("utf-8") == COUNTING.in_the_page(KEPT), "call benchmarks/count.py --write"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"chat": {"instructions": 1000}}, []),
        ({"chat": {"instructions": 1099}}, []),
        ({"chat": {"instructions": 1101}}, ["chat: 1101 instructions, it took 1000"]),
        (
            {"chat": {"instructions": 899}},
            ["chat: only 899 instructions instead of 1000; keep that: benchmarks/count.py --write"],
        ),
        ({}, ["chat: not measured any more"]),
        ({"chat": {"instructions": 1000}, "new": {"instructions": 11}}, ["new: 11 instructions, it took 0"]),
    ],
)
def test_the_guard_tells(now: dict[str, Any], told: list[str]) -> None:
    """A tenth more, a tenth less, a scenario that is gone, one that nobody has counted before."""
    assert differences(now, {"chat": {"instructions": 1000}}) == told


def test_work_that_is_added_is_counted() -> None:
    """Two hundred additions more are seen."""

    def call(rounds: int) -> None:
        for number in range(rounds):
            number + number

    few, many = COUNTING.counted(lambda: call(100)), COUNTING.counted(lambda: call(300))
    assert many.beyond(few)["instructions"] >= 400
    assert COUNTING.counted(lambda: call(100)) == few
