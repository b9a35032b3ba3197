"""embed_content: spans, usage and the session file, over both APIs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.genai import types
from opentelemetry.trace import SpanKind

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, everything, file_events, told
from tests.versions import aio_of, needs

TEXTS = ["NEEDLE one", "NEEDLE two"]


def embed(client: Any, is_async: bool, **arguments: Any) -> Any:
    if not is_async:
        return client.models.embed_content(**arguments)

    async def call() -> Any:
        async with aio_of(client) as entered:
            return await entered.models.embed_content(**arguments)

    return asyncio.run(call())


def expected(provider: str, model: str, **more: Any) -> dict[str, Any]:
    return told(
        {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "server.address": "127.0.0.1",
            "aiobs.api.name": "models.embed_content",
            "aiobs.http.status_code": 200,
            **more,
        }
    )


@needs("gemini usage of embeddings")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "config",
    [{"output_dimensionality": 8}, {"outputDimensionality": 8}, types.EmbedContentConfig(output_dimensionality=8)],
    ids=["snake_case", "camelCase", "model"],
)
def test_over_the_developer_api(
    simulator: Simulator, instrumented: InMemoryTelemetry, is_async: bool, config: Any
) -> None:
    """Dimensions as asked for, and tokens as the answer as a whole has them."""
    simulator.reply(usage={"promptTokenCount": 9})
    answer = embed(simulator.gemini(), is_async, model="models/gemini-embedding-001", contents=TEXTS, config=config)
    assert [len(each.values) for each in answer.embeddings] == [8, 8]
    span = instrumented.span("embeddings gemini-embedding-001")
    assert span.kind is SpanKind.CLIENT
    assert attributes_of(span) == expected(
        "gcp.gemini",
        "gemini-embedding-001",
        **{"gen_ai.embeddings.dimension.count": 8, "gen_ai.usage.input_tokens": 9},
    )


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_over_vertex(simulator: Simulator, instrumented: InMemoryTelemetry, is_async: bool) -> None:
    """Tokens are told for each text there, and added up."""
    simulator.reply(usage={"token_count": 7})
    embed(simulator.vertex(), is_async, model="text-embedding-005", contents=TEXTS)
    assert attributes_of(instrumented.span("embeddings text-embedding-005")) == expected(
        "gcp.vertex_ai", "text-embedding-005", **{"gen_ai.usage.input_tokens": 14}
    )


@needs("gemini usage of embeddings")
@pytest.mark.parametrize(
    ("usage", "tokens"),
    [({"promptTokenCount": None}, None), ({"promptTokenCount": 0}, 0), ({"promptTokenCount": -3}, None)],
)
def test_counts_that_are_none(
    simulator: Simulator, instrumented: InMemoryTelemetry, usage: dict[str, Any], tokens: int | None
) -> None:
    """An answer that tells no tokens, as the Developer API often does, has none; nothing is guessed."""
    simulator.reply(usage=usage)
    embed(simulator.gemini(), False, model="gemini-embedding-001", contents="x")
    assert (instrumented.span().attributes or {}).get("gen_ai.usage.input_tokens") == tokens


@pytest.mark.parametrize("mode", [None, "span_and_event"])
def test_no_texts_and_no_vectors_on_signals(simulator: Simulator, signals: InMemoryTelemetry, mode: str | None) -> None:
    """The conventions have no place for either, whatever the gate says."""
    Instrumentor(**signals.providers, capture_content=mode).instrument()
    answer = embed(simulator.gemini(), False, model="gemini-embedding-001", contents=TEXTS)
    shown = everything(signals)
    assert "NEEDLE" not in shown
    assert not [value for value in answer.embeddings[0].values if value and str(value) in shown]


@needs("gemini usage of embeddings")
@pytest.mark.parametrize("captures", [False, True], ids=["sizes", "vectors"])
def test_the_event_of_the_session_file(simulator: Simulator, captures: bool) -> None:
    """Texts and config as passed; how many vectors of what length, and the vectors themselves only on request."""
    observer.observe()
    Instrumentor(capture_embeddings=captures).instrument()
    simulator.reply(usage={"promptTokenCount": 9})
    config = {"output_dimensionality": 8, "task_type": "RETRIEVAL_QUERY"}
    answer = embed(simulator.gemini(), False, model="gemini-embedding-001", contents=TEXTS, config=config)
    (event,) = file_events()
    assert (event["provider"], event["api"], event["error"]) == ("gemini", "models.embed_content", None)
    assert event["request"] == {
        "model": "gemini-embedding-001",
        "contents": TEXTS,
        "config": config,
        "other": {},
    }
    vectors = [{"embedding": each.values} if captures else {} for each in answer.embeddings]
    assert event["response"] == {
        "id": None,
        "model": "gemini-embedding-001",
        "usage": {"prompt_token_count": 9, "prompt_tokens": 9, "completion_tokens": None, "total_tokens": 9},
        "object": "list",
        "data": [{"index": index, "object": "embedding", **vector} for index, vector in enumerate(vectors)],
        "embedding_dimensions": 8,
    }
