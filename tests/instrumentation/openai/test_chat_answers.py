"""Everything a chat completion can carry, whole and streamed: what is recorded, and that the program sees it all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiobs import observer
from aiobs.testing import Answer, InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import asked, attributes_of, everything, file_events, said, with_content
from tests.versions import needs

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
TEXT = {"type": "text"}
both = pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])


def ask(simulator: Simulator, streams: bool, **options: Any) -> Any:
    """The answer, or all its chunks."""
    result = simulator.openai().chat.completions.create(**ASK, **options, **({"stream": True} if streams else {}))
    return list(result) if streams else result


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:
    """One chunk of a stream as a server sends it."""
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


# Several choices


@both
def test_several_choices(simulator: Simulator, signals: InMemoryTelemetry, streams: bool) -> None:
    """n=2: each choice its own message and reason, by index."""
    with_content(signals)
    observer.observe()
    simulator.reply(choices=[Answer("one"), Answer("two", finish_reason="length")])
    ask(simulator, streams, n=2)
    attributes: Any = signals.span().attributes
    assert json.loads(attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{**TEXT, "content": text}]} for text in ("one", "two")
    ]
    assert attributes_of(signals.span(), "gen_ai.response.finish", "gen_ai.request.choice") == {
        "gen_ai.response.finish_reasons": ("stop", "length"),
        "gen_ai.request.choice.count": 2,
    }
    (event,) = file_events()
    assert (event["response"]["text"], event["response"]["choices"]) == ("one", ["one", "two"])
    assert event["response"]["finish_reasons"] == ["stop", "length"]


def test_choices_that_take_turns(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Chunks of two choices mixed, the second first, two in one chunk: each finds its own."""
    with_content(signals)
    simulator.raw(
        [
            chunk(delta(1, role="assistant", content="b")),
            chunk(delta(0, role="assistant", content="a"), delta(1, content="B")),
            chunk(delta(0, content="A")),
            chunk(delta(1, "length"), delta(0, "stop")),
            b"data: [DONE]\n\n",
        ]
    )
    ask(simulator, True, n=2)
    attributes: Any = signals.span().attributes
    assert attributes["gen_ai.response.finish_reasons"] == ("stop", "length")
    spoken = [message["parts"][0]["content"] for message in json.loads(attributes["gen_ai.output.messages"])]
    assert spoken == ["aA", "bB"]


