"""Interactions: models and agents, whole and streamed, in the background, continued, refused and odd."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, content_of, everything, file_events
from tests.versions import aio_of, needs

pytestmark = [
    needs("gemini interactions"),
    pytest.mark.filterwarnings("ignore:.*[Ii]nteractions.*experimental"),
]

MODEL = "gemini-2.5-flash"
USAGE = {
    "total_input_tokens": 2000,
    "total_cached_tokens": 1024,
    "total_output_tokens": 300,
    "total_thought_tokens": 128,
    "total_tool_use_tokens": 64,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 1700}, {"modality": "image", "tokens": 258},
                                 {"modality": "document", "tokens": 42}],
    "tool_use_tokens_by_modality": [{"modality": "text", "tokens": 64}],
    "cached_tokens_by_modality": [{"modality": "text", "tokens": 1024}],
    "output_tokens_by_modality": [{"modality": "text", "tokens": 290}, {"modality": "audio", "tokens": 10}],
}  # fmt: skip
USED = {
    "gen_ai.usage.input_tokens": 2064,
    "gen_ai.usage.output_tokens": 428,
    "gen_ai.usage.cache_read.input_tokens": 1024,
    "gen_ai.usage.reasoning.output_tokens": 128,
    "gen_ai.usage.text.input_tokens": 1764,
    "gen_ai.usage.image.input_tokens": 258,
    "gen_ai.usage.text.cache_read.input_tokens": 1024,
    "gen_ai.usage.text.output_tokens": 290,
    "gen_ai.usage.audio.output_tokens": 10,
}
ASKED = {
    "model": MODEL,
    "input": "hi",
    "previous_interaction_id": "v1_before",
    "system_instruction": "Be brief.",
    "service_tier": "flex",
    "store": True,
    "response_modalities": ["text", "audio"],
    "generation_config": {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "stop_sequences": ["END"],
        "seed": 7,
        "thinking_level": "low",
    },
}
WANTED = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.provider.name": "gcp.gemini",
    "gen_ai.request.model": MODEL,
    "server.address": "127.0.0.1",
    "aiobs.api.name": "interactions.create",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.request.max_tokens": 99,
    "gen_ai.request.stop_sequences": ("END",),
    "gen_ai.request.seed": 7,
    "gen_ai.request.reasoning.level": "low",
    "gen_ai.request.previous_response.id": "v1_before",
    "gen_ai.output.type": "speech",
    "aiobs.request.config.service_tier": "flex",
    "aiobs.request.config.store": True,
}


def whole(client: Any, **kwargs: Any) -> Any:
    return client.interactions.create(**kwargs)


def whole_async(client: Any, **kwargs: Any) -> Any:
    async def call() -> Any:
        async with aio_of(client) as entered:
            return await entered.interactions.create(**kwargs)

    return asyncio.run(call())


def streamed(client: Any, **kwargs: Any) -> Any:
    return list(client.interactions.create(stream=True, **kwargs))


def streamed_async(client: Any, **kwargs: Any) -> Any:
    async def call() -> Any:
        async with aio_of(client) as entered:
            return [event async for event in await entered.interactions.create(stream=True, **kwargs)]

    return asyncio.run(call())


WAYS = [whole, whole_async, streamed, streamed_async]
STREAMED = [streamed, streamed_async]
every_way = pytest.mark.parametrize("call", WAYS)
every_stream = pytest.mark.parametrize("call", STREAMED)
Call = Callable[..., Any]


def events(*told: dict[str, Any]) -> list[bytes]:
    return [f"event: {one.get('event_type')}\ndata: {json.dumps(one)}\n\n".encode() for one in told]


def step(index: int, kind: str, *deltas: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [
        {"event_type": "step.start", "index": index, "step": {"type": kind, **fields}},
        *({"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas),
        {"event_type": "step.stop", "index": index},
    ]


CREATED = {"event_type": "interaction.created", "interaction": {"id": "v1_1", "status": "in_progress", "model": MODEL}}


def completed(name: str = "v1_1", status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"event_type": "interaction.completed", "interaction": {"id": name, "status": status, **fields}}


# One call


@every_way
def test_everything_that_was_asked_and_answered(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Call
) -> None:
    """Parameters, ids, finish reason and tokens: tools' are input, thoughts are output, shares by modality."""
    simulator.reply("hello", usage=USAGE)
    call(simulator.gemini(), **ASKED)
    span = instrumented.span(f"generate_content {MODEL}")
    assert span.kind is SpanKind.CLIENT
    assert attributes_of(span) == {
        **WANTED,
        **USED,
        **({"gen_ai.request.stream": True} if call in STREAMED else {}),
        "gen_ai.response.id": "v1_simulated000001",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("stop",),
    }
    (point,) = instrumented.metrics()["gen_ai.client.inference.duration"]
    assert point.count == 1


