"""Decisions in a Live session: each event that brings answers is a span with the tokens that they took."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import openai_realtime as wire
from aiobs.testing.socket_server import SocketServer
from tests.instrumentation.openai.sockets import both, spans_of, talk, without_place
from tests.instrumentation.openai.test_connected_responses import START, WHOLE, live, live_session, transcript
from tests.instrumentation.openai.test_further_connections import beside
from tests.instrumentation.test_decisions import QUESTIONS, USAGE
from tests.versions import needs

pytestmark = needs("openai live decisions")

INPUT = "session.input_transcript.delta"
ANSWERS = [{"type": "predicate", "name": "so", "probability": 0.9}]


def decided(*, usage: Any = USAGE, **fields: Any) -> dict[str, Any]:
    """An event that brings a decision."""
    decision = {"answers": ANSWERS, "model": "gpt-decide-1", "usage": usage}
    return wire.event("decision.event", event={"type": "decision.completed", "decision": decision}, **fields)


DELEGATED = decided(delegation_id="d1")
SET_OFF = decided(source_event_id="event_1", source_event_type=INPUT, trigger_id="t1")
TOLD = wire.event(
    "session.updated",
    session=live_session(
        delegation={"type": "decisions", "decisions": {"model": "gpt-decide-1", "questions": QUESTIONS[:1]}},
        triggers=[
            {"type": "decisions", "event_type": "session.output_transcript.delta", "decisions": {"questions": []}},
            {"type": "decisions", "event_type": INPUT, "decisions": {"questions": QUESTIONS[1:2]}},
        ],
    ),
)


@both
async def test_a_decision(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Every attribute, literally: the model that decided, and what it used, beside the seconds of the session."""
    with SocketServer(live(TOLD, DELEGATED)) as server:
        await talk(is_async, server, "live", WHOLE)
    decision, session = instrumented.spans
    assert (decision.name, decision.status.status_code) == ("decision gpt-decide-1", StatusCode.UNSET)
    assert (decision.parent.span_id, decision.links) == (session.context.span_id, ())
    assert without_place(dict(decision.attributes or {})) == {
        "aiobs.api.name": "live.connect",
        "gen_ai.conversation.id": "live_1",
        "gen_ai.operation.name": "decision",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-decide-1",
        "gen_ai.response.model": "gpt-decide-1",
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "127.0.0.1",
    }
    assert dict(session.attributes or {})["aiobs.usage.seconds"] == 4.5
    durations = instrumented.metrics()["gen_ai.client.operation.duration"]
    assert [dict(point.attributes)["gen_ai.operation.name"] for point in durations] == ["realtime_session"]


@both
async def test_questions_and_answers(is_async: bool, signals: InMemoryTelemetry) -> None:
    """The questions are those of what set it off; what was said meanwhile stays with the session."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    with SocketServer(live(TOLD, transcript("input", "Is it so?"), SET_OFF, DELEGATED)) as server:
        await talk(is_async, server, "live", WHOLE)
    set_off, delegated = spans_of(signals, "decision")
    asked = [json.loads(span["gen_ai.input.messages"])[0]["parts"] for span in (set_off, delegated)]
    assert [[part["kind"] for part in parts] for parts in asked] == [["choice"], ["predicate"]]
    (answered,) = json.loads(delegated["gen_ai.output.messages"])
    assert answered["parts"] == [{"type": "answer", "kind": "predicate", "name": "so", "probability": 0.9}]
    (session,) = spans_of(signals, "realtime_session")
    assert json.loads(session["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "Is it so?"}]


@both
async def test_nothing_of_it_with_the_gate_closed(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Neither questions nor answers."""
    with SocketServer(live(TOLD, DELEGATED, SET_OFF)) as server:
        await talk(is_async, server, "live", WHOLE)
    found = spans_of(instrumented, "decision")
    assert len(found) == 2
    assert not [value for span in found for value in span.values() if "so" in str(value).split() or "0.9" in str(value)]


@both
async def test_its_event_in_the_session_file(is_async: bool, tmp_path: Any) -> None:
    """In the shape of ``decisions.create``; the session, which has said nothing else, is an event too."""
    Instrumentor(["openai"]).instrument()
    observer.observe()
    with SocketServer(live(TOLD, SET_OFF)) as server:
        await talk(is_async, server, "live", WHOLE)
    observer.flush(str(tmp_path / "out.json"))
    session, decision = json.loads((tmp_path / "out.json").read_text())["events"]
    (question,) = decision["request"].pop("questions")
    assert (question["type"], question["instructions"]) == ("choice", "Which?")
    assert decision["request"] == {"model": "gpt-decide-1", "input": None, "other": {"set_off_by": INPUT}}
    assert (decision["response"]["answers"], decision["response"]["usage"]["prompt_tokens"]) == (ANSWERS, 7)
    assert session["response"]["units"] == {"seconds": 4.5}


@needs("openai further connections")
def test_a_sideband_repeats_them(instrumented: InMemoryTelemetry) -> None:
    """What both connections are told is counted once."""
    with (
        SocketServer(live(DELEGATED)) as first,
        SocketServer(beside(DELEGATED)) as second,
        first.openai(websocket_base_url=first.origin.replace("http", "ws")) as client,
        second.openai(websocket_base_url=second.origin.replace("http", "ws")) as other,
        client.live.connect() as connection,
    ):
        connection.send(START[1])
        assert connection.recv().type == "session.started"
        with other.live.sideband.connect(session_id="live_1") as sideband:
            assert "decision.event" in [event.type for event in _until_closed(sideband)]
        connection.send({"type": "session.close"})
        assert "decision.event" in [event.type for event in _until_closed(connection)]
    assert [span["aiobs.api.name"] for span in spans_of(instrumented, "decision")] == ["live.connect"]


def _until_closed(connection: Any) -> Any:
    for event in connection:
        yield event
        if event.type == "session.closed":
            return


ODD: dict[str, tuple[Any, int]] = {
    "no event": ({"type": "decision.event", "event": None}, 0),
    "no decision": ({"type": "decision.event", "event": {"type": "decision.completed"}}, 0),
    "a decision that is none": (wire.event("decision.event", event={"decision": 7}), 1),
    "of nulls": (wire.event("decision.event", event={"decision": {"answers": None, "model": None}}), 1),
    "usage of another type": (decided(usage=[1]), 1),
    "set off by another type": (decided(source_event_type=7), 1),
}


@pytest.mark.parametrize(("odd", "spans"), ODD.values(), ids=ODD)
@both
async def test_odd_decisions(is_async: bool, odd: Any, spans: int, signals: InMemoryTelemetry) -> None:
    """The program gets them; nothing of ours fails, and what follows is recorded."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    with SocketServer(live(odd, DELEGATED)) as server:
        events = await talk(is_async, server, "live", WHOLE)
    assert len(events) == 6
    assert len(spans_of(signals, "decision")) == spans + 1
