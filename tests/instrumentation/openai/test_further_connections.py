"""Forks of Live sessions, second connections to them, translations: what each counts, and what it does not."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.capture import connections
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import openai_realtime as wire
from aiobs.testing.socket_server import Close, Drop, Script, SocketServer
from tests.instrumentation.openai.sockets import both, spans_of, talk, without_place
from tests.instrumentation.openai.test_connected_responses import START, WHOLE, live, live_session, transcript
from tests.versions import needs

pytestmark = needs("openai further connections")

USED = wire.event("session.usage.updated", usage={"seconds": 4.25})
CLOSED = wire.event("session.closed", reason="close_requested", session=live_session(), usage={"seconds": 4.5})
ATTACHED = wire.event("session.updated", session=live_session())
ASKED = ("send", {"type": "response.create", "event_id": "e1"})


def delegated(id: str = "r1") -> list[Any]:
    """The events of a delegated response."""
    return [
        wire.event("response.event", event=inner, delegation_id="d1") for inner in wire.written(id, "one", "gpt-5.1")
    ]


def beside(*more: Any) -> Script:
    """What a further connection to ``live_1`` gets."""
    return Script(greeting=[ATTACHED, *more, USED, CLOSED])


@both
async def test_a_fork(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """A session of its own, with what it used; the stored one is a setting."""
    start = ("send", {"type": "session.start", "session": {}})
    with SocketServer(live(*delegated())) as server:
        await talk(is_async, server, "live.forks", [start, *WHOLE[1:]], session_id="live_0")
        assert "live_0" in server.paths[0]
    (session,) = spans_of(instrumented, "realtime_session")
    assert without_place(session) == {
        "aiobs.api.name": "live.forks.connect",
        "aiobs.request.config.input_audio_format": "audio/pcm",
        "aiobs.request.config.output_audio_format": "audio/pcm",
        "aiobs.request.config.session_id": "live_0",
        "aiobs.request.config.voice": "cedar",
        "aiobs.usage.seconds": 4.5,
        "gen_ai.conversation.id": "live_1",
        "gen_ai.operation.name": "realtime_session",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.id": "live_1",
        "gen_ai.response.model": "gpt-live-1",
        "server.address": "127.0.0.1",
    }
    (response,) = spans_of(instrumented, "chat")
    assert (response["aiobs.api.name"], response["gen_ai.usage.input_tokens"]) == ("live.forks.connect", 11)


@both
async def test_a_sideband_whose_session_is_elsewhere(is_async: bool, signals: InMemoryTelemetry) -> None:
    """The session runs in a browser or on a telephone: nobody else here counts it."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    told = ("send", {"type": "session.instructions.append", "content": "Be brief.", "delegation_id": None})
    with SocketServer(beside(transcript("output", "Well"), *delegated())) as server:
        await talk(is_async, server, "live.sideband", [told, ("until", "session.closed")], session_id="live_1")
    (session,) = spans_of(signals, "realtime_session")
    assert session["aiobs.api.name"] == "live.sideband.connect"
    assert (session["gen_ai.conversation.id"], session["aiobs.usage.seconds"]) == ("live_1", 4.5)
    assert json.loads(session["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "Well"}]
    (response,) = spans_of(signals, "chat")
    assert (response["gen_ai.response.id"], response["gen_ai.usage.output_tokens"]) == ("r1", 7)
    assert json.loads(response["gen_ai.input.messages"]) == [
        {"role": "developer", "parts": [{"type": "text", "content": "Be brief."}]}
    ]


def test_a_sideband_beside_its_session(instrumented: InMemoryTelemetry) -> None:
    """What both connections are told is counted once, by the one that opened the session."""
    with (
        SocketServer(live(*delegated())) as first,
        SocketServer(beside(*delegated())) as second,
        first.openai(websocket_base_url=first.origin.replace("http", "ws")) as client,
        second.openai(websocket_base_url=second.origin.replace("http", "ws")) as other,
        client.live.connect() as connection,
    ):
        connection.send(START[1])
        assert connection.recv().type == "session.started"
        with other.live.sideband.connect(session_id="live_1") as sideband:
            sideband.send(ASKED[1])
            assert any(event.type == "session.closed" for event in sideband)
        connection.send({"type": "session.close"})
        for event in connection:
            if event.type == "session.closed":
                break
    chats = spans_of(instrumented, "chat")
    assert [span["aiobs.api.name"] for span in chats] == ["live.connect"]
    used = {
        span["aiobs.api.name"]: span.get("aiobs.usage.seconds") for span in spans_of(instrumented, "realtime_session")
    }
    assert used == {"live.connect": 4.5, "live.sideband.connect": None}
    assert len(instrumented.metrics().get("gen_ai.client.inference.duration", ())) == 1


@both
async def test_the_second_sideband_repeats_the_first(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """One after the other each counts; at the same time only the one that was there first."""
    with SocketServer(beside()) as server:
        for _ in range(2):
            await talk(is_async, server, "live.sideband", [("until", "session.closed")], session_id="live_1")
        with (
            server.openai(websocket_base_url=server.origin.replace("http", "ws")) as client,
            client.live.sideband.connect(session_id="live_1") as outer,
        ):
            await talk(is_async, server, "live.sideband", [("until", "session.closed")], session_id="live_1")
            for event in outer:
                if event.type == "session.closed":
                    break
    seconds = [span.get("aiobs.usage.seconds") for span in spans_of(instrumented, "realtime_session")]
    assert seconds == [4.5, 4.5, None, 4.5]
    assert not [tap for tap in connections._counting.values() if tap.recording.is_open]


TRANSLATED = {
    "id": "sess_1",
    "type": "translation",
    "model": "gpt-realtime-translate-2026",
    "expires_at": 1,
    "audio": {"input": {"transcription": {"model": "whisper-1"}}, "output": {"language": "es"}},
}


def translations(*more: Any) -> Script:
    """A session that says something when it is closed."""
    said = [transcript("input", "Good "), transcript("output", "Buenos "), transcript("output", "días"), *more]
    sound = wire.event("session.output_audio.delta", delta="AAAA", channels=1, sample_rate=24000, format="pcm16")

    def answer(event: Any, number: int) -> Any:
        return [*said, sound, wire.event("session.closed")] if event["type"] == "session.close" else ()

    return Script(answer, [wire.event("session.created", session=TRANSLATED)])


SPOKEN: list[tuple[str, Any]] = [
    ("send", {"type": "session.input_audio_buffer.append", "audio": "AAAA"}),
    ("send", {"type": "session.close"}),
    ("until", "session.closed"),
]


@both
async def test_a_translation(is_async: bool, signals: InMemoryTelemetry, tmp_path: Any) -> None:
    """One span for all of it; sound that goes in and what was said, under the gate."""
    observer.observe(tracer_provider=signals.tracer_provider, capture_content="span_only")
    with SocketServer(translations()) as server:
        await talk(is_async, server, "realtime.translations", SPOKEN, model="gpt-realtime-translate")
    (session,) = spans_of(signals, "realtime_session")
    (span,) = signals.spans
    assert (span.name, span.status.status_code) == ("realtime_session gpt-realtime-translate", StatusCode.UNSET)
    asked = json.loads(session.pop("gen_ai.input.messages"))
    assert [part["type"] for message in asked for part in message["parts"]] == ["text", "blob"]
    assert "AAAA" not in json.dumps(asked)
    assert without_place(session, "session.", "aiobs.session", "label.") == {
        "aiobs.api.name": "realtime.translations.connect",
        "aiobs.request.config.language": "es",
        "aiobs.request.config.transcription_model": "whisper-1",
        "gen_ai.conversation.id": "sess_1",
        "gen_ai.operation.name": "realtime_session",
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"Buenos días"}]}]',
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-realtime-translate",
        "gen_ai.response.id": "sess_1",
        "gen_ai.response.model": "gpt-realtime-translate-2026",
        "server.address": "127.0.0.1",
    }
    observer.flush(str(tmp_path / "out.json"))
    (event,) = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (event["api"], event["response"]["text"]) == ("realtime.translations.connect", "Buenos días")


