"""What the simulated model says over the Responses API, as the real SDK reads it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response
from pydantic import BaseModel, ValidationError

from aiobs.testing import Answer, Fault, Reply, Request, Simulator
from aiobs.testing.openai_responses import create as reply
from aiobs.testing.openai_responses_stored import Kept, Store

SAID = "Here is a simulated answer to “What is an API?”: it depends on the details, and the details matter."


class Weather(BaseModel):
    city: str
    days: int


WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "strict": True,
}
SHELL: Any = {"type": "custom", "name": "shell", "description": "Runs a command."}
HOSTED: Any = [
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation", "size": "1024x1536"},
    {"type": "mcp", "server_label": "wiki", "server_url": "https://example.com/", "allowed_tools": ["lookup"]},
]


def create(simulator: Simulator, **options: Any) -> Any:
    client = simulator.openai(timeout=options.pop("timeout", 10))
    return client.responses.create(**{"model": "gpt-4o-mini", "input": "What is an API?", **options})


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def names(events: Any) -> list[str]:
    """The types of the events, repeated deltas once."""
    types = [event.type.removeprefix("response.") for event in events]
    return [kind for kind, before in zip(types, ["", *types], strict=False) if kind != before]


# Whole


def test_a_whole_answer(simulator: Simulator) -> None:
    """A request without a script gets text about its input, in the provider's complete form."""
    answer = create(simulator)
    assert json.loads(answer.model_dump_json(exclude_unset=True)) == {
        "id": "resp_simulated000001",
        "object": "response",
        "created_at": 1790000000.0,
        "completed_at": 1790000001.0,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4o-mini",
        "output": [
            {
                "id": "msg_simulated00000100",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": SAID}],
            }
        ],
        "background": False,
        "frequency_penalty": 0.0,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tool_usage": {
            "image_gen": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "total_tokens": 0,
            },
            "web_search": {"num_requests": 0},
        },
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 6,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 24,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 30,
        },
        "user": None,
    }
    Response.model_validate(answer.to_dict())
    assert (answer.output_text, answer._request_id) == (SAID, "req_000001")


def test_parameters_come_back(simulator: Simulator) -> None:
    """What was asked for is in the response, as the real service repeats it."""
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 500,
        "metadata": {"team": "red"},
        "parallel_tool_calls": False,
        "service_tier": "flex",
        "store": False,
        "temperature": 0.2,
        "top_p": 0.5,
        "previous_response_id": "resp_before",
    }
    answer = create(simulator, **asked).to_dict()
    assert {name: answer[name] for name in asked} == asked
    assert create(simulator, service_tier="auto").service_tier == "default"
    assert create(simulator, conversation="conv_1").conversation.id == "conv_1"
    assert create(simulator, text={"verbosity": "low"}).text.to_dict() == {
        "format": {"type": "text"},
        "verbosity": "low",
    }


def test_a_prompt_template_needs_no_model(simulator: Simulator) -> None:
    """The template has its own model, and comes back."""
    answer = simulator.openai().responses.create(prompt={"id": "pmpt_1", "variables": {"name": "Ada"}})
    assert (answer.model, answer.prompt.id) == ("gpt-4.1", "pmpt_1")


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        ([{"role": "user", "content": "One?"}, {"role": "user", "content": "Two?"}], "Two?"),
        ([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Parts?"}]}], "Parts?"),
        ([{"role": "developer", "content": "Hush."}], "Be brief."),
    ],
)
def test_the_answer_is_about_the_last_user_message(simulator: Simulator, said: Any, prompt: str) -> None:
    """Or about the instructions, if the user said nothing."""
    assert f"“{prompt}”" in create(simulator, input=said, instructions="Be brief.").output_text


