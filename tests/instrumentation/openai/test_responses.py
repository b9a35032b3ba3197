"""Responses: what one call becomes on every signal, whichever way it is made."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import MOVING, attributes_of, everything, file_events, metrics_of
from tests.versions import needs

COUNTS = {
    "input_tokens": 2000,
    "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 64},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 128},
    "total_tokens": 2300,
}
COUNTED = {
    "gen_ai.usage.input_tokens": 2000,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 1024,
    "gen_ai.usage.cache_write.input_tokens": 64,
    "gen_ai.usage.reasoning.output_tokens": 128,
}


class City(pydantic.BaseModel):
    name: str


@needs("openai conversations")
def test_a_call_is_one_client_span_with_everything_it_carries(simulator: Simulator, instrumented) -> None:
    """Name, kind and attributes of a whole call, literally."""
    simulator.reply("A contract.", usage=COUNTS, fields={"conversation": {"id": "conv_9"}, "service_tier": "priority"})
    simulator.openai().responses.create(
        model="gpt-5",
        input="What is an API?",
        instructions="Be brief.",
        temperature=0.5,
        top_p=1,
        max_output_tokens=99,
        conversation="conv_1",
        reasoning={"effort": "high", "summary": "auto"},
        service_tier="flex",
        text={"format": {"type": "text"}},
    )
    span = instrumented.span("chat gpt-5")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "gpt-5",
        "openai.api.type": "responses",
        "openai.request.service_tier": "flex",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.reasoning.level": "high",
        "gen_ai.output.type": "text",
        "gen_ai.conversation.id": "conv_9",
        "gen_ai.response.id": "resp_simulated000001",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.response.finish_reasons": ("stop",),
        "openai.response.service_tier": "priority",
        "aiobs.http.status_code": 200,
        **COUNTED,
    }


OTHER_REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "previous response": ({"previous_response_id": "resp_1"}, {"gen_ai.request.previous_response.id": "resp_1"}),
    "conversation": ({"conversation": {"id": "conv_2"}}, {"gen_ai.conversation.id": "conv_2"}),
    "json object": ({"text": {"format": {"type": "json_object"}}}, {"gen_ai.output.type": "json"}),
    "json schema": (
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}},
        {"gen_ai.output.type": "json"},
    ),
    "text without a format": ({"text": {"verbosity": "low"}}, {}),
    "automatic tier": ({"service_tier": "auto"}, {}),
    "effort none": ({"reasoning": {"effort": "none"}}, {"gen_ai.request.reasoning.level": "none"}),
    "effort not given": ({"reasoning": {"summary": "auto"}}, {}),
    "extra body": ({"temperature": 1, "extra_body": {"temperature": 0.25}}, {"gen_ai.request.temperature": 0.25}),
}


LATER = {"conversation": "openai conversations", "automatic tier": "openai service tiers of responses"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(*case, id=name, marks=needs(LATER[name]) if name in LATER else ())
        for name, case in OTHER_REQUESTS.items()
    ],
)
def test_what_a_request_says(simulator: Simulator, instrumented, given, expected) -> None:
    """Each parameter that can come in another way than a plain value, and nothing for one that says nothing."""
    simulator.openai().responses.create(model="m", input="x", **given)
    kinds = ("gen_ai.request.", "gen_ai.output.", "gen_ai.conversation.", "openai.request.")
    assert attributes_of(instrumented.span(), *kinds) == {"gen_ai.request.model": "m", **expected}


@needs("openai prompt templates")
@pytest.mark.parametrize("content", [False, True])
@pytest.mark.nonconforming("a template has the model, so the request names none")
def test_a_prompt_template(simulator: Simulator, signals: InMemoryTelemetry, content: bool) -> None:
    """Name and version are on the span, the variables with the content only; the model is known from the answer."""
    observer.observe(tracer_provider=signals.tracer_provider, capture_content="span_only" if content else None)
    variables = {"city": "Paris", "photo": {"type": "input_text", "text": "a tower"}}
    simulator.openai().responses.create(prompt={"id": "pmpt_1", "version": "3", "variables": variables})
    span = signals.span("chat")
    assert "gen_ai.request.model" not in (span.attributes or {})
    assert (span.attributes or {})["gen_ai.response.model"] == "gpt-4.1"
    named = {"gen_ai.prompt.name": "pmpt_1", "gen_ai.prompt.version": "3"}
    filled_in = {
        "gen_ai.prompt.variable.city": "Paris",
        "gen_ai.prompt.variable.photo": '{"type":"input_text","text":"a tower"}',
    }
    assert attributes_of(span, "gen_ai.prompt.") == {**named, **(filled_in if content else {})}
    (event,) = file_events()
    assert event["request"]["model"] is None
    assert event["request"]["other"]["prompt"]["variables"] == variables


def test_the_model_of_extra_body_is_the_model(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """What goes out is what every signal says: span name, span, metric."""
    client = simulator.openai()
    client.responses.create(model="m", input="x", extra_body={"model": "other"})
    client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], extra_body={"model": "other"}
    )
    client.embeddings.create(model="m", input="x", extra_body={"model": "other"})
    assert [request.json["model"] for request in simulator.requests] == ["other"] * 3
    assert [span.name for span in instrumented.spans] == ["chat other", "chat other", "embeddings other"]
    assert {(span.attributes or {})["gen_ai.request.model"] for span in instrumented.spans} == {"other"}
    points = [point for points in metrics_of(instrumented).values() for point in points]
    assert {point.attributes["gen_ai.request.model"] for point in points} == {"other"}


# How it ends


ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "stop": ("completed", {"gen_ai.response.finish_reasons": ("stop",)}),
    "length": ("incomplete", {"gen_ai.response.finish_reasons": ("length",)}),
    "content_filter": ("incomplete", {"gen_ai.response.finish_reasons": ("content_filter",)}),
    "cancelled": ("cancelled", {"gen_ai.response.finish_reasons": ("cancelled",)}),
}


@pytest.mark.parametrize(("reason", "status", "expected"), [(key, *value) for key, value in ENDS.items()], ids=ENDS)
@pytest.mark.parametrize("streams", [False, True])
def test_why_it_ended(simulator: Simulator, instrumented, reason, status, expected, streams) -> None:
    """The status of the answer in the words of chat completions; none of these is an error."""
    simulator.reply("Some", finish_reason=reason)
    answer = simulator.openai().responses.create(model="m", input="x", stream=streams)
    if streams:
        assert [event.type for event in answer][-1] == f"response.{status}"
    else:
        assert answer.status == status
    if (status, streams) == ("cancelled", True):  # there is no such event: the SDK knows it, the stream has no end
        expected = {"gen_ai.response.finish_reasons": ("error",)}
    span = instrumented.span()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span, "gen_ai.response.finish", "error.") == expected


def test_a_reason_of_incompleteness_that_is_not_known(simulator: Simulator, instrumented) -> None:
    """A new reason is passed on as it is."""
    simulator.reply("x", finish_reason="length", fields={"incomplete_details": {"reason": "max_tool_calls"}})
    simulator.openai().responses.create(model="m", input="x")
    assert attributes_of(instrumented.span(), "gen_ai.response.finish") == {
        "gen_ai.response.finish_reasons": ("max_tool_calls",)
    }


@needs("openai responses in the background")
def test_queued_in_the_background(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """An answer that is yet to come has an id and no end: no finish reason, no usage, no error."""
    observer.observe(tracer_provider=signals.tracer_provider)
    answer = simulator.openai().responses.create(model="m", input="x", background=True)
    assert answer.status == "queued"
    span = signals.span()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span, "gen_ai.response.", "gen_ai.usage.", "error.", "aiobs.incomplete") == {
        "gen_ai.response.id": "resp_simulated000001",
        "gen_ai.response.model": "m",
    }
    (event,) = file_events()
    assert (event["response"]["status"], event["response"]["text"], event["error"]) == ("queued", None, None)


ANSWERED_ERRORS = {
    "server_error": ("PROVIDER_ERROR", True),
    "rate_limit_exceeded": ("RATE_LIMITED", True),
    "invalid_prompt": ("BAD_REQUEST", False),
    "image_too_large": ("BAD_REQUEST", False),
    "image_content_policy_violation": ("CONTENT_FILTER", False),
    "vector_store_timeout": ("TIMEOUT", True),
    "something_new": ("PROVIDER_ERROR", True),
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("code", "ours", "retryable"), [(code, *meaning) for code, meaning in ANSWERED_ERRORS.items()], ids=ANSWERED_ERRORS
)
def test_failed_in_an_answer_of_200(simulator: Simulator, signals, code, ours, retryable, streams) -> None:
    """ERROR with the provider's code although the SDK raises nothing; the message is in the session file only."""
    observer.observe(tracer_provider=signals.tracer_provider)
    error = {"code": code, "message": "You said NEEDLE"}
    simulator.reply("Some", finish_reason="failed", fields={"error": error})
    answer = simulator.openai().responses.create(model="m", input="x", stream=streams)
    ended = list(answer)[-1].response if streams else answer
    assert (ended if isinstance(ended, dict) else ended.model_dump())["error"]["code"] == code
    span = signals.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, code)
    assert attributes_of(span, "error.", "aiobs.error.", "aiobs.http.", "gen_ai.response.finish") == {
        "error.type": code,
        "aiobs.error.code": ours,
        "aiobs.error.retryable": retryable,
        "aiobs.http.status_code": 200,
        "gen_ai.response.finish_reasons": ("error",),
    }
    assert "NEEDLE" not in everything(signals)
    (event,) = file_events()
    assert (event["error"], event["response"]) == (f"{code}: You said NEEDLE", None)


