"""Answers that went wrong at a random place: the program never notices aiobs, and there is one span of every request.

``AIOBS_CORPUS_CASES`` (cases of a shard) and ``AIOBS_CORPUS_SEED`` make a run longer, or another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry
from tests.conformance.witness import Witness
from tests.corpus.fuzzing import Report, compare, replayable
from tests.corpus.mutations import Mutant, mutant, seeded

SHARDS = 8
CASES = int(os.environ.get("AIOBS_CORPUS_CASES", "2600"))
SEED = int(os.environ.get("AIOBS_CORPUS_SEED", "20261121"))

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("a mutated answer has counts and words that no registry knows"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def instrument(telemetry: InMemoryTelemetry, *, with_file: bool) -> None:
    """Every output on: content on spans and events, metrics, and in some runs the session file."""
    Instrumentor(**telemetry.providers, capture_content="span_and_event").instrument()
    if with_file:
        observer.observe(tracer_provider=telemetry.tracer_provider)


@pytest.mark.timeout(max(180, CASES // 20))
@pytest.mark.parametrize("shard", range(SHARDS))
def test_mutated_answers(
    shard: int, signals: InMemoryTelemetry, conforming: Witness, record_property: pytest.RecordProperty
) -> None:
    """Values, chunks, exceptions and requests are those of a program without aiobs; spans can be exported."""

    def cases() -> Iterator[Mutant]:
        for number in range(shard * CASES, (shard + 1) * CASES):
            conforming.spans.clear()
            conforming.logs.clear()
            yield seeded(replayable(), SEED, number)

    report = compare(cases, signals, lambda: instrument(signals, with_file=shard % 2 == 1))
    tell(report, record_property)
    assert report.cases == CASES
    assert not report.problems, str(report)


def tell(report: Report, record_property: pytest.RecordProperty) -> None:
    """What the guard swallowed goes to stdout (``-rP``) and into the JUnit file: each is a reader's mistake."""
    print(report)
    for cause, count in report.swallowed.items():
        record_property(f"swallowed: {cause}", count)


@settings(
    max_examples=min(150, CASES),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_mutated_answers_shrink(data: st.DataObject) -> None:
    """The same with hypothesis, which finds a smaller case for one that fails."""
    exchange = data.draw(st.sampled_from(replayable()), label="exchange")
    changed = mutant(exchange, data.draw(st.randoms(use_true_random=False)))
    with InMemoryTelemetry() as telemetry:
        report = compare(lambda: [changed], telemetry, lambda: instrument(telemetry, with_file=False))
        Instrumentor().uninstrument()
    assert not report.problems, str(report)


def test_the_same_seed_makes_the_same_cases() -> None:
    """A case that failed can be made again from what it printed."""
    first, again = (seeded(replayable(), SEED, 41) for _ in range(2))
    assert (first.body, first.done) == (again.body, again.done)
    assert first.done[0] == f"seed {SEED}, case 41"
    assert mutant(first.exchange, Random(f"{SEED}:41")).body == first.body
