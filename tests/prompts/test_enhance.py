"""After every N marked calls of a function the enhancer looks at them, in the background, and at nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiobs import Instrumentor, observe, observer
from aiobs.capture import marked
from aiobs.prompts import enhance
from aiobs.prompts.enhance import EnhanceRequest, finish_enhancements, set_prompt_enhancer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import needs


@pytest.fixture
def requests() -> Iterator[list[EnhanceRequest]]:
    """What an enhancer was asked."""
    seen: list[EnhanceRequest] = []
    enhance.forget()
    set_prompt_enhancer(seen.append)
    yield seen
    assert finish_enhancements()
    set_prompt_enhancer(None)
    enhance.forget()


def ask(simulator: Simulator, text: str) -> str | None:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    reply = simulator.openai().chat.completions.create(model="m", messages=messages)
    content: str | None = reply.choices[0].message.content
    return content


def test_the_nth_call_and_every_nth_after_it(requests, simulator: Simulator) -> None:
    """S1-67: N calls, across sessions, ask the enhancer once with these N: what went in, came out, and was asked."""

    @observe(enh_prompt=True, auto_enhance_after=2)
    def summarize(text: str) -> str | None:
        if text == "text 5":
            raise ValueError("no")
        return ask(simulator, text)

    for number in range(5):
        observer.observe(f"session {number}")
        simulator.reply(f"answer {number}")
        summarize(f"text {number}")
        observer.end()
    assert finish_enhancements()
    first, second = requests
    assert first.function == f"{__name__}.test_the_nth_call_and_every_nth_after_it.<locals>.summarize"
    assert (first.auto_enhance_after, first.calls, second.calls) == (2, 2, 4)
    assert first.enh_prompt_ids == [found.enh_prompt_id for found in first.traces]
    assert len({*first.enh_prompt_ids, *second.enh_prompt_ids}) == 4
    found = second.traces[1]
    assert (found.inputs, found.result, found.error) == ({"args": ["text 3"], "kwargs": {}}, "answer 3", None)
    assert found.duration_ms > 0
    (call,) = found.calls
    assert (call.model, call.text, call.error) == ("m", "answer 3", None)
    assert call.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "text 3"}]
    assert call.usage.keys() == {"input_tokens", "output_tokens"}
    observer.observe()
    with pytest.raises(ValueError, match="no"):
        summarize("text 5")
    assert finish_enhancements()
    assert (requests[2].traces[1].error, requests[2].traces[1].calls) == ("ValueError: no", [])


def test_counters_are_independent(requests) -> None:
    """S1-68: each function has its own threshold and counter; a mark without a threshold counts nothing, nor the reverse."""

    @observe(enh_prompt=True, auto_enhance_after=2)
    def two() -> None: ...

    @observe(enh_prompt=True, auto_enhance_after=3)
    def three() -> None: ...

    @observe(enh_prompt=True)
    def only_marked() -> None: ...

    @observe(auto_enhance_after=1)
    def unmarked() -> None: ...

    observer.observe()
    for _ in range(4):
        for function in (two, three, only_marked, unmarked):
            function()
    assert finish_enhancements()
    asked = sorted((found.function.rpartition(".")[2], len(found.traces)) for found in requests)
    assert asked == [("three", 3), ("two", 2), ("two", 2)]


@pytest.mark.parametrize("is_async", [False, True])
def test_model_calls_carry_the_id(signals: InMemoryTelemetry, simulator: Simulator, is_async: bool) -> None:
    """S1-64: that of the innermost marked call, also through unmarked functions, whose own spans have none."""
    Instrumentor(**signals.providers).instrument()

    @observe
    def between() -> None:
        ask(simulator, "x")

    @observe(enh_prompt=True)
    def inner() -> None:
        between()

    @observe(enh_prompt=True)
    def outer() -> None:
        messages: Any = [{"role": "user", "content": "x"}]
        list(simulator.openai().chat.completions.create(model="stream", messages=messages, stream=True))
        inner()

    @observe(enh_prompt=True)
    async def outer_async() -> None:
        outer()

    asyncio.run(outer_async()) if is_async else outer()
    named = {found.name: found.attributes.get("aiobs.enh_prompt.id") for found in signals.spans}
    assert named["chat m"] == named["inner"]
    assert named["chat stream"] == named["outer"]
    assert named["inner"] != named["outer"]
    assert named["between"] is None
    signals.clear()
    ask(simulator, "outside")
    assert "aiobs.enh_prompt.id" not in signals.span().attributes


def test_ids_are_listed_in_tree_order() -> None:
    """S1-64, S1-65: depth first, with and without the tree; distinct, the same in events and tree; null when none."""

    @observe(enh_prompt=True)
    def leaf() -> None: ...

    @observe(enh_prompt=True)
    async def root() -> None:
        leaf()
        await asyncio.sleep(0)
        leaf()

    async def both() -> None:
        await asyncio.gather(root(), root())

    lists = []
    for with_tree in (True, False):
        observer.observe()
        asyncio.run(both())
        observer.end()
        found = json.loads(Path(str(observer.flush(f"{with_tree}.json", include_trace_tree=with_tree))).read_text())
        events = sorted(found["function_events"], key=lambda event: event["started_at"])
        roots = [event for event in events if event["name"] == "root"]
        expected = [
            event["enh_prompt_id"]
            for root_event in roots
            for event in [root_event, *(one for one in events if one["parent_span_id"] == root_event["span_id"])]
        ]
        assert found["enh_prompt_traces"] == expected
        assert expected != [event["enh_prompt_id"] for event in events]
        assert (found["trace_tree"] is None) is not with_tree
        if with_tree:
            assert found["trace_tree"][1]["children"][1]["enh_prompt_id"] == expected[5]
        lists.append(expected)
    assert len({*lists[0], *lists[1]}) == 12


def test_the_event(signals: InMemoryTelemetry, requests) -> None:
    """S1-67: aiobs.prompt.enhancement, in the span of the N-th call, names all N; no content is in it."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()

    @observe(enh_prompt=True, auto_enhance_after=3)
    def work(text: str) -> None: ...

    for _ in range(3):
        work("needle")
    assert finish_enhancements()
    (event,) = signals.events("aiobs.prompt.enhancement")
    spans = [found.context for found in signals.spans]
    assert (event.trace_id, event.span_id) == (spans[-1].trace_id, spans[-1].span_id)
    assert dict(event.attributes) == {
        "aiobs.prompt.enhancement.function": requests[0].function,
        "aiobs.prompt.enhancement.prompt_ids": tuple(requests[0].enh_prompt_ids),
        "aiobs.prompt.enhancement.span_ids": tuple(f"{span.span_id:016x}" for span in spans),
        "aiobs.prompt.enhancement.trace_ids": tuple(f"{span.trace_id:032x}" for span in spans),
    }
    assert [found.attributes["aiobs.enh_prompt.id"] for found in signals.spans] == requests[0].enh_prompt_ids