@both
async def test_nothing_of_a_translation_with_the_gate_closed(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Neither what was heard nor what was said."""
    with SocketServer(translations()) as server:
        await talk(is_async, server, "realtime.translations", SPOKEN, model="m")
    (session,) = spans_of(instrumented, "realtime_session")
    assert not [value for value in session.values() if "Buenos" in str(value) or "Good" in str(value)]


API = (
    ("live.forks", {"session_id": "live_0"}),
    ("live.sideband", {"session_id": "live_0"}),
    ("realtime.translations", {"model": "m"}),
)


@pytest.mark.parametrize(("api", "connect"), API, ids=[name for name, _ in API])
@pytest.mark.parametrize(("end", "status"), [(Close(), StatusCode.UNSET), (Drop(), StatusCode.ERROR)])
@both
async def test_how_they_end(
    is_async: bool, end: Any, status: StatusCode, api: str, connect: Any, instrumented: InMemoryTelemetry
) -> None:
    """Closed by the server is a good end, a connection that breaks is an error; the program gets what it gets."""
    with SocketServer(Script(greeting=[ATTACHED, end])) as server:
        raises = pytest.raises(Exception, match="close frame") if status is StatusCode.ERROR else nullcontext()
        with raises:
            await talk(is_async, server, api, [("all", None)], **connect)
    (span,) = instrumented.spans
    assert (span.name.split()[0], span.status.status_code) == ("realtime_session", status)


BAD = (
    {"type": "session.created", "session": 7},
    {"type": "session.updated", "session": {"id": 7, "model": [], "audio": {"output": {"language": 5}}}},
    {"type": "session.closed", "session": "x", "usage": []},
    {"type": "session.output_audio.delta", "delta": 5},
    {"type": "session.output_transcript.delta", "delta": {}},
    {"type": "decision.event", "event": None},
    {"type": "error", "error": {"code": 5}},
    {"type": None},
)


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize(("api", "connect"), API, ids=[name for name, _ in API])
@both
async def test_events_that_are_not_as_they_should_be(
    is_async: bool, api: str, connect: Any, bad: Any, signals: InMemoryTelemetry
) -> None:
    """The program gets them; nothing of ours fails."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    with SocketServer(Script(greeting=[bad, wire.event("the.end")])) as server:
        events = await talk(is_async, server, api, [("until", "the.end")], **connect)
    assert len(events) == 2
    assert len(spans_of(signals, "realtime_session")) == 1


@both
async def test_odd_things_that_are_sent(is_async: bool, signals: InMemoryTelemetry) -> None:
    """They go out as they are, and an appended text that is none is no message."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    odd = [{"type": f"session.{name}.append", "content": None} for name in ("instructions", "thinking", "commentary")]
    with SocketServer(beside()) as server:
        sent: Any = [("send", event) for event in odd]
        await talk(is_async, server, "live.sideband", [*sent, ("until", "session.closed")], session_id="live_1")
    (session,) = spans_of(signals, "realtime_session")
    assert "gen_ai.input.messages" not in session