def test_one_of_two_choices_was_cut(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A choice that never said why it ended has ``error``, the other its own reason."""
    with_content(signals)
    simulator.raw([chunk(delta(0, content="a"), delta(1, content="b")), chunk(delta(0, "stop")), b"data: [DONE]\n\n"])
    ask(simulator, True, n=2)
    assert attributes_of(signals.span(), "gen_ai.response.finish", "aiobs.incomplete") == {
        "gen_ai.response.finish_reasons": ("stop", "error"),
        "aiobs.incomplete": True,
    }


# What an answer can carry

CARRIED: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a refusal": ({"refusal": "I will not."}, [{**TEXT, "content": "I will not.", "refusal": True}]),
    "reasoning": (
        {"text": "Yes.", "reasoning": "Hm. Hm."},
        [{"type": "reasoning", "content": "Hm. Hm."}, {**TEXT, "content": "Yes."}],
    ),
    "custom tools": (
        {"tool_calls": [("custom:run", "ls -la"), ("look", {"at": "cat"})]},
        [
            {"type": "tool_call", "id": "call_simulated00", "name": "run", "arguments": "ls -la"},
            {"type": "tool_call", "id": "call_simulated01", "name": "look", "arguments": {"at": "cat"}},
        ],
    ),
    "a function call of old": (
        {"text": "", "message": {"content": None, "function_call": {"name": "look", "arguments": '{"at": "cat"}'}}},
        [{"type": "tool_call", "id": None, "name": "look", "arguments": {"at": "cat"}}],
    ),
    "reasoning by its other name": (
        {"text": "", "message": {"content": "Yes.", "reasoning": "Hm."}},
        [{"type": "reasoning", "content": "Hm."}, {**TEXT, "content": "Yes."}],
    ),
    "reasoning by both names": (
        {"text": "", "message": {"content": "Yes.", "reasoning": "Hm.", "reasoning_content": "Hm."}},
        [{"type": "reasoning", "content": "Hm."}, {**TEXT, "content": "Yes."}],
    ),
    "thoughts in a list": (
        {"text": "", "message": {"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}, {"type": "text", "text": " So."}]},
            {"type": "text", "text": "Yes."},
        ]}},
        [{"type": "reasoning", "content": "Hm. So."}, {**TEXT, "content": "Yes."}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), CARRIED.values(), ids=CARRIED.keys())
@both
def test_what_an_answer_carries(simulator: Simulator, signals: InMemoryTelemetry, answer, expected, streams) -> None:
    """Each as a part of the one output message, whole and streamed alike; nothing of it with the gate closed."""
    with_content(signals)
    simulator.reply(**answer)
    ask(simulator, streams)
    assert said(signals) == expected


@needs("openai arguments and ids of late 2024")
@both
def test_audio(simulator: Simulator, signals: InMemoryTelemetry, streams: bool) -> None:
    """The transcript as text; of the sound its size and hash, on no signal and not in the file its bytes."""
    with_content(signals)
    observer.observe()
    simulator.reply(audio="Hello there.")
    options = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    ask(simulator, streams, **options)
    spoken, sound = said(signals)
    assert spoken == {**TEXT, "content": "Hello there."}
    assert (sound["type"], sound["modality"], sound["content"], sound["size"]) == ("blob", "audio", "", 4)
    assert attributes_of(signals.span(), "gen_ai.output.type") == {"gen_ai.output.type": "speech"}
    assert "UklGRg" not in everything(signals)
    assert "UklGRg" not in str(file_events())


@both
def test_log_probabilities_are_the_programs(simulator: Simulator, signals: InMemoryTelemetry, streams: bool) -> None:
    """The program gets every one of them as without us; none is on any signal."""

    def probabilities() -> list[Any]:
        simulator.reply("one two")
        answer = ask(simulator, streams, logprobs=True, top_logprobs=2)
        choices = [choice for part in (answer if streams else [answer]) for choice in part.choices]
        return [choice.logprobs and choice.logprobs.model_dump() for choice in choices]

    without = probabilities()
    with_content(signals)
    assert probabilities() == without
    assert any(without)
    assert "logprob" not in everything(signals)


# Usage

COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
USAGES: dict[str, tuple[list[Any], dict[str, int]]] = {
    "in every chunk": (
        [{**COUNTS, "completion_tokens": number} for number in (1, 2, 3)],
        {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 3},
    ),
    "in the middle": (
        [None, {**COUNTS, "completion_tokens": 2}, None],
        {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2},
    ),
    "never": ([None, None, None], {}),
    "zero": ([None, None, {"prompt_tokens": 0, "completion_tokens": 0}],
             {"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}),
    "of nulls": ([None, None, {"prompt_tokens": None, "completion_tokens": None}], {}),
    "details null": (
        [None, None, {**COUNTS, "prompt_tokens_details": None, "completion_tokens_details": None}],
        {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("usages", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage_of_a_stream(simulator: Simulator, instrumented: InMemoryTelemetry, usages, expected) -> None:
    """The last one counts, once, on the span and in the metrics."""
    last = len(usages) - 1
    chunks = [
        chunk(delta(0, "stop" if place == last else None, content="a"), usage=usage)
        for place, usage in enumerate(usages)
    ]
    simulator.raw([*chunks, b"data: [DONE]\n\n"])
    ask(simulator, True)
    assert attributes_of(instrumented.span(), "gen_ai.usage.") == expected
    counted = instrumented.metrics().get("gen_ai.client.inference.operation.output_tokens", [])
    assert [point.sum for point in counted] == [expected[key] for key in expected if "output" in key]


# Requests


def test_a_conversation_of_old(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Functions from before there were tools: definitions, the call, its result."""
    with_content(signals)
    simulator.openai().chat.completions.create(
        model="m",
        functions=[{"name": "look", "parameters": {"type": "object"}}],
        messages=[
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"at": "cat"}'}},
            {"role": "function", "name": "look", "content": "a cat"},
        ],
    )
    assert asked(signals) == [
        {"role": "assistant",
         "parts": [{"type": "tool_call", "id": None, "name": "look", "arguments": {"at": "cat"}}]},
        {"role": "function", "name": "look",
         "parts": [{"type": "tool_call_response", "id": None, "response": "a cat"}]},
    ]  # fmt: skip
    attributes: Any = signals.span().attributes
    assert json.loads(attributes["gen_ai.tool.definitions"]) == [{"type": "function", "name": "look"}]


def test_a_refusal_fed_back(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """As a field and as a part: a text that is marked."""
    with_content(signals)
    simulator.openai().chat.completions.create(
        model="m",
        messages=[
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No!"}]},
        ],
    )
    assert [message["parts"] for message in asked(signals)] == [
        [{**TEXT, "content": "No.", "refusal": True}],
        [{**TEXT, "content": "No!", "refusal": True}],
    ]


def test_filters_of_azure_are_the_programs(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Fields that only one service has reach the program, and are on no signal."""
    simulator.reply(
        "Hi", fields={"prompt_filter_results": [{"prompt_index": 0}]}, choice={"content_filter_results": {}}
    )
    answer = simulator.azure_openai().chat.completions.create(**ASK)
    assert answer.model_extra["prompt_filter_results"] == [{"prompt_index": 0}]
    assert answer.choices[0].model_extra["content_filter_results"] == {}
    assert "filter_results" not in everything(instrumented)
