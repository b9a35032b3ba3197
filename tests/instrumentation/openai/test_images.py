"""Pictures: what one call becomes on every signal, and that no pixel does."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.capture import deferred
from aiobs.semconv import blobs
from aiobs.testing import InMemoryTelemetry, Simulator
from aiobs.testing.openai_images import picture
from tests.instrumentation.openai.files import DATA, GIVEN, TOLD, blob
from tests.instrumentation.openai.reading import (
    MOVING,
    asked,
    attributes_of,
    everything,
    file_events,
    metrics_of,
    with_content,
)
from tests.versions import needs

OMIT = getattr(openai, "omit", openai.NOT_GIVEN)
USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40, "cached_tokens": 4},
    "output_tokens": 900,
    "output_tokens_details": {"text_tokens": 100, "image_tokens": 800},
    "total_tokens": 950,
}
COUNTED = {
    "gen_ai.usage.input_tokens": 50,
    "gen_ai.usage.output_tokens": 900,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "gen_ai.usage.text.input_tokens": 10,
    "gen_ai.usage.image.input_tokens": 40,
    "gen_ai.usage.text.output_tokens": 100,
    "gen_ai.usage.image.output_tokens": 800,
}
streams = needs("openai streams of pictures and transcripts")


def made(data: bytes = DATA) -> str:
    """A picture as the provider sends it."""
    return base64.b64encode(data).decode()


def outputs(signals: InMemoryTelemetry) -> list[list[dict[str, Any]]]:
    """The parts of each output message of the last call."""
    said = (signals.spans[-1].attributes or {}).get("gen_ai.output.messages", "[]")
    return [message["parts"] for message in json.loads(str(said))]


# One call


def test_a_call_is_one_client_span(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally."""
    simulator.reply(usage=USAGE)
    simulator.openai().images.generate(
        model="gpt-image-1",
        prompt="A cat",
        n=2,
        size="1024x1536",
        quality="high",
        user="ann",
        extra_body={"background": "transparent", "output_format": "webp", "output_compression": 80},
    )
    span = instrumented.span("generate_images gpt-image-1")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "gpt-image-1",
        "gen_ai.output.type": "image",
        "gen_ai.request.choice.count": 2,
        "aiobs.request.config.size": "1024x1536",
        "aiobs.request.config.quality": "high",
        "aiobs.request.config.background": "transparent",
        "aiobs.request.config.output_format": "webp",
        "aiobs.request.config.output_compression": 80,
        "aiobs.usage.images": 2,
        "aiobs.http.status_code": 200,
        **COUNTED,
    }


CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "generate": ("generate_images m", "generate", {"prompt": "A cat"}),
    "edit": ("edit_image m", "edit", {"prompt": "A cat", "image": ("a.png", DATA, "image/png")}),
    "variation": ("create_image_variation m", "create_variation", {"image": ("a.png", DATA, "image/png")}),
}
each_call = pytest.mark.parametrize(("name", "method", "given"), CALLS.values(), ids=CALLS.keys())


@each_call
@pytest.mark.parametrize("way", ["plain", "raw", "streaming", "streaming unread"])
def test_every_way_of_calling(
    simulator: Simulator, instrumented: InMemoryTelemetry, name: str, method: str, given: Any, way: str
) -> None:
    """Usage and pictures, also of raw responses; of a body that the program leaves unread there is none to tell."""
    simulator.reply(usage=USAGE)
    images = simulator.openai().images
    if way.startswith("streaming"):
        with getattr(images.with_streaming_response, method)(model="m", **given) as response:
            response.read() if way == "streaming" else None
    else:
        getattr(images.with_raw_response if way == "raw" else images, method)(model="m", **given)
    found = attributes_of(instrumented.span(name), "gen_ai.usage.", "aiobs.usage.")
    assert found == ({} if way == "streaming unread" else {**COUNTED, "aiobs.usage.images": 1})