@pytest.mark.parametrize("error", [ValueError("needle"), SystemExit(1), KeyboardInterrupt()])
def test_an_enhancer_that_fails(signals: InMemoryTelemetry, requests, caplog, error: BaseException) -> None:
    """S1-67: logged by type, told in the event, never raised; the next batch is looked at."""
    Instrumentor(**signals.providers).instrument()

    def fail(request: EnhanceRequest) -> None:
        raise error

    @observe(enh_prompt=True, auto_enhance_after=1)
    def work() -> None: ...

    set_prompt_enhancer(fail)
    work()
    work()
    assert finish_enhancements()
    kind = type(error).__name__
    assert [event.attributes["error.type"] for event in signals.events("aiobs.prompt.enhancement")] == [kind, kind]
    assert f"the prompt enhancer failed on {__name__}" in caplog.text
    assert "needle" not in caplog.text


@pytest.mark.parametrize("content", ["no_content", None, "span_only"])
def test_the_content_gate(signals: InMemoryTelemetry, requests, simulator: Simulator, content: str | None) -> None:
    """S1-67: an enhancer gets content as the session file does: unless somebody said no_content."""
    Instrumentor(**signals.providers, capture_content=content).instrument()

    @observe(enh_prompt=True, auto_enhance_after=1)
    def work(text: str) -> str | None:
        return ask(simulator, text)

    work("needle")
    assert finish_enhancements()
    for word in ("needle", "Be brief."):
        assert (word in repr(requests)) is (content != "no_content")
        assert (word in "".join(found.to_json() for found in signals.spans)) is (content == "span_only")
    assert requests[0].traces[0].calls[0].usage["input_tokens"] > 0


