"""What the simulated model says, as the real SDK reads it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import pydantic_function_tool
from pydantic import BaseModel

from aiobs.testing import Answer, Request, Simulator
from aiobs.testing.openai_chat import reply
from aiobs.testing.script import Reply

ASK: list[Any] = [{"role": "user", "content": "What is an API?"}]
USAGE = {"include_usage": True}


class Weather(BaseModel):
    """The weather somewhere."""

    city: str
    days: int


class Forecast(BaseModel):
    summary: str
    days: list[Weather]
    warning: str | None


WEATHER: Any = pydantic_function_tool(Weather)
SHELL: Any = {"type": "custom", "custom": {"name": "shell", "description": "Runs a command."}}


def create(simulator: Simulator, **options: Any) -> Any:
    return simulator.openai().chat.completions.create(**{"model": "gpt-4o-mini", "messages": ASK, **options})


def said(chunks: Any) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_whole_answer(simulator: Simulator) -> None:
    """A request without a script gets text about its last user message, in the provider's complete form."""
    answer = create(simulator)
    assert json.loads(answer.model_dump_json(exclude_unset=True)) == {
        "id": "chatcmpl-simulated000001",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-4o-mini",
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Here is a simulated answer to “What is an API?”: it depends on the details, "
                    "and the details matter.",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 45,
            "total_tokens": 57,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }
    assert answer._request_id == "req_000001"


def test_a_stream(simulator: Simulator) -> None:
    """Role, words, finish reason, usage in a chunk without choices."""
    simulator.reply("two words")
    chunks = list(create(simulator, stream=True, stream_options=USAGE))
    assert [chunk.choices[0].delta.to_dict() if chunk.choices else None for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "two"},
        {"content": " words"},
        {},
        None,
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, None, "stop"]
    assert [chunk.usage and chunk.usage.prompt_tokens for chunk in chunks] == [None, None, None, None, 12]


def test_a_stream_has_no_usage_unless_asked(simulator: Simulator) -> None:
    """Without ``include_usage`` no chunk has the field, and every chunk has a choice."""
    chunks = list(create(simulator, stream=True))
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)


async def test_whole_and_streamed_answers_agree_over_every_client(simulator: Simulator) -> None:
    """Sync, async, Azure: the same text and the same usage, whole and streamed."""
    async with simulator.async_openai() as plain, simulator.async_azure_openai() as azure:
        found = []
        for client in (plain, azure):
            chat = client.chat.completions
            whole = await chat.create(model="m", messages=ASK)
            found.append((whole.choices[0].message.content, whole.usage))
            chunks = [
                chunk async for chunk in await chat.create(model="m", messages=ASK, stream=True, stream_options=USAGE)
            ]
            found.append((said(chunks), chunks[-1].usage))
    for client in (simulator.openai(), simulator.azure_openai()):
        whole = client.chat.completions.create(model="m", messages=ASK)
        found.append((whole.choices[0].message.content, whole.usage))
    assert all(each == found[0] for each in found)
    assert simulator.requests[2].path == "/openai/deployments/m/chat/completions"


def test_it_calls_the_first_tool_and_then_uses_the_result(simulator: Simulator) -> None:
    """A tool on offer is called with arguments that fit its schema; its result is in the next answer."""
    message = create(simulator, tools=[WEATHER, SHELL]).choices[0]
    assert message.finish_reason == "tool_calls"
    (call,) = message.message.tool_calls
    assert (call.id, call.function.name) == ("call_simulated00", "Weather")
    assert Weather.model_validate_json(call.function.arguments) == Weather(city="What is an API?", days=1)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 25 degrees"}
    answer = create(simulator, tools=[WEATHER, SHELL], messages=[*ASK, message.message, result]).choices[0]
    assert answer.finish_reason == "stop"
    assert "“Sunny, 25 degrees”" in answer.message.content


