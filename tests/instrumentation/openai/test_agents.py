"""Sessions of agents: what opening, sending, asking and listening become on every signal."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import asked, attributes_of, everything, file_events, said, with_content
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

pytestmark = needs("openai agents")

OPEN: dict[str, Any] = {"environment": {"type": "none"}, "agent_id": "agent_1", "input": "Hello"}
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 2},
}
USED = {
    "gen_ai.usage.input_tokens": 20,
    "gen_ai.usage.output_tokens": 9,
    "gen_ai.usage.cache_read.input_tokens": 5,
    "gen_ai.usage.reasoning.output_tokens": 2,
}
OF_JOB = {name.replace("gen_ai.usage", "aiobs.job.usage"): value for name, value in USED.items()}
ACTOR = {"gen_ai.agent.id": "agent_1", "gen_ai.agent.name": "simulated agent"}
SESSION = "agsess_simulated000001"
MESSAGE: Any = {
    "type": "agent.session.input.message",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "More"}]}],
}


def sessions(simulator: Simulator) -> Any:
    return simulator.openai().beta.agents.sessions


def links(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def test_a_session_that_begins_to_work(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally; what was used nobody knows yet."""
    agent = {"model": "gpt-x", "text": {"format": {"type": "json_schema", "schema": {}}}}
    sessions(simulator).create(**OPEN, agent=agent, review="none")
    (span,) = instrumented.spans
    assert (span.name, span.kind, span.status.status_code) == (
        "invoke_agent simulated agent",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert attributes_of(span) == {
        **ACTOR,
        "aiobs.http.status_code": 200,
        "aiobs.request.config.review": "none",
        "gen_ai.conversation.id": SESSION,
        "gen_ai.output.type": "json",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.id": SESSION,
        "gen_ai.response.model": "gpt-x",
    }
    assert "Hello" not in everything(instrumented)


def test_a_session_without_input(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Nobody acts yet: a conversation is opened."""
    sessions(simulator).create(environment={"type": "none"}, agent={"model": "m"})
    (span,) = instrumented.spans
    assert span.name == "create_conversation m"
    assert attributes_of(span)["gen_ai.conversation.id"] == SESSION


def test_a_turn_that_is_streamed(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The call's own stream: usage is its own, and what was thought, said and called is its output."""
    with_content(signals)
    simulator.reply(text="Hi there", reasoning="Hm", tool_calls=[("look", {"at": 1})], usage=USAGE)
    events = list(sessions(simulator).create(**OPEN, stream=True))
    (span,) = signals.spans
    assert events[-1].type == "agent.session.idle"
    found = attributes_of(span)
    assert {key: found[key] for key in (*USED, *ACTOR)} == {**USED, **ACTOR}
    assert (found["gen_ai.request.stream"], found["gen_ai.response.finish_reasons"]) == (True, ("stop",))
    assert "aiobs.incomplete" not in found
    assert asked(signals) == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    assert said(signals) == [
        {"type": "reasoning", "content": "Hm"},
        {"type": "text", "content": "Hi there"},
        {"type": "tool_call", "id": "call_0", "name": "look", "arguments": {"at": 1}},
    ]


async def test_every_way_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw, streaming and async, whole and streamed."""
    for _ in range(6):
        simulator.reply(usage=USAGE)
    own = sessions(simulator)
    list(own.create(**OPEN, stream=True))
    list(own.with_raw_response.create(**OPEN, stream=True).parse())
    with own.with_streaming_response.create(**OPEN, stream=True) as response:
        list(response.parse())
    async with simulator.async_openai() as client:
        theirs = client.beta.agents.sessions
        assert [event async for event in await theirs.create(**OPEN, stream=True)]
        raw = await theirs.with_raw_response.create(**OPEN, stream=True)
        assert [event async for event in raw.parse()]
    moving = ("gen_ai.conversation.id", "gen_ai.response.id")
    first, *others = (
        {key: value for key, value in attributes_of(span).items() if key not in moving} for span in instrumented.spans
    )
    assert others == [first] * 4
    assert first["gen_ai.usage.input_tokens"] == 20


def test_a_session_that_is_asked_after(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Polls are linked to the call that began the turn; the first that finds it done says how long it took."""
    own = sessions(simulator)
    opened = own.create(**OPEN)
    states = [own.retrieve(opened.id).status for _ in range(3)]
    assert states == ["in_progress", "idle", "idle"]
    begun, *polls = instrumented.spans
    assert begun.context is not None
    assert [links(span) for span in polls] == [[begun.context.span_id]] * 3
    found = [attributes_of(span) for span in polls]
    assert [span.name for span in polls] == ["fetch_response"] * 3
    assert [one["aiobs.job.polls"] for one in found] == [1, 2, 3]
    assert ["aiobs.job.duration" in one for one in found] == [False, True, False]
    assert [one["gen_ai.response.status"] for one in found] == states
    assert not [key for one in found for key in one if "usage" in key]
    assert {one["gen_ai.response.id"] for one in found} == {opened.id}


def test_a_turn_that_is_listened_to(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """What it used is the job's, once; the listening has none of its own."""
    own = sessions(simulator)
    opened = own.create(environment={"type": "none"}, agent_id="agent_1")
    own.events.create(opened.id, events=[MESSAGE])
    for _ in range(2):
        simulator.reply(usage=USAGE)
        list(own.events.stream(opened.id))
    _, sent, first, second = instrumented.spans
    assert sent.context is not None
    assert (sent.name, attributes_of(sent)["gen_ai.conversation.id"]) == ("invoke_agent", opened.id)
    assert links(first) == links(second) == [sent.context.span_id]
    assert {key: value for key, value in attributes_of(first).items() if "usage" in key} == OF_JOB
    assert not [key for key in attributes_of(second) if "usage" in key]
    assert attributes_of(first)["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.request.stream" not in attributes_of(first)


@pytest.mark.parametrize(
    ("events", "name"),
    [
        ([MESSAGE], "invoke_agent"),
        ([{"type": "agent.session.input.cancel"}], "cancel_response"),
        ([{"type": "agent.session.input.tool_result", "turn_id": "t", "call_id": "c", "success": True, "output": "1"}], "update_response"),
        ([{"type": "agent.session.input.cancel"}, MESSAGE], "invoke_agent"),
    ],
)  # fmt: skip
def test_what_is_sent(simulator: Simulator, instrumented: InMemoryTelemetry, events: Any, name: str) -> None:
    """A message begins a turn; what else is sent is about one that goes on."""
    own = sessions(simulator)
    own.events.create(own.create(environment={"type": "none"}, agent_id="agent_1").id, events=events)
    assert instrumented.spans[-1].name == name


def test_a_result_that_is_sent(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """It is input of a tool's."""
    with_content(signals)
    own = sessions(simulator)
    result: Any = {"type": "agent.session.input.tool_result", "turn_id": "t", "call_id": "c", "success": False, "error": "no"}  # fmt: skip
    own.events.create(own.create(**OPEN).id, events=[result])
    assert asked(signals) == [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "no"}]}]


def test_the_helper_for_one_turn(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Its three requests are spans; a tool's result that it sends is a fourth."""
    own = sessions(simulator)
    opened = own.create(environment={"type": "none"}, agent_id="agent_1")
    instrumented.clear()
    simulator.reply()
    simulator.reply(tool_calls=[("look", {"at": 1})], usage=USAGE)
    with own.stream(opened.id, input="Hello", tool_handlers={"look": lambda given: "seen"}) as stream:
        stream.until_done()
    names = sorted(span.name for span in instrumented.spans)
    assert names == ["fetch_response", "fetch_response", "invoke_agent", "update_response"]
    (listened,) = [span for span in instrumented.spans if "aiobs.job.duration" in attributes_of(span)]
    assert {key: value for key, value in attributes_of(listened).items() if "usage" in key} == OF_JOB


def test_the_event_in_the_session_file(simulator: Simulator) -> None:
    """One event for the turn; what listening found out is in it."""
    observer.observe()
    own = sessions(simulator)
    opened = own.create(**OPEN, metadata={"team": "x"})
    simulator.reply(text="Hi", usage=USAGE)
    list(own.events.stream(opened.id))
    (event,) = file_events()
    assert event["request"] == {
        "model": None,
        "session_id": None,
        "agent_id": "agent_1",
        "input": "Hello",
        "metadata": {"team": "x"},
        "environment": "none",
    }
    answer = event["response"]
    assert (answer["id"], answer["text"], answer["finish_reason"]) == (opened.id, "Hi", "stop")
    assert answer["usage"]["input_tokens"] == 20


def test_failures(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A refusal is the provider's code; so is a turn that failed."""
    simulator.fail(429, code="rate_limit_exceeded")
    with pytest.raises(openai.RateLimitError):
        sessions(simulator).create(**OPEN)
    turn = {"id": "t", "agent_id": "a", "status": "failed", "error": {"code": "overloaded", "message": "no"}}
    failed = {"type": "agent.session.turn.failed", "event_id": "e", "session_id": "s", "turn_id": "t", "turn": turn}
    simulator.raw(f"data: {json.dumps(failed)}\n\n".encode(), headers={"content-type": "text/event-stream"})
    list(sessions(simulator).create(**OPEN, stream=True))
    first, second = instrumented.spans
    assert [span.status.description for span in (first, second)] == ["rate_limit_exceeded", "overloaded"]
    assert attributes_of(second)["gen_ai.response.finish_reasons"] == ("error",)


def test_turns_of_subagents(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """They are part of the turn that made them: neither their words nor their usage are told."""
    with_content(signals)
    turn = {"id": "t", "agent_id": "a", "status": "completed", "subagent_id": "sub", "usage": USAGE}
    told = [
        {"type": "agent.session.turn.created", "turn": {**turn, "status": "in_progress"}},
        {"type": "agent.session.turn.output_text.delta", "delta": "whisper"},
        {"type": "agent.session.turn.completed", "turn": turn, "usage": USAGE},
    ]
    lines = [json.dumps({**event, "event_id": "e", "session_id": "s", "turn_id": "t"}) for event in told]
    simulator.raw(
        "".join(f"data: {line}\n\n" for line in lines).encode(), headers={"content-type": "text/event-stream"}
    )
    list(sessions(simulator).create(**OPEN, stream=True))
    assert "whisper" not in everything(signals)
    assert not [key for key in attributes_of(signals.spans[-1]) if "usage" in key]


def test_a_stream_that_is_broken_off(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Incomplete, and the turn goes on: whoever asks after it is linked to it."""
    simulator.reply(text="a b c d", chunks=4)
    with sessions(simulator).create(**OPEN, stream=True) as stream:
        for event in stream:
            if event.type == "agent.session.turn.output_text.delta":
                break
    sessions(simulator).retrieve(SESSION)
    broken, poll = instrumented.spans
    assert attributes_of(broken)["aiobs.incomplete"] is True
    assert links(poll)


REQUESTS: dict[str, Any] = {
    "null": lambda: {"input": None, "agent": None},
    "numbers": lambda: {"input": 5, "agent": 6, "agent_id": 7, "environment": 8},
    "of other types": lambda: {"input": ["a", None, 7], "agent": {"tools": [None, 5], "text": 3, "instructions": []}},
    "surrogate": lambda: {"input": "\ud800", "agent_id": "\udfff"},
    "1 MB": lambda: {"input": "x" * 1_000_000},
    "one-shot input": lambda: {"input": iter([{"role": "user", "content": "a"}])},
    "extra body": lambda: {"extra_body": {"agent_id": "other", "input": 5}},
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "agent": null, "status": null, "usage": null}',
    "of numbers": b'{"id": 1, "agent": 6, "status": 7, "usage": 8, "error": 9}',
    "failed": b'{"id": "s", "agent": {"id": 5}, "status": "failed", "error": "no"}',
    "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
}
EVENTS = (
    "{}",
    '{"type": null}',
    '{"type": "agent.session.created", "session": 5}',
    '{"type": "agent.session.turn.created", "turn": 5}',
    '{"type": "agent.session.turn.completed", "turn": null, "usage": "x"}',
    '{"type": "agent.session.turn.output_text.delta", "delta": 7}',
    '{"type": "agent.session.turn.item.done", "item": {"type": "function_call", "arguments": [1], "name": 5}}',
    '{"type": "agent.session.turn.item.done", "item": null}',
    '{"type": "error", "error": null}',
)


@pytest.mark.quiet_guard
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"id": "s", "agent": {}, "status": "idle"}'),
        lambda: sessions(simulator).create(**{**OPEN, **make()}),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("ask", ["create", "retrieve"])
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, ask: str) -> None:
    """The program sees what it sees without us, and no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: sessions(simulator).create(**OPEN) if ask == "create" else sessions(simulator).retrieve("s"),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_odd_events(simulator: Simulator, signals: InMemoryTelemetry, event: str) -> None:
    """The same of what is listened to."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(f"data: {event}\n\n".encode(), headers={"content-type": "text/event-stream"}),
        lambda: list(sessions(simulator).events.stream("s")),
        may_fail=(),
    )
