"""aiobs.context: what the program says of the work in a block."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

import aiobs
from aiobs import Instrumentor, observe, observer
from aiobs.ambient.sources import Source, add_source, remove_source
from aiobs.errors import InvalidLabel
from aiobs.testing import InMemoryTelemetry, Simulator

ASK = [{"role": "user", "content": "x"}]


@observe
def work() -> None:
    """An observed function that does nothing."""


def attributes(signals: InMemoryTelemetry) -> list[dict[str, Any]]:
    """Of every span, what is stamped besides the session."""
    stamped = ("user.", "session.id", "aiobs.tags", "aiobs.metadata.", "gen_ai.conversation.", "label.", "run.")
    return [{key: value for key, value in span.attributes.items() if key.startswith(stamped)} for span in signals.spans]


@pytest.fixture
def source() -> Iterator[dict[str, Any]]:
    """What an orchestrator says right now; empty: nothing runs."""
    said: dict[str, Any] = {}

    def current_run() -> dict[str, Any] | None:
        return dict(said) or None

    add_source(current_run)
    yield said
    remove_source(current_run)


def test_everything_that_can_be_said(instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """Each argument has its attribute; without a session and without configure() too."""
    with aiobs.context(
        user_id=7,
        session_id="chat-1",
        conversation_id="c-9",
        tags=["beta", "eu"],
        metadata={"tenant": "acme", "seats": 3, "plan": {"name": "pro"}, "nothing": None},
        labels={"team": "ml"},
    ):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert attributes(instrumented) == [
        {
            "user.id": "7",
            "session.id": "chat-1",
            "gen_ai.conversation.id": "c-9",
            "aiobs.tags": ("beta", "eu"),
            "aiobs.metadata.tenant": "acme",
            "aiobs.metadata.seats": 3,
            "aiobs.metadata.plan": '{"name":"pro"}',
            "label.team": "ml",
        },
        {},
    ]


def test_blocks_nest(instrumented: InMemoryTelemetry) -> None:
    """An inner block adds tags and replaces the rest; None leaves what is around it."""
    with aiobs.context(user_id="u1", tags="a", metadata={"k": 1}):
        with aiobs.context(user_id=None, tags=["b", "a"], metadata={"k": 2}):
            work()
        work()
    assert attributes(instrumented) == [
        {"user.id": "u1", "aiobs.tags": ("a", "b"), "aiobs.metadata.k": 2},
        {"user.id": "u1", "aiobs.tags": ("a",), "aiobs.metadata.k": 1},
    ]


def test_tasks_and_threads_do_not_mix(instrumented: InMemoryTelemetry) -> None:
    """A block holds for its task or thread, and for what that starts with its context."""

    async def task(user: str) -> None:
        async with aiobs.context(user_id=user):
            for _ in range(3):
                await asyncio.sleep(0)
                work()

    async def run() -> None:
        await asyncio.gather(*(task(f"u{n}") for n in range(5)))

    asyncio.run(run())
    with aiobs.context(user_id="here"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    users = [found.get("user.id") for found in attributes(instrumented)]
    assert sorted(map(str, users)) == sorted(["None", *(f"u{n}" for n in range(5) for _ in range(3))])


def test_a_thread_without_context_finds_it_at_the_parent_span(signals: InMemoryTelemetry) -> None:
    """As the session does; also what an orchestrator said."""
    observer.observe(tracer_provider=signals.tracer_provider)
    tracer = signals.tracer_provider.get_tracer("app")
    with aiobs.context(user_id="u1"):
        parent = tracer.start_span("parent")

    def run() -> None:
        tracer.start_span("child", set_span_in_context(parent, Context())).end()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    parent.end()
    assert {span.name: span.attributes["user.id"] for span in signals.spans} == {"child": "u1", "parent": "u1"}


def test_the_spans_own_attributes_win(signals: InMemoryTelemetry) -> None:
    """What the application gave a span itself is not written over."""
    observer.observe(tracer_provider=signals.tracer_provider)
    with aiobs.context(user_id="block", session_id="block"):
        signals.tracer_provider.get_tracer("app").start_span("own", attributes={"user.id": "own"}).end()
    (span,) = signals.spans
    assert (span.attributes["user.id"], span.attributes["session.id"]) == ("own", "block")
    assert span.attributes["aiobs.session.id"] != "block"


def test_the_file_has_the_context(simulator: Simulator) -> None:
    """Events say what they were part of, sampled or not; those without any say nothing."""
    observer.observe()
    with aiobs.context(user_id="u1", tags=["t"], metadata={"n": 1}):
        work()
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    work()
    found = json.loads(Path(str(observer.flush(end=True))).read_text())
    said = {"user.id": "u1", "aiobs.tags": ["t"], "aiobs.metadata.n": 1}
    assert [event.get("context") for event in (*found["events"], *found["function_events"])] == [said, said, None]


def test_unsampled_calls_have_the_context_in_the_file(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    """No span processor sees them."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    observer.observe()
    with aiobs.context(user_id="u1"):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    found = json.loads(Path(str(observer.flush(end=True))).read_text())
    assert [event["context"] for event in found["events"]] == [{"user.id": "u1"}]