@every_way
def test_what_was_said(simulator: Simulator, signals: InMemoryTelemetry, call: Call) -> None:
    """Instructions, messages, tools, thoughts, text and calls of functions, with the gate open; nothing with it shut."""
    function = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
    tools = [function, {"type": "google_search"}]
    for content in ("no_content", "span_only"):
        Instrumentor(**signals.providers, capture_content=content).instrument()
        simulator.reply("SAID", reasoning="THOUGHT", tool_calls=[("f", {"x": 1})])
        call(simulator.gemini(), model=MODEL, input="ASKED", system_instruction="TOLD", tools=tools)
    shut, opened = signals.spans
    assert content_of(shut) == {}
    assert not any(word in shut.to_json() for word in ("SAID", "THOUGHT", "ASKED", "TOLD"))
    assert content_of(opened) == {
        "system_instructions": [{"type": "text", "content": "TOLD"}],
        "input.messages": [{"role": "user", "parts": [{"type": "text", "content": "ASKED"}]}],
        "tool.definitions": [{"type": "function", "name": "f"}, {"type": "google_search", "name": "google_search"}],
        "output.messages": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "THOUGHT"},
                    {"type": "text", "content": "SAID"},
                    {"type": "tool_call", "id": "call_simulated00", "name": "f", "arguments": {"x": 1}},
                ],
            }
        ],
    }
    assert opened.attributes is not None
    assert opened.attributes["gen_ai.response.finish_reasons"] == ("tool_calls",)


def test_inputs_of_every_shape(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Contents alone are one message, steps are as many; bytes are told by size and hash; results are a tool's."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    data = base64.b64encode(b"png").decode()
    image = {"type": "image", "mime_type": "image/png", "data": data}
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "a"}, image]},
        {"type": "model_output", "content": [{"type": "text", "text": "b"}]},
        {"type": "function_call", "id": "c1", "name": "f", "arguments": {"x": 1}},
        {"type": "function_result", "call_id": "c1", "name": "f", "result": "r"},
        {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["q"]}},
    ]
    client = simulator.gemini()
    client.interactions.create(model=MODEL, input=[{"type": "text", "text": "a"}, image])
    client.interactions.create(model=MODEL, input=steps)
    blob = {
        "type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": 3,
        "sha256": hashlib.sha256(b"png").hexdigest(),
    }  # fmt: skip
    contents, conversation = (content_of(span)["input.messages"] for span in signals.spans)
    user = {"role": "user", "parts": [{"type": "text", "content": "a"}, blob]}
    assert contents == [user]
    searched = {"type": "google_search_call", "arguments": {"queries": ["q"]}}
    assert conversation == [
        user,
        {"role": "assistant", "parts": [{"type": "text", "content": "b"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "r"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "server_tool_call", "id": "s1", "name": "google_search", "server_tool_call": searched},
            ],
        },
    ]