def test_a_new_question_calls_tools_again_under_a_new_id(simulator: Simulator) -> None:
    """Results before the last user message are an old story, and ids do not collide within a conversation."""
    first = create(simulator, tools=[WEATHER]).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "Sunny"}
    messages = [*ASK, first, result, {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Now?"}]
    second = create(simulator, tools=[WEATHER], messages=messages).choices[0].message
    assert [call.id for call in second.tool_calls] == ["call_simulated01"]


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("auto", "Weather"),
        ("required", "Weather"),
        ("none", None),
        ({"type": "custom", "custom": {"name": "shell"}}, "shell"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{**SHELL}]}},
            "shell",
        ),
    ],
)
def test_tool_choice(simulator: Simulator, choice: Any, name: str | None) -> None:
    """``tool_choice`` is obeyed, for functions and custom tools."""
    calls = create(simulator, tools=[WEATHER, SHELL], tool_choice=choice).choices[0].message.tool_calls
    assert [getattr(call, call.type).name for call in calls or ()] == ([name] if name else [])


def test_tool_calls_are_streamed_in_fragments(simulator: Simulator) -> None:
    """Id and name come first, the arguments after them, in pieces; several calls have their own index."""
    simulator.reply(tool_calls=[("look", {"at": "cat"}), ("custom:shell", "ls -l")])
    chunks = list(create(simulator, stream=True))
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    starts = [(delta.index, delta.id, delta.type) for delta in deltas if delta.id]
    assert starts == [(0, "call_simulated00", "function"), (1, "call_simulated01", "custom")]
    assert "".join(delta.function.arguments for delta in deltas if delta.index == 0) == '{"at": "cat"}'
    assert len([delta for delta in deltas if delta.index == 0]) == 3
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_parse_gets_json_that_fits(simulator: Simulator) -> None:
    """``.parse`` with a pydantic model works without a script, nested models and optional fields included."""
    chat = simulator.openai().chat.completions
    parsed = chat.parse(model="m", messages=ASK, response_format=Forecast).choices[0].message.parsed
    assert parsed == Forecast(
        summary="What is an API?", days=[Weather(city="What is an API?", days=1)], warning="What is an API?"
    )


def test_json_object(simulator: Simulator) -> None:
    """``json_object`` gets an object."""
    content = create(simulator, response_format={"type": "json_object"}).choices[0].message.content
    assert json.loads(content) == {"answer": "What is an API?"}


def test_the_stream_helper(simulator: Simulator) -> None:
    """``.stream()`` accumulates text, parses a response format and emits its own events."""
    with simulator.openai().chat.completions.stream(model="m", messages=ASK, response_format=Forecast) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed.days[0].days == 1


def test_the_stream_helper_parses_tool_calls(simulator: Simulator) -> None:
    """``.stream()`` puts a call together again from its fragments, as the model of the tool."""
    with simulator.openai().chat.completions.stream(model="m", messages=ASK, tools=[WEATHER]) as stream:
        kinds = {event.type for event in stream}
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert "tool_calls.function.arguments.done" in kinds
    assert call.function.parsed_arguments == Weather(city="What is an API?", days=1)


async def test_the_async_helpers(simulator: Simulator) -> None:
    """``.parse``, ``.stream()`` and raw responses of the async client see the same as those of the sync one."""
    async with simulator.async_openai() as client:
        chat = client.chat.completions
        parsed = (await chat.parse(model="m", messages=ASK, response_format=Weather)).choices[0].message.parsed
        async with chat.stream(model="m", messages=ASK, response_format=Weather) as stream:
            streamed = (await stream.get_final_completion()).choices[0].message.parsed
        assert parsed == streamed == Weather(city="What is an API?", days=1)
        raw = await chat.with_raw_response.create(model="m", messages=ASK)
        assert raw.headers["x-request-id"] == "req_000003"


