"""Sound: speech of a text and the text of speech; what one call becomes on every signal, and that no sound does."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.capture import deferred
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.files import DATA, TOLD, blob
from tests.instrumentation.openai.reading import (
    MOVING,
    asked,
    attributes_of,
    everything,
    file_events,
    metrics_of,
    said,
    with_content,
)
from tests.versions import needs

SOUND = ("a.wav", DATA, "audio/wav")
SPOKEN = {"model": "tts", "voice": "alloy", "input": "Hello, wörld"}
COUNTED = {"aiobs.usage.characters": 12}
TOKENS = {
    "type": "tokens",
    "input_tokens": 30,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 26},
    "output_tokens": 9,
    "total_tokens": 39,
}
IN_TOKENS = {
    "gen_ai.usage.input_tokens": 30,
    "gen_ai.usage.output_tokens": 9,
    "gen_ai.usage.text.input_tokens": 4,
    "gen_ai.usage.audio.input_tokens": 26,
}
streams = needs("openai streams of pictures and transcripts")
by_speaker = needs("openai transcripts by speaker")


# Speech


def test_speech_is_one_client_span(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally; what is said is not among them."""
    simulator.openai().audio.speech.create(**SPOKEN, speed=1.5, response_format="wav", extra_body={"instructions": "x"})
    span = instrumented.span("text_to_speech tts")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "tts",
        "gen_ai.output.type": "speech",
        "aiobs.request.config.voice": "alloy",
        "aiobs.request.config.speed": 1.5,
        "aiobs.request.config.response_format": "wav",
        "aiobs.http.status_code": 200,
        **COUNTED,
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"voice": {"id": "voice_1"}}, {"aiobs.request.config.voice": "voice_1", **COUNTED}),
        ({"extra_body": {"input": "longer than that"}}, {"aiobs.usage.characters": 16}),
        ({"extra_body": {"input": ["a"]}}, {}),
        ({"extra_body": {"stream_format": "audio"}}, {"aiobs.request.config.stream_format": "audio", **COUNTED}),
    ],
)
def test_what_speech_was_asked_for(simulator: Simulator, instrumented: InMemoryTelemetry, given, expected) -> None:
    """A voice of one's own by its id; the characters that go out."""
    simulator.openai().audio.speech.create(**{**SPOKEN, **given})
    found = attributes_of(instrumented.span(), "aiobs.request.config.", "aiobs.usage.")
    assert found == {"aiobs.request.config.voice": "alloy", **expected}