@every_stream
def test_a_stream_of_many_kinds(simulator: Simulator, signals: InMemoryTelemetry, call: Call) -> None:
    """Sound that comes in pieces is one blob; tools of the provider's are calls and responses; signatures are nothing."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    pieces = [
        {"type": "audio", "mime_type": "audio/wav", "data": base64.b64encode(part).decode()} for part in (b"ab", b"c")
    ]
    found = [{"search_suggestions": "s"}]
    told = [
        CREATED,
        *step(0, "thought", {"type": "thought_summary", "content": {"type": "text", "text": "hm"}},
              {"type": "thought_signature", "signature": "c2ln"}),
        *step(1, "google_search_call", {"type": "google_search_call", "arguments": {"queries": ["q"]}}, id="s1", arguments={}),
        *step(2, "google_search_result", {"type": "google_search_result", "result": found}, call_id="s1", result=[]),
        *step(3, "model_output", {"type": "text", "text": "he"}, {"type": "text", "text": "llo"}, *pieces),
        *step(4, "function_call", {"type": "arguments_delta", "arguments": '{"x"'},
              {"type": "arguments_delta", "arguments": ": 1}"}, id="c1", name="f", arguments={}),
        completed(status="requires_action"),
    ]  # fmt: skip
    simulator.raw(events(*told))
    call(simulator.gemini(), model=MODEL, input="q")
    (message,) = content_of(signals.spans[0])["output.messages"]
    thought, search, response, said, sound, asked = message["parts"]
    assert thought == {"type": "reasoning", "content": "hm"}
    assert (search["type"], search["id"]) == ("server_tool_call", "s1")
    assert search["server_tool_call"]["arguments"]["queries"] == ["q"]
    assert (response["type"], response["id"]) == ("server_tool_call_response", "s1")
    assert response["server_tool_call_response"]["result"] == found
    assert said == {"type": "text", "content": "hello"}
    assert (sound["size"], sound["sha256"]) == (3, hashlib.sha256(b"abc").hexdigest())
    assert asked == {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}


def test_the_model_is_what_goes_out(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """``extra_body`` is over the arguments."""
    simulator.gemini().interactions.create(model=MODEL, input="hi", extra_body={"model": "models/other"})
    span = instrumented.span("generate_content other")
    assert simulator.requests[0].json["model"] == "models/other"
    assert (span.attributes or {})["gen_ai.request.model"] == "other"


@every_way
def test_an_agent(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call) -> None:
    """``invoke_agent``, named after it; it counts as an operation, not as an inference."""
    simulator.reply("hello", usage={"total_input_tokens": 7, "total_output_tokens": 5})
    call(simulator.gemini(), agent="deep-research", input="hi")
    span = instrumented.span("invoke_agent deep-research")
    shown = attributes_of(span)
    assert span.kind is SpanKind.CLIENT
    assert (shown["gen_ai.agent.name"], shown["gen_ai.agent.id"]) == ("deep-research", "deep-research")
    assert (shown["gen_ai.usage.input_tokens"], shown["gen_ai.usage.output_tokens"]) == (7, 5)
    assert "gen_ai.client.inference.duration" not in instrumented.metrics()


# In the background


def test_background(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Asking after it is ``fetch_response`` without usage, linked to the call that made it; the end has the time."""
    client = simulator.gemini()
    simulator.reply("done", usage=USAGE)
    made = client.interactions.create(agent="a", input="hi", background=True)
    for _ in range(2):
        client.interactions.get(made.id)
    create, first, second = instrumented.spans
    assert "gen_ai.response.finish_reasons" not in attributes_of(create)
    assert attributes_of(first) == {
        "gen_ai.operation.name": "fetch_response",
        "gen_ai.provider.name": "gcp.gemini",
        "server.address": "127.0.0.1",
        "aiobs.api.name": "interactions.get",
        "gen_ai.response.id": made.id,
        "gen_ai.response.status": "in_progress",
        "aiobs.job.polls": 1,
    }
    shown = attributes_of(second)
    assert (shown["gen_ai.response.status"], shown["gen_ai.response.finish_reasons"]) == ("completed", ("stop",))
    assert (shown["aiobs.job.polls"], shown["aiobs.job.duration"] > 0) == (2, True)
    assert not [key for key in shown if key.startswith("gen_ai.usage.")]
    assert [span.links[0].context for span in (first, second)] == [create.context] * 2


