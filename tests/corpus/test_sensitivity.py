"""The corpus would notice: readers and taps are broken on purpose, and the checks report it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiobs import Instrumentor
from aiobs.capture import streams
from aiobs.instrumentation import openai as table
from aiobs.testing import InMemoryTelemetry
from tests.corpus.agreement import KNOWN_GAPS, disagreements
from tests.corpus.calls import perform
from tests.corpus.fuzzing import Bench, Report, compare
from tests.corpus.mutations import Mutant
from tests.corpus.recordings import supported

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("readers are broken on purpose"),
]


def streamed_chats() -> list[Mutant]:
    """Recorded streams of chat completions, as they were."""
    streams = [one for one in supported() if one.kind == "chat" and one.is_sse and one.status == 200]
    chosen = [one for one in streams if one.name not in KNOWN_GAPS][:6]
    return [Mutant(one, one.status, one.headers, one.body, ["unchanged"]) for one in chosen]


def compared(telemetry: InMemoryTelemetry) -> Report:
    """The streams without and with instrumentation."""
    return compare(streamed_chats, telemetry, lambda: Instrumentor(**telemetry.providers).instrument())


def differing(telemetry: InMemoryTelemetry) -> list[str]:
    """Where spans and recordings disagree."""
    Instrumentor(**telemetry.providers, capture_content="span_only").instrument()
    bench, found = Bench(), []
    for one in streamed_chats():
        telemetry.clear()
        call = bench.call(one.exchange)
        bench.memory.reply = (one.status, one.headers, one.body)
        outcome = perform(bench.clients[call.family][0], call)
        found += disagreements(one.exchange, call, outcome, list(telemetry.spans))
    return found


def change_reader(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[..., Any]) -> None:
    """Put a broken reader into the table's row of chat completions."""
    chat = table.PROVIDER.operations[0]
    original = getattr(chat, name)
    monkeypatch.setitem(chat.__dict__, name, lambda *args: change(original, *args))


def test_nothing_is_broken(signals: InMemoryTelemetry) -> None:
    """The control: these streams compare clean."""
    assert not compared(signals).problems
    assert not differing(signals)


def test_a_reader_that_drops_usage(signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agreement reports the tokens that are missing."""

    def fold(original: Callable[..., Any], response: Any, chunk: Any) -> None:
        original(response, chunk)
        response.usage = None

    change_reader(monkeypatch, "fold_chunk", fold)
    assert any("gen_ai.usage.input_tokens: the span says None" in line for line in differing(signals))


def test_a_reader_that_raises_is_counted(signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard keeps it from the program, and the report says how often."""

    def fold(original: Callable[..., Any], response: Any, chunk: Any) -> None:
        raise LookupError("a reader's mistake")

    change_reader(monkeypatch, "fold_chunk", fold)
    report = compared(signals)
    assert not report.problems
    assert any("LookupError" in cause for cause in report.swallowed)


def loudly(function: Callable[..., Any], error: Exception) -> None:
    """As the guard, without the guard."""
    raise error


def test_a_reader_that_raises_without_the_guard(signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program would see it, and the comparison does."""

    def fold(original: Callable[..., Any], response: Any, chunk: Any) -> None:
        raise LookupError("a reader's mistake")

    change_reader(monkeypatch, "fold_chunk", fold)
    monkeypatch.setattr(streams, "swallow", loudly)
    assert any("the program sees something else" in problem for problem in compared(signals).problems)


def test_a_tap_that_eats_a_chunk(signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drained iterator changes what the program sees."""

    def tap_iterator(self: Any, stream: Any) -> None:
        inner = self.over(stream._iterator)
        next(inner, None) if hasattr(inner, "__next__") else None
        stream._iterator = inner

    monkeypatch.setattr(streams.Tap, "tap_iterator", tap_iterator)
    assert any("the program sees something else" in problem for problem in compared(signals).problems)


def test_a_reader_that_changes_what_it_reads(signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is edited in passing is seen."""

    def fold(original: Callable[..., Any], response: Any, chunk: Any) -> None:
        original(response, chunk)
        chunk.id = "edited"

    change_reader(monkeypatch, "fold_chunk", fold)
    assert any("the program sees something else" in problem for problem in compared(signals).problems)


def test_a_span_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a finished span is reported."""
    monkeypatch.setattr(streams.Tap, "exhausted", lambda self: None)
    monkeypatch.setattr(streams.Tap, "__del__", lambda self: self.recording._open.clear())
    with InMemoryTelemetry() as telemetry:
        problems = compared(telemetry).problems
    assert any("0 spans" in problem for problem in problems)
