"""Live: a span for the session, one for each turn of the model in it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import gemini_live as wire
from aiobs.testing.socket_server import Close, Drop, Script, SocketServer
from tests.versions import needs

pytestmark = needs("gemini live")
CONFIG = {
    "response_modalities": ["AUDIO"],
    "temperature": 0.5,
    "max_output_tokens": 64,
    "system_instruction": "Be brief.",
    "speech_config": {"language_code": "de-DE", "voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
    "tools": [{"function_declarations": [{"name": "look", "description": "d"}]}],
}


def client_of(server: SocketServer) -> Any:
    """With only an address: that one is dialled as it is, without TLS."""
    from google import genai

    client = genai.Client(vertexai=True, http_options={"base_url": server.origin.replace("http", "ws")})
    client._api_client._websocket_ssl_ctx = {}  # it hands on a TLS context for addresses without TLS too
    return client


async def talk(script: Script, *programs: Any, model: str = "gemini-live", config: Any = CONFIG) -> list[Any]:
    """For each program: what it sends, and the messages that it gets in that turn."""
    got = []
    with SocketServer(script) as server:
        async with client_of(server).aio.live.connect(model=model, config=config) as session:
            for program in programs:
                await program(session)
                got.extend([message async for message in session.receive()])
    return got


def says(text: str) -> Any:
    async def program(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": text}]})

    return program


def plays(*pieces: bytes) -> Any:
    async def program(session: Any) -> None:
        for piece in pieces:
            await session.send_realtime_input(audio={"data": piece, "mime_type": "audio/pcm;rate=16000"})

    return program


def spans_of(telemetry: InMemoryTelemetry, operation: str) -> list[dict[str, Any]]:
    return [
        dict(span.attributes or {})
        for span in telemetry.spans
        if (span.attributes or {}).get("gen_ai.operation.name") == operation
    ]


def blob(data: bytes, mime_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"type": "blob", "modality": "audio", "mime_type": mime_type, "content": "", "size": len(data), "sha256": digest}  # fmt: skip


def without_place(attributes: dict[str, Any]) -> dict[str, Any]:
    left_out = ("code.", "server.port", "gen_ai.response.time_to_first_chunk")
    return {name: value for name, value in attributes.items() if not name.startswith(left_out)}


SESSION = {
    "aiobs.api.name": "live.connect",
    "aiobs.request.config.language": "de-DE",
    "aiobs.request.config.modalities": ("AUDIO",),
    "aiobs.request.config.voice": "Kore",
    "gen_ai.conversation.id": "session-1",
    "gen_ai.output.type": "speech",
    "gen_ai.provider.name": "gcp.vertex_ai",
    "gen_ai.request.max_tokens": 64,
    "gen_ai.request.model": "gemini-live",
    "gen_ai.request.temperature": 0.5,
    "server.address": "127.0.0.1",
}


async def test_a_turn_in_its_session(instrumented: InMemoryTelemetry) -> None:
    """Every attribute of both spans, the one below the other, with the gate closed."""
    messages = await talk(wire.live([wire.text("Guten "), wire.text("Tag"), wire.complete()]), says("Hello"))
    assert [message.text for message in messages] == ["Guten ", "Tag", None]
    turn, session = instrumented.spans
    assert (turn.name, session.name) == ("generate_content gemini-live", "realtime_session gemini-live")
    assert turn.parent is not None
    assert session.context is not None
    assert turn.parent.span_id == session.context.span_id
    assert without_place(dict(turn.attributes or {})) == {
        **SESSION,
        "gen_ai.operation.name": "generate_content",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.audio.input_tokens": 12,
        "gen_ai.usage.audio.output_tokens": 30,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.input_tokens": 23,
        "gen_ai.usage.output_tokens": 34,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "gen_ai.usage.text.input_tokens": 8,
    }
    assert without_place(dict(session.attributes or {})) == {**SESSION, "gen_ai.operation.name": "realtime_session"}
    assert dict(turn.attributes or {})["code.function.name"] == "says.<locals>.program"
    assert dict(session.attributes or {})["code.function.name"] == "talk"


async def test_content_with_the_gate_open(signals: InMemoryTelemetry) -> None:
    """Texts, transcripts and sound in both directions: of sound its size and hash."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    script = wire.live(
        (),
        [
            wire.content(inputTranscription={"text": "What "}),
            wire.content(inputTranscription={"text": "time?"}),
            wire.sound(b"half "), wire.content(outputTranscription={"text": "It is "}),
            wire.sound(b"past"), wire.content(outputTranscription={"text": "two."}),
            wire.complete(),
        ],
        [wire.text("Bye"), wire.complete()],
    )  # fmt: skip
    await talk(script, plays(b"what ", b"time"), says("Thanks"))
    first, second = spans_of(signals, "generate_content")
    assert json.loads(first["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(first["gen_ai.tool.definitions"]) == [{"type": "function", "name": "look"}]
    assert json.loads(first["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "What time?"}]},
        {"role": "user", "parts": [blob(b"what time", "audio/pcm;rate=16000")]},
    ]
    assert json.loads(first["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "It is two."}, blob(b"half past", "audio/pcm;rate=24000")]}
    ]  # fmt: skip
    assert json.loads(second["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "Thanks"}]}]  # fmt: skip


async def test_tools_within_a_turn(signals: InMemoryTelemetry) -> None:
    """The call and what comes after its answer are one turn; the answer is input of it."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    script = wire.live([wire.call("look", {"at": "sky"})], [wire.text("Blue"), wire.complete()])
    with SocketServer(script) as server:
        async with client_of(server).aio.live.connect(model="m", config=CONFIG) as session:
            await says("Which colour?")(session)
            async for message in session.receive():
                if message.tool_call:
                    answer = {"id": "call-1", "name": "look", "response": {"colour": "blue"}}
                    await session.send_tool_response(function_responses=[answer])
    (turn,) = spans_of(signals, "generate_content")
    assert [message["role"] for message in json.loads(turn["gen_ai.input.messages"])] == ["user", "tool"]
    call = {"type": "tool_call", "id": "call-1", "name": "look", "arguments": {"at": "sky"}}
    said = {"type": "text", "content": "Blue"}
    assert json.loads(turn["gen_ai.output.messages"]) == [{"role": "assistant", "parts": [call, said]}]


@pytest.mark.parametrize("together", [False, True])
async def test_an_interrupted_turn(together: bool, instrumented: InMemoryTelemetry) -> None:
    """It is incomplete, in one message with its end or before it; the next turn is whole."""
    end = [wire.complete(interrupted=True)] if together else [wire.content(interrupted=True), wire.complete()]
    await talk(wire.live([wire.text("I was"), *end], [wire.text("Yes"), wire.complete()]), says("a"), says("b"))
    first, second = spans_of(instrumented, "generate_content")
    assert (first["gen_ai.response.finish_reasons"], first["aiobs.incomplete"]) == (("interrupted",), True)
    assert first["gen_ai.usage.output_tokens"] == 34
    assert (second["gen_ai.response.finish_reasons"], second.get("aiobs.incomplete")) == (("stop",), None)


@pytest.mark.parametrize(
    ("ending", "status"),
    [(Drop(), StatusCode.ERROR), (Close(1011, "SECRET"), StatusCode.ERROR), (Close(1000), StatusCode.UNSET)],
    ids=["dropped", "closed with an error", "closed"],
)
async def test_the_server_ends_it(ending: Any, status: StatusCode, instrumented: InMemoryTelemetry) -> None:
    """A connection that breaks is an error of the open turn and of the session; a farewell leaves it incomplete."""
    from google.genai.errors import APIError
    from websockets.exceptions import ConnectionClosed

    with pytest.raises((APIError, ConnectionClosed)):  # old releases let through what websockets raises
        await talk(wire.live([wire.text("I was"), ending]), says("a"))
    turn, session = instrumented.spans
    assert [span.status.status_code for span in (turn, session)] == [status, status]
    assert dict(turn.attributes or {})["aiobs.incomplete"] is True
    assert "aiobs.http.status_code" not in dict(session.attributes or {})
    assert "SECRET" not in repr([(dict(span.attributes or {}), span.status.description) for span in (turn, session)])


async def test_a_dial_that_fails(instrumented: InMemoryTelemetry) -> None:
    """The session is an error, with the exception that the program gets."""
    with SocketServer(Script()) as server:
        client = client_of(server)
    with pytest.raises(ConnectionRefusedError):
        async with client.aio.live.connect(model="m"):
            """Never."""
    (session,) = instrumented.spans
    assert session.status.status_code is StatusCode.ERROR


async def test_a_cancelled_turn(instrumented: InMemoryTelemetry) -> None:
    """The task that receives is cancelled: turn and session are, and neither is an error."""
    receiving = asyncio.Event()

    async def program() -> None:
        async def hears(session: Any) -> None:
            await says("a")(session)
            receiving.set()

        await talk(wire.live([wire.text("I was")]), hears)

    task = asyncio.create_task(program())
    await receiving.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = [(span.status.status_code, dict(span.attributes or {}).get("aiobs.cancelled")) for span in instrumented.spans]  # fmt: skip
    assert found == [(StatusCode.UNSET, True)] * 2


async def test_its_event_in_the_session_file(tmp_path: Any) -> None:
    """One event for each turn, by the names of Gemini's other events."""
    Instrumentor(["gemini"]).instrument()
    observer.observe()
    await talk(wire.live([wire.text("Guten Tag"), wire.complete()]), says("Hello"))
    observer.flush(str(tmp_path / "out.json"))
    (event,) = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (event["provider"], event["api"], event["request"]["model"]) == ("gemini", "live.connect", "gemini-live")
    assert event["request"]["contents"] == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    assert (event["response"]["text"], event["response"]["usage"]["total_tokens"]) == ("Guten Tag", 57)


BAD: tuple[dict[str, Any], ...] = (
    {"serverContent": {}},
    {"serverContent": {"modelTurn": {}}},
    {"serverContent": {"modelTurn": {"parts": [{}]}}},
    {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"x").decode()}}]}}},
    {"serverContent": {"outputTranscription": {}}},
    {"serverContent": {"interrupted": True}},
    {"usageMetadata": {}},
    {"usageMetadata": {"promptTokenCount": 2**40}},
    {"toolCall": {}},
    {"toolCall": {"functionCalls": [{}]}},
    {"toolCallCancellation": {"ids": ["a"]}},
    {"goAway": {"timeLeft": "3s"}},
    {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
)  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
async def test_messages_that_say_little(bad: Any, signals: InMemoryTelemetry) -> None:
    """The program gets them; the turn ends by the message that says so."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    messages = await talk(wire.live([bad, wire.text("Yes"), wire.complete()]), says("a"), model="models/m", config=None)
    assert len(messages) == 3
    (turn,) = spans_of(signals, "generate_content")
    assert turn["gen_ai.usage.output_tokens"] == 34
    assert turn["gen_ai.request.model"] == "m"


async def test_the_older_send(signals: InMemoryTelemetry) -> None:
    """One method for everything: it tells by its input what it is."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()

    async def program(session: Any) -> None:
        with pytest.warns(DeprecationWarning, match="send"):
            await session.send(input={"data": b"sound", "mime_type": "audio/pcm"})
        with pytest.warns(DeprecationWarning, match="send"):
            await session.send(input="Hello", end_of_turn=True)

    await talk(wire.live((), [wire.text("Yes"), wire.complete()]), program)
    (turn,) = spans_of(signals, "generate_content")
    assert json.loads(turn["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
        {"role": "user", "parts": [blob(b"sound", "audio/pcm")]},
    ]
