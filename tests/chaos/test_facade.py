"""The observer's own functions while what they stand on is broken: nothing is raised, sessions and labels hold."""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from aiobs import observe, observer, runtime
from tests.chaos.breakages import ANY, COLLABORATORS, FAILS, Breakage, Broken, Collaborator, broken
from tests.conformance.witness import Witness

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("steps that fail are missing from the signals"),
]

_NAMES = ("get_tracer", "start_span", "wall-clock", "monotonic-clock", "serialiser", "mkdir", "file-lock")
FOUNDATIONS = (
    *(one for one in COLLABORATORS if one.name in _NAMES or one.name.startswith(("context-", "journal-", "file-"))),
    Collaborator("detector", ("aiobs.ambient.otel.LabelsResourceDetector.detect",)),
    Collaborator("provider-force_flush", ("opentelemetry.sdk.trace.TracerProvider.force_flush",), ANY),
    Collaborator("provider-shutdown", ("opentelemetry.sdk.trace.TracerProvider.shutdown",), FAILS),
)
BREAKAGES = [Breakage(collaborator, mode) for collaborator in FOUNDATIONS for mode in collaborator.modes]


@observe
def work(number: int) -> int:
    """Something to record."""
    return number + 1


def use_everything() -> list[Any]:
    """Every function of the observer; what they gave."""
    given: list[Any] = [type(observer.observe("facade", labels={"team": "a"}))]
    observer.add_label("stage", "b")
    observer.set_labels({"more": "c"})
    given.append({key: value for key, value in observer.get_labels().items() if not key.startswith("aiobs_")})
    observer.remove_label("more")
    given.append(work(1))
    with observer.session("inner") as inner:
        given += [type(inner), work(2)]
    given.append("more" in observer.get_labels())
    observer.flush()
    given.append(work(3))
    observer.end()
    observer.flush("elsewhere.json")
    return given


@pytest.mark.parametrize("breakage", BREAKAGES, ids=str)
def test_a_broken_foundation(breakage: Breakage) -> None:
    """observe(), labels, session(), end(), flush() and reset() raise nothing, and give what they always give."""
    expected = [str, {"team": "a", "stage": "b", "more": "c"}, 2, str, 3, False, 4]
    with broken([breakage]) as hits:
        assert use_everything() == expected
        observer.reset()
    assert hits[breakage.of.name]
    assert use_everything() == expected
    assert len(json.loads(Path("elsewhere.json").read_text())["function_events"]) >= 1


def test_a_provider_that_takes_no_processor() -> None:
    """The program's provider raises where aiobs is attached to it: the session file has what there is to tell."""

    class Refusing(TracerProvider):
        def add_span_processor(self, span_processor: SpanProcessor) -> None:
            if not isinstance(span_processor, Witness):
                raise Broken("no")

    observer.observe("refused", tracer_provider=Refusing(shutdown_on_exit=False))
    assert work(1) == 2
    assert len(json.loads(Path(str(observer.flush())).read_text())["function_events"]) == 1


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_really_full() -> None:
    """Nothing is raised, flush() says None; with room again the file has everything, each once."""
    observer.observe("full")
    work(1)
    with full_disk():
        assert [work(number) for number in range(5)] == [1, 2, 3, 4, 5]
        assert observer.flush() is None
    work(9)
    export = json.loads(Path(str(observer.flush())).read_text())
    assert len(export["function_events"]) == 7


def test_a_provider_that_hangs_does_not_hold_a_flush() -> None:
    """flush() and shutdown() give up on a processor after their time, and say so."""
    released = threading.Event()

    class Hanging(SpanProcessor):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return released.wait(30)

        def shutdown(self) -> None:
            released.wait(30)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Hanging())
    observer.observe(tracer_provider=provider)
    assert work(1) == 2
    try:
        assert runtime.flush(0.05) is False
    finally:
        released.set()
    assert runtime.flush(30) is True
