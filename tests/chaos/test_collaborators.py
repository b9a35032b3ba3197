"""Everything that aiobs works with breaks, one at a time and in pairs: the program never notices.

What holds in each trial is in ``trial.py``. ``AIOBS_CHAOS_PAIRS=1`` tries every pair, on every operation.
"""

from __future__ import annotations

import itertools
import os
import random

import pytest

from tests.chaos.breakages import SINGLES, Breakage
from tests.chaos.situations import SITUATIONS, Situation
from tests.chaos.trial import Trials

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("steps that fail are missing from the signals"),
]

FEW = 12
"""Situations of a trial that is not the first of its collaborator."""

PAIRS = 80


def some(seed: str) -> list[Situation]:
    """Some of the situations, always the same for the same seed."""
    chosen = random.Random(seed).sample(range(len(SITUATIONS)), FEW)
    return [SITUATIONS[position] for position in sorted(chosen)]


def pairs() -> list[tuple[Breakage, Breakage]]:
    """Pairs of breakages of two collaborators: a sample, always the same, or all."""
    every = [pair for pair in itertools.combinations(SINGLES, 2) if pair[0].of is not pair[1].of]
    return every if os.environ.get("AIOBS_CHAOS_PAIRS") else random.Random("pairs").sample(every, PAIRS)


def test_nothing_is_broken(trials: Trials) -> None:
    """The control: each situation alone is recorded, and all of them after each other are too."""
    silent = [situation.name for situation in SITUATIONS if not trials.alone(situation)[1]["spans"]]
    assert silent == []
    assert trials.problems(SITUATIONS) == []


@pytest.mark.parametrize("breakage", SINGLES, ids=str)
def test_one_is_broken(trials: Trials, breakage: Breakage) -> None:
    """101: the program sees what it sees without aiobs; what is not broken is recorded; nothing is said twice.

    breaks-apps #22, #101, #102, #104
    """
    is_first = breakage.mode == breakage.of.modes[0]
    assert trials.problems(SITUATIONS if is_first else some(str(breakage)), breakage) == []
    assert trials.hits[breakage.of.name] or not breakage.of.is_called or not is_first


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: f"{pair[0]}+{pair[1]}")
def test_two_are_broken(trials: Trials, pair: tuple[Breakage, Breakage]) -> None:
    """The same with two that are broken at once."""
    assert trials.problems(some(f"{pair[0]}+{pair[1]}"), *pair) == []
