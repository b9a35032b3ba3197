"""Sessions: where they hold, and what they are in the file."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from openai.resources.chat.completions import Completions
from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

from aiobs import facade, observe, observer
from aiobs.testing import Simulator

ASK = [{"role": "user", "content": "x"}]


def export(**options: Any) -> dict[str, Any]:
    return json.loads(Path(str(observer.flush(**options))).read_text())


@observe
def work() -> None:
    """An observed function that does nothing."""


@observe
def outer() -> None:
    """An observed function that calls another one."""
    work()


def test_observe_end_flush(simulator: Simulator) -> None:
    """S1-02, S1-04, S1-07, S1-75: one session from start to end."""
    session_id = observer.observe("core-structure")
    assert str(uuid.UUID(session_id, version=4)) == session_id
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert observer.end() is None
    observer.end()
    (session,) = export()["sessions"]
    assert (session["id"], session["name"]) == (session_id, "core-structure")
    assert session["started_at"] <= session["ended_at"]
    assert session["meta"] == {"pid": os.getpid(), "cwd": os.getcwd()}


def test_what_observe_takes_by_position_and_by_keyword() -> None:
    """S1-02: name, key and labels in this order; what is more is given by keyword, and metadata is in the record."""
    observer.observe("s", None, {"team": "search"}, metadata={"build": 7})
    observer.end()
    (session,) = export()["sessions"]
    assert (session["name"], session["labels"]["team"], session["meta"]["build"]) == ("s", "search", 7)
    with pytest.raises(TypeError, match="positional"):
        observer.observe("s", None, {}, {"build": 7})  # type: ignore[misc]  # that is the test


def test_a_session_without_a_name_is_named_after_its_id() -> None:
    """S1-04: never null, also for an empty name."""
    ids = [observer.observe(), observer.observe("")]
    assert [session["name"] for session in export()["sessions"]] == ids


@pytest.mark.parametrize("key", ["given", "in the environment"])
def test_no_key_is_needed_and_none_is_used(monkeypatch, caplog, key: str) -> None:
    """S1-03: api_key is accepted and ignored, which one message says and does not warn of; no socket is opened."""
    import socket

    facade._tell_that_a_key_is_ignored.cache_clear()
    if key == "in the environment":
        monkeypatch.setenv("AIOBS_API_KEY", "secret-key")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    caplog.set_level("INFO")
    for _ in range(2):
        observer.observe("s", "secret-key" if key == "given" else None)
        work()
        observer.end()
    assert len(export()["function_events"]) == 2
    assert [record.levelname for record in caplog.records if "api_key is ignored" in record.message] == ["INFO"]
    assert "secret-key" not in caplog.text


def test_reset_puts_the_methods_back() -> None:
    """S1-33: observe() wraps the SDK's method, reset() restores the very function that was there."""
    original = Completions.__dict__["create"]
    observer.observe()
    assert Completions.__dict__["create"] is not original
    observer.reset()
    assert Completions.__dict__["create"] is original


def test_calls_outside_a_session_are_spans_only(simulator: Simulator, signals) -> None:
    """S1-33: before observe() and after end() nothing goes into the file."""
    client = simulator.openai()
    observer.observe(tracer_provider=signals.tracer_provider)
    observer.end()
    client.chat.completions.create(model="after", messages=ASK)
    observer.observe()
    client.chat.completions.create(model="inside", messages=ASK)
    observer.end()
    work()
    found = export()
    assert [event["request"]["model"] for event in found["events"]] == ["inside"]
    assert found["function_events"] == []
    assert [span.name for span in signals.spans] == ["chat after", "chat inside", "work"]


def test_a_span_that_is_open_at_end_keeps_its_session() -> None:
    """S1-07: a function that finishes after end() is in the file."""

    @observe
    def outer() -> None:
        observer.end()

    observer.observe()
    outer()
    assert [event["name"] for event in export()["function_events"]] == ["outer"]


def test_concurrent_tasks_have_their_own_sessions() -> None:
    """S1-06: each task's calls go to its own session, and each is ended."""

    async def task(name: str) -> None:
        observer.observe(name)
        for _ in range(3):
            await asyncio.sleep(0)
            work()
        observer.end()

    async def run() -> None:
        await asyncio.gather(*(task(f"t{n}") for n in range(10)))

    asyncio.run(run())
    found = export()
    names = {session["id"]: session["name"] for session in found["sessions"]}
    counts: dict[str, int] = {}
    for event in found["function_events"]:
        counts[names[event["session_id"]]] = counts.get(names[event["session_id"]], 0) + 1
    assert counts == {f"t{n}": 3 for n in range(10)}
    assert all(session["ended_at"] for session in found["sessions"])
    assert all("parent_session_id" not in session["meta"] for session in found["sessions"])


def test_a_nested_session_knows_its_parent() -> None:
    """S1-06: and the parent goes on when it ends."""
    outer = observer.observe("outer")
    with observer.session("inner") as inner:
        work()
    work()
    observer.end()
    work()
    found = export()
    sessions = {session["name"]: session for session in found["sessions"]}
    assert sessions["inner"]["meta"]["parent_session_id"] == outer
    assert [event["session_id"] for event in found["function_events"]] == [inner, outer]


def test_threads_find_the_session_through_their_parent_span(signals) -> None:
    """A span started with a parent but without context belongs to the parent's session."""
    first = observer.observe("first", tracer_provider=signals.tracer_provider)
    tracer = signals.tracer_provider.get_tracer("app")
    parent = tracer.start_span("parent")
    observer.observe("second")

    def run() -> None:
        tracer.start_span("child", set_span_in_context(parent, Context())).end()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    parent.end()
    assert {span.name: span.attributes["aiobs.session.id"] for span in signals.spans} == {
        "child": first,
        "parent": first,
    }