async def test_every_client_gets_the_same(simulator: Simulator) -> None:
    """Sync, async, Azure, whole and streamed: the same text and the same usage."""
    asked: Any = {"model": "m", "input": "What is an API?"}
    found = []
    async with simulator.async_openai() as plain, simulator.async_azure_openai() as azure:
        for client in (plain, azure):
            whole = await client.responses.create(**asked)
            found.append((whole.output_text, whole.usage))
            events = [event async for event in await client.responses.create(**asked, stream=True)]
            found.append((events[-1].response.output_text, events[-1].response.usage))
    for other in (simulator.openai(), simulator.azure_openai()):
        whole = other.responses.create(**asked)
        found.append((whole.output_text, whole.usage))
    assert all(each == found[0] for each in found)
    assert simulator.requests[2].path == "/openai/responses"


def test_the_same_requests_get_the_same_bytes() -> None:
    """Two simulators answer the same requests alike, byte by byte."""
    runs = []
    for _ in range(2):
        with Simulator() as simulator:
            responses = simulator.openai().responses
            whole = responses.with_raw_response.create(model="m", input="Q?", tools=[*HOSTED, WEATHER])
            with responses.with_streaming_response.create(model="m", input="Q?", stream=True) as streamed:
                runs.append([whole.content, streamed.read()])
    assert runs[0] == runs[1]


# Tools


def test_it_calls_the_first_function_and_then_uses_the_result(simulator: Simulator) -> None:
    """A function on offer is called with arguments that fit; its result is in the next answer."""
    (call,) = create(simulator, tools=[WEATHER, SHELL]).output
    assert (call.type, call.name, call.call_id) == ("function_call", "weather", "call_simulated00000100")
    assert Weather.model_validate_json(call.arguments) == Weather(city="What is an API?", days=1)
    said = [
        {"role": "user", "content": "What is an API?"},
        call,
        {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 25 degrees"},
    ]
    answer = create(simulator, tools=[WEATHER, SHELL], input=said)
    assert kinds(answer) == ["message"]
    assert "“Sunny, 25 degrees”" in answer.output_text
    again = create(simulator, tools=[WEATHER], input=[*said, {"role": "user", "content": "And now?"}])
    assert [item.call_id for item in again.output] == ["call_simulated00000300"]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", "weather"),
        ("required", "weather"),
        ("none", None),
        ({"type": "function", "name": "weather"}, "weather"),
        ({"type": "custom", "name": "shell"}, "shell"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "shell"}]}, "shell"),
    ],
)
def test_tool_choice(simulator: Simulator, choice: Any, called: str | None) -> None:
    """``tool_choice`` is obeyed, for functions and custom tools."""
    output = create(simulator, tools=[WEATHER, SHELL], tool_choice=choice).output
    assert [item.name for item in output if item.type != "message"] == ([called] if called else [])


def test_a_custom_tool(simulator: Simulator) -> None:
    """A custom tool is called with text; its result counts as one."""
    (call,) = create(simulator, tools=[SHELL]).output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "shell", "What is an API?")
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}
    assert kinds(create(simulator, tools=[SHELL], input=[{"role": "user", "content": "Q?"}, call, result])) == [
        "message"
    ]


def test_hosted_tools_run_before_the_message(simulator: Simulator) -> None:
    """Each hosted tool on offer has its item, complete for the SDK's own model, and citations in the text."""
    answer = create(simulator, tools=HOSTED)
    assert kinds(answer) == [
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_call",
        "message",
    ]
    Response.model_validate({**answer.to_dict(), "tools": []})
    search, files, code, image, _, mcp, message = answer.output
    assert (search.action.query, files.results, code.outputs) == ("What is an API?", None, None)
    assert (image.size, image.result[:11], mcp.name, mcp.server_label) == ("1024x1536", "iVBORw0KGgo", "lookup", "wiki")
    assert (answer.tool_usage.web_search.num_requests, answer.tool_usage.image_gen.total_tokens) == (1, 322)
    assert [note.type for note in message.content[0].annotations] == ["url_citation", "file_citation"]


