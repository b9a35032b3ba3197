"""Realtime: a span for the session, one for each response in it, and what they say."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import openai_realtime as wire
from aiobs.testing.socket_server import Close, Drop, SocketServer
from tests.instrumentation.openai.sockets import ASK, DONE, both, said, spans_of, talk, talk_sync, without_place
from tests.versions import needs

pytestmark = needs("openai realtime")

SESSION = {
    "aiobs.api.name": "realtime.connect",
    "aiobs.request.config.input_audio_format": "audio/pcm",
    "aiobs.request.config.modalities": ("audio",),
    "aiobs.request.config.output_audio_format": "audio/pcm",
    "aiobs.request.config.speed": 1.5,
    "aiobs.request.config.transcription_model": "gpt-4o-transcribe",
    "aiobs.request.config.turn_detection": "server_vad",
    "aiobs.request.config.voice": "marin",
    "gen_ai.conversation.id": "conv_1",
    "gen_ai.output.type": "speech",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.max_tokens": 4096,
    "gen_ai.request.model": "gpt-realtime",
    "gen_ai.response.model": "gpt-realtime-2026",
    "server.address": "127.0.0.1",
}
RESPONSE = {
    **SESSION,
    "gen_ai.operation.name": "chat",
    "gen_ai.request.stream": True,
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.response.id": "resp_a",
    "gen_ai.usage.audio.cache_read.input_tokens": 7,
    "gen_ai.usage.audio.input_tokens": 50,
    "gen_ai.usage.audio.output_tokens": 38,
    "gen_ai.usage.cache_read.input_tokens": 30,
    "gen_ai.usage.image.cache_read.input_tokens": 3,
    "gen_ai.usage.image.input_tokens": 10,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.text.cache_read.input_tokens": 20,
    "gen_ai.usage.text.input_tokens": 40,
    "gen_ai.usage.text.output_tokens": 12,
}


@both
async def test_a_response_in_its_session(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Every attribute of both spans, the one below the other, with the gate closed."""
    with SocketServer(wire.realtime(wire.spoken("resp_a", "Good morning"))) as server:
        await talk(is_async, server, "realtime", [said("Hello"), ASK, DONE], model="gpt-realtime")
    response, session = instrumented.spans
    assert (response.name, session.name) == ("chat gpt-realtime", "realtime_session gpt-realtime")
    assert (response.kind, session.kind) == (SpanKind.CLIENT, SpanKind.CLIENT)
    assert response.parent is not None
    assert session.context is not None
    assert response.parent.span_id == session.context.span_id
    assert session.parent is None
    assert (response.status.status_code, session.status.status_code) == (StatusCode.UNSET, StatusCode.UNSET)
    assert without_place(dict(response.attributes or {})) == RESPONSE
    expected = {**SESSION, "gen_ai.operation.name": "realtime_session", "gen_ai.response.id": "sess_1"}
    assert without_place(dict(session.attributes or {})) == expected
    assert 0 < spans_of(instrumented, "chat")[0]["gen_ai.response.time_to_first_chunk"] < 30


