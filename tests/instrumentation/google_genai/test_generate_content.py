"""generate_content: what one call becomes on a span, whole and streamed, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import types
from opentelemetry.trace import SpanKind, StatusCode

from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, told
from tests.versions import aio_of, closing, has, needs

USAGE: dict[str, Any] = {"promptTokenCount": 2000, "cachedContentTokenCount": 1024, "candidatesTokenCount": 300}
COUNTED = {
    "gen_ai.usage.input_tokens": 2000,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 1024,
}
if has("gemini thoughts and modalities"):
    USAGE |= {
        "thoughtsTokenCount": 128,
        "toolUsePromptTokenCount": 64,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1700}, {"modality": "IMAGE", "tokenCount": 258},
                                {"modality": "DOCUMENT", "tokenCount": 42}],
        "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 64}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 1024}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 290}, {"modality": "AUDIO", "tokenCount": 10}],
    }  # fmt: skip
    COUNTED |= {
        "gen_ai.usage.input_tokens": 2064,
        "gen_ai.usage.output_tokens": 428,
        "gen_ai.usage.reasoning.output_tokens": 128,
        "gen_ai.usage.text.input_tokens": 1764,
        "gen_ai.usage.image.input_tokens": 258,
        "gen_ai.usage.text.cache_read.input_tokens": 1024,
        "gen_ai.usage.text.output_tokens": 290,
        "gen_ai.usage.audio.output_tokens": 10,
    }
THINKING = has("gemini thinking levels")
SNAKE = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "max_output_tokens": 99,
    "stop_sequences": ["END", "STOP"],
    "seed": 7,
    "candidate_count": 1,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "response_mime_type": "text/plain",
    **({"thinking_config": {"thinking_level": "LOW"}} if THINKING else {}),
}
CAMEL = {
    "temperature": 0.5,
    "topP": 0.9,
    "topK": 40,
    "maxOutputTokens": 99,
    "stopSequences": ["END", "STOP"],
    "seed": 7,
    "candidateCount": 1,
    "frequencyPenalty": 0.1,
    "presencePenalty": 0.2,
    "responseMimeType": "text/plain",
    **({"thinkingConfig": {"thinkingLevel": "LOW"}} if THINKING else {}),
}
EXPECTED = told(
    {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-2.5-flash",
        "server.address": "127.0.0.1",
        "aiobs.api.name": "models.generate_content",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END", "STOP"),
        "gen_ai.request.seed": 7,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.reasoning.level": "LOW",
        "gen_ai.output.type": "text",
        "gen_ai.response.id": "simulated000001",
        "gen_ai.response.model": "gemini-2.5-flash",
        "gen_ai.response.finish_reasons": ("stop",),
        "aiobs.http.status_code": 200,
        **COUNTED,
    }
)


def whole(client: Any, **arguments: Any) -> None:
    client.models.generate_content(**arguments)


def streamed(client: Any, **arguments: Any) -> None:
    list(client.models.generate_content_stream(**arguments))


def whole_async(client: Any, **arguments: Any) -> None:
    async def call() -> None:
        async with aio_of(client) as entered:
            await entered.models.generate_content(**arguments)

    asyncio.run(call())


def streamed_async(client: Any, **arguments: Any) -> None:
    async def call() -> None:
        async with aio_of(client) as entered:
            async for _ in await entered.models.generate_content_stream(**arguments):
                pass

    asyncio.run(call())


Call = Callable[..., None]
every_way = pytest.mark.parametrize("call", [whole, streamed, whole_async, streamed_async])


@pytest.mark.parametrize(
    "config",
    [SNAKE, CAMEL, types.GenerateContentConfig.model_validate(SNAKE)],
    ids=["snake_case", "camelCase", "model"],
)
@every_way
def test_a_call_is_one_client_span_with_everything_the_answer_carries(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Call, config: Any
) -> None:
    """Name, kind and attributes of a call, literally, whichever way it is made and its config is written."""
    simulator.reply("A contract.", usage=USAGE)
    call(simulator.gemini(), model="gemini-2.5-flash", contents="What is an API?", config=config)
    span = instrumented.span("generate_content gemini-2.5-flash")
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    is_stream = call in (streamed, streamed_async)
    assert attributes_of(span) == {**EXPECTED, **({"gen_ai.request.stream": True} if is_stream else {})}
    attributes: Any = span.attributes
    assert ("gen_ai.response.time_to_first_chunk" in attributes) is is_stream
    assert attributes["server.port"] == int(simulator.origin.rpartition(":")[2])
    assert attributes["code.file.path"] == __file__
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"


@every_way
def test_a_call_over_vertex(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call) -> None:
    """The same call of a Vertex client has Vertex as its provider."""
    simulator.reply("A contract.", usage=USAGE)
    call(simulator.vertex(), model="gemini-2.5-flash", contents="What is an API?", config=SNAKE)
    is_stream = call in (streamed, streamed_async)
    stream = {"gen_ai.request.stream": True} if is_stream else {}
    assert attributes_of(instrumented.span()) == {
        **EXPECTED,
        "gen_ai.response.id": "simulated000001",
        "gen_ai.provider.name": "gcp.vertex_ai",
        **stream,
    }


@pytest.mark.parametrize(
    ("client", "model", "name"),
    [
        ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini", "tunedModels/mine", "mine"),
        ("vertex", "publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("vertex", "projects/p/locations/l/publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("vertex", "google/gemini-2.5-flash", "google/gemini-2.5-flash"),
    ],
)
def test_a_model_goes_by_its_bare_name(
    simulator: Simulator, instrumented: InMemoryTelemetry, client: str, model: str, name: str
) -> None:
    """The collection or the project before a model is no part of its name, in span names nor attributes."""
    getattr(simulator, client)().models.generate_content(model=model, contents="q")
    span = instrumented.span()
    assert span.name == f"generate_content {name}"
    assert (span.attributes or {})["gen_ai.request.model"] == name


@pytest.mark.parametrize(
    ("base_url", "address", "port"),
    [
        (None, "generativelanguage.googleapis.com", 443),
        ("http://[::1]", "::1", 80),
        ("https://proxy.example:8443/gemini", "proxy.example", 8443),
    ],
)
def test_who_is_asked(
    simulator: Simulator, instrumented: InMemoryTelemetry, base_url: str | None, address: str, port: int
) -> None:
    """Host and port of the client's base URL, without a path; the port that the scheme implies if it has none."""
    from google import genai

    options: Any = {"base_url": base_url} if base_url else {}
    with closing(genai.Client(api_key="k", vertexai=False, http_options=options)) as client:
        with pytest.raises(ValueError, match="contents"):
            client.models.generate_content(model="m", contents=[])
    attributes: Any = instrumented.span().attributes
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"response_mime_type": "application/json"}, "json"),
        ({"response_schema": {"type": "OBJECT"}, "response_mime_type": "application/json"}, "json"),
        pytest.param({"response_json_schema": {"type": "object"}}, "json", marks=needs("gemini JSON schemas")),
        ({"response_schema": {"type": "STRING", "enum": ["a"]}, "response_mime_type": "text/x.enum"}, "text"),
        ({"response_modalities": ["TEXT", "IMAGE"]}, "image"),
        ({"response_modalities": [types.Modality.AUDIO]}, "speech"),
        ({}, None),
    ],
)
def test_what_kind_of_output_is_asked_for(
    simulator: Simulator, instrumented: InMemoryTelemetry, config: Any, expected: str | None
) -> None:
    """``gen_ai.output.type`` is what the config asks for by type, schema or modality."""
    simulator.reply("{}")
    simulator.gemini().models.generate_content(model="m", contents="q", config=config)
    assert (instrumented.span().attributes or {}).get("gen_ai.output.type") == expected


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        ({"text": "x", "finish_reason": "MAX_TOKENS"}, ("max_tokens",)),
        ({"refusal": "No.", "finish_reason": "SAFETY"}, ("safety",)),
        ({"refusal": "No."}, ("safety",)),
        ({"finish_reason": "MALFORMED_FUNCTION_CALL"}, ("malformed_function_call",)),
        ({"finish_reason": "A_REASON_OF_TOMORROW"}, ("a_reason_of_tomorrow",)),
    ],
    ids=["max tokens", "answer blocked", "prompt blocked", "no content", "unknown"],
)
@every_way
@pytest.mark.filterwarnings("ignore:A_REASON_OF_TOMORROW is not a valid FinishReason")  # the SDK's own
def test_why_an_answer_ended(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Call, answer: dict[str, Any], reasons: tuple[str]
) -> None:
    """The provider's word in lower case; the reason of the block where the prompt itself was blocked."""
    simulator.reply(**answer)
    call(simulator.gemini(), model="m", contents="q")
    span = instrumented.span()
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["gen_ai.response.finish_reasons"] == reasons
    assert "aiobs.incomplete" not in (span.attributes or {})