@each_call
async def test_an_async_call_is_the_same(
    simulator: Simulator, instrumented: InMemoryTelemetry, name: str, method: str, given: Any
) -> None:
    """AsyncOpenAI is recorded as OpenAI is."""
    getattr(simulator.openai().images, method)(model="m", n=2, **given)
    async with simulator.async_openai() as client:
        await getattr(client.images, method)(model="m", n=2, **given)
    first, second = instrumented.spans
    assert (first.name, attributes_of(first)) == (name, attributes_of(second))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"n": 1, "size": OMIT, "quality": openai.NOT_GIVEN, "style": None}, {}),
        ({"style": "vivid"}, {"aiobs.request.config.style": "vivid"}),
        ({"response_format": "url"}, {"aiobs.request.config.response_format": "url"}),
        ({"extra_body": {"moderation": "low"}}, {"aiobs.request.config.moderation": "low"}),
        ({"extra_body": {"size": {"a": "b"}, "quality": b"x"}}, {}),
        ({"extra_body": {"n": 3}}, {"gen_ai.request.choice.count": 3}),
    ],
)
def test_what_was_asked_for(simulator: Simulator, instrumented: InMemoryTelemetry, given: Any, expected: Any) -> None:
    """Only what the program gave, if it is words or numbers."""
    images = simulator.openai().images
    try:
        images.generate(prompt="A cat", **given)
    except TypeError:  # bytes in a body
        given = {**given, "extra_body": {"size": {"a": "b"}}}
    found = attributes_of(instrumented.spans[-1], "aiobs.request.config.", "gen_ai.request.")
    assert found == expected
    assert instrumented.spans[-1].name == "generate_images"


# Content