@both
async def test_where_the_program_called(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """A response's call site is where it was asked for, a session's where connect() was called."""
    with SocketServer(wire.realtime()) as server:
        await talk(is_async, server, "realtime", [ASK, DONE], model="m")
    functions = [dict(span.attributes or {})["code.function.name"] for span in instrumented.spans]
    assert functions == [f"talk_{'a' if is_async else ''}sync"] * 2


@both
async def test_metrics_of_a_session(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Responses are inference requests with their tokens; the session is one operation with its time."""
    with SocketServer(wire.realtime()) as server:
        await talk(is_async, server, "realtime", [ASK, DONE, ASK, DONE], model="m")
    metrics = instrumented.metrics()
    assert metrics["gen_ai.client.inference.duration"][0].count == 2
    assert sum(point.value for point in metrics["gen_ai.client.inference.usage.input_tokens"]) == 200
    assert metrics["gen_ai.client.inference.time_to_first_chunk"][0].count == 2
    (whole,) = metrics["gen_ai.client.operation.duration"]
    assert (whole.count, whole.attributes["gen_ai.operation.name"]) == (1, "realtime_session")


SOUND = b"\1\2\3\4"


def blob(data: bytes) -> dict[str, Any]:
    return {
        "type": "blob",
        "modality": "audio",
        "mime_type": None,
        "content": "",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def content(attributes: dict[str, Any], kind: str) -> Any:
    return json.loads(attributes[f"gen_ai.{kind}"])


@both
async def test_content_with_the_gate_open(is_async: bool, signals: InMemoryTelemetry) -> None:
    """Texts and transcripts, and of sound its size and hash: what went in since the last response, what came out."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    steps = [
        ("send", {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief.", "tools": [{"type": "function", "name": "look", "description": "d", "parameters": {}}]}}),
        ("until", "session.updated"),
        said("Hello"),
        ("send", {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"spoken ").decode()}),
        ("send", {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"words").decode()}),
        ASK, DONE, said("More"), ASK, DONE,
    ]  # fmt: skip
    with SocketServer(wire.realtime(wire.spoken("r", "Good morning"))) as server:
        await talk(is_async, server, "realtime", steps, model="m")
    first, second = spans_of(signals, "chat")
    assert content(first, "system_instructions") == [{"type": "text", "content": "Be brief."}]
    assert content(first, "tool.definitions") == [{"type": "function", "name": "look"}]
    assert content(first, "input.messages") == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
        {"role": "user", "parts": [blob(b"spoken words")]},
    ]
    assert content(first, "output.messages") == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Good morning"}, blob(SOUND * 2)]}
    ]
    assert content(second, "input.messages") == [{"role": "user", "parts": [{"type": "text", "content": "More"}]}]
    (event, _) = signals.events("gen_ai.client.inference.operation.details")
    assert event.attributes["gen_ai.output.messages"][0]["parts"][0]["content"] == "Good morning"