def test_what_is_stamped_on_spans(signals) -> None:
    """session.id is the application's if it gave one; aiobs.session.id is always the observer's."""
    session_id = observer.observe("s", labels={"team": "ml"}, tracer_provider=signals.tracer_provider)
    tracer = signals.tracer_provider.get_tracer("app")
    tracer.start_span("plain").end()
    tracer.start_span("own", attributes={"session.id": "chat-7"}).end()
    plain, own = signals.spans
    assert {key: plain.attributes[key] for key in ("session.id", "aiobs.session.id", "session.name", "label.team")} == {
        "session.id": session_id, "aiobs.session.id": session_id, "session.name": "s", "label.team": "ml",
    }  # fmt: skip
    assert (own.attributes["session.id"], own.attributes["aiobs.session.id"]) == ("chat-7", session_id)


def test_flush_without_end_goes_on() -> None:
    """S1-09: the session stays open, later calls are not lost, and the file has them all."""
    session_id = observer.observe()
    work()
    assert export()["sessions"][0]["ended_at"] is None
    work()
    observer.end()
    found = export()
    assert [session["id"] for session in found["sessions"]] == [session_id]
    assert found["sessions"][0]["ended_at"]
    assert len(found["function_events"]) == 2


def test_flush_again_without_end() -> None:
    """S1-09: each flush of a session that is open has its record."""
    session_id = observer.observe("going on", labels={"team": "ml"})
    for path in ("a.json", "b.json"):
        work()
        (session,) = export(path=path)["sessions"]
        assert (session["id"], session["name"], session["labels"]["team"]) == (session_id, "going on", "ml")


def test_flush_with_end() -> None:
    """S1-09: flush(end=True) ends it."""
    observer.observe()
    assert export(end=True)["sessions"][0]["ended_at"]
    work()
    assert export()["function_events"] == []


def test_flush_with_nothing() -> None:
    """S1-10, S1-74: a valid export with empty lists and exactly the keys of version 1."""
    found = export()
    assert set(found) == {
        "sessions", "events", "function_events", "trace_tree", "enh_prompt_traces", "generated_at", "version",
    }  # fmt: skip
    assert (found["sessions"], found["events"], found["function_events"], found["trace_tree"]) == ([], [], [], [])
    assert (found["enh_prompt_traces"], found["version"]) == (None, 1)


def test_flush_that_forgets() -> None:
    """S1-08: persist=False writes nothing and clears."""
    observer.observe()
    work()
    observer.end()
    assert observer.flush(persist=False) is None
    assert not Path("llm_observability.json").exists()
    assert export()["function_events"] == []


def test_a_new_run_replaces_the_file() -> None:
    """S1-73: one file per flush; another session's file is replaced."""
    for name in ("one", "two"):
        observer.observe(name)
        observer.end()
        observer.flush()
    assert [session["name"] for session in json.loads(Path("llm_observability.json").read_text())["sessions"]] == [
        "two"
    ]


def test_a_program_provider_set_later_is_moved_to(simulator: Simulator) -> None:
    """The provider that we made stays ours; the next observe() moves to the one that the program sets."""
    import subprocess
    import sys

    program = """
import sys, json
from opentelemetry import trace
from aiobs import observer, observe
from aiobs.testing import InMemoryTelemetry

@observe
def work(): pass

observer.observe("one"); work(); observer.end()
assert "Proxy" in type(trace.get_tracer_provider()).__name__
theirs = InMemoryTelemetry()
trace.set_tracer_provider(theirs.tracer_provider)
observer.observe("two"); work(); observer.end()
assert trace.get_tracer_provider() is theirs.tracer_provider
print(len(theirs.spans), len(json.load(open(observer.flush()))["function_events"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 2\n", "")


def test_a_deleted_working_directory(tmp_path, monkeypatch) -> None:
    """S1-81: observe() works where the directory is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("LLM_OBS_OUT", str(tmp_path / "out.json"))
    observer.observe()
    work()
    observer.end()
    assert json.loads(Path(str(observer.flush())).read_text())["sessions"][0]["meta"]["cwd"] == ""


def test_a_disabled_sdk_records_nothing(monkeypatch, simulator: Simulator) -> None:
    """OTEL_SDK_DISABLED=true: everything works and nothing is recorded."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    observer.observe()
    work()
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    observer.end()
    found = export()
    assert (found["sessions"], found["events"], found["function_events"]) == ([], [], [])


@pytest.mark.parametrize("sampler", ["always_off", "traceidratio"])
def test_sampling_does_not_thin_the_file(monkeypatch, simulator: Simulator, sampler: str) -> None:
    """The session file has every call, whatever the sampler keeps of the spans."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.0")
    observer.observe()
    outer()
    for _ in simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True):
        pass
    observer.end()
    found = export()
    assert (len(found["events"]), len(found["function_events"])) == (1, 2)
    assert [child["name"] for child in found["trace_tree"][0]["children"]] == ["work"]
    assert found["events"][0]["response"]["text"]


def test_session_blocks(simulator: Simulator) -> None:
    """S1-02: with and async with; a session ends with its block, also when that raises."""

    async def run() -> str:
        async with observer.session("asynchronous", labels={"team": "ml"}) as session_id:
            await asyncio.sleep(0)
            work()
        return session_id

    first = asyncio.run(run())
    block = observer.session("raising")
    with suppress(KeyError), block as second:
        work()
        raise KeyError
    work()
    found = export()
    assert [session["id"] for session in found["sessions"]] == [first, second]
    assert all(session["ended_at"] for session in found["sessions"])
    assert [event["session_id"] for event in found["function_events"]] == [first, second]