# Other ways to call


def test_parse_is_one_span(simulator: Simulator, instrumented) -> None:
    """parse() gives the parsed type; the output asked for is JSON."""
    answer = simulator.openai().responses.parse(model="m", input="Paris", text_format=City)
    assert answer.output_parsed == City(name="Paris")
    assert (instrumented.span("chat m").attributes or {})["gen_ai.output.type"] == "json"


def test_parse_of_what_does_not_fit(simulator: Simulator, instrumented) -> None:
    """The SDK raises pydantic's error after the answer has come: one span, which says so."""
    simulator.reply('{"name": 5}')
    with pytest.raises(pydantic.ValidationError):
        simulator.openai().responses.parse(model="m", input="Paris", text_format=City)
    span = instrumented.span("chat m")
    assert span.status.status_code is StatusCode.ERROR
    assert attributes_of(span, "error.", "aiobs.error.") == {
        "error.type": "pydantic_core.ValidationError",
        "aiobs.error.code": "VALIDATION",
        "aiobs.error.retryable": False,
    }


def test_the_stream_helper(simulator: Simulator, instrumented) -> None:
    """responses.stream() reads through the stream that create() gave it: one span, the final response as without us."""
    simulator.reply('{"name": "Paris"}', usage=COUNTS)
    with simulator.openai().responses.stream(model="m", input="x", text_format=City) as stream:
        kinds = {event.type for event in stream}
        assert stream.get_final_response().output_parsed == City(name="Paris")
    assert "response.output_text.delta" in kinds
    span = instrumented.span("chat m")
    assert attributes_of(span, "gen_ai.usage.", "gen_ai.response.finish", "gen_ai.output", "aiobs.incomplete") == {
        **COUNTED,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.output.type": "json",
    }