@pytest.mark.parametrize("way", ["plain", "raw", "streaming", "streaming unread"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_every_way_of_speaking(
    simulator: Simulator, signals: InMemoryTelemetry, way: str, is_async: bool
) -> None:
    """The sound is told where it is in memory; a body that the program has yet to read is not read by us."""
    observer.observe()
    with_content(signals)
    simulator.reply("SOUND" * 100, fields={})
    data = b"SOUND" * 100
    if is_async:
        async with simulator.async_openai() as client:
            speech = client.audio.speech
            if way.startswith("streaming"):
                async with speech.with_streaming_response.create(**SPOKEN) as answer:
                    got = await answer.read() if way == "streaming" else [part async for part in answer.iter_bytes(100)]
            else:
                answer = await (speech.with_raw_response if way == "raw" else speech).create(**SPOKEN)
                got = answer.content
    else:
        speech = simulator.openai().audio.speech
        if way.startswith("streaming"):
            with speech.with_streaming_response.create(**SPOKEN) as answer:
                got = answer.read() if way == "streaming" else [*answer.iter_bytes(100)]
        else:
            got = (speech.with_raw_response if way == "raw" else speech).create(**SPOKEN).content
    assert (b"".join(got) if isinstance(got, list) else got) == data
    told = {"size": 500, "sha256": hashlib.sha256(data).hexdigest()}
    sound = {"type": "blob", "modality": "audio", "mime_type": "audio/mpeg", "content": "", **told}
    unread = way == "streaming unread"
    assert said(signals) == ([] if unread else [sound])
    assert attributes_of(signals.span(), "aiobs.usage.") == COUNTED
    (event,) = file_events()
    assert event["response"]["audio"] == (None if unread else {"type": "audio/mpeg", **told})
    assert "SOUND" not in everything(signals)


@streams
def test_what_was_said_with_the_gate_open(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The text is a user message, how to speak it an instruction."""
    with_content(signals)
    simulator.openai().audio.speech.create(**SPOKEN, instructions="Whisper")
    assert asked(signals) == [{"role": "user", "parts": [{"type": "text", "content": "Hello, wörld"}]}]
    assert "Whisper" in str((signals.span().attributes or {})["gen_ai.system_instructions"])


@pytest.mark.parametrize("way", ["plain", "raw"])
def test_speech_as_events_has_usage(simulator: Simulator, instrumented: InMemoryTelemetry, way: str) -> None:
    """The last event tells it, and it is in memory."""
    simulator.reply("SOUND", usage={"input_tokens": 7, "output_tokens": 5})
    speech = simulator.openai().audio.speech
    given = {**SPOKEN, "extra_body": {"stream_format": "sse"}}
    (speech.with_raw_response if way == "raw" else speech).create(**given)
    expected = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 5, **COUNTED}
    assert attributes_of(instrumented.span(), "gen_ai.usage.", "aiobs.usage.") == expected


@pytest.mark.parametrize("body", [b"data: {no json, speech.audio.done\n\n", b"data: []\n\n", b"speech.audio.done", b""])
@pytest.mark.quiet_guard
def test_odd_events_of_speech(simulator: Simulator, instrumented: InMemoryTelemetry, body: bytes) -> None:
    """What cannot be read is no usage, and no error."""
    simulator.raw(body, headers={"content-type": "text/event-stream"})
    simulator.openai().audio.speech.create(**SPOKEN)
    assert instrumented.span().status.status_code is StatusCode.UNSET
    assert attributes_of(instrumented.span(), "gen_ai.usage.", "aiobs.usage.") == COUNTED


def test_a_refusal_to_speak_uses_nothing(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The characters of a call that failed were not spoken."""
    simulator.fail(429, code="rate_limit_exceeded", message="You said NEEDLE")
    with pytest.raises(openai.RateLimitError):
        simulator.openai().audio.speech.create(**SPOKEN)
    assert attributes_of(instrumented.span(), "aiobs.usage.") == {}
    assert instrumented.span().status.description == "rate_limit_exceeded"
    (duration,) = metrics_of(instrumented)["gen_ai.client.operation.duration"]
    assert duration.attributes["gen_ai.operation.name"] == "text_to_speech"


def test_speech_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed; the sound as type, size and hash."""
    observer.observe()
    simulator.reply("SOUND")
    simulator.openai().audio.speech.create(**SPOKEN, response_format="flac", timeout=9)
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "audio.speech.create",
        "request": {
            "model": "tts",
            "input": "Hello, wörld",
            "voice": "alloy",
            "instructions": None,
            "response_format": "flac",
            "speed": None,
            "other": {},
        },
        "response": {
            "id": None,
            "model": None,
            "usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "characters": 12},
            "audio": {"type": "audio/flac", "size": 5, "sha256": hashlib.sha256(b"SOUND").hexdigest()},
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


# Transcripts

SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "json": ({}, IN_TOKENS),
    "verbose": ({"response_format": "verbose_json", "model": "whisper-1"}, {"aiobs.usage.seconds": 2.5}),
    "diarized": ({"response_format": "diarized_json"}, {**IN_TOKENS, "aiobs.usage.seconds": 1.0}),
    "text": ({"response_format": "text"}, {}),
    "srt": ({"response_format": "srt"}, {}),
    "vtt": ({"response_format": "vtt"}, {}),
}


@pytest.mark.parametrize(
    ("given", "used"),
    [pytest.param(*shape, id=kind, marks=[by_speaker] if kind == "diarized" else []) for kind, shape in SHAPES.items()],
)
@pytest.mark.parametrize("way", ["plain", "raw", "streaming"])
def test_every_shape_of_an_answer(
    simulator: Simulator, signals: InMemoryTelemetry, given: dict[str, Any], used: dict[str, Any], way: str
) -> None:
    """Objects and plain text, and the same of raw responses: text, usage in tokens or in seconds."""
    observer.observe()
    with_content(signals)
    simulator.reply("Hello", usage={"seconds": 2.5} if "model" in given else TOKENS)
    transcriptions = simulator.openai().audio.transcriptions
    given = {"model": "m", "file": SOUND, "language": "en", **given}
    if way == "streaming":
        with transcriptions.with_streaming_response.create(**given) as response:
            response.read()
    else:
        (transcriptions.with_raw_response if way == "raw" else transcriptions).create(**given)
    assert attributes_of(signals.span(), "gen_ai.usage.", "aiobs.usage.") == used
    (part,) = said(signals)
    assert part["type"] == "text"
    assert "Hello" in part["content"]
    (event,) = file_events()
    assert event["response"]["text"] == part["content"]


def test_a_transcript_is_one_client_span(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally."""
    simulator.reply("Hello", usage=TOKENS)
    simulator.openai().audio.transcriptions.create(
        model="m",
        file=SOUND,
        language="en",
        prompt="Names: NEEDLE",
        temperature=0,
        response_format="json",
        timestamp_granularities=["word", "segment"],
    )
    span = instrumented.span("speech_to_text m")
    assert span.kind is SpanKind.CLIENT
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.0,
        "aiobs.request.config.language": "en",
        "aiobs.request.config.response_format": "json",
        "aiobs.request.config.timestamp_granularities": ("word", "segment"),
        "aiobs.http.status_code": 200,
        **IN_TOKENS,
    }
    assert "NEEDLE" not in everything(instrumented)


@pytest.mark.parametrize("place", ["transcriptions", "translations"])
async def test_async_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry, place: str) -> None:
    """AsyncOpenAI is recorded as OpenAI is; a translation is the same operation by another name."""
    given: dict[str, Any] = {"model": "m", "file": SOUND}
    getattr(simulator.openai().audio, place).create(**given)
    async with simulator.async_openai() as client:
        await getattr(client.audio, place).create(**given)
    first, second = instrumented.spans
    assert (first.name, attributes_of(first)) == ("speech_to_text m", attributes_of(second))
    assert {(span.attributes or {})["aiobs.api.name"] for span in instrumented.spans} == {f"audio.{place}.create"}


def test_sound_that_was_given(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """97: in memory it is a blob beside the guiding text; an open file is not read."""
    observer.observe()
    with_content(signals)
    client = simulator.openai()
    client.audio.transcriptions.create(model="m", file=SOUND, prompt="Names")
    parts = [{"type": "text", "content": "Names"}, blob("audio", "audio/wav")]
    assert asked(signals) == [{"role": "user", "parts": parts}]
    file = io.BytesIO(DATA)
    file.name = "b.mp3"
    client.audio.transcriptions.create(model="m", file=file)
    assert "gen_ai.input.messages" not in (signals.spans[-1].attributes or {})
    sent = [request.form or {} for request in simulator.requests]
    assert [form["file"].content for form in sent] == [DATA, DATA]
    first, second = (event["request"]["file"] for event in file_events())
    assert first == {"name": "a.wav", "type": "audio/wav", **TOLD}
    assert second == {"name": "b.mp3", "type": "audio/mpeg", "object": "BytesIO"}


@streams
@pytest.mark.parametrize("fields", [{}, {"text": None}], ids=["whole at the end", "deltas only"])
def test_a_streamed_transcript(simulator: Simulator, signals: InMemoryTelemetry, fields: dict[str, Any]) -> None:
    """Its text and usage, no finish reason, not incomplete."""
    observer.observe()
    with_content(signals)
    simulator.reply("Hello you there", usage=TOKENS, fields=fields)
    stream = simulator.openai().audio.transcriptions.create(model="m", file=SOUND, stream=True)
    assert len(list(stream)) == 4
    assert said(signals) == [{"type": "text", "content": "Hello you there"}]
    found = attributes_of(signals.span(), "gen_ai.usage.", "gen_ai.response.fin", "aiobs.in", "gen_ai.request.s")
    assert found == {**IN_TOKENS, "gen_ai.request.stream": True}
    (event,) = file_events()
    assert event["response"]["text"] == "Hello you there"
    assert event["response"]["ttft_ms"] >= 0


@by_speaker
async def test_a_streamed_transcript_that_is_left(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """What had come is kept, and it is incomplete; speakers' segments are not said twice."""
    with_content(signals)
    simulator.reply("Hello you there")
    async with simulator.async_openai() as client:
        given: dict[str, Any] = {"model": "m", "file": SOUND, "response_format": "diarized_json", "stream": True}
        async for event in await client.audio.transcriptions.create(**given):
            if event.type == "transcript.text.segment":
                break
    deferred.settle_all()
    assert said(signals) == [{"type": "text", "content": "Hello you there"}]
    assert attributes_of(signals.span(), "aiobs.incomplete") == {"aiobs.incomplete": True}


USAGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "null": (None, {}),
    "a text": ("7", {}),
    "seconds a text": ({"seconds": "3.5"}, {"aiobs.usage.seconds": 3.5}),
    "seconds NaN": ({"seconds": "nan"}, {}),
    "seconds no number": ({"seconds": {"a": 1}}, {}),
    "seconds true": ({"seconds": True}, {}),
    "seconds negative": ({"seconds": -1}, {}),
    "details null": ({"input_tokens": 1, "input_token_details": None}, {"gen_ai.usage.input_tokens": 1}),
    "details a list": ({"output_tokens": 1, "input_token_details": [1]}, {"gen_ai.usage.output_tokens": 1}),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_odd_usage(simulator: Simulator, instrumented: InMemoryTelemetry, usage: Any, expected: Any) -> None:
    """What is no count is left out."""
    simulator.reply("Hello", fields={"usage": usage})
    simulator.openai().audio.transcriptions.with_raw_response.create(model="m", file=SOUND)
    assert attributes_of(instrumented.span(), "gen_ai.usage.", "aiobs.usage.") == expected


def test_a_page_instead_of_a_transcript(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """It is told like text, but never the key that it quotes."""
    observer.observe()
    with_content(signals)
    for kind in ("plain", "raw"):
        simulator.raw(b"<html>sk-needle-1234 is unknown</html>", headers={"content-type": "text/html"})
        transcriptions = simulator.openai(api_key="sk-needle-1234").audio.transcriptions
        (transcriptions.with_raw_response if kind == "raw" else transcriptions).create(
            model="m", file=SOUND, response_format="text"
        )
    found = everything(signals) + str(file_events())
    assert "is unknown" in found
    assert "sk-needle-1234" not in found


def test_a_transcript_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed, sound as type, size and hash; the text and what else was told of it."""
    observer.observe()
    simulator.reply("Hello", usage={"seconds": 2.5})
    given: dict[str, Any] = {"response_format": "verbose_json", "include": ["logprobs"]}
    simulator.openai().audio.transcriptions.with_raw_response.create(model="whisper-1", file=SOUND, extra_body=given)
    (event,) = file_events()
    assert event["request"] == {
        "model": "whisper-1",
        "file": {"name": "a.wav", "type": "audio/wav", **TOLD},
        "language": None,
        "prompt": None,
        "response_format": None,
        "temperature": None,
        "other": {"extra_body": given},
    }
    assert event["response"] == {
        "id": None,
        "model": None,
        "text": "Hello",
        "usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "seconds": 2.5},
        "task": "transcribe",
        "language": "english",
        "duration": 1.0,
        "segments": [],
    }
