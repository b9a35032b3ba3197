"""A chat call in the session file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiobs import observer
from aiobs.testing import Simulator

ASK = [{"role": "user", "content": "What is an API?"}]
MOVING = ("started_at", "ended_at", "duration_ms", "span_id", "trace_id", "session_id", "callsite")


def events() -> list[dict[str, Any]]:
    observer.end()
    return json.loads(Path(str(observer.flush())).read_text())["events"]


def test_a_whole_call_literally(simulator: Simulator) -> None:
    """S1-34, S1-35, S1-76, S1-79: request as passed, response, times, identity, call site relative to the directory."""
    observer.observe()
    simulator.reply("A contract.", usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8})
    simulator.openai().chat.completions.create(
        model="m", messages=ASK, temperature=0.5, max_tokens=9, top_p=1, user="ann", extra_headers={"x": "secret"}
    )
    (event,) = events()
    assert (len(event["span_id"]), len(event["trace_id"]), event["parent_span_id"]) == (16, 32, None)
    assert event["ended_at"] >= event["started_at"]
    assert Path(event["callsite"]["file"]).name == "test_session_event.py"
    assert event["callsite"]["function"] == "test_a_whole_call_literally"
    usage = event["response"].pop("usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (5, 3, 8)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "chat.completions.create",
        "request": {
            "model": "m",
            "messages": ASK,
            "temperature": 0.5,
            "max_tokens": 9,
            "other": {"top_p": 1, "user": "ann"},
        },
        "response": {
            "id": "chatcmpl-simulated000001",
            "model": "m",
            "text": "A contract.",
            "finish_reason": "stop",
            "finish_reasons": ["stop"],
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


def test_several_choices(simulator: Simulator) -> None:
    """S1-35: the text, refusal and tool calls are the first choice's; all texts and finish reasons are there too."""
    observer.observe()
    asked = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": "One.", "refusal": "Not all.", "tool_calls": [asked]},
        {"role": "assistant", "content": "Two."},
    ]
    choices = [
        {"index": index, "message": message, "finish_reason": reason}
        for index, (message, reason) in enumerate(zip(messages, ("tool_calls", "length"), strict=True))
    ]
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    simulator.raw(json.dumps(body).encode(), headers={"content-type": "application/json"})
    simulator.openai().chat.completions.create(model="m", messages=ASK, n=2)
    (event,) = events()
    assert event["response"] == {
        "id": "x",
        "model": "m",
        "text": "One.",
        "usage": None,
        "finish_reason": "tool_calls",
        "finish_reasons": ["tool_calls", "length"],
        "tool_calls": [asked],
        "refusal": "Not all.",
        "choices": ["One.", "Two."],
    }


def test_every_message_is_kept_whole(simulator: Simulator) -> None:
    """S1-34: not the first three, and tool calls without content do not fail anything."""
    messages = [
        {"role": "system", "content": "Be brief."},
        *ASK,
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
        {"role": "user", "name": "ann", "content": "So?"},
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
    ]
    observer.observe()
    simulator.openai().chat.completions.create(model="m", messages=messages)
    (event,) = events()
    assert event["request"]["messages"] == messages


def test_a_streamed_call(simulator: Simulator) -> None:
    """S1-37: text put together, first-chunk time, usage; left early: partial text, marked incomplete."""
    observer.observe()
    simulator.reply("one two three", tool_calls=[("f", {"a": 1})])
    options: dict[str, Any] = {"model": "m", "messages": ASK, "stream": True}
    list(simulator.openai().chat.completions.create(**options, stream_options={"include_usage": True}))
    simulator.reply("one two three")
    with simulator.openai().chat.completions.create(**options) as stream:
        next(stream)
        next(stream)
    whole, partial = (event["response"] for event in events())
    assert (whole["text"], whole["finish_reason"]) == ("one two three", "tool_calls")
    assert whole["tool_calls"] == [
        {"id": "call_simulated00", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    assert whole["ttft_ms"] > 0
    assert whole["usage"]["total_tokens"] > 0
    assert (partial["text"], partial["incomplete"], partial["usage"]) == ("one", True, None)


def test_an_iterator_is_named_and_not_read(simulator: Simulator) -> None:
    """What could be read only once went to the provider, and the file says so."""
    observer.observe()
    simulator.openai().chat.completions.create(model="m", messages=iter(ASK))
    (event,) = events()
    assert simulator.requests[0].json["messages"] == ASK
    assert "not recorded, reading it would have emptied it" in event["request"]["messages"][0]["content"]