async def test_the_async_stream_helper_left_early(simulator: Simulator, instrumented) -> None:
    """Leaving its block closes the response; the span ends, incomplete."""
    simulator.reply("one two three")
    async with simulator.async_openai() as client, client.responses.stream(model="m", input="x") as stream:
        async for _ in stream:
            break
    assert attributes_of(instrumented.span("chat m"), "gen_ai.response.finish", "aiobs.incomplete") == {
        "gen_ai.response.finish_reasons": ("error",),
        "aiobs.incomplete": True,
    }


async def test_async_calls_are_the_same(simulator: Simulator, instrumented) -> None:
    """create() and parse() of AsyncOpenAI are recorded as those of OpenAI are."""
    client = simulator.openai()
    client.responses.create(model="m", input="x")
    client.responses.parse(model="m", input="x", text_format=City)
    async with simulator.async_openai() as async_client:
        await async_client.responses.create(model="m", input="x")
        await async_client.responses.parse(model="m", input="x", text_format=City)
    read = [attributes_of(span) for span in instrumented.spans]
    for attributes in read:
        assert attributes.pop("gen_ai.response.id").startswith("resp_simulated")
    assert read[:2] == read[2:]
    assert len(read) == 4


def test_a_raw_response(simulator: Simulator, instrumented) -> None:
    """The body is read without calling parse(), which stays lazy."""
    simulator.reply("Hi", usage=COUNTS)
    raw = simulator.openai().responses.with_raw_response.create(model="m", input="x")
    assert raw._parsed_by_type == {}
    assert attributes_of(instrumented.span("chat m"), "gen_ai.usage", "gen_ai.response.finish", "aiobs.http") == {
        **COUNTED,
        "gen_ai.response.finish_reasons": ("stop",),
        "aiobs.http.status_code": 200,
    }
    assert raw.parse().output_text == "Hi"


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "streaming"])
async def test_an_async_raw_stream(simulator: Simulator, instrumented, is_raw: bool) -> None:
    """parse() of a raw or streaming response gives the SDK's stream, and the span its events."""
    simulator.reply("Hi", usage=COUNTS)
    async with simulator.async_openai() as client:
        if is_raw:
            raw = await client.responses.with_raw_response.create(model="m", input="x", stream=True)
            stream = raw.parse()
            assert isinstance(stream, openai.AsyncStream)
            assert [event async for event in stream]
        else:
            options = {"model": "m", "input": "x", "stream": True}
            async with client.responses.with_streaming_response.create(**options) as response:
                assert [event async for event in await response.parse()]
    assert attributes_of(instrumented.span("chat m"), "gen_ai.usage", "gen_ai.response.finish", "aiobs.inc") == {
        **COUNTED,
        "gen_ai.response.finish_reasons": ("stop",),
    }