@needs("openai background")
@pytest.mark.parametrize("content", ["no_content", None])
def test_an_answer_that_is_fetched(signals: InMemoryTelemetry, requests, simulator: Simulator, content) -> None:
    """S1-67: what a fetched answer repeats of its request is no further model call; the one that made it is told of."""
    Instrumentor(**signals.providers, capture_content=content).instrument()

    @observe(enh_prompt=True, auto_enhance_after=1)
    def work() -> str:
        responses = simulator.openai().responses
        made = responses.create(model="m", input="needle", instructions="Be brief.", background=True)
        simulator.reply("needle", fields={"instructions": "Be brief."}, usage={"input_tokens": 7})
        return responses.retrieve(made.id).output_text

    work()
    assert finish_enhancements()
    (call,) = requests[0].traces[0].calls
    told = [("system", "Be brief."), ("user", "needle")] if content is None else []
    assert (call.model, [(one["role"], one["content"]) for one in call.messages], call.text) == ("m", told, None)
    assert requests[0].traces[0].calls_left_out == 0
    assert ("needle" in repr(requests)) is (content is None)


def test_the_enhancer_runs_beside_the_program(requests) -> None:
    """S1-67: one at a time, in one thread that the program does not wait for; it may call what it enhances."""
    go = threading.Event()
    threads: list[threading.Thread] = []

    @observe(enh_prompt=True, auto_enhance_after=1)
    def work() -> None: ...

    def slow(request: EnhanceRequest) -> None:
        threads.append(threading.current_thread())
        assert go.wait(30)
        work()

    set_prompt_enhancer(slow)
    observer.observe()
    before = threading.active_count()
    for _ in range(enhance.MOST_WAITING + 20):
        work()
    assert threading.active_count() == before + 1
    assert not finish_enhancements(timeout=0)
    go.set()
    assert finish_enhancements()
    assert enhance.MOST_WAITING <= len(threads) <= enhance.MOST_WAITING + 1
    assert len({*threads}) == 1
    assert threads[0].daemon
    assert threading.active_count() == before


def test_what_is_kept_is_bounded(requests, monkeypatch) -> None:
    """S1-67: the newest calls only, and of the oldest of them no content once it is too much."""
    monkeypatch.setattr(enhance, "MOST_TRACES", 5)
    monkeypatch.setattr(enhance, "MOST_BYTES", 1_500)

    @observe(enh_prompt=True, auto_enhance_after=20)
    def work(text: str) -> None: ...

    observer.observe()
    for _ in range(20):
        work("x" * 450)
    assert finish_enhancements()
    (request,) = requests
    assert [found.inputs is None for found in request.traces] == [True, True, False, False, False]
    assert (len(request.enh_prompt_ids), request.calls) == (5, 20)


def test_model_calls_of_one_trace_are_bounded(requests, simulator: Simulator, monkeypatch) -> None:
    """S1-67: further ones are counted; long messages are cut, and say so."""
    monkeypatch.setattr(marked, "MOST_CALLS", 2)

    @observe(enh_prompt=True, auto_enhance_after=1)
    def work() -> None:
        for _ in range(3):
            ask(simulator, "x" * 100_000)

    observer.observe()
    work()
    assert finish_enhancements()
    (found,) = requests[0].traces
    assert (len(found.calls), found.calls_left_out) == (2, 1)
    assert "truncated by aiobs" in found.calls[0].messages[1]["content"]
    assert len(found.calls[0].messages[1]["content"]) < 10_000