def test_content_with_the_gate_open(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The prompt is a user message; each picture is a choice: what it is, and what became of the prompt."""
    with_content(signals)
    simulator.reply(
        fields={
            "output_format": "webp",
            "data": [{"b64_json": made(), "revised_prompt": "Two cats"}, {"url": "https://me:pw@a.b/c.png?sig=1#x"}],
        }
    )
    simulator.openai().images.generate(model="m", prompt="A cat", n=2)
    assert asked(signals) == [{"role": "user", "parts": [{"type": "text", "content": "A cat"}]}]
    assert outputs(signals) == [
        [blob("image", "image/webp"), {"type": "text", "content": "Two cats"}],
        [{"type": "uri", "modality": "image", "mime_type": None, "uri": "https://a.b/c.png"}],
    ]
    assert made() not in everything(signals)


@pytest.mark.parametrize(("given", "told"), GIVEN.values(), ids=GIVEN.keys())
def test_given_pictures(simulator: Simulator, signals: InMemoryTelemetry, given: Any, told: dict[str, Any]) -> None:
    """96: files go to the provider whole and stay where they were; what is in memory is told by type, size and hash."""
    observer.observe()
    with_content(signals)
    simulator.openai().images.edit(model="m", prompt="A cat", image=given(), mask=DATA)
    sent = simulator.requests[0].form or {}
    assert [getattr(sent[name], "content", DATA) for name in ("image", "mask")] == [DATA, DATA]
    in_memory = [blob("image", told.get("type"))] if "sha256" in told else []
    parts = [{"type": "text", "content": "A cat"}, *in_memory, blob("image", None)]
    assert asked(signals) == [{"role": "user", "parts": parts}]
    (event,) = file_events()
    assert event["request"]["image"] == told
    assert event["request"]["mask"] == TOLD


class Untouchable(io.BytesIO):
    """A file that only the SDK may read."""

    def __init__(self) -> None:
        super().__init__(DATA)
        self.touched: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in ("read", "seek", "tell", "getvalue", "getbuffer", "readline", "readlines", "readinto", "close"):
            object.__getattribute__(self, "touched").append(name)
        return super().__getattribute__(name)


def test_a_file_is_touched_by_nobody_but_the_sdk(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The SDK's own reads are all that happens to an open file, content or not."""
    alone, watched = Untouchable(), Untouchable()
    client = simulator.openai()
    client.images.edit(model="m", prompt="A cat", image=alone)
    observer.observe()
    with_content(signals)
    client.images.edit(model="m", prompt="A cat", image=watched)
    file_events()
    assert watched.touched == alone.touched


@streams
def test_several_given_pictures(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A list of pictures is a part each."""
    observer.observe()
    with_content(signals)
    simulator.openai().images.edit(model="m", prompt="A cat", image=[("a.png", DATA), io.BytesIO(DATA)])
    assert [part["type"] for part in asked(signals)[0]["parts"]] == ["text", "blob"]
    (event,) = file_events()
    assert [item.get("object") for item in event["request"]["image"]] == [None, "BytesIO"]


def test_nothing_is_decoded_that_nobody_wants(
    simulator: Simulator, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """53: without content no picture is decoded or hashed; with a session and content each is, once."""
    hashed: list[int] = []
    monkeypatch.setattr(blobs.hashlib, "sha256", lambda data: hashed.append(len(data)) or hashlib.new("sha256", data))
    big = bytes(3_000_000)
    client = simulator.openai()
    simulator.reply(fields={"data": [{"b64_json": made(big)}]})
    client.images.generate(model="m", prompt="A cat")
    assert hashed == []
    observer.observe()
    with_content(instrumented)
    simulator.reply(fields={"data": [{"b64_json": made(big)}]})
    client.images.generate(model="m", prompt="A cat")
    assert hashed == [3_000_000]


# Streams


@streams
def test_a_stream(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Usage of the end, one picture, no finish reason, not incomplete; sketches are nothing."""
    with_content(signals)
    simulator.reply(usage=USAGE, fields={"output_format": "jpeg"})
    stream = simulator.openai().images.generate(model="m", prompt="A cat", stream=True, partial_images=2)
    kinds = [event.type for event in stream]
    assert kinds == [*["image_generation.partial_image"] * 2, "image_generation.completed"]
    span = signals.span("generate_images m")
    assert attributes_of(span, "gen_ai.usage", "aiobs.usage", "gen_ai.response.f", "gen_ai.request", "aiobs.in") == {
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "aiobs.usage.images": 1,
        **COUNTED,
    }
    data = picture("A cat")
    (part,) = outputs(signals)[0]
    assert (part["mime_type"], part["size"], part["sha256"]) == (
        "image/jpeg",
        len(data),
        hashlib.sha256(data).hexdigest(),
    )


@streams
@pytest.mark.parametrize("method", ["generate", "edit"])
async def test_a_raw_stream(simulator: Simulator, instrumented: InMemoryTelemetry, method: str) -> None:
    """``parse()`` of a raw response gives a stream that is recorded as any other, async too."""
    given = {"image": DATA} if method == "edit" else {}
    async with simulator.async_openai() as client:
        raw = getattr(client.images.with_raw_response, method)
        response = await raw(model="m", prompt="A cat", stream=True, **given)
        assert [event.type.rpartition(".")[2] async for event in response.parse()] == ["completed"]
    assert attributes_of(instrumented.spans[0], "aiobs.usage.", "aiobs.incomplete") == {"aiobs.usage.images": 1}


@streams
def test_a_stream_that_is_left(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Without its picture it is incomplete, and the choice that never came is an error."""
    observer.observe()
    with_content(signals)
    stream = simulator.openai().images.generate(model="m", prompt="A cat", stream=True, partial_images=2)
    next(iter(stream))
    stream.close()
    deferred.settle_all()
    found = attributes_of(signals.span(), "gen_ai.usage", "aiobs.usage", "gen_ai.response.finish", "aiobs.incomplete")
    assert found == {"gen_ai.response.finish_reasons": ("error",), "aiobs.incomplete": True}
    (event,) = file_events()
    assert (event["response"]["data"], event["response"]["incomplete"]) == ([], True)


# Session file


def test_the_event_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed, pictures as type, size and hash; credentials and pixels nowhere."""
    observer.observe()
    simulator.reply(usage=USAGE, fields={"data": [{"b64_json": made(), "revised_prompt": "Two cats"}], "created": 5})
    simulator.openai().images.edit(
        model="m", prompt="A cat", image=("a.png", DATA), size="1x1", user="ann", extra_headers={"x-key": "secret"}
    )
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "images.edit",
        "request": {
            "model": "m",
            "prompt": "A cat",
            "n": None,
            "size": "1x1",
            "quality": None,
            "response_format": None,
            "image": {"name": "a.png", "type": "image/png", **TOLD},
            "other": {"user": "ann"},
        },
        "response": {
            "id": None,
            "model": None,
            "usage": {
                "input_tokens": 50,
                "output_tokens": 900,
                "total_tokens": 950,
                "prompt_tokens": 50,
                "completion_tokens": 900,
                "images": 1,
            },
            "data": [{"type": "image/png", **TOLD, "revised_prompt": "Two cats"}],
            "created": 5,
            "size": "1x1",
            "quality": "medium",
            "background": "opaque",
            "output_format": "png",
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


# Odd answers

ODD: dict[str, tuple[dict[str, Any], int]] = {
    "no data": ({"data": None}, 0),
    "an object": ({"data": {"b64_json": "AAAA"}}, 0),
    "a text": ({"data": "AAAA"}, 0),
    "of nulls": ({"data": [None, {}, {"b64_json": None}, {"b64_json": 5}, {"url": {"a": 1}}]}, 0),
    "not base64": ({"data": [{"b64_json": "***"}]}, 1),
    "beyond ascii": ({"data": [{"b64_json": "ü"}]}, 1),
    "a data URL": ({"data": [{"url": "data:image/png;base64,QUJD"}]}, 1),
    "an odd URL": ({"data": [{"url": "http://[a"}]}, 1),
    "format a number": ({"data": [{"b64_json": "AAAA"}], "output_format": 5}, 1),
    "prompt a number": ({"data": [{"b64_json": "AAAA", "revised_prompt": 5}]}, 1),
}


@pytest.mark.parametrize(("fields", "pictures"), ODD.values(), ids=ODD.keys())
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, fields: Any, pictures: int) -> None:
    """As many pictures as can be told; the call is never an error."""
    observer.observe()
    with_content(signals)
    simulator.reply(fields=fields)
    simulator.openai().images.with_raw_response.generate(model="m", prompt="A cat")
    assert signals.span().status.status_code is StatusCode.UNSET
    assert attributes_of(signals.span(), "aiobs.usage.") == {"aiobs.usage.images": pictures}
    assert "QUJD" not in everything(signals) + str(file_events())


@pytest.mark.parametrize("usage", [None, [], "7", {"input_tokens": "7"}, {"input_tokens": -1}, {"output_tokens": 2.5}])
def test_odd_usage(simulator: Simulator, instrumented: InMemoryTelemetry, usage: Any) -> None:
    """What is no number of tokens is left out, and the pictures stay counted."""
    simulator.reply(fields={"usage": usage})
    simulator.openai().images.generate(model="m", prompt="A cat")
    assert attributes_of(instrumented.span(), "gen_ai.usage.", "aiobs.usage.") == {"aiobs.usage.images": 1}


@pytest.mark.parametrize("prompt", [None, 5, ["a"], {"a": "b"}, "x" * 2_000_000])
def test_odd_prompts(simulator: Simulator, signals: InMemoryTelemetry, prompt: Any) -> None:
    """What is no text is no message; what is too long is cut."""
    observer.observe()
    with_content(signals)
    try:
        simulator.openai().images.generate(model="m", prompt=prompt)
    except openai.APIStatusError:
        """The provider wants a prompt."""
    found = (signals.spans[0].attributes or {}).get("gen_ai.input.messages")
    assert (found is not None) is isinstance(prompt, str)
    assert len(str(found)) < 70_000


# Errors, metrics


def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR, an exception event, error.type on the duration; the prompt that is quoted is on none of them."""
    simulator.fail(400, code="moderation_blocked", message="You said NEEDLE")
    with pytest.raises(openai.BadRequestError):
        simulator.openai().images.generate(model="m", prompt="NEEDLE", n=2)
    span = instrumented.span("generate_images m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "moderation_blocked")
    assert attributes_of(span, "aiobs.usage.", "gen_ai.request.choice") == {"gen_ai.request.choice.count": 2}
    metrics = metrics_of(instrumented)
    assert set(metrics) == {"gen_ai.client.operation.duration"}
    (duration,) = metrics["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "moderation_blocked"
    assert "NEEDLE" not in everything(instrumented)