def test_a_streaming_response_is_not_read_by_us(simulator: Simulator, instrumented) -> None:
    """10: the body is on the wire until the program reads it."""
    responses = simulator.openai().responses
    with responses.with_streaming_response.create(model="m", input="x") as response:
        assert not response.http_response.is_stream_consumed
        assert instrumented.spans == ()
        assert response.parse().status == "completed"
    assert attributes_of(instrumented.span("chat m"), "gen_ai.response.finish") == {
        "gen_ai.response.finish_reasons": ("stop",)
    }


# Metrics and events


WHITELIST = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
}
INFERENCE = "gen_ai.client.inference."


def test_the_metrics_of_a_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The exact instruments, each with its value, and the attributes that a metric may have."""
    simulator.reply("Hi", usage=COUNTS, fields={"conversation": {"id": "conv_1"}})
    list(simulator.openai().responses.create(model="m", input="x", stream=True))
    metrics = metrics_of(instrumented)
    assert {name: points[0].value for name, points in metrics.items() if hasattr(points[0], "value")} == {
        f"{INFERENCE}usage.input_tokens": 2000,
        f"{INFERENCE}usage.output_tokens": 300,
        f"{INFERENCE}usage.cache_read.input_tokens": 1024,
        f"{INFERENCE}usage.cache_write.input_tokens": 64,
        f"{INFERENCE}usage.reasoning.output_tokens": 128,
    }
    assert {name for name, points in metrics.items() if hasattr(points[0], "count")} == {
        f"{INFERENCE}duration",
        f"{INFERENCE}operation.input_tokens",
        f"{INFERENCE}operation.output_tokens",
        f"{INFERENCE}time_to_first_chunk",
        f"{INFERENCE}time_per_output_chunk",
    }
    by_kind = {
        name.removeprefix(INFERENCE).partition(".")[0]: set(points[0].attributes) for name, points in metrics.items()
    }
    tier = {"openai.response.service_tier"}
    assert by_kind == {
        "duration": WHITELIST | tier,
        "operation": WHITELIST | tier,
        "usage": WHITELIST | tier | {"gen_ai.token.modality"},
        "time_to_first_chunk": WHITELIST,
        "time_per_output_chunk": WHITELIST,
    }
    assert all(len(points) == 1 for points in metrics.values())


def test_the_events_of_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """An exception event that names the class, the details event, and error.type on the duration alone."""
    simulator.fail(429, code="rate_limit_exceeded", message="You said NEEDLE")
    with pytest.raises(openai.RateLimitError):
        simulator.openai().responses.create(model="m", input="NEEDLE")
    (event,) = instrumented.events("gen_ai.client.operation.exception")
    assert dict(event.attributes) == {"exception.type": "openai.RateLimitError"}
    (details,) = instrumented.events("gen_ai.client.inference.operation.details")
    assert details.attributes["error.type"] == "rate_limit_exceeded"
    metrics = metrics_of(instrumented)
    assert set(metrics) == {f"{INFERENCE}duration"}
    assert metrics[f"{INFERENCE}duration"][0].attributes["error.type"] == "rate_limit_exceeded"
    assert "NEEDLE" not in everything(instrumented)


# Session file


def test_the_event_in_the_session_file_literally(simulator: Simulator) -> None:
    """S1-39: Request as passed, without what only the SDK is told; response with text, usage, status."""
    observer.observe()
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    simulator.reply("Yes.", reasoning="Hm.", usage=COUNTS, tool_calls=[("look", {"at": "cat"}), ("custom:run", "ls")])
    simulator.openai().responses.create(
        model="m", input="x", instructions="Be brief.", max_output_tokens=99, temperature=1, tools=[tool],
        metadata={"a": "b"}, extra_headers={"x": "secret"}, timeout=9,
    )  # fmt: skip
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "responses.create",
        "request": {
            "model": "m",
            "input": "x",
            "instructions": "Be brief.",
            "temperature": 1,
            "max_output_tokens": 99,
            "other": {"tools": [tool], "metadata": {"a": "b"}},
        },
        "response": {
            "id": "resp_simulated000001",
            "model": "m",
            "text": "Yes.",
            "usage": {
                "input_tokens": 2000,
                "output_tokens": 300,
                "total_tokens": 2300,
                "prompt_tokens": 2000,
                "completion_tokens": 300,
            },
            "finish_reason": "tool_calls",
            "finish_reasons": ["tool_calls"],
            "status": "completed",
            "tool_calls": [
                {"id": "call_simulated00000100", "type": "function",
                 "function": {"name": "look", "arguments": '{"at": "cat"}'}},
                {"id": "call_simulated00000101", "type": "custom", "function": {"name": "run", "arguments": "ls"}},
            ],
            "reasoning": "Hm.",
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }  # fmt: skip


def test_moderation_is_in_the_session_file(simulator: Simulator) -> None:
    """What the provider's moderation found goes to the file as it came, of responses and of chat completions."""
    observer.observe()
    found = {"input": {"type": "moderation_results", "model": "omni-moderation-latest", "results": []}, "output": None}
    simulator.reply("Hi", fields={"moderation": found})
    simulator.openai().responses.create(model="m", input="x")
    simulator.reply("Hi", fields={"moderation": found})
    simulator.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    responses, chat = file_events()
    assert responses["response"]["moderation"]["input"]["model"] == "omni-moderation-latest"
    assert chat["response"]["moderation"]["input"]["model"] == "omni-moderation-latest"


def test_whole_and_streamed_are_one_event_alike(simulator: Simulator) -> None:
    """Of a stream the file has what a whole answer's has, and when the first chunk came."""
    observer.observe()
    answer: dict[str, Any] = {"reasoning": "Hm.", "refusal": "No.", "tool_calls": [("look", {"at": "cat"})]}
    for streams in (False, True):
        simulator.reply("Yes.", **answer)
        result = simulator.openai().responses.create(model="m", input="x", stream=streams)
        assert not streams or list(result)
    whole, streamed = (event["response"] for event in file_events())
    assert streamed.pop("ttft_ms") > 0
    for event in (whole, streamed):
        del event["id"], event["tool_calls"][0]["id"]
    assert streamed == whole
    assert whole["refusal"] == "No."
