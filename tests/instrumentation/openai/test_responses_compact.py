"""Conversations made short, tokens counted beforehand, and responses below ``client.beta``."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import (
    MOVING,
    asked,
    attributes_of,
    file_events,
    metrics_of,
    said,
    with_content,
)
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

pytestmark = needs("openai responses.compact")
USAGE = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 4}}
HISTORY: Any = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
TOOL: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}}


# Made short


def test_a_compacted_conversation(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Inference with usage, literally; it says that the conversation was made short."""
    simulator.reply(usage=USAGE)
    simulator.openai().responses.compact(model="m", input=HISTORY, previous_response_id="resp_0")
    span = instrumented.span("chat m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "gen_ai.request.previous_response.id": "resp_0",
        "openai.api.type": "responses",
        "gen_ai.response.id": "resp_simulated000001",
        "gen_ai.conversation.compacted": True,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "aiobs.http.status_code": 200,
    }
    counted = metrics_of(instrumented)["gen_ai.client.inference.operation.input_tokens"]
    assert [point.sum for point in counted] == [7]


def test_what_took_the_place_of_the_conversation(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The answer is the item that stands for all; the user's messages that come back are said by nobody again."""
    with_content(signals)
    simulator.openai().responses.compact(model="m", input=HISTORY, instructions="be brief")
    assert said(signals) == [{"type": "compaction", "id": "cmp_simulated000001"}]
    assert [message["role"] for message in asked(signals)] == ["user", "assistant"]
    found = signals.span().attributes or {}
    assert json.loads(str(found["gen_ai.system_instructions"])) == [{"type": "text", "content": "be brief"}]
    assert "c2ltdWxhdGVk" not in signals.span().to_json()


async def test_every_way_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw, streaming and async: the same span, of both operations."""
    ask: dict[str, Any] = {"model": "m", "input": "a"}
    responses = simulator.openai().responses
    async with simulator.async_openai() as client:
        for now, later, name in (
            (responses, client.responses, "compact"),
            (responses.input_tokens, client.responses.input_tokens, "count"),
        ):
            getattr(now, name)(**ask)
            getattr(now.with_raw_response, name)(**ask)
            with getattr(now.with_streaming_response, name)(**ask) as response:
                response.read()
            await getattr(later, name)(**ask)
            await getattr(later.with_raw_response, name)(**ask)
    found = [
        {key: value for key, value in attributes_of(span).items() if key != "gen_ai.response.id"}
        for span in instrumented.spans
    ]
    assert len(found) == 10
    assert found == [found[0]] * 5 + [found[5]] * 5


def test_the_event_of_a_compacted_conversation_literally(simulator: Simulator) -> None:
    """Request as passed, response with id and usage."""
    observer.observe()
    simulator.reply(usage=USAGE)
    simulator.openai().responses.compact(model="m", input="a", prompt_cache_key="k")
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "responses.compact",
        "request": {"model": "m", "input": "a", "instructions": None, "other": {"prompt_cache_key": "k"}},
        "response": {
            "id": "resp_simulated000001",
            "model": None,
            "text": None,
            "usage": {
                "input_tokens": 7,
                "output_tokens": 5,
                "total_tokens": 12,
                "prompt_tokens": 7,
                "completion_tokens": 5,
            },
            "finish_reason": None,
            "finish_reasons": [],
            "status": None,
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


# Counted


def test_counted_tokens(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """How many there are, and not as usage: nothing was spent."""
    simulator.reply(fields={"input_tokens": 18})
    simulator.openai().responses.input_tokens.count(
        model="m", input="a", conversation="conv_1", reasoning={"effort": "low"}
    )
    span = instrumented.span("count_tokens m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "gen_ai.conversation.id": "conv_1",
        "openai.api.type": "responses",
        "aiobs.token_count": 18,
        "aiobs.http.status_code": 200,
    }
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}


def test_the_content_of_what_is_counted(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Input, instructions and tools; there is no answer in words."""
    with_content(signals)
    simulator.openai().responses.input_tokens.count(model="m", input="a", instructions="be brief", tools=[TOOL])
    found = signals.span().attributes or {}
    assert asked(signals) == [{"role": "user", "parts": [{"type": "text", "content": "a"}]}]
    assert json.loads(str(found["gen_ai.tool.definitions"])) == [{"type": "function", "name": "f"}]
    assert json.loads(str(found["gen_ai.system_instructions"])) == [{"type": "text", "content": "be brief"}]
    assert said(signals) == []


def test_the_event_of_counted_tokens_literally(simulator: Simulator) -> None:
    """Request as passed, and the count."""
    observer.observe()
    simulator.reply(fields={"input_tokens": 18})
    simulator.openai().responses.input_tokens.count(input="a", truncation="auto")
    (event,) = file_events()
    assert (event["api"], event["request"], event["response"]) == (
        "responses.input_tokens.count",
        {"model": None, "input": "a", "instructions": None, "other": {"truncation": "auto"}},
        {"id": None, "model": None, "usage": None, "token_count": 18},
    )


@pytest.mark.parametrize("name", ["compact", "count"])
def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry, name: str) -> None:
    """ERROR with the provider's code."""
    simulator.fail(429, code="rate_limit_exceeded")
    responses = simulator.openai().responses
    method: Any = responses.compact if name == "compact" else responses.input_tokens.count
    with pytest.raises(openai.RateLimitError):
        method(model="m", input="a")
    span = instrumented.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "rate_limit_exceeded")


