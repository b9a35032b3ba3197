"""Searches of a vector store: what was looked for and found, and pages that stay the SDK's own."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import (
    MOVING,
    attributes_of,
    everything,
    file_events,
    metrics_of,
    with_content,
)

FOUND = [
    {"id": "file-simulated0", "score": 0.95, "file_name": "document0.txt", "content": ["Facts"]},
    {"id": "file-simulated1", "score": 0.475, "file_name": "document1.txt", "content": ["Facts"]},
]


def documents(signals: InMemoryTelemetry) -> Any:
    """What the last span says was found; None if it says nothing."""
    found = (signals.spans[-1].attributes or {}).get("gen_ai.retrieval.documents")
    return None if found is None else json.loads(str(found))


@pytest.mark.parametrize("is_positional", [True, False], ids=["by position", "by name"])
def test_a_search_is_one_client_span(
    simulator: Simulator, instrumented: InMemoryTelemetry, is_positional: bool
) -> None:
    """Named after the store, however that was passed; query and documents are not on it."""
    search = simulator.openai().vector_stores.search
    given: dict[str, Any] = {"query": "NEEDLE?", "max_num_results": 2, "rewrite_query": True}
    search("vs_1", **given) if is_positional else search(vector_store_id="vs_1", **given)
    span = instrumented.span("retrieval vs_1")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.data_source.id": "vs_1",
        "gen_ai.retrieval.top_k": 2,
        "aiobs.request.config.rewrite_query": True,
        "aiobs.http.status_code": 200,
    }
    assert "NEEDLE" not in everything(instrumented)


def test_content_with_the_gate_open(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The query as text, the documents with id, score, name and text."""
    with_content(signals)
    simulator.reply("Facts")
    simulator.openai().vector_stores.search("vs_1", query="What?")
    assert (signals.span().attributes or {})["gen_ai.retrieval.query.text"] == "What?"
    assert documents(signals) == FOUND


QUERIES: dict[str, tuple[Any, str | None]] = {
    "several": (["What?", "Who?"], "What?\nWho?"),
    "a tuple": (("What?",), "What?"),
    "an iterator": (iter(["What?"]), None),
    "odd items": (["What?", 5, None], "What?"),
    "empty": ("", None),
}


@pytest.mark.parametrize(("query", "expected"), QUERIES.values(), ids=QUERIES.keys())
def test_queries(simulator: Simulator, signals: InMemoryTelemetry, query: Any, expected: str | None) -> None:
    """One or several; what can be read once is left to the SDK."""
    observer.observe()
    with_content(signals)
    try:
        simulator.openai().vector_stores.search("vs_1", query=query)
    except (openai.BadRequestError, TypeError):
        """The provider wants a query, and the SDK one that it can send."""
    assert (signals.span().attributes or {}).get("gen_ai.retrieval.query.text") == expected
    assert len(file_events()) == 1


# Pages


@pytest.mark.parametrize("way", ["awaited", "iterated", "awaited and iterated", "twice", "never"])
async def test_a_promise_of_a_page(simulator: Simulator, instrumented: InMemoryTelemetry, way: str) -> None:
    """It stays the SDK's own, to be awaited or iterated; each request is a span, and one that is not made is none."""
    async with simulator.async_openai() as client:
        promise = client.vector_stores.search("vs_1", query="What?")
        assert type(promise).__name__ == "AsyncPaginator"
        found = 0
        if way in ("awaited", "awaited and iterated", "twice"):
            page = await promise
            found += len(page.data)
        if way == "awaited and iterated":
            found += len([item async for item in page])
        if way in ("iterated", "twice"):
            found += len([item async for item in promise])
    assert len(instrumented.spans) == len(simulator.requests) == {"never": 0, "twice": 2}.get(way, 1)
    assert found == {"never": 0, "twice": 4, "awaited and iterated": 4}.get(way, 2)
    assert {span.name for span in instrumented.spans} <= {"retrieval vs_1"}