def test_cancelling(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """``cancel_response``, linked, with the status that it came to; no poll."""
    client = simulator.gemini()
    made = client.interactions.create(agent="a", input="hi", background=True)
    client.interactions.cancel(id=made.id)
    create, cancel = instrumented.spans
    shown = attributes_of(cancel)
    assert (cancel.name, shown["gen_ai.response.id"]) == ("cancel_response", made.id)
    assert (shown["gen_ai.response.status"], "aiobs.job.polls" in shown) == ("cancelled", False)
    assert [link.context for link in cancel.links] == [create.context]


def test_a_stream_that_is_taken_up_again(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """From which event on, what was said from there, and still no usage."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    client = simulator.gemini()
    simulator.reply("hello", usage=USAGE, chunks=2)
    made = client.interactions.create(model=MODEL, input="hi")
    list(client.interactions.get(made.id, stream=True, last_event_id="3"))
    span = signals.span("fetch_response")
    shown = attributes_of(span)
    assert (shown["gen_ai.request.stream_cursor"], "gen_ai.request.stream" in shown) == ("3", False)
    assert shown["gen_ai.response.finish_reasons"] == ("stop",)
    assert content_of(span)["output.messages"][0]["parts"] == [{"type": "text", "content": "lo"}]
    assert not [key for key in shown if key.startswith("gen_ai.usage.")]


# Continued


def to_be_continued(simulator: Simulator, call: Call) -> None:
    """Two requests: the first answer stops for length, the second is the rest."""
    used = {"total_input_tokens": 7, "total_output_tokens": 5}
    fields = {"status": "requires_continuation", "continuation_token": "t1"}
    simulator.reply("hel", usage=used, fields=fields)
    simulator.reply("lo", usage=used)


@needs("gemini interactions of today")
@every_way
def test_continuation(simulator: Simulator, signals: InMemoryTelemetry, call: Call) -> None:
    """An answer that the SDK gets by several requests is one span with the sum of what they used, and all of it."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    to_be_continued(simulator, call)
    call(simulator.gemini(), model=MODEL, input="hi")
    assert len(simulator.requests) == 2
    span = signals.span()
    shown = attributes_of(span)
    assert (shown["gen_ai.usage.input_tokens"], shown["gen_ai.usage.output_tokens"]) == (14, 10)
    assert (shown["gen_ai.response.id"], shown["gen_ai.response.finish_reasons"]) == ("v1_simulated000002", ("stop",))
    assert "".join(part["content"] for part in content_of(span)["output.messages"][0]["parts"]) == "hello"


@needs("gemini interactions of today", "gemini interactions that are tried once")
@every_way
def test_a_continuation_that_fails(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call) -> None:
    """ERROR with the code of what broke it off; what the first request used is counted."""
    used = {"total_input_tokens": 7, "total_output_tokens": 5}
    simulator.reply("hel", usage=used, fields={"status": "requires_continuation", "continuation_token": "t1"})
    simulator.fail(429)
    with pytest.raises(Exception, match="interrupted") as caught:
        call(simulator.gemini(), model=MODEL, input="hi")
    assert type(caught.value).__name__ == "ContinuationInterruptedError"
    shown = attributes_of(instrumented.span())
    assert (shown["error.type"], shown["aiobs.error.code"]) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert shown["gen_ai.usage.input_tokens"] == 7


@needs("gemini interactions of today")
def test_a_closed_stream_that_was_continued(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Closing works as without us, in the second request too: incomplete, and what the first one used."""
    to_be_continued(simulator, streamed)
    with simulator.gemini().interactions.create(model=MODEL, input="hi", stream=True) as stream:
        seen = 0
        for event in stream:
            seen += event.event_type == "interaction.created"
            if seen == 2:
                break
    shown = attributes_of(instrumented.span())
    assert (shown["aiobs.incomplete"], shown["gen_ai.usage.input_tokens"]) == (True, 7)
    assert shown["gen_ai.response.finish_reasons"] == ("error",)
    assert "generator" in vars(stream)
    assert vars(stream)["close"].__module__.startswith("google.genai")


# Refused


@needs("gemini interactions of today", "gemini interactions that are tried once")
@every_way
def test_an_error_of_a_tree_of_its_own(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call) -> None:
    """Code, meaning, status and whether to try again, as of any other error of Gemini."""
    simulator.fail(429, message="slow down", headers={"retry-after": "3"})
    with pytest.raises(Exception, match="slow down"):
        call(simulator.gemini(), model=MODEL, input="hi")
    span = instrumented.span()
    shown = attributes_of(span)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "RESOURCE_EXHAUSTED")
    assert (shown["aiobs.error.code"], shown["aiobs.error.retryable"]) == ("RATE_LIMITED", True)
    assert shown["aiobs.http.status_code"] == 429
    assert "slow down" not in everything(instrumented)


@needs("gemini interactions of today")
@every_way
def test_retries_are_counted(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call) -> None:
    """The SDK tries again by itself: one span, which says how often."""
    simulator.fail(503, times=2)
    simulator.reply("hello")
    options = {"retry_options": {"attempts": 3, "initial_delay": 0.001, "jitter": 0.001}}
    call(simulator.gemini(http_options=options), model=MODEL, input="hi")
    assert len(simulator.requests) == 3
    assert attributes_of(instrumented.span())["aiobs.retry.count"] == 2


@every_stream
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "bare"])
def test_an_error_in_the_stream(simulator: Simulator, instrumented: InMemoryTelemetry, call: Call, typed: bool) -> None:
    """ERROR though nothing was raised; what had come before is kept."""
    error = {"error": {"code": "internal", "message": "broken"}}
    used = {"event_type": "interaction.status_update", "interaction_id": "v1_1", "status": "in_progress",
            "usage": {"total_input_tokens": 7}}  # fmt: skip
    simulator.raw(events(CREATED, used, {**error, **({"event_type": "error"} if typed else {})}))
    call(simulator.gemini(), model=MODEL, input="hi")
    span = instrumented.span()
    shown = attributes_of(span)
    assert (span.status.status_code, shown["error.type"]) == (StatusCode.ERROR, "internal")
    assert (shown["gen_ai.usage.input_tokens"], shown["gen_ai.response.finish_reasons"]) == (7, ("error",))


@pytest.mark.parametrize(
    ("status", "reason"),
    [("incomplete", "incomplete"), ("cancelled", "cancelled"), ("budget_exceeded", "budget_exceeded")],
)
def test_other_ends(simulator: Simulator, instrumented: InMemoryTelemetry, status: str, reason: str) -> None:
    """A status that has no other word is the finish reason."""
    simulator.reply("x", fields={"status": status})
    simulator.gemini().interactions.create(model=MODEL, input="hi")
    assert attributes_of(instrumented.span())["gen_ai.response.finish_reasons"] == (reason,)


def test_a_failed_interaction(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A 200 that says ``failed`` is ERROR with the code that it gives."""
    simulator.reply("x", fields={"status": "failed", "errors": [{"code": "internal", "message": "broken"}]})
    simulator.gemini().interactions.create(model=MODEL, input="hi")
    span = instrumented.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "internal")


def test_no_credential_leaves(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A key that a server quotes is on no signal and not in the session file."""
    observer.observe("keys", tracer_provider=signals.tracer_provider)
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    client = simulator.gemini(api_key="k-3y-of-the-client", http_options={"headers": {"x-team": "s3cret-team"}})
    simulator.fail(400, message="not k-3y-of-the-client nor s3cret-team")
    with pytest.raises(Exception, match="nor"):
        client.interactions.create(model=MODEL, input="hi")
    quoted = {"code": "internal", "message": "nor k-3y-of-the-client, s3cret-team"}  # here no request is at hand
    simulator.raw(events(CREATED, {"event_type": "error", "error": quoted}))
    list(client.interactions.create(model=MODEL, input="hi", stream=True))
    shown = everything(signals) + json.dumps(file_events())
    assert "nor" in shown
    assert "k-3y" not in shown
    assert "s3cret" not in shown


# Raw, and odd


@needs("gemini interactions of today")
def test_raw_responses(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A raw response, and one that is read piece by piece; whole and streamed: what the program read is recorded."""
    client = simulator.gemini()
    for _ in range(4):
        simulator.reply("hello", usage={"total_input_tokens": 7, "total_output_tokens": 5})
    raw, streaming = client.interactions.with_raw_response, client.interactions.with_streaming_response
    assert raw.create(model=MODEL, input="hi").parse().output_text == "hello"
    assert list(raw.create(model=MODEL, input="hi", stream=True).parse())
    with streaming.create(model=MODEL, input="hi") as response:
        assert response.parse().output_text == "hello"
    with streaming.create(model=MODEL, input="hi", stream=True) as response:
        assert list(response.parse())
    found = [(attributes_of(span).get("gen_ai.usage.input_tokens"), span.name) for span in instrumented.spans]
    assert found == [(7, f"generate_content {MODEL}")] * 4


def test_events_where_an_answer_was_asked_for(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A server that answers with events gives a stream to a plain call; it is recorded as one."""
    told = [
        CREATED,
        *step(0, "model_output", {"type": "text", "text": "hi"}),
        completed(usage={"total_input_tokens": 7}),
    ]
    simulator.raw(events(*told))
    answer = simulator.gemini().interactions.create(model=MODEL, input="hi")
    if hasattr(answer, "__next__"):
        list(answer)
    shown = attributes_of(instrumented.span())
    assert shown.get("gen_ai.usage.input_tokens") == (7 if hasattr(answer, "__next__") else None)


ODD = [b"[]", b"null", b'"page"', b"{}", b'{"id": 7, "status": [], "steps": {}, "usage": "many", "model": {}}',
       b'{"id": "v1_1", "status": "completed", "steps": [null, 7, {"type": 3}, {"type": "new_call"}, {"type": "model_output",'
       b' "content": [{"type": "new"}, {"type": "image"}]}], "usage": {"total_input_tokens": -1, "total_output_tokens": "x"}}']  # fmt: skip


@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ODD)
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes) -> None:
    """The program gets what it gets without us, and there is one span."""
    outcomes = []
    for content in (None, "span_and_event"):
        if content:
            Instrumentor(**signals.providers, capture_content=content).instrument()
        simulator.raw(body)
        try:
            answer = simulator.gemini().interactions.create(model=MODEL, input="hi")
            outcomes.append((type(answer), repr(answer)))
        except Exception as error:
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]
    assert len(signals.spans) == 1


@pytest.mark.quiet_guard
@every_stream
def test_odd_events(simulator: Simulator, signals: InMemoryTelemetry, call: Call) -> None:
    """Events that mean nothing to us do no harm; what follows them is read."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    odd = [
        {"event_type": "new.event", "x": 1},
        {"event_type": "step.delta", "index": 9, "delta": {"type": "new"}},
        {"event_type": "step.delta", "index": 9, "delta": {"type": "arguments_delta", "arguments": "{"}},
        {"event_type": "step.delta", "index": 9, "delta": {"type": "audio", "data": "%%%"}},
        {"event_type": "step.start", "index": 2, "step": {"type": "new_call", "id": "n"}},
        {"event_type": "interaction.status_update", "interaction_id": "v1_1", "status": "new_word"},
    ]
    simulator.raw(events(CREATED, *odd, completed(usage={"total_input_tokens": 7})))
    call(simulator.gemini(), model=MODEL, input="hi")
    shown = attributes_of(signals.span())
    assert (shown["gen_ai.usage.input_tokens"], shown["gen_ai.response.finish_reasons"]) == (7, ("stop",))


# The session file


@every_way
def test_the_session_file(simulator: Simulator, signals: InMemoryTelemetry, call: Call) -> None:
    """The request as it was passed, the answer with id, text, calls and counts."""
    observer.observe("interactions", tracer_provider=signals.tracer_provider)
    Instrumentor(**signals.providers).instrument()
    simulator.reply("hello", reasoning="hm", tool_calls=[("f", {"x": 1})], usage=USAGE)
    call(simulator.gemini(), model=MODEL, input="hi", generation_config={"seed": 7}, store=False)
    (event,) = file_events()
    other = {"store": False, **({"stream": True} if call in STREAMED else {})}
    assert event["request"] == {
        "model": MODEL,
        "input": "hi",
        "system_instruction": None,
        "generation_config": {"seed": 7},
        "other": other,
    }
    answer = event["response"]
    assert (answer["id"], answer["model"], answer["text"]) == ("v1_simulated000001", MODEL, "hello")
    assert (answer["finish_reason"], answer["reasoning"]) == ("tool_calls", "hm")
    assert [json.loads(made["function"]["arguments"]) for made in answer["tool_calls"]] == [{"x": 1}]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["total_thought_tokens"]) == (2064, 128)