async def test_a_cancelled_task_is_a_client_that_left(simulator: Simulator) -> None:
    """Cancelling a task that waits for its answer closes the connection, and the journal says so."""
    simulator.gated()
    async with simulator.async_openai() as client:
        call = asyncio.create_task(client.chat.completions.create(model="m", messages=ASK))
        assert await asyncio.to_thread(simulator.wait_for, lambda here: len(here.requests) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(simulator.wait_for, lambda here: here.requests[0].disconnected)


def test_raw_and_streaming_responses(simulator: Simulator) -> None:
    """``with_raw_response`` and ``with_streaming_response`` show headers and bytes."""
    chat = simulator.openai().chat.completions
    raw = chat.with_raw_response.create(model="m", messages=ASK)
    assert (raw.headers["x-request-id"], raw.parse().object) == ("req_000001", "chat.completion")
    with chat.with_streaming_response.create(model="m", messages=ASK, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[0].startswith('data: {"id": "chatcmpl-simulated000002"')
    assert lines[-1] == "data: [DONE]"


def test_choices(simulator: Simulator) -> None:
    """``n`` gets that many choices; a script can say what each of them is."""
    assert [choice.index for choice in create(simulator, n=3).choices] == [0, 1, 2]
    simulator.next(Answer(choices=[Answer("yes"), Answer("no", finish_reason="length")]))
    assert [(choice.message.content, choice.finish_reason) for choice in create(simulator, n=2).choices] == [
        ("yes", "stop"),
        ("no", "length"),
    ]
    simulator.next(Answer(choices=[Answer("yes"), Answer("no")]))
    choices = [chunk.choices[0] for chunk in create(simulator, n=2, stream=True)]
    assert [(choice.index, choice.delta.content) for choice in choices if choice.delta.content] == [
        (0, "yes"),
        (1, "no"),
    ]
    assert [choice.index for choice in choices if choice.finish_reason] == [0, 1]


def test_logprobs(simulator: Simulator) -> None:
    """``logprobs`` gets one entry per token with the alternatives asked for, whole and streamed."""
    for stream in (False, True):
        simulator.reply("two words")
        answer = create(simulator, logprobs=True, top_logprobs=2, stream=stream)
        choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
        entries = [entry for choice in choices if choice.logprobs for entry in choice.logprobs.content]
        assert [(entry.token, len(entry.top_logprobs)) for entry in entries] == [("two", 2), (" words", 2)]
        assert all(entry.logprob < 0 for entry in entries)


def test_a_refusal(simulator: Simulator) -> None:
    """A scripted refusal is one, whole and streamed, and there is no content."""
    simulator.reply(refusal="I can not help.")
    message = create(simulator).choices[0].message
    assert (message.content, message.refusal) == (None, "I can not help.")
    simulator.reply(refusal="I can not help.")
    deltas = [chunk.choices[0].delta for chunk in create(simulator, stream=True)]
    assert "".join(delta.refusal or "" for delta in deltas) == "I can not help."


def test_audio(simulator: Simulator) -> None:
    """Scripted audio has a transcript, data and tokens; audio that was sent counts as well."""
    sent = {"type": "input_audio", "input_audio": {"data": "AAAA" * 10, "format": "wav"}}
    simulator.reply(audio="Hello there")
    answer = create(simulator, messages=[{"role": "user", "content": [sent]}], modalities=["text", "audio"])
    assert answer.choices[0].message.audio.transcript == "Hello there"
    assert answer.usage.prompt_tokens_details.audio_tokens == 10
    assert answer.usage.completion_tokens_details.audio_tokens == 2
    simulator.reply(audio="Hello there")
    deltas = [chunk.choices[0].delta.to_dict().get("audio", {}) for chunk in create(simulator, stream=True)]
    assert "".join(delta.get("transcript", "") for delta in deltas) == "Hello there"
    assert [delta["data"] for delta in deltas if "data" in delta] == ["UklGRg=="]


def test_usage(simulator: Simulator) -> None:
    """Long prompts are cached in whole blocks, effort costs reasoning tokens, and a script has the last word."""
    usage = create(simulator, messages=[{"role": "user", "content": "x" * 8000}], reasoning_effort="high").usage
    assert usage.prompt_tokens == 2008
    assert usage.prompt_tokens_details.to_dict() == {
        "cached_tokens": 896,
        "cache_write_tokens": 1024,
        "audio_tokens": 0,
    }
    assert usage.completion_tokens_details.reasoning_tokens == 256
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    simulator.reply("x", usage={"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5}})
    details = create(simulator).usage.prompt_tokens_details
    assert (details.cached_tokens, details.audio_tokens) == (5, 0)
    simulator.reply("x", usage={"completion_tokens_details": {"reasoning_tokens": 9}})
    *_, last = create(simulator, stream=True, stream_options=USAGE)
    assert last.usage.completion_tokens_details.reasoning_tokens == 9


def test_reasoning_text(simulator: Simulator) -> None:
    """Scripted reasoning is in ``reasoning_content``, as compatible servers send it, and counted."""
    simulator.reply("Yes.", reasoning="First the question.")
    answer = create(simulator)
    assert answer.choices[0].message.reasoning_content == "First the question."
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4
    simulator.reply("Yes.", reasoning="First the question.")
    deltas = [chunk.choices[0].delta.to_dict() for chunk in create(simulator, stream=True)]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "First the question."


def test_overlays(simulator: Simulator) -> None:
    """``fields``, ``choice`` and ``message`` put anything anywhere, null included."""
    simulator.reply("x", fields={"model": "m-2026", "usage": None}, choice={"finish_reason": None}, message={"a": 1})
    answer = create(simulator)
    assert (answer.model, answer.usage, answer.choices[0].finish_reason) == ("m-2026", None, None)
    assert answer.choices[0].message.a == 1
    simulator.reply("x", fields={"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    repeated = [chunk.usage.total_tokens for chunk in create(simulator, stream=True, stream_options=USAGE)]
    assert repeated == [2, 2, 2, 2]  # as servers do that repeat it in every chunk


@pytest.mark.parametrize(
    ("length", "chunks", "sizes"),
    [
        (100, 4, [25] * 4),
        (9, 4, [3, 2, 2, 2]),
        (10, 7, [2, 1, 2, 1, 2, 1, 1]),
        (3, 9, [1, 1, 1]),
        (3, 1, [3]),
        (3, 0, [3]),
    ],
)
def test_pieces_of_one_size(simulator: Simulator, length: int, chunks: int, sizes: list[int]) -> None:
    """``chunks`` cuts streamed text into exactly so many pieces, as long as there are characters for them."""
    simulator.reply("x" * length, chunks=chunks)
    sent = [chunk.choices[0].delta.content for chunk in create(simulator, stream=True)][1:-1]
    assert [len(content) for content in sent] == sizes


@pytest.mark.parametrize("name", ["model", "messages"])
def test_a_missing_parameter(simulator: Simulator, name: str) -> None:
    """A request without model or messages is refused in the provider's words."""
    with pytest.raises(openai.BadRequestError, match=f"Missing required parameter: '{name}'") as raised:
        create(simulator, extra_body={name: None})
    assert (raised.value.code, raised.value.type) == ("missing_required_parameter", "invalid_request_error")


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ROLES = st.sampled_from(["user", "assistant", "tool", "system"])
MESSAGES = st.lists(st.fixed_dictionaries({}, optional={"role": ROLES, "content": JSON, "tool_calls": JSON}) | JSON)
ODD = ["n", "stream", "stream_options", "tools", "tool_choice", "response_format", "logprobs", "top_logprobs"]
REQUESTS = st.fixed_dictionaries(
    {"model": JSON, "messages": MESSAGES | JSON}, optional=dict.fromkeys([*ODD, "reasoning_effort"], JSON)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=REQUESTS)
def test_no_request_breaks_it(asked: dict[str, Any]) -> None:
    """Whatever a program sends is answered or refused, never a failure of the simulator."""
    request = Request(1, "POST", "/v1/chat/completions", "", {}, b"", asked)
    given_back = reply(request, Answer())
    if isinstance(given_back, Reply) and isinstance(given_back.body, bytes):
        json.loads(given_back.body)