async def test_an_async_search_is_the_same(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """AsyncOpenAI is recorded as OpenAI is, its place in the program included."""
    with_content(signals)
    simulator.openai().vector_stores.search("vs_1", query="What?")
    async with simulator.async_openai() as client:
        await client.vector_stores.search("vs_1", query="What?")
    first, second = signals.spans
    assert attributes_of(first) == attributes_of(second)
    assert {(span.attributes or {})["code.file.path"] for span in signals.spans} == {__file__}


@pytest.mark.parametrize("way", ["with_raw_response", "with_streaming_response"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_raw_responses(simulator: Simulator, signals: InMemoryTelemetry, way: str, is_async: bool) -> None:
    """What they found is told if the body was read."""
    with_content(signals)
    simulator.reply("Facts")
    if is_async:
        async with simulator.async_openai() as client:
            search = getattr(client.vector_stores, way).search
            if way == "with_raw_response":
                await search("vs_1", query="What?")
            else:
                async with search("vs_1", query="What?") as response:
                    await response.read()
    else:
        search = getattr(simulator.openai().vector_stores, way).search
        if way == "with_raw_response":
            search("vs_1", query="What?")
        else:
            with search("vs_1", query="What?") as response:
                response.read()
    assert documents(signals) == FOUND


async def test_a_promise_that_is_kept_until_nobody_listens(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """After ``uninstrument()`` it makes its request as it would without us."""
    instrumentor = Instrumentor(**signals.providers).instrument()
    async with simulator.async_openai() as client:
        promise = client.vector_stores.search("vs_1", query="What?")
        instrumentor.uninstrument()
        assert len((await promise).data) == 2


# Odd answers and errors

ODD: dict[str, tuple[Any, Any]] = {
    "null": (None, None),
    "an object": ({"file_id": "f"}, None),
    "of nulls": ([None], [{"id": None, "score": None}]),
    "odd fields": (
        [{"file_id": 5, "score": "0.5", "filename": {}, "content": "text"}],
        [{"id": None, "score": None}],
    ),
    "odd content": ([{"file_id": "f", "score": True, "content": [None, {"text": 5}]}], [{"id": "f", "score": None}]),
    "score an integer": ([{"file_id": "f", "score": 1}], [{"id": "f", "score": 1}]),
}


@pytest.mark.parametrize(("data", "expected"), ODD.values(), ids=ODD.keys())
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, data: Any, expected: Any) -> None:
    """What can be told of each document; the call is never an error."""
    observer.observe()
    with_content(signals)
    simulator.reply(fields={"data": data})
    simulator.openai().vector_stores.with_raw_response.search("vs_1", query="What?")
    assert (signals.span().status.status_code, documents(signals)) == (StatusCode.UNSET, expected)
    assert len(file_events()) == 1


def test_documents_have_bounds(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A long text is cut; when they are too much altogether they are told without their texts."""
    with_content(signals)
    client = simulator.openai()
    simulator.reply("x" * 100_000)
    client.vector_stores.search("vs_1", query="y" * 100_000, max_num_results=1)
    assert "truncated by aiobs" in documents(signals)[0]["content"][0]
    assert "truncated by aiobs" in str((signals.spans[0].attributes or {})["gen_ai.retrieval.query.text"])
    simulator.reply("x" * 60_000)
    client.vector_stores.search("vs_1", query="What?", max_num_results=50)
    assert [sorted(document) for document in documents(signals)] == [["id", "score"]] * 50


def test_a_failed_search(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR with the provider's code; one duration of the operation."""
    simulator.fail(404, code="not_found", message="No NEEDLE")
    with pytest.raises(openai.NotFoundError):
        simulator.openai().vector_stores.search("vs_1", query="What?")
    span = instrumented.span("retrieval vs_1")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "not_found")
    (duration,) = metrics_of(instrumented)["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "not_found"
    assert "NEEDLE" not in everything(instrumented)


def test_the_event_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed, documents with their attributes."""
    observer.observe()
    simulator.reply("Facts")
    simulator.openai().vector_stores.search("vs_1", query=["What?"], max_num_results=1, extra_query={"a": "b"})
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "vector_stores.search",
        "request": {
            "model": None,
            "query": ["What?"],
            "vector_store_id": "vs_1",
            "max_num_results": 1,
            "filters": None,
            "ranking_options": None,
            "rewrite_query": None,
            "other": {},
        },
        "response": {
            "id": None,
            "model": None,
            "usage": None,
            "documents": [{**FOUND[0], "attributes": {"number": 0}}],
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }
