"""Spans that other instrumentations make are events of the session file; what is no model's work is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiobs.reading.validation import findings

from .conftest import Recorder, function_call, hex_id, load

OFFICIAL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
    "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}]),
}
OFFICIAL_BEFORE = {
    **{key: value for key, value in OFFICIAL.items() if "provider" not in key},
    "gen_ai.system": "openai",
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "llm.provider": "azure",
    "llm.request.model_name": "gpt-4o-mini",
    "llm.response.model_name": "gpt-4o-mini-2024",
    "llm.invocation_parameters": '{"temperature": 0.2}',
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": "Hi",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Hello",
    "llm.token_count.prompt": 12,
    "llm.token_count.completion": 5,
    "llm.finish_reason": "stop",
    "input.value": '{"messages": []}',
}
OPENLLMETRY = {
    "gen_ai.system": "OpenAI",
    "llm.request.type": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Hi",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "Hello",
    "gen_ai.completion.0.finish_reason": "stop",
    "gen_ai.usage.prompt_tokens": 12,
    "gen_ai.usage.completion_tokens": 5,
    "llm.usage.total_tokens": 17,
}
SHAPES = {
    "official": OFFICIAL,
    "official before": OFFICIAL_BEFORE,
    "openinference": OPENINFERENCE,
    "openllmetry": OPENLLMETRY,
}


def written(recorder: Recorder, attributes: dict[str, Any], scope: str = "somebody.else") -> dict[str, Any]:
    session = recorder.open(meta={"pid": 1, "cwd": "/"})
    recorder.span(session, scope=scope, name="a span", **attributes).end()
    recorder.file.flush()
    export = load()
    assert findings(export) == []
    return export


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_call_of_another_instrumentation(recorder: Recorder, shape: str) -> None:
    """S1-85: whoever recorded it, the event says the same: provider, operation, models, messages, text, tokens."""
    [event] = written(recorder, SHAPES[shape])["events"]
    assert (event["provider"], event["api"], event["error"]) == ("openai", "chat.completions.create", None)
    assert (event["request"]["model"], event["request"]["temperature"]) == ("gpt-4o-mini", 0.2)
    assert [(message["role"], message["content"]) for message in event["request"]["messages"]] == [("user", "Hi")]
    response = {**event["response"], "id": None}
    assert response == {
        "id": None,
        "model": "gpt-4o-mini-2024",
        "text": "Hello",
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
        "finish_reason": "stop",
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "m", "llm.system": "openai"},
        {"llm.request.type": "embedding", "gen_ai.request.model": "m", "gen_ai.system": "OpenAI"},
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "m", "gen_ai.provider.name": "openai"},
    ],
)
def test_embeddings(recorder: Recorder, attributes: dict[str, Any]) -> None:
    """S1-85: in each of the three shapes."""
    [event] = written(recorder, attributes)["events"]
    assert (event["api"], event["request"]["model"]) == ("embeddings.create", "m")


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "TOOL", "tool.name": "search", "input.value": '{"q": 1}', "output.value": "found"},
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "search", "traceloop.entity.input": '{"q": 1}',
         "traceloop.entity.output": '"found"'},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search",
         "gen_ai.tool.call.arguments": '{"q": 1}', "gen_ai.tool.call.result": '"found"'},
    ],
)  # fmt: skip
def test_tools(recorder: Recorder, attributes: dict[str, Any]) -> None:
    """S1-85: function events, with arguments and result."""
    [call] = written(recorder, attributes)["function_events"]
    assert (call["name"], call["kwargs"], call["result"]) == ("tool:search", {"q": 1}, "found")


@pytest.mark.parametrize("kind", ["CHAIN", "AGENT", "RETRIEVER"])
def test_steps_are_function_events(recorder: Recorder, kind: str) -> None:
    """S1-85: what is around the calls of a model."""
    export = written(recorder, {"openinference.span.kind": kind, "input.value": "a question"})
    assert [call["kwargs"] for call in export["function_events"]] == [{"arguments": "a question"}]


def test_tool_calls_are_parts(recorder: Recorder) -> None:
    """S1-85: of the message, with their arguments parsed."""
    attributes = {
        **OPENINFERENCE,
        "llm.input_messages.1.message.role": "assistant",
        "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "search",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": '{"q": 1}',
    }
    message = written(recorder, attributes)["events"][0]["request"]["messages"][1]
    assert message["parts"] == [{"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": 1}}]


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.request.method": "GET", "input.value": "x"},
        {"db.system.name": "postgresql"},
        {"openinference.span.kind": "UNKNOWN"},
        {"session.id": "s", "llm.request.type": "unknown"},
        {},
    ],
)
def test_other_spans_are_ancestors_only(recorder: Recorder, attributes: dict[str, Any]) -> None:
    """S1-85: HTTP, databases: no event, but what is below them hangs where it should."""
    session = recorder.open()
    around = recorder.span(session, function_call(started_ns=1), name="outer")
    between = recorder.span(session, parent=around, scope="http", name="GET", **attributes)
    below = recorder.call(session, parent=between)
    between.end()
    around.end()
    recorder.file.flush()
    export = load()
    assert len(export["events"]) + len(export["function_events"]) == 2
    [root] = export["trace_tree"]
    assert (root["span_id"], [child["span_id"] for child in root["children"]]) == (hex_id(around), [below])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [3, "{", ("a",), "[1]", '{"a": [[]]}', True])
def test_odd_values_do_no_harm(recorder: Recorder, shape: str, value: Any) -> None:
    """S1-85: whatever stands where a text or a number should, there is a valid event."""
    names = [*SHAPES[shape]]
    session = recorder.open(meta={"pid": 1, "cwd": "/"})
    for name in names:
        recorder.span(session, scope="somebody.else", **{**SHAPES[shape], name: value}).end()
    recorder.file.flush()
    assert findings(load()) == []
