"""Legacy completions: what one call becomes on every signal, whole and streamed."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import Answer, InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import MOVING, asked, attributes_of, file_events, metrics_of, with_content
from tests.instrumentation.openai.twice import both_ways

OMIT = getattr(openai, "omit", openai.NOT_GIVEN)
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def test_a_call_is_one_client_span(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally: what has no conventional name is under the configuration."""
    simulator.reply("b", usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 4}})
    simulator.openai().completions.create(
        model="m", prompt="a", suffix="c", best_of=3, echo=False, logprobs=2, n=1, temperature=0.5, top_p=1.0, seed=4,
        max_tokens=9, stop=["x"], frequency_penalty=0.1, presence_penalty=0.2, user="ann",
    )  # fmt: skip
    span = instrumented.span("text_completion m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.seed": 4,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "aiobs.request.config.best_of": 3,
        "aiobs.request.config.echo": False,
        "aiobs.request.config.logprobs": 2,
        "gen_ai.response.id": "cmpl-simulated000001",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "openai.response.system_fingerprint": "fp_simulated",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "aiobs.http.status_code": 200,
    }


async def test_async_and_raw_calls_are_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """AsyncOpenAI, raw and streaming responses are recorded as OpenAI is."""
    ask: dict[str, Any] = {"model": "m", "prompt": "a"}
    completions = simulator.openai().completions
    completions.create(**ask)
    completions.with_raw_response.create(**ask)
    with completions.with_streaming_response.create(**ask) as response:
        response.read()
    async with simulator.async_openai() as client:
        await client.completions.create(**ask)
        await client.completions.with_raw_response.create(**ask)
    first, *others = [
        {key: value for key, value in attributes_of(span).items() if key != "gen_ai.response.id"}
        for span in instrumented.spans
    ]
    assert len(others) == 4
    assert all(other == first for other in others)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_several_prompts_and_answers(simulator: Simulator, signals: InMemoryTelemetry, streams: bool) -> None:
    """A message for each prompt, one for each answer, and a finish reason for each."""
    with_content(signals)
    simulator.next(Answer(choices=[Answer("1"), Answer("2"), Answer("3", finish_reason="length"), Answer("4")]))
    answer = simulator.openai().completions.create(model="m", prompt=["a", "b"], suffix="z", n=2, stream=streams)
    list(answer) if streams else None
    attributes = signals.span().attributes or {}
    assert attributes["gen_ai.request.choice.count"] == 2
    assert attributes["gen_ai.response.finish_reasons"] == ("stop", "stop", "length", "stop")
    end = {"type": "suffix", "content": "z"}
    assert asked(signals) == [{"role": "user", "parts": [{"type": "text", "content": each}, end]} for each in "ab"]
    assert attributes["gen_ai.output.messages"] == (
        '[{"role":"assistant","parts":[{"type":"text","content":"1"}]},'
        '{"role":"assistant","parts":[{"type":"text","content":"2"}]},'
        '{"role":"assistant","parts":[{"type":"text","content":"3"}]},'
        '{"role":"assistant","parts":[{"type":"text","content":"4"}]}]'
    )


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ([1, 2], [[{"type": "tokens", "tokens": [1, 2]}]]),
        ([[1], [2, 3]], [[{"type": "tokens", "tokens": [1]}], [{"type": "tokens", "tokens": [2, 3]}]]),
        (["", "b"], [[{"type": "text", "content": ""}], [{"type": "text", "content": "b"}]]),
    ],
    ids=["tokens", "token lists", "texts"],
)
def test_kinds_of_prompts(simulator: Simulator, signals: InMemoryTelemetry, prompt: Any, expected: Any) -> None:
    """Tokens stay tokens."""
    with_content(signals)
    simulator.openai().completions.create(model="m", prompt=prompt)
    assert [message["parts"] for message in asked(signals)] == expected