def test_the_default_enhancer_writes_a_report(requests, simulator: Simulator, tmp_path: Path, monkeypatch) -> None:
    """S1-67: a line per N calls, for its owner only; no model is called."""
    file = tmp_path / "new" / "reports.jsonl"
    monkeypatch.setenv("AIOBS_PROMPT_ENHANCEMENTS", str(file))
    set_prompt_enhancer(None)

    @observe(enh_prompt=True, auto_enhance_after=2)
    def summarize(text: str) -> str | None:
        return ask(simulator, f"Summarize this text: {text}. Thank you.")

    observer.observe()
    for text in ("cats", "dogs", "cows", "hens"):
        summarize(text)
    assert finish_enhancements()
    first, second = (json.loads(line)["prompts"][1] for line in file.read_text().splitlines())
    assert file.stat().st_mode & 0o777 == 0o600
    assert first["template"] == "Summarize this text: {1}. Thank you."
    assert (first["variables"], second["variables"]) == ([["cats", "dogs"]], [["cows", "hens"]])
    assert len(simulator.requests) == 4


def test_the_default_enhancer_that_cannot_write(requests, caplog, monkeypatch, tmp_path: Path) -> None:
    """S1-67: a path that is a folder is logged; the program goes on."""
    monkeypatch.setenv("AIOBS_PROMPT_ENHANCEMENTS", str(tmp_path))
    set_prompt_enhancer(None)

    @observe(enh_prompt=True, auto_enhance_after=1)
    def work() -> None: ...

    observer.observe()
    work()
    assert finish_enhancements()
    assert "the prompt enhancer failed" in caplog.text
    assert os.listdir(tmp_path) == []


PROGRAM = """
import os, sys, threading, time
from aiobs import observe, observer
from aiobs.prompts.enhance import finish_enhancements, set_prompt_enhancer

@observe(enh_prompt=True, auto_enhance_after=2)
def work(): pass

observer.observe()
work()
assert threading.active_count() == 1, threading.enumerate()
"""


def run(more: str) -> None:
    program = [sys.executable, "-c", PROGRAM + more]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr


def test_the_exit_waits_for_the_default_enhancer() -> None:
    """S1-67: no thread before the N-th call; a program that ends right after it still has its report."""
    run("work()")
    assert len(Path("prompt_enhancements.jsonl").read_text().splitlines()) == 1


def test_the_exit_waits_for_an_enhancer_that_takes_its_time() -> None:
    """S1-67: what has begun when the program ends is done, within AIOBS_EXIT_TIMEOUT."""
    run(
        "import atexit; ended = threading.Event(); os.environ['AIOBS_EXIT_TIMEOUT'] = '30'\n"
        "set_prompt_enhancer(lambda request: (ended.wait(), time.sleep(1), open('done', 'w').close())); work()\n"
        "atexit.register(ended.set)"
    )
    assert Path("done").exists()


def test_the_exit_does_not_wait_for_ever() -> None:
    """S1-67: an enhancer that hangs is left behind after AIOBS_EXIT_TIMEOUT."""
    run("os.environ['AIOBS_EXIT_TIMEOUT'] = '0.1'; set_prompt_enhancer(lambda request: time.sleep(600)); work()")


def test_a_fork_counts_anew() -> None:
    """S1-67: a child does not enhance its parent's calls, and has a thread of its own, whatever the parent's does."""
    run(
        "hold = threading.Event(); set_prompt_enhancer(lambda request: hold.wait(30)); work(); work(); child = os.fork()\n"
        "if child: hold.set(); sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "seen = []; set_prompt_enhancer(seen.append); work(); assert finish_enhancements() and not seen; work()\n"
        "assert finish_enhancements() and seen[0].calls == 2, seen; os._exit(0)"
    )
