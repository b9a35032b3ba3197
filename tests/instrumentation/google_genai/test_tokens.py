"""count_tokens, compute_tokens and caches.create: a number that is no usage, content, the session file."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest
from google.genai import errors, types
from opentelemetry.trace import SpanKind

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import SDK, attributes_of, content_of, everything, file_events

both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
servers = pytest.mark.parametrize("server", ["gemini", "vertex"])
SERVERS = {"gemini": "gcp.gemini", "vertex": "gcp.vertex_ai"}


def call(client: Any, path: str, is_async: bool = False, **arguments: Any) -> Any:
    """Call ``models.count_tokens`` and the like."""
    family, _, name = path.partition(".")
    if not is_async:
        return getattr(getattr(client, family), name)(**arguments)

    async def awaited() -> Any:
        return await getattr(getattr(client.aio, family), name)(**arguments)

    return asyncio.run(awaited())


def recording(signals: InMemoryTelemetry, content: str | None = None) -> None:
    """Record into ``signals`` and the session file."""
    observer.observe("tokens", tracer_provider=signals.tracer_provider, capture_content=content)
    Instrumentor(**signals.providers, capture_content=content).instrument()


def expected(operation: str, api: str, server: str, **more: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": SERVERS[server],
        "gen_ai.request.model": "gemini-2.5-flash",
        "server.address": "127.0.0.1",
        "aiobs.api.name": api,
        **({"aiobs.http.status_code": 200} if SDK > (1, 5) else {}),
        **more,
    }


@both
@servers
def test_counting_tokens(simulator: Simulator, instrumented: InMemoryTelemetry, is_async: bool, server: str) -> None:
    """The number has an attribute of its own: nothing was used, so no usage says it, on spans or in metrics."""
    simulator.reply(fields={"totalTokens": 42, "cachedContentTokenCount": 3})
    client = getattr(simulator, server)()
    prefix = "models/" if server == "gemini" else "publishers/google/models/"
    answer = call(client, "models.count_tokens", is_async, model=f"{prefix}gemini-2.5-flash", contents="NEEDLE")
    assert answer.total_tokens == 42
    span = instrumented.span("count_tokens gemini-2.5-flash")
    assert span.kind is SpanKind.CLIENT
    assert attributes_of(span) == expected("count_tokens", "models.count_tokens", server, **{"aiobs.token_count": 42})
    assert not [name for name in instrumented.metrics() if "token" in name]
    assert "NEEDLE" not in everything(instrumented)


@both
def test_computing_tokens(simulator: Simulator, signals: InMemoryTelemetry, is_async: bool) -> None:
    """How many there are in all; the file has how many each content has, never which ones, as they spell the text."""
    recording(signals)
    answer = call(
        simulator.vertex(), "models.compute_tokens", is_async, model="gemini-2.5-flash", contents="NEEDLE two three"
    )
    assert [len(info.token_ids) for info in answer.tokens_info] == [3]
    assert attributes_of(signals.span("compute_tokens gemini-2.5-flash")) == expected(
        "compute_tokens", "models.compute_tokens", "vertex", **{"aiobs.token_count": 3}
    )
    (event,) = file_events()
    assert event["response"] == {
        "model": None,
        "usage": None,
        "total_tokens": 3,
        "tokens_info": [{"role": "user", "tokens": 3}],
    }


def test_the_developer_api_computes_none(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The SDK refuses; that is a failed call."""
    recording(signals)
    with pytest.raises(ValueError, match="only supported in"):
        call(simulator.gemini(), "models.compute_tokens", model="m", contents="x")
    assert attributes_of(signals.span())["error.type"] == "ValueError"


