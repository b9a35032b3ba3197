"""Responses over a connection, and Live: the events of the Responses API, and seconds of a session."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import openai_realtime as wire
from aiobs.testing.socket_server import Script, SocketServer
from tests.instrumentation.openai.sockets import both, spans_of, talk, without_place
from tests.versions import needs

ASK = {"type": "response.create", "model": "gpt-5", "input": "Hello", "instructions": "Be brief.", "temperature": 0.5}


def ask(**more: Any) -> tuple[str, Any]:
    return "send", {**ASK, **more}


DONE = ("until", "response.completed")


@needs("openai responses over a socket")
@both
async def test_a_response_over_a_connection(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Every attribute, as those of responses.create; the session knows no model."""
    with SocketServer(wire.responses(wire.written("resp_a", "Good morning"))) as server:
        await talk(is_async, server, "responses", [ask(), DONE])
    response, session = instrumented.spans
    assert (response.name, session.name) == ("chat gpt-5", "realtime_session")
    assert without_place(dict(response.attributes or {})) == {
        "aiobs.api.name": "responses.connect",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.id": "resp_a",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "openai.api.type": "responses",
        "server.address": "127.0.0.1",
    }
    assert without_place(dict(session.attributes or {})) == {
        "aiobs.api.name": "responses.connect",
        "gen_ai.operation.name": "realtime_session",
        "gen_ai.provider.name": "openai",
        "server.address": "127.0.0.1",
    }


@needs("openai responses over a socket")
@pytest.mark.parametrize(
    ("final", "until", "expected"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "response.incomplete", ("length", None)),
        ({"status": "failed", "error": {"code": "server_error", "message": "m"}}, "response.failed", ("error", "server_error")),
    ],
)  # fmt: skip
@both
async def test_how_it_ends(
    is_async: bool, final: Any, until: str, expected: Any, instrumented: InMemoryTelemetry
) -> None:
    """Incomplete and failed, with usage; the session goes on."""
    with SocketServer(wire.responses(wire.written("r", "Half", **final), wire.written("r2", "Whole"))) as server:
        await talk(is_async, server, "responses", [ask(), ("until", until), ask(), DONE])
    first, second = spans_of(instrumented, "chat")
    assert (first["gen_ai.response.finish_reasons"][0], first.get("error.type")) == expected
    assert first["gen_ai.usage.output_tokens"] == 7
    assert second["gen_ai.response.finish_reasons"] == ("stop",)


@needs("openai responses over a socket")
@pytest.mark.parametrize("began", [0, 2], ids=["before it began", "in the middle"])
@both
async def test_an_error_ends_the_response(is_async: bool, began: int, instrumented: InMemoryTelemetry) -> None:
    """An error event over a connection is nested, and ends the response, not the session."""
    told = {"type": "invalid_request_error", "code": "previous_response_not_found", "message": "no", "param": None}
    error = {"type": "error", "status": 400, "error": told}
    answers = wire.responses([*wire.written("r", "one two")[:began], error], wire.written("r2", "Whole"))
    with SocketServer(answers) as server:
        await talk(is_async, server, "responses", [ask(), ("until", "error"), ask(), DONE])
    failed, good, session = instrumented.spans
    assert dict(failed.attributes or {})["error.type"] == "previous_response_not_found"
    assert [span.status.status_code for span in (good, session)] == [StatusCode.UNSET] * 2