def test_hosted_tools_include_what_is_asked_for(simulator: Simulator) -> None:
    """``include`` adds sources, results and outputs."""
    wanted = ["web_search_call.action.sources", "file_search_call.results", "code_interpreter_call.outputs"]
    search, files, code, *_ = create(simulator, tools=HOSTED, include=wanted).output
    assert search.action.sources[0].url == "https://example.com/"
    assert (files.results[0].filename, code.outputs[0].logs) == ("notes.txt", "42\n")


def test_hosted_tools_run_with_a_scripted_answer_too(simulator: Simulator) -> None:
    """The script says what the model says; ``tool_choice`` says which tools run; a program's tool comes after them."""
    simulator.reply("It is sunny.")
    answer = create(simulator, tools=HOSTED, tool_choice={"type": "file_search"})
    assert (kinds(answer), answer.output_text) == (["file_search_call", "message"], "It is sunny.")
    assert kinds(create(simulator, tools=[HOSTED[0], WEATHER])) == ["web_search_call", "function_call"]


def test_mcp_tools_are_listed_once(simulator: Simulator) -> None:
    """A list of tools that is in the input already is not repeated."""
    listed, call, _ = create(simulator, tools=HOSTED[4:]).output
    said = [listed, call, {"role": "user", "content": "More?"}]
    assert kinds(create(simulator, tools=HOSTED[4:], input=said)) == ["mcp_call", "message"]


def test_scripted_calls(simulator: Simulator) -> None:
    """Text and several calls in one answer; arguments that are a string go out as they are."""
    simulator.reply("Let me look.", tool_calls=[("look", {"at": "cat"}), ("look", "{broken"), ("custom:shell", "ls")])
    answer = create(simulator)
    assert kinds(answer) == ["message", "function_call", "function_call", "custom_tool_call"]
    assert [item.call_id[-2:] for item in answer.output[1:]] == ["00", "01", "02"]
    assert (answer.output[1].arguments, answer.output[2].arguments, answer.output[3].input) == (
        '{"at": "cat"}',
        "{broken",
        "ls",
    )


# Structured outputs, reasoning, refusals, ends


def test_parse_gets_json_that_fits(simulator: Simulator) -> None:
    """``.parse`` with a pydantic model works without a script."""
    answer = simulator.openai().responses.parse(model="m", input="Rome?", text_format=Weather)
    assert answer.output_parsed == Weather(city="Rome?", days=1)
    assert answer.to_dict()["text"]["format"]["name"] == "Weather"


def test_parse_gets_calls_that_fit(simulator: Simulator) -> None:
    """``.parse`` reads the arguments of a function made from a pydantic model."""
    tool: Any = openai.pydantic_function_tool(Weather)["function"]
    answer: Any = simulator.openai().responses.parse(model="m", input="Rome?", tools=[{"type": "function", **tool}])
    assert json.loads(answer.output[0].arguments) == {"city": "Rome?", "days": 1}
    assert answer.output[0].parsed_arguments == {"city": "Rome?", "days": 1}


def test_json_object(simulator: Simulator) -> None:
    """``json_object`` gets an object."""
    answer = create(simulator, text={"format": {"type": "json_object"}})
    assert json.loads(answer.output_text) == {"answer": "What is an API?"}


def test_reasoning(simulator: Simulator) -> None:
    """Effort costs tokens and makes an item; a summary and encrypted content are there when they are asked for."""
    answer = create(simulator, reasoning={"effort": "high"})
    assert (kinds(answer), answer.output[0].summary) == (["reasoning", "message"], [])
    assert answer.usage.output_tokens_details.reasoning_tokens == 256
    assert answer.usage.output_tokens == 256 + 24
    item = create(
        simulator,
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    ).output[0]
    assert "“What is an API?”" in item.summary[0].text
    assert item.encrypted_content == "gAAAAABsimulated"
    assert kinds(create(simulator, reasoning={"effort": "none"})) == ["message"]


def test_scripted_reasoning(simulator: Simulator) -> None:
    """Scripted reasoning is the summary, and counted."""
    simulator.reply("Yes.", reasoning="First the question.")
    answer = create(simulator)
    assert [part.text for part in answer.output[0].summary] == ["First the question."]
    assert answer.usage.output_tokens_details.reasoning_tokens == 4