def test_a_streamed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The attributes of a whole answer, and those of streams; the metrics of inference."""
    simulator.reply("to be or not", usage=USAGE)
    with simulator.openai() as client:
        list(client.completions.create(model="m", prompt="a", stream=True, stream_options={"include_usage": True}))
    found = instrumented.span("text_completion m").attributes or {}
    assert (found["gen_ai.request.stream"], found["gen_ai.response.finish_reasons"]) == (True, ("stop",))
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (7, 5)
    assert (found["gen_ai.response.id"], found["gen_ai.response.model"]) == ("cmpl-simulated000001", "m")
    assert found["openai.response.system_fingerprint"] == "fp_simulated"
    assert set(metrics_of(instrumented)) == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.time_per_output_chunk",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
    }


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_the_event_in_the_session_file_literally(simulator: Simulator, streams: bool) -> None:
    """Request as passed, response with id, model, text, usage and finish reason."""
    observer.observe()
    simulator.reply("b", usage=USAGE)
    given = {"stream": True, "stream_options": {"include_usage": True}} if streams else {}
    answer = simulator.openai().completions.create(
        model="m", prompt="a", max_tokens=3, echo=True, extra_query={"k": "v"}, **given
    )
    list(answer) if streams else None
    (event,) = file_events()
    usage = event["response"]["usage"]
    event["response"]["usage"] = {
        key: value for key, value in usage.items() if value is not None
    }  # not in all releases
    first = event["response"].pop("ttft_ms", None)
    assert (first is not None) is streams
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "completions.create",
        "request": {
            "model": "m",
            "prompt": "a",
            "suffix": None,
            "temperature": None,
            "max_tokens": 3,
            "other": {"echo": True, **given},
        },
        "response": {
            "id": "cmpl-simulated000001",
            "model": "m",
            "text": "ab",
            "usage": USAGE,
            "finish_reason": "stop",
            "finish_reasons": ["stop"],
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR with the provider's code."""
    simulator.fail(400, code="context_length_exceeded")
    with pytest.raises(openai.BadRequestError):
        simulator.openai().completions.create(model="m", prompt="a")
    span = instrumented.span("text_completion m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "context_length_exceeded")


NO_MODEL = pytest.mark.nonconforming("the request has no model that could be named")
REQUESTS: dict[str, Any] = {
    "one-shot": lambda: {"prompt": iter([1, 2])},
    "null": lambda: {"prompt": None},
    "a number": lambda: {"prompt": 5},
    "an object": lambda: {"prompt": {"a": 1}},
    "of other types": lambda: {"prompt": ["a", None, 7, [None], {}]},
    "surrogate": lambda: {"prompt": "\ud800", "suffix": "\udfff"},
    "1 MB": lambda: {"prompt": "x" * 1_000_000, "suffix": "y" * 1_000_000},
    "suffix a number": lambda: {"prompt": "a", "suffix": 5},
    "omit": lambda: {"prompt": "a", "suffix": OMIT, "echo": OMIT, "stream": OMIT},
    "numbers of other types": lambda: {"prompt": "a", "n": "2", "echo": "x", "best_of": 2**70, "logprobs": 0.5},
    "extra body": lambda: {"prompt": "a", "extra_body": {"model": "other", "echo": [1], "stop": {"a": 1}}},
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any) -> None:
    """The request that goes out, and what comes back, are the same with and without us; no reader fails."""
    body = b'{"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": []}'
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: simulator.openai().completions.create(**{"model": "m", **make()}),
        may_fail=(),
    )


ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "model": null, "choices": null, "usage": null}',
    "of numbers": b'{"id": 5, "model": 6, "choices": 7, "usage": 8}',
    "choices of other types": b'{"choices": [null, 5, "x", {"index": "0", "text": 5, "finish_reason": {}}]}',
    "usage of other types": b'{"choices": [], "usage": {"prompt_tokens": "7", "completion_tokens": -1}}',
    "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, streams: bool) -> None:
    """The program sees what it sees without us, and no reader fails."""

    def call() -> Any:
        answer = simulator.openai().completions.create(model="m", prompt="a", stream=streams)
        return list(answer) if streams else answer

    sent: Any = [b"data: " + body + b"\n\n"] if streams else body
    both_ways(simulator, signals, lambda: simulator.raw(sent), call, may_fail=())