# Below beta


def test_responses_below_beta(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The same spans under the names by which the program called."""
    beta: Any = simulator.openai().beta.responses
    created = beta.create(model="m", input="a", background=True)
    beta.retrieve(created.id)
    beta.cancel(beta.create(model="m", input="a", background=True).id)
    beta.compact(model="m", input="a")
    beta.input_tokens.count(model="m", input="a")
    list(beta.create(model="m", input="a", stream=True))
    found = [(span.name, (span.attributes or {})["aiobs.api.name"], len(span.links)) for span in instrumented.spans]
    assert found == [
        ("chat m", "beta.responses.create", 0),
        ("fetch_response", "beta.responses.retrieve", 1),
        ("chat m", "beta.responses.create", 0),
        ("cancel_response", "beta.responses.cancel", 1),
        ("chat m", "beta.responses.compact", 0),
        ("count_tokens m", "beta.responses.input_tokens.count", 0),
        ("chat m", "beta.responses.create", 0),
    ]
    last = instrumented.spans[-1].attributes or {}
    assert (last["gen_ai.request.stream"], last["gen_ai.response.finish_reasons"]) == (True, ("stop",))


def test_nothing_below_beta_is_imported_by_us() -> None:
    """What a program does not use is not imported in order to be wrapped."""
    program = "import sys, openai, aiobs; {}openai.OpenAI(api_key='x').responses; print(*sorted(sys.modules))"

    def modules(first: str) -> set[str]:
        ran = subprocess.run([sys.executable, "-c", program.format(first)], capture_output=True, text=True, check=True)
        return {name for name in ran.stdout.split() if name.startswith("openai.")}

    assert modules("aiobs.Instrumentor().instrument(); ") == modules("")


# What goes wrong

REQUESTS: dict[str, Any] = {
    "one-shot": lambda: {"input": iter([{"role": "user", "content": "x"}])},
    "null": lambda: {"input": None, "instructions": None},
    "a number": lambda: {"input": 5, "instructions": 6},
    "an object": lambda: {"input": {"a": 1}},
    "items of other types": lambda: {"input": ["a", None, 7, {}, {"type": 5}]},
    "surrogate": lambda: {"input": "\ud800", "instructions": "\udfff"},
    "1 MB": lambda: {"input": "x" * 1_000_000},
    "omit": lambda: {"input": openai.omit, "previous_response_id": openai.omit},
    "ids of other types": lambda: {"input": "a", "previous_response_id": 5},
    "extra body": lambda: {"input": "a", "extra_body": {"model": "other", "instructions": [1]}},
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "object": null, "output": null, "usage": null, "input_tokens": null}',
    "of numbers": b'{"id": 5, "object": 6, "output": 7, "usage": 8, "input_tokens": -9}',
    "of texts": b'{"id": "", "output": "x", "usage": "y", "input_tokens": "18"}',
    "output of other types": b'{"output": [null, 5, {"role": 5, "content": 6}, {"type": "compaction", "id": 7}]}',
}
GOOD = b'{"id": "r", "object": "response.compaction", "output": [], "input_tokens": 3}'
EVERY = pytest.mark.parametrize("name", ["compact", "count"])


def method_of(simulator: Simulator, name: str) -> Any:
    """The method of a new client."""
    responses = simulator.openai().responses
    return responses.compact if name == "compact" else responses.input_tokens.count


@pytest.mark.quiet_guard
@EVERY
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any, name: str) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    given = lambda: {"model": "m", **make()}  # noqa: E731  # a one-shot iterator is made anew for each call
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(GOOD),
        lambda: method_of(simulator, name)(**given()),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@EVERY
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, name: str) -> None:
    """The program sees what it sees without us, and no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: method_of(simulator, name)(model="m", input="a"),
        may_fail=(),
    )