def test_a_refusal(simulator: Simulator) -> None:
    """A scripted refusal is the message's only part."""
    simulator.reply(refusal="I can not help.")
    (message,) = create(simulator).output
    assert [part.to_dict() for part in message.content] == [{"type": "refusal", "refusal": "I can not help."}]


@pytest.mark.parametrize(
    ("finish_reason", "status", "reason"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_finish_reasons(simulator: Simulator, finish_reason: str, status: str, reason: str | None) -> None:
    """The finish reason says the status, whole and streamed."""
    for stream in (False, True):
        simulator.reply("So far", finish_reason=finish_reason)
        answer = create(simulator, stream=stream)
        last = [*answer][-1] if stream else None
        assert last is None or last.type == f"response.{status}"
        answer = last.response if last else answer
        assert (answer.status, answer.output[0].status, answer.output_text) == (status, status, "So far")
        assert (answer.incomplete_details.reason if answer.incomplete_details else None) == reason
        assert answer.usage.output_tokens == 1


def test_too_few_tokens(simulator: Simulator) -> None:
    """An answer with room for less than 16 tokens is cut off, and costs no more than that."""
    answer = create(simulator, max_output_tokens=5, reasoning={"effort": "low"})
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output_text == SAID[:20]
    assert (answer.usage.output_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (5, 5)
    with pytest.raises(ValidationError):
        simulator.openai().responses.parse(model="m", input="Rome?", text_format=Weather, max_output_tokens=5)


def test_a_failed_response(simulator: Simulator) -> None:
    """A failure is a 200 with the fault's code and message, without usage; the SDK raises nothing."""
    for stream in (False, True):
        simulator.reply(finish_reason="failed", fault=Fault(code="rate_limit_exceeded", message="Too fast."))
        answer = create(simulator, stream=stream)
        answer = [*answer][-1].response if stream else answer
        assert (answer.status, answer.output, answer.usage) == ("failed", [], None)
        assert (answer.error.code, answer.error.message) == ("rate_limit_exceeded", "Too fast.")
    simulator.reply("Half", finish_reason="failed", usage={"output_tokens": 3})
    answer = create(simulator)
    assert (answer.error.code, answer.output[0].status, answer.usage.output_tokens) == ("server_error", "incomplete", 3)


# Usage and overlays


def test_usage(simulator: Simulator) -> None:
    """Long prompts are cached in whole blocks, and a script has the last word."""
    usage = create(simulator, input="x" * 8000).usage
    assert usage.input_tokens == 2002
    assert usage.input_tokens_details.to_dict() == {"cached_tokens": 896, "cache_write_tokens": 1024}
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    simulator.reply("x", usage={"input_tokens": 7, "input_tokens_details": {"cached_tokens": 5}})
    details = create(simulator).usage.input_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (5, 0)


def test_overlays(simulator: Simulator) -> None:
    """``fields`` and ``message`` put anything anywhere, null included; output of any type is streamed."""
    simulator.reply("x", fields={"model": "m-2026", "usage": None}, message={"phase": "final_answer"})
    answer = create(simulator)
    assert (answer.model, answer.usage, answer.output[0].phase) == ("m-2026", None, "final_answer")
    item = {"id": "lsh_1", "type": "local_shell_call", "call_id": "call_1", "status": "completed", "action": {}}
    simulator.reply("x", fields={"output": [item]})
    assert names(create(simulator, stream=True))[2:4] == ["output_item.added", "output_item.done"]
    simulator.reply("x", fields={"output": None})
    assert create(simulator).output is None


def test_logprobs(simulator: Simulator) -> None:
    """``include`` gets one entry per token with the alternatives asked for, whole and streamed."""
    asked: Any = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    simulator.reply("two words")
    entries = create(simulator, **asked).output[0].content[0].logprobs
    assert [(entry.token, len(entry.top_logprobs)) for entry in entries] == [("two", 2), (" words", 2)]
    simulator.reply("two words")
    events = [event for event in create(simulator, stream=True, **asked) if event.type == "response.output_text.delta"]
    assert [[entry.token for entry in event.logprobs] for event in events] == [["two"], [" words"]]


# Streams


def test_a_stream(simulator: Simulator) -> None:
    """The real service's events in its order, numbered, the last with the whole response."""
    simulator.reply("two words")
    events = list(create(simulator, stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["two", " words"]
    assert (events[0].response.status, events[0].response.usage, events[0].response.output) == ("in_progress", None, [])
    assert (events[-1].response.output_text, events[-1].response.usage.output_tokens) == ("two words", 2)


def test_a_stream_is_named_events_without_done(simulator: Simulator) -> None:
    """``event:`` and ``data:`` lines, and no ``[DONE]``."""
    responses = simulator.openai().responses
    with responses.with_streaming_response.create(model="m", input="Q?", stream=True) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = [line for line in response.iter_lines() if line]
    assert lines[0] == "event: response.created"
    assert lines[1].startswith('data: {"type": "response.created"')
    assert lines[-2] == "event: response.completed"
    assert len(lines) % 2 == 0


# The SDK's models want an action, a result and a function's name there, which the real service does not send.
SHORT_OF_A_FIELD = ("response.output_item.added", "response.function_call_arguments.done")
COURSES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "reasoning": (
        {"reasoning": {"summary": "auto"}},
        [
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
        ],
    ),
    "function": ({"tools": [WEATHER]}, ["function_call_arguments.delta", "function_call_arguments.done"]),
    "custom": ({"tools": [SHELL]}, ["custom_tool_call_input.delta", "custom_tool_call_input.done"]),
    "web_search": (
        {"tools": HOSTED[:1]},
        ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"],
    ),
    "file_search": (
        {"tools": HOSTED[1:2]},
        ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"],
    ),
    "code_interpreter": (
        {"tools": HOSTED[2:3]},
        [
            "code_interpreter_call.in_progress",
            "code_interpreter_call_code.delta",
            "code_interpreter_call_code.done",
            "code_interpreter_call.interpreting",
            "code_interpreter_call.completed",
        ],
    ),
    "image_generation": (
        {"tools": HOSTED[3:4]},
        ["image_generation_call.in_progress", "image_generation_call.generating", "image_generation_call.completed"],
    ),
    "mcp": (
        {"tools": HOSTED[4:]},
        [
            "mcp_list_tools.in_progress",
            "mcp_list_tools.completed",
            "output_item.done",
            "output_item.added",
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.completed",
        ],
    ),
}


@pytest.mark.parametrize("course", COURSES)
def test_the_course_of_each_item(simulator: Simulator, course: str) -> None:
    """Each kind of item has its own events, every one complete for the SDK's own model of it."""
    asked, expected = COURSES[course]
    events = list(create(simulator, stream=True, **asked))
    begun = ["created", "in_progress", "output_item.added"]
    assert names(events)[: 3 + len(expected) + 1] == [*begun, *expected, "output_item.done"]
    for event in events:
        if event.type not in SHORT_OF_A_FIELD:
            type(event).model_validate(event.to_dict())


def test_citations_and_refusals_are_streamed(simulator: Simulator) -> None:
    """Annotations come before the whole text; a refusal has its own deltas."""
    assert names(create(simulator, stream=True, tools=HOSTED[:1]))[-5:] == [
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    simulator.reply(refusal="I can not help.")
    events = list(create(simulator, stream=True))
    assert names(events)[4:6] == ["refusal.delta", "refusal.done"]
    assert "".join(event.delta for event in events if event.type == "response.refusal.delta") == "I can not help."


def test_pieces_of_one_size(simulator: Simulator) -> None:
    """``chunks`` cuts streamed text into so many pieces; ``padding`` makes it longer."""
    simulator.reply("x" * 9, chunks=4)
    deltas = [event.delta for event in create(simulator, stream=True) if event.type == "response.output_text.delta"]
    assert [len(delta) for delta in deltas] == [3, 2, 2, 2]
    simulator.fault(padding=100_000)
    assert len(create(simulator).output_text) == len(SAID) + 100_000


def test_the_stream_helper(simulator: Simulator) -> None:
    """``.stream()`` accumulates text, parses a format, and knows every item."""
    with simulator.openai().responses.stream(model="m", input="Rome?", text_format=Weather) as stream:
        done = [event for event in stream if event.type == "response.output_text.done"]
        assert stream.get_final_response().output_parsed == Weather(city="Rome?", days=1)
    assert done[0].parsed == Weather(city="Rome?", days=1)
    asked: Any = {"tools": [*HOSTED, WEATHER], "reasoning": {"summary": "auto"}}
    with simulator.openai().responses.stream(model="m", input="Rome?", **asked) as full:
        assert kinds(full.get_final_response())[::7] == ["reasoning", "function_call"]


async def test_the_async_helpers(simulator: Simulator) -> None:
    """``.parse``, ``.stream()`` and raw responses of the async client see the same as those of the sync one."""
    async with simulator.async_openai() as client:
        responses = client.responses
        parsed = (await responses.parse(model="m", input="Rome?", text_format=Weather)).output_parsed
        async with responses.stream(model="m", input="Rome?", text_format=Weather) as stream:
            assert [event.type async for event in stream][-1] == "response.completed"
            streamed = (await stream.get_final_response()).output_parsed
        assert parsed == streamed == Weather(city="Rome?", days=1)
        raw = await responses.with_raw_response.create(model="m", input="Rome?")
        assert (raw.headers["x-request-id"], raw.parse().object) == ("req_000003", "response")
        async with responses.with_streaming_response.create(model="m", input="Rome?") as response:
            assert (await response.parse()).status == "completed"


def test_raw_and_streaming_responses(simulator: Simulator) -> None:
    """``with_raw_response`` and ``with_streaming_response`` show headers, and parse."""
    responses = simulator.openai().responses
    raw = responses.with_raw_response.create(model="m", input="Q?")
    assert (raw.headers["x-request-id"], raw.parse().object) == ("req_000001", "response")
    with responses.with_streaming_response.create(model="m", input="Q?") as response:
        assert response.parse().status == "completed"


# Faults


def test_error_answers(simulator: Simulator) -> None:
    """A status is the provider's error body, and is retried if the client does that."""
    simulator.fail(429, code="rate_limit_exceeded", message="Slow down.", retry_after=0)
    with pytest.raises(openai.RateLimitError, match="Slow down") as raised:
        create(simulator)
    assert raised.value.code == "rate_limit_exceeded"
    simulator.fail(503, retry_after=0)
    assert simulator.openai(max_retries=1).responses.create(model="m", input="Q?").status == "completed"


def test_connection_faults(simulator: Simulator) -> None:
    """No answer, half an answer, an answer that is late."""
    simulator.fault(hang_up=True)
    with pytest.raises(openai.APIConnectionError):
        create(simulator)
    simulator.fault(cut_after=1)
    with pytest.raises(openai.APIConnectionError):
        create(simulator)
    simulator.fault(silence=5)
    with pytest.raises(openai.APITimeoutError):
        create(simulator, timeout=0.2)


def test_broken_bodies(simulator: Simulator) -> None:
    """A body that is no JSON is JSON's own error; one that does not even claim to be is a string."""
    simulator.fault(malformed=True)
    with pytest.raises(json.JSONDecodeError):
        create(simulator)
    simulator.raw(b"Bad gateway", headers={"content-type": "text/plain"})
    assert create(simulator) == "Bad gateway"


def test_a_stream_that_is_cut(simulator: Simulator) -> None:
    """The connection closes after so many events; the SDK raises after it has given them out."""
    simulator.fault(cut_after=6)
    seen = until_cut(create(simulator, stream=True))
    assert [event.sequence_number for event in seen] == list(range(6))


def until_cut(stream: Any) -> list[Any]:
    """The events of a stream whose connection is closed."""
    seen: list[Any] = []
    with pytest.raises(openai.APIConnectionError):
        seen.extend(stream)  # keeps what came before the exception
    return seen


def test_an_error_in_a_stream(simulator: Simulator) -> None:
    """``error_after`` is an error object, which the SDK raises; ``error`` as the end is an event, which it does not."""
    simulator.fault(error_after=5, message="Out of luck.")
    with pytest.raises(openai.APIError, match=r"Out of luck\."):
        list(create(simulator, stream=True))
    simulator.reply("Half an", finish_reason="error", fault=Fault(code="server_error", message="Out of luck."))
    *_, last = create(simulator, stream=True)
    assert (last.type, last.code, last.message, last.param) == ("error", "server_error", "Out of luck.", None)


def test_a_malformed_event(simulator: Simulator) -> None:
    """The second event is no JSON: JSON's own error after the first."""
    simulator.fault(malformed=True)
    stream = create(simulator, stream=True)
    assert next(stream).type == "response.created"
    with pytest.raises(json.JSONDecodeError):
        next(stream)


def test_a_gate(simulator: Simulator) -> None:
    """A gated stream comes event by event; closing it is seen on the other side."""
    gate = simulator.gated("two words")
    gate.release(2)
    with create(simulator, stream=True) as stream:
        assert [next(stream).type, next(stream).type] == ["response.created", "response.in_progress"]
        assert gate.passed == 2
    assert simulator.wait_for(lambda here: here.requests[0].disconnected)


async def test_a_cancelled_task_is_a_client_that_left(simulator: Simulator) -> None:
    """Cancelling a task that waits for its answer closes the connection, and the journal says so."""
    simulator.gated()
    async with simulator.async_openai() as client:
        call = asyncio.create_task(client.responses.create(model="m", input="Q?"))
        assert await asyncio.to_thread(simulator.wait_for, lambda here: len(here.requests) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(simulator.wait_for, lambda here: here.requests[0].disconnected)


# By id


def test_the_background(simulator: Simulator) -> None:
    """Queued at first, in progress at the first poll, finished with output and usage at the second."""
    responses = simulator.openai().responses
    queued = create(simulator, background=True)
    assert (queued.status, queued.output, queued.usage, queued.background) == ("queued", [], None, True)
    first, second, third = (responses.retrieve(queued.id) for _ in range(3))
    assert (first.status, first.usage) == ("in_progress", None)
    assert (second.status, second.output_text, second.usage.output_tokens) == ("completed", SAID, 24)
    assert second == third


async def test_the_background_of_an_async_client(simulator: Simulator) -> None:
    """What a script says is what the last poll sees, a failure too."""
    simulator.reply(finish_reason="failed", fault=Fault(message="No luck."))
    async with simulator.async_openai() as client:
        queued = await client.responses.create(model="m", input="Q?", background=True)
        await client.responses.retrieve(queued.id)
        failed = await client.responses.retrieve(queued.id)
    assert (failed.status, failed.error and failed.error.message) == ("failed", "No luck.")


def test_a_stream_from_the_background_is_taken_up_again(simulator: Simulator) -> None:
    """A stream that was cut goes on after the last event seen, by id."""
    simulator.reply("two words", fault=Fault(cut_after=5))
    seen = until_cut(create(simulator, stream=True, background=True))
    assert names(seen)[:3] == ["created", "queued", "in_progress"]
    identifier = seen[0].response.id
    rest = simulator.openai().responses.retrieve(identifier, stream=True, starting_after=seen[-1].sequence_number)
    assert [event.sequence_number for event in rest] == list(range(5, 11))
    with simulator.openai().responses.stream(response_id=identifier) as whole:
        assert whole.get_final_response().output_text == "two words"


def test_responses_are_stored_unless_told_not_to(simulator: Simulator) -> None:
    """A response can be retrieved and deleted by its id; an id that is unknown is a 404."""
    responses = simulator.openai().responses
    answer = create(simulator)
    assert responses.retrieve(answer.id) == answer
    responses.delete(answer.id)
    for unknown in (answer.id, create(simulator, store=False).id):
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{unknown}' not found"):
            responses.retrieve(unknown)


def test_cancelling(simulator: Simulator) -> None:
    """A response in the background can be cancelled before it is finished; another can not."""
    responses = simulator.openai().responses
    assert responses.cancel(create(simulator, background=True).id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        responses.cancel(create(simulator).id)


def test_simulators_do_not_share_what_is_stored(simulator: Simulator) -> None:
    """The same id is another response in another simulator."""
    first = create(simulator, input="One?")
    with Simulator() as other:
        assert create(other, input="Two?").id == first.id
        assert "Two?" in other.openai().responses.retrieve(first.id).output_text
    assert "One?" in simulator.openai().responses.retrieve(first.id).output_text


def test_only_the_last_responses_are_stored() -> None:
    """The store is bounded, and a response that takes the place of another counts as a new one."""
    store = Store(limit=2)

    def request(name: str) -> Request:
        return Request(1, "GET", f"/v1/responses/{name}", "", {"host": "here"}, b"", None)

    for name in ("a", "b", "a", "c"):
        store.keep(request(name), Kept({"id": name}, chunks=None, polls=0))
    assert [name for name in "abc" if store.find(request(name))] == ["a", "c"]


# Bad requests


@pytest.mark.parametrize(
    ("asked", "param", "code", "message"),
    [
        ({"model": None}, "model", "missing_required_parameter", "Missing required parameter: 'model'"),
        ({"input": None}, "input", "missing_required_parameter", 'One of "input" or "previous_response_id"'),
        (
            {"tools": [{"type": "function", "function": {"name": "nested"}}]},
            "tools[0].name",
            "missing_required_parameter",
            "Missing required parameter",
        ),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            None,
            "mutually_exclusive_parameters",
            "Mutually exclusive parameters",
        ),
    ],
)
def test_bad_requests(simulator: Simulator, asked: dict[str, Any], param: str | None, code: str, message: str) -> None:
    """A request that the provider would refuse is refused in its words."""
    with pytest.raises(openai.BadRequestError, match=message) as raised:
        create(simulator, extra_body=asked)
    assert (raised.value.param, raised.value.code, raised.value.type) == (param, code, "invalid_request_error")
    assert simulator.requests[0].status == 400


def test_a_body_that_is_no_json(simulator: Simulator) -> None:
    """What can not be read is refused."""
    with pytest.raises(openai.BadRequestError, match="could not parse the JSON body"):
        simulator.openai().post("/responses", content=b"{", cast_to=object)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["message", "function_call_output", "mcp_list_tools", "function", "custom", "mcp", "web_search"]
)
ITEM = st.fixed_dictionaries(
    {}, optional={"type": KINDS, "role": st.sampled_from(["user", "assistant"]), "content": JSON}
)
TOOL = st.fixed_dictionaries({}, optional={"type": KINDS, "name": JSON, "server_label": JSON, "allowed_tools": JSON})
ODD = ["stream", "text", "tool_choice", "reasoning", "include", "max_output_tokens", "conversation", "prompt", "store"]
REQUESTS = st.fixed_dictionaries(
    {"model": JSON, "input": st.lists(ITEM, max_size=3) | JSON},
    optional={**dict.fromkeys([*ODD, "background", "metadata"], JSON), "tools": st.lists(TOOL, max_size=3) | JSON},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=REQUESTS)
def test_no_request_breaks_it(asked: dict[str, Any]) -> None:
    """Whatever a program sends is answered or refused, never a failure of the simulator."""
    given_back = reply(Request(1, "POST", "/v1/responses", "", {}, b"", asked), Answer())
    assert isinstance(given_back, Reply)
    if isinstance(given_back.body, bytes):
        json.loads(given_back.body)