@needs("openai responses over a socket")
@both
async def test_lanes_at_a_time(is_async: bool, signals: InMemoryTelemetry) -> None:
    """Two responses whose events interleave are told apart by their lane, whichever ends first."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    one, two = wire.written("r1", "one of one", lane="a"), wire.written("r2", "two of two", lane="b")
    mixed = [event for pair in zip(two, one, strict=True) for event in pair]
    with SocketServer(wire.responses((), mixed)) as server:
        await talk(is_async, server, "responses", [ask(stream_id="a"), ask(stream_id="b", input="Bye"), DONE, DONE])
    found = {
        span["gen_ai.response.id"]: [
            json.loads(span["gen_ai.input.messages"])[0]["parts"][0]["content"],
            json.loads(span["gen_ai.output.messages"])[0]["parts"][0]["content"],
        ]
        for span in spans_of(signals, "chat")
    }
    assert found == {"r1": ["Hello", "one of one"], "r2": ["Bye", "two of two"]}


@needs("openai responses over a socket")
@both
async def test_its_event_in_the_session_file(is_async: bool, tmp_path: Any) -> None:
    """In the shape of responses.create."""
    Instrumentor(["openai"]).instrument()
    observer.observe()
    with SocketServer(wire.responses(wire.written("resp_a", "Good morning"))) as server:
        await talk(is_async, server, "responses", [ask(), DONE])
    observer.flush(str(tmp_path / "out.json"))
    (event,) = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (event["api"], event["request"]["input"], event["request"]["model"]) == (
        "responses.connect",
        "Hello",
        "gpt-5",
    )
    assert (event["response"]["id"], event["response"]["text"]) == ("resp_a", "Good morning")


# Live


def live_session(**more: Any) -> dict[str, Any]:
    audio = {"format": {"type": "audio/pcm", "rate": 24000}, "output": {"voice": "cedar"}}
    delegation = {"type": "responses", "responses": {"model": "gpt-5"}}
    return {"id": "live_1", "expires_at": 1, "model": "gpt-live-1", "status": "active", "audio": audio, "delegation": delegation, **more}  # fmt: skip


def transcript(side: str, text: str) -> dict[str, Any]:
    return wire.event(f"session.{side}_transcript.delta", delta=text, start_ms=0, end_ms=1)


def live(*more: Any) -> Script:
    usage = [
        wire.event("session.usage.updated", usage={"seconds": 1.5}),
        wire.event("session.usage.updated", usage={"seconds": 4.25}),
    ]
    closed = wire.event("session.closed", reason="close_requested", session=live_session(), usage={"seconds": 4.5})

    def answer(event: Any, number: int) -> Any:
        if event["type"] == "session.start":
            return [wire.event("session.started", session=live_session()), *more, *usage]
        return [closed] if event["type"] == "session.close" else ()

    return Script(answer)


START = ("send", {"type": "session.start", "session": {"model": "gpt-live-1", "instructions": "Be kind."}})
CLOSE = ("send", {"type": "session.close"})
WHOLE: list[tuple[str, Any]] = [START, CLOSE, ("until", "session.closed")]


@needs("openai live")
@both
async def test_a_live_session(is_async: bool, signals: InMemoryTelemetry, tmp_path: Any) -> None:
    """Seconds are totals; what was said is on the session, which is an event as it has no responses."""
    observer.observe(tracer_provider=signals.tracer_provider, capture_content="span_only")
    said = [
        transcript("input", "How are "),
        transcript("output", "I am "),
        transcript("output", "well"),
        transcript("input", "you?"),
    ]
    with SocketServer(live(*said)) as server:
        await talk(is_async, server, "live", WHOLE)
    (session,) = spans_of(signals, "realtime_session")
    assert without_place(session, "session.", "aiobs.session", "label.") == {
        "aiobs.api.name": "live.connect",
        "aiobs.request.config.input_audio_format": "audio/pcm",
        "aiobs.request.config.output_audio_format": "audio/pcm",
        "aiobs.request.config.voice": "cedar",
        "aiobs.usage.seconds": 4.5,
        "gen_ai.conversation.id": "live_1",
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"How are you?"}]}]',
        "gen_ai.operation.name": "realtime_session",
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"I am well"}]}]',
        "gen_ai.provider.name": "openai",
        "gen_ai.response.id": "live_1",
        "gen_ai.response.model": "gpt-live-1",
        "gen_ai.system_instructions": '[{"type":"text","content":"Be kind."}]',
        "server.address": "127.0.0.1",
    }
    observer.flush(str(tmp_path / "out.json"))
    (event,) = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (event["api"], event["response"]["units"], event["response"]["text"]) == ("live.connect", {"seconds": 4.5}, "I am well")  # fmt: skip


@needs("openai live")
@both
async def test_what_a_live_session_delegates(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Events of delegated responses lie one level deeper; two delegations at a time are told apart."""
    one, two = wire.written("r1", "one", model="gpt-5.1"), wire.written("r2", "two", model="gpt-5.1")
    nested = [
        wire.event("response.event", event=inner, delegation_id=name)
        for pair in zip(one, two, strict=True)
        for inner, name in zip(pair, ("d1", "d2"), strict=True)
    ]
    with SocketServer(live(*nested)) as server:
        await talk(is_async, server, "live", WHOLE)
    spans = spans_of(instrumented, "chat")
    assert [(span["gen_ai.response.id"], span["gen_ai.response.model"]) for span in spans] == [
        ("r1", "gpt-5.1"),
        ("r2", "gpt-5.1"),
    ]
    assert [span["gen_ai.usage.input_tokens"] for span in spans] == [11, 11]
    assert {span["aiobs.api.name"] for span in spans} == {"live.connect"}
    assert {span["gen_ai.request.model"] for span in spans} == {"gpt-5.1"}