def test_the_event_of_counting(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Contents and config as they were passed; instructions under the gate are instructions."""
    recording(signals, "span_only")
    simulator.reply(fields={"totalTokens": 42, "cachedContentTokenCount": 3})
    contents = ["one", {"role": "user", "parts": [{"text": "two"}]}]
    config = {"system_instruction": "be brief"}
    call(simulator.vertex(), "models.count_tokens", model="gemini-2.5-flash", contents=contents, config=config)
    shown = content_of(signals.span())
    assert shown["system_instructions"] == [{"type": "text", "content": "be brief"}]
    assert [part["content"] for message in shown["input.messages"] for part in message["parts"]] == ["one", "two"]
    (event,) = file_events()
    assert (event["api"], event["request"]) == (
        "models.count_tokens",
        {"model": "gemini-2.5-flash", "contents": contents, "config": config, "other": {}},
    )
    assert event["response"] == {
        "model": None,
        "usage": None,
        "total_tokens": 42,
        "cached_content_token_count": 3 if event["response"]["cached_content_token_count"] else None,
    }


@pytest.mark.parametrize("fields", [{"totalTokens": None}, {"totalTokens": -1}, {"totalTokens": 2**60}], ids=str)
def test_counts_that_are_none(simulator: Simulator, instrumented: InMemoryTelemetry, fields: dict[str, Any]) -> None:
    """What is no count is left out."""
    simulator.reply(fields=fields)
    call(simulator.gemini(), "models.count_tokens", model="m", contents="x")
    assert "aiobs.token_count" not in attributes_of(instrumented.span())


@pytest.mark.parametrize("path", ["models.count_tokens", "models.compute_tokens", "caches.create"])
def test_what_the_provider_refuses(simulator: Simulator, signals: InMemoryTelemetry, path: str) -> None:
    """The provider's code, and no number."""
    recording(signals)
    simulator.fail(429)
    arguments = {"config": {"contents": "x"}} if path == "caches.create" else {"contents": "x"}
    with pytest.raises(errors.APIError):
        call(simulator.vertex(), path, model="m", **arguments)
    attributes = attributes_of(signals.span())
    assert (attributes["error.type"], attributes.get("aiobs.token_count")) == ("RESOURCE_EXHAUSTED", None)
    assert [event["response"] for event in file_events()] == [None]


# Caches

EXPIRES = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@both
@servers
def test_a_cache(simulator: Simulator, signals: InMemoryTelemetry, is_async: bool, server: str) -> None:
    """The cache's name is the id of the answer; model, how long it is to live, and the tokens in it."""
    recording(signals)
    simulator.reply(fields={"usageMetadata": {"totalTokenCount": 2048}})
    config = {"contents": "NEEDLE", "ttl": "60s", "display_name": "NEEDLE", "system_instruction": "NEEDLE"}
    cache = call(getattr(simulator, server)(), "caches.create", is_async, model="gemini-2.5-flash", config=config)
    span = signals.span("create_cache gemini-2.5-flash")
    assert cache.name.rpartition("/")[0].endswith("cachedContents")
    assert attributes_of(span) == expected(
        "create_cache",
        "caches.create",
        server,
        **{
            "gen_ai.response.id": cache.name,
            "gen_ai.response.model": "gemini-2.5-flash",
            "aiobs.request.config.ttl": "60s",
            "aiobs.token_count": 2048,
        },
    )
    assert "NEEDLE" not in everything(signals)
    (event,) = file_events()
    assert (event["api"], event["request"]) == (
        "caches.create",
        {"model": "gemini-2.5-flash", "config": config, "other": {}},
    )
    assert event["response"] == {
        "id": cache.name,
        "model": "gemini-2.5-flash",
        "usage": None,
        "total_tokens": 2048,
        "create_time": "2026-01-01T00:00:00+00:00",
        "update_time": "2026-01-01T00:00:00+00:00",
        "expire_time": "2026-01-01T01:00:00+00:00",
    }


def test_the_content_of_a_cache(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Under the gate, contents, instructions and tools are those of a request."""
    recording(signals, "span_only")
    function = types.FunctionDeclaration(name="weather")
    config = types.CreateCachedContentConfig(
        contents=["one"],
        system_instruction="be brief",
        tools=[types.Tool(function_declarations=[function])],
        expire_time=EXPIRES,
    )
    call(simulator.vertex(), "caches.create", model="gemini-2.5-flash", config=config)
    shown = content_of(signals.span())
    assert shown["input.messages"] == [{"role": "user", "parts": [{"type": "text", "content": "one"}]}]
    assert shown["system_instructions"] == [{"type": "text", "content": "be brief"}]
    assert [tool["name"] for tool in shown["tool.definitions"]] == ["weather"]
    (event,) = file_events()
    assert event["request"]["config"]["expire_time"] == "2030-01-01T00:00:00+00:00"


def test_other_calls_of_caches_are_not_recorded(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Only making one costs anything."""
    simulator.raw(b'{"name": "cachedContents/1"}')
    simulator.gemini().caches.get(name="cachedContents/1")
    assert instrumented.spans == ()