@both
async def test_no_content_with_the_gate_closed(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """Nothing that was said in either direction is on any signal."""
    with SocketServer(wire.realtime(wire.spoken("r", "SECRET answer"))) as server:
        steps = [said("SECRET question"), ASK, DONE]
        await talk(is_async, server, "realtime", steps, model="m")
    logs = [log.log_record.attributes for log in instrumented.logs]
    assert "SECRET" not in repr([dict(span.attributes or {}) for span in instrumented.spans]) + repr(logs)


@both
async def test_function_calls_and_their_outputs(is_async: bool, signals: InMemoryTelemetry) -> None:
    """A call is a part of the first response, its output is input of the second; the reason is tool_calls."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    output = {"type": "function_call_output", "call_id": "call_1", "output": '{"degrees": 7}'}
    steps = [ASK, DONE, ("send", {"type": "conversation.item.create", "item": output}), ASK, DONE]
    with SocketServer(wire.realtime(wire.called("r", "weather", '{"city": "Bonn"}'))) as server:
        await talk(is_async, server, "realtime", steps, model="m")
    first, second = spans_of(signals, "chat")
    assert first["gen_ai.response.finish_reasons"] == ("tool_calls",)
    call = {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Bonn"}}
    assert content(first, "output.messages") == [{"role": "assistant", "parts": [call]}]
    answer = {"type": "tool_call_response", "id": "call_1", "response": {"degrees": 7}}
    assert content(second, "input.messages") == [{"role": "tool", "parts": [answer]}]


@both
async def test_speech_that_the_server_hears_by_itself(is_async: bool, signals: InMemoryTelemetry) -> None:
    """Voice activity: nobody asks for the response; the transcript comes while it is made and belongs to its input."""
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    first, *rest = wire.spoken("r", "I hear you")
    transcribed = wire.event(
        "conversation.item.input_audio_transcription.completed",
        item_id="item_1",
        content_index=0,
        transcript="Can you hear me?",
        usage={"type": "duration", "seconds": 2.5},
    )
    heard = [wire.event("input_audio_buffer.committed", item_id="item_1"), first, transcribed, *rest]
    script = wire.realtime()
    script.answer = lambda event, number: heard
    with SocketServer(script) as server:
        sound = base64.b64encode(b"question").decode()
        steps = [("send", {"type": "input_audio_buffer.append", "audio": sound}), DONE]
        await talk(is_async, server, "realtime", steps, model="m")
    (response,) = spans_of(signals, "chat")
    parts = [blob(b"question"), {"type": "text", "content": "Can you hear me?"}]
    assert content(response, "input.messages") == [{"role": "user", "parts": parts}]
    (session,) = spans_of(signals, "realtime_session")
    assert session["aiobs.usage.seconds"] == 2.5


def done_with(status: str, **details: Any) -> list[Any]:
    return wire.spoken("r", "Half an answer", status=status, status_details={"type": status, **details})


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("cancelled", {"reason": "turn_detected"}, (("cancelled",), True, None, StatusCode.UNSET)),
        ("cancelled", {"reason": "client_cancelled"}, (("cancelled",), True, None, StatusCode.UNSET)),
        ("incomplete", {"reason": "max_output_tokens"}, (("length",), None, None, StatusCode.UNSET)),
        ("incomplete", {"reason": "content_filter"}, (("content_filter",), None, None, StatusCode.UNSET)),
        ("failed", {"error": {"type": "server_error", "code": "rate_limit_exceeded", "message": "m"}}, (("error",), None, "rate_limit_exceeded", StatusCode.ERROR)),
        ("failed", {"error": {"type": "server_error", "code": None, "message": "m"}}, (("error",), None, "server_error", StatusCode.ERROR)),
    ],
)  # fmt: skip
@both
async def test_how_a_response_ends(
    is_async: bool, status: str, details: Any, expected: Any, instrumented: InMemoryTelemetry
) -> None:
    """Interrupted ones are incomplete, failed ones are errors; both have their usage, and the session goes on."""
    with SocketServer(wire.realtime(done_with(status, **details))) as server:
        await talk(is_async, server, "realtime", [ASK, DONE, ASK, DONE], model="m")
    first, second, session = instrumented.spans
    attributes = dict(first.attributes or {})
    found = (
        attributes["gen_ai.response.finish_reasons"],
        attributes.get("aiobs.incomplete"),
        attributes.get("error.type"),
        first.status.status_code,
    )
    assert found == expected
    assert attributes["gen_ai.usage.input_tokens"] == 100
    assert dict(second.attributes or {})["gen_ai.response.finish_reasons"] == ("stop",)
    assert session.status.status_code is StatusCode.UNSET


REFUSED = wire.error("conversation_already_has_active_response", "SECRET busy", event_id="mine")


@both
async def test_an_error_about_a_response_that_was_asked_for(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """An error that names the event ends the response that this event asked for, and not the session."""
    steps = [("send", {"type": "response.create", "event_id": "mine"}), ("until", "error"), ASK, DONE]
    with SocketServer(wire.realtime([REFUSED])) as server:
        await talk(is_async, server, "realtime", steps, model="m")
    failed, answered, session = instrumented.spans
    assert dict(failed.attributes or {})["error.type"] == "conversation_already_has_active_response"
    assert failed.status.description == "conversation_already_has_active_response"
    assert [span.status.status_code for span in (answered, session)] == [StatusCode.UNSET, StatusCode.UNSET]


@pytest.mark.parametrize("then", [[ASK, DONE], []], ids=["another response", "the end"])
@both
async def test_an_error_without_a_name(is_async: bool, then: Any, instrumented: InMemoryTelemetry) -> None:
    """If the response that was asked for does not begin, an error that came instead was about it."""
    with SocketServer(wire.realtime([wire.error("bad_voice", "no")])) as server:
        await talk(is_async, server, "realtime", [ASK, ("until", "error"), *then], model="m")
    types = [dict(span.attributes or {}).get("error.type") for span in instrumented.spans]
    assert types == (["bad_voice", None, None] if then else ["bad_voice", None])


@both
async def test_an_error_about_something_else(is_async: bool, instrumented: InMemoryTelemetry) -> None:
    """The response that was asked for begins all the same: the error was not about it."""
    answer = [wire.error("bad_item", "no"), *wire.spoken("r", "Here")]
    with SocketServer(wire.realtime(answer)) as server:
        await talk(is_async, server, "realtime", [ASK, DONE], model="m")
    assert [span.status.status_code for span in instrumented.spans] == [StatusCode.UNSET] * 2
    assert spans_of(instrumented, "chat")[0]["gen_ai.response.finish_reasons"] == ("stop",)


@pytest.mark.parametrize(
    ("ending", "status"),
    [(Drop(), StatusCode.ERROR), (Close(1011, "SECRET reason"), StatusCode.ERROR), (Close(1000), StatusCode.UNSET)],
    ids=["dropped", "closed with an error", "closed"],
)
@both
async def test_the_server_ends_it(is_async: bool, ending: Any, status: Any, instrumented: InMemoryTelemetry) -> None:
    """A connection that breaks is an error of the open response and of the session; a farewell leaves it incomplete."""
    half = wire.spoken("r", "one two three")[:4]
    error: BaseException | None = None
    with SocketServer(wire.realtime([*half, ending])) as server:
        try:
            await talk(is_async, server, "realtime", [ASK, DONE], model="m")
        except Exception as raised:
            error = raised
    response, session = instrumented.spans
    assert [span.status.status_code for span in (response, session)] == [status, status]
    assert dict(response.attributes or {})["gen_ai.response.finish_reasons"] == ("error",)
    assert dict(response.attributes or {})["aiobs.incomplete"] is True
    assert (error is None) is (status is StatusCode.UNSET)
    if error is not None:
        assert dict(session.attributes or {})["error.type"] == "websockets.exceptions.ConnectionClosedError"
    assert "SECRET" not in repr(
        [(dict(span.attributes or {}), span.status.description) for span in (response, session)]
    )


@both
async def test_events_of_the_session_file(is_async: bool, tmp_path: Any, simulator: Any) -> None:
    """One event for each response, with what was put in; the session is their place in the tree and has none."""
    Instrumentor(["openai"]).instrument()
    observer.observe()
    with SocketServer(wire.realtime(wire.spoken("resp_a", "Good morning"))) as server:
        await talk(is_async, server, "realtime", [said("Hello"), ASK, DONE, ASK, DONE], model="gpt-realtime")
    path = observer.flush(str(tmp_path / "out.json"))
    assert path is not None
    first, second = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (first["provider"], first["api"]) == ("openai", "realtime.connect")
    assert first["request"]["model"] == "gpt-realtime"
    assert first["request"]["input"] == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    assert first["request"]["other"]["voice"] == "marin"
    answer = first["response"]
    assert (answer["id"], answer["text"], answer["finish_reason"]) == ("resp_a", "Good morning", "stop")
    assert answer["usage"] == {
        "input_tokens": 100, "output_tokens": 50, "total_tokens": 150, "prompt_tokens": 100, "completion_tokens": 50,
    }  # fmt: skip
    assert answer["media"] == [blob(SOUND * 2)]
    assert first["parent_span_id"] == second["parent_span_id"]


def test_a_session_in_which_nothing_was_said(tmp_path: Any) -> None:
    """It is an event itself: nothing else would tell of it."""
    Instrumentor(["openai"]).instrument()
    observer.observe()
    with SocketServer(wire.realtime()) as server:
        talk_sync(server, "realtime", [("until", "session.created")], model="gpt-realtime")
    observer.flush(str(tmp_path / "out.json"))
    (event,) = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (event["api"], event["response"]["id"]) == ("realtime.connect", "sess_1")


BAD = (
    {"type": None},
    {"type": 7},
    {"type": "session.created", "session": None},
    {"type": "session.created", "session": "x"},
    {"type": "session.updated", "session": {"audio": [], "tools": 7, "output_modalities": "audio", "prompt": 3}},
    {"type": "response.created", "response": None},
    {"type": "response.created", "response": {"id": 7, "status": [], "usage": 3, "output": {}}},
    {"type": "response.created", "response": {"id": "r"}},
    {"type": "response.output_audio.delta", "response_id": "r", "delta": "no base64 at all é"},
    {"type": "response.output_audio.delta", "response_id": "r", "delta": 7},
    {"type": "response.output_audio_transcript.delta", "response_id": "r", "delta": None},
    {"type": "response.output_text.delta", "response_id": "r", "delta": "\ud800"},
    {"type": "response.function_call_arguments.delta", "response_id": "r", "item_id": None, "delta": "{"},
    {"type": "response.output_item.added", "response_id": "r", "item": 7},
    {"type": "response.done", "response": {"id": "r", "status": "completed", "output": ["x", None, {"type": "message", "content": [1]}, {"type": 7}], "usage": {"input_tokens": "9", "input_token_details": [], "output_tokens": -1}}},
    {"type": "response.done", "response": {"id": "unknown"}},
    {"type": "response.done", "response": 3},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": None, "transcript": 3, "usage": "x"},
    {"type": "error", "error": "x"},
    {"type": "error"},
)  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
@both
async def test_events_that_are_not_as_they_should_be(is_async: bool, bad: Any, signals: InMemoryTelemetry) -> None:
    """The program gets them as the SDK reads them; nothing of ours fails, and the next response is recorded."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    before = [wire.event("response.created", response=wire.response("r")), bad]
    with SocketServer(wire.realtime([*before, *wire.spoken("r2", "Good"), wire.event("the.end")])) as server:
        events = await talk(is_async, server, "realtime", [ASK, ("until", "the.end")], model="m")
    assert len(events) == 11
    good = [span for span in spans_of(signals, "chat") if span.get("gen_ai.response.id") == "r2"]
    assert [span["gen_ai.response.finish_reasons"] for span in good] == [("stop",)]
    assert spans_of(signals, "realtime_session")


SENT = (
    {"type": "response.create", "response": None},
    {"type": "response.create", "response": {"instructions": 7, "tools": 3, "output_modalities": 1, "input": "x", "max_output_tokens": "inf"}},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": "x"}},
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "no json"}},
    {"type": "conversation.item.create", "item": {"type": "item_reference", "id": "x"}},
    {"type": "session.update", "session": {}},
    {"type": "input_audio_buffer.clear"},
    {"type": "something.new"},
)  # fmt: skip


@pytest.mark.parametrize("sent", SENT, ids=range(len(SENT)))
@both
async def test_what_programs_send_goes_out_as_it_is(is_async: bool, sent: Any, signals: InMemoryTelemetry) -> None:
    """Whatever it is; and the next response is recorded."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    with SocketServer(wire.realtime()) as server:
        answers = [DONE] if sent["type"] == "response.create" else []
        await talk(is_async, server, "realtime", [("send", sent), *answers, ASK, DONE], model="m")
        assert server.received[0] == sent
    assert spans_of(signals, "chat")


@both
async def test_the_beta_interface(is_async: bool, signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of 2024: modalities, voice, response.audio_transcript.delta."""
    monkeypatch.setenv("NO_PROXY", "*")
    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    where = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    answer = [
        wire.event("response.created", response=wire.response("r")),
        wire.event("response.audio_transcript.delta", delta="Hi", **where),
        wire.event("response.audio.delta", delta=base64.b64encode(SOUND).decode(), **where),
        wire.event("response.done", response=wire.response("r", "completed", usage=wire.USAGE)),
    ]
    old = {"id": "sess_1", "model": "old", "modalities": ["text", "audio"], "voice": "alloy", "input_audio_format": "g711_ulaw", "output_audio_format": "pcm16", "turn_detection": {"type": "server_vad"}, "temperature": 0.8}  # fmt: skip
    script = wire.realtime(answer, greeting=[wire.event("session.created", session=old)])
    with SocketServer(script) as server:
        await talk(is_async, server, "beta.realtime", [("until", "session.created"), ASK, DONE], model="m")
    (response,) = spans_of(signals, "chat")
    assert response["aiobs.api.name"] == "beta.realtime.connect"
    assert response["aiobs.request.config.voice"] == "alloy"
    assert response["aiobs.request.config.input_audio_format"] == "g711_ulaw"
    assert response["gen_ai.request.temperature"] == 0.8
    said_ = [{"type": "text", "content": "Hi"}, blob(SOUND)]
    assert content(response, "output.messages") == [{"role": "assistant", "parts": said_}]