def live_error(**named: Any) -> dict[str, Any]:
    error = {"type": "invalid_request_error", "code": "no_delegation", "message": "SECRET", **named}
    return {**wire.event("error", error=error), "client_event_id": None}


def refusing(*errors: Any) -> Script:
    """A session of Live that answers each request for a response by an error, and only then begins one."""
    inner = [wire.event("response.event", event=each, delegation_id="d1") for each in wire.written("r1", "one")]

    def answer(event: Any, number: int) -> Any:
        if event["type"] == "session.start":
            return [wire.event("session.started", session=live_session())]
        if event["type"] == "response.create":
            return [*errors, *inner] if event.get("event_id") == "second" else [wire.event("info", message="x")]
        return [wire.event("session.closed", session=live_session())] if event["type"] == "session.close" else ()

    return Script(answer)


ASKED_TWICE: list[tuple[str, Any]] = [
    START,
    ("until", "session.started"),
    ("send", {"type": "response.create", "event_id": "first"}),
    ("send", {"type": "response.create", "event_id": "second"}),
    *WHOLE[1:],
]


@needs("openai live")
@pytest.mark.parametrize(
    ("named", "failed"),
    [
        ({"client_event_id": "first"}, ["no_delegation", None]),
        ({"client_event_id": "second"}, ["no_delegation", None]),
        ({"client_event_id": "an append"}, [None, None]),
        ({}, [None, "no_delegation"]),
    ],
    ids=["the first", "the second", "something else", "nothing"],
)
@both
async def test_an_error_of_live_ends_the_response_that_it_names(
    is_async: bool, named: Any, failed: list[str | None], instrumented: InMemoryTelemetry
) -> None:
    """By the id of the program's event, at once; an error that names none is about the newest, if that does not begin."""
    with SocketServer(refusing(live_error(**named))) as server:
        await talk(is_async, server, "live", ASKED_TWICE)
    assert [span.get("error.type") for span in spans_of(instrumented, "chat")] == failed
    (session,) = spans_of(instrumented, "realtime_session")
    assert "error.type" not in session
    assert "SECRET" not in "".join(str(span.status.description) for span in instrumented.spans)


BAD = (
    {"type": "session.usage.updated", "usage": None},
    {"type": "session.usage.updated", "usage": {"seconds": "9"}},
    {"type": "session.usage.updated", "usage": {"seconds": True}},
    {"type": "session.started", "session": 7},
    {"type": "session.output_transcript.delta", "delta": None},
    {"type": "session.input_transcript.delta", "delta": 7},
    {"type": "session.output_transcript.delta", "delta": "x" * 100_000},
    {"type": "response.event", "event": "x"},
    {"type": "response.event", "event": {"type": "response.created", "response": None}},
    {"type": "response.event", "event": {"type": "response.completed", "response": {"id": "r"}}},
    {"type": "error", "error": None},
)  # fmt: skip


@needs("openai live")
@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
@both
async def test_live_events_that_are_not_as_they_should_be(is_async: bool, bad: Any, signals: InMemoryTelemetry) -> None:
    """The program gets them; the session has its seconds."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    with SocketServer(live(bad)) as server:
        await talk(is_async, server, "live", WHOLE)
    (session,) = spans_of(signals, "realtime_session")
    assert session["aiobs.usage.seconds"] == 4.5
    assert len(session.get("gen_ai.output.messages", "")) < 66_000
