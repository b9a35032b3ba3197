"""Everything that aiobs works with breaks, one at a time and in pairs: the program never notices.

What holds in each trial is in ``trial.py``. ``AIOBS_CHAOS_PAIRS=1`` tries every pair, on every operation.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence

import pytest

from tests.chaos.breakages import OF_CALLS, OF_CONNECTIONS, Breakage
from tests.chaos.situations import CONNECTIONS, OTHERS, SITUATIONS, Situation, situations_of
from tests.chaos.trial import Trials
from tests.contract.drivers import Operation
from tests.versions import needs

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
    every = [pair for pair in itertools.combinations(OF_CALLS, 2) if pair[0].of is not pair[1].of]
    return every if os.environ.get("AIOBS_CHAOS_PAIRS") else random.Random("pairs").sample(every, PAIRS)


def dealt(breakages: Sequence[Breakage], position: int, places: int) -> Sequence[Breakage]:
    """What is tried in one of so many places: each breakage is in one of them, or all are in each."""
    return breakages if os.environ.get("AIOBS_EVERY_CASE") else breakages[position % places :: places]


def test_nothing_is_broken(trials: Trials) -> None:
    """The control: each situation alone is recorded, and all of them after each other are too."""
    silent = [situation.name for situation in SITUATIONS if not trials.alone(situation)[1]["spans"]]
    assert silent == []
    assert trials.problems(SITUATIONS) == []


@pytest.mark.parametrize("breakage", OF_CALLS, ids=str)
def test_one_is_broken(trials: Trials, breakage: Breakage) -> None:
    """101: the program sees what it sees without aiobs; what is not broken is recorded; nothing is said twice.

    breaks-apps #22, #101, #102, #104
    """
    is_first = breakage.mode == breakage.of.modes[0]
    assert trials.problems(SITUATIONS if is_first else some(str(breakage)), breakage) == []
    assert trials.hits[breakage.of.name] or not breakage.of.is_called or not is_first


@pytest.mark.parametrize("operation", [pytest.param(one, id=one.name, marks=needs(*one.features)) for one in OTHERS])
def test_one_is_broken_under_any_operation(trials: Trials, operation: Operation) -> None:
    """The same of the operations that are driven as those are: each in all its situations, with its share of it."""
    situations = situations_of(operation)
    silent = [situation.name for situation in situations if not trials.alone(situation)[1]["spans"]]
    assert silent == []
    share = dealt(OF_CALLS, OTHERS.index(operation), len(OTHERS))
    assert {str(one): problems for one in share if (problems := trials.problems(situations, one))} == {}


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(one, id=one.name, marks=needs("openai responses over a socket", "gemini live"))
        for one in CONNECTIONS
    ],
)
def test_one_is_broken_in_a_connection(trials: Trials, situation: Situation) -> None:
    """The same of connections that stay open, and of what only these work with, which breaks in a third of them."""
    position = CONNECTIONS.index(situation)
    share = (*dealt(OF_CALLS, position, len(CONNECTIONS)), *dealt(OF_CONNECTIONS, position, 3))
    assert {str(one): problems for one in share if (problems := trials.problems([situation], one))} == {}


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: f"{pair[0]}+{pair[1]}")
def test_two_are_broken(trials: Trials, pair: tuple[Breakage, Breakage]) -> None:
    """The same with two that are broken at once."""
    assert trials.problems(some(f"{pair[0]}+{pair[1]}"), *pair) == []