@every_way
def test_several_candidates(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call) -> None:
    """One finish reason for each, and how many were asked for."""
    from aiobs.testing import Answer

    simulator.reply(choices=[Answer("one"), Answer("two", finish_reason="MAX_TOKENS")])
    call(simulator.gemini(), model="m", contents="q", config={"candidate_count": 2})
    attributes: Any = instrumented.span().attributes
    assert attributes["gen_ai.request.choice.count"] == 2
    assert attributes["gen_ai.response.finish_reasons"] == ("stop", "max_tokens")


def test_metrics_of_a_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Duration and tokens by modality, under Google's provider name."""
    simulator.reply("A contract.", usage=USAGE)
    whole(simulator.gemini(), model="gemini-2.5-flash", contents="q")
    metrics = instrumented.metrics()
    (duration,) = metrics["gen_ai.client.inference.duration"]
    assert duration.count == 1
    assert {key: value for key, value in duration.attributes.items() if key != "server.port"} == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.response.model": "gemini-2.5-flash",
        "server.address": "127.0.0.1",
    }
    totals = {
        name: sum(point.sum if hasattr(point, "sum") else point.value for point in points)
        for name, points in metrics.items()
        if name.endswith("_tokens")
    }
    assert totals["gen_ai.client.inference.operation.input_tokens"] == COUNTED["gen_ai.usage.input_tokens"]
    assert totals["gen_ai.client.inference.operation.output_tokens"] == COUNTED["gen_ai.usage.output_tokens"]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([{"promptTokenCount": 7}, {"promptTokenCount": 7, "candidatesTokenCount": 5}], (7, 5)),
        ([{"promptTokenCount": 7, "candidatesTokenCount": 2}, {"candidatesTokenCount": 5}], (7, 5)),
        ([{"promptTokenCount": 7, "candidatesTokenCount": 5}, None], (7, 5)),
        pytest.param(
            [{"promptTokenCount": 7, "candidatesTokenCount": 5}, {"promptTokenCount": 7, "thoughtsTokenCount": 3}],
            (7, 8),
            marks=needs("gemini thoughts and modalities"),
        ),
        ([None, None], (None, None)),
    ],
    ids=["running totals", "told once", "not at the end", "changing fields", "never"],
)
def test_counts_of_a_stream_are_running_totals(
    simulator: Simulator, instrumented: InMemoryTelemetry, chunks: list[Any], expected: tuple[Any, Any]
) -> None:
    """The last that was said of each count is what counts; nothing is added up."""
    import json

    bodies: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}, "index": 0}]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "b"}]}, "index": 0, "finishReason": "STOP"}]},
    ]
    for body, usage in zip(bodies, chunks, strict=True):
        body.update({"usageMetadata": usage} if usage else {})
    simulator.raw([b"data: " + json.dumps(body).encode() + b"\r\n\r\n" for body in bodies])
    streamed(simulator.gemini(), model="m", contents="q")
    attributes: Any = instrumented.span().attributes
    found = (attributes.get("gen_ai.usage.input_tokens"), attributes.get("gen_ai.usage.output_tokens"))
    assert found == expected