def test_bad_input_says_so() -> None:
    """Before the block is entered."""
    with pytest.raises(TypeError, match="metadata must be a mapping"):
        aiobs.context(metadata=["x"])  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InvalidLabel, match="is invalid"):
        aiobs.context(labels={"Team": "x"})


@pytest.mark.parametrize("value", [object(), "\ud800", float("nan"), 2**80, b"\xff", {"a": {1, 2}}, "x" * 100_000])
def test_odd_metadata_is_written_somehow(instrumented: InMemoryTelemetry, value: object) -> None:
    """Nothing raises, and the span goes out."""
    with aiobs.context(metadata={"odd": value, "\ud800": 1}):
        work()
    assert len(instrumented.spans) == 1


# Sources


def test_a_source_is_asked_at_every_start(instrumented: InMemoryTelemetry, source: dict[str, Any]) -> None:
    """Late binding: what runs when the span starts counts."""
    work()
    source["run.id"] = "1"
    work()
    source["run.id"] = "2"
    with aiobs.context(metadata={"k": 1}):
        work()
    assert attributes(instrumented) == [{}, {"run.id": "1"}, {"run.id": "2", "aiobs.metadata.k": 1}]


def test_a_source_that_knows_nothing_here(signals: InMemoryTelemetry, source: dict[str, Any]) -> None:
    """A span is part of the run of its parent, unless the source says better."""
    observer.observe(tracer_provider=signals.tracer_provider)
    tracer = signals.tracer_provider.get_tracer("app")
    source["run.id"] = "1"
    parent = tracer.start_span("parent")
    source.clear()
    tracer.start_span("child", set_span_in_context(parent)).end()
    tracer.start_span("other").end()
    source["run.id"] = "2"
    tracer.start_span("nested", set_span_in_context(parent)).end()
    parent.end()
    found = {span.name: span.attributes.get("run.id") for span in signals.spans}
    assert found == {"parent": "1", "child": "1", "other": None, "nested": "2"}


def broken_source() -> dict[str, Any]:
    """An orchestrator's context that cannot be read."""
    raise RuntimeError("no context")


def nonsense_source() -> Any:
    """Gives no mapping."""
    return 7


@pytest.mark.quiet_guard
@pytest.mark.parametrize("broken", [broken_source, nonsense_source])
def test_a_broken_source_costs_only_itself(
    instrumented: InMemoryTelemetry, source: dict[str, Any], broken: Source, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are heard, the program goes on, and the log says it once."""
    add_source(broken)
    source["run.id"] = "1"
    try:
        work()
        work()
    finally:
        remove_source(broken)
    assert attributes(instrumented) == [{"run.id": "1"}] * 2
    assert len([record for record in caplog.records if record.name == "aiobs"]) == 1


def test_a_source_is_added_once_and_removed(instrumented: InMemoryTelemetry) -> None:
    """add_source returns the function, so that it can be a decorator; its attributes are bounded."""

    @add_source
    def chatty() -> dict[str, Any]:
        return {f"run.{n}": n for n in range(1_000)}

    add_source(chatty)
    work()
    remove_source(chatty)
    remove_source(chatty)
    work()
    assert [len(found) for found in attributes(instrumented)] == [64, 0]


def test_instrumentor_alone_stamps(simulator: Simulator) -> None:
    """Streams and failures too: they are stamped when they start."""
    with InMemoryTelemetry() as signals:
        Instrumentor(**signals.providers).instrument()
        with aiobs.context(user_id="u1"):
            stream = simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True)
        for _ in stream:
            pass
        assert attributes(signals) == [{"user.id": "u1"}]
