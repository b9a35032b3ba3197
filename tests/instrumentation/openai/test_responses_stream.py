"""Streamed responses: whatever events come, in whatever order, and however the program leaves."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from aiobs import observer
from aiobs.errors import summarize
from aiobs.runtime import flush
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import attributes_of, file_events, said, with_content
from tests.versions import has

BEGUN = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "output": []}
CUT = (
    openai.APIConnectionError
    if has("openai errors of broken streams")
    else pytest.importorskip("httpx", reason="older releases of openai are over httpx").RemoteProtocolError
)
"""What reading a stream whose connection is lost raises."""

ITEM = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def message(text: str) -> dict[str, Any]:
    """A message as an item of the output."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def created(**fields: Any) -> dict[str, Any]:
    return {"type": "response.created", "response": {**BEGUN, **fields}}


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", **ITEM, "delta": text, "logprobs": []}


def ended(status: str = "completed", output: Any = (), **fields: Any) -> dict[str, Any]:
    answer = {**BEGUN, "status": status, "output": list(output), **fields}
    return {"type": f"response.{status}", "response": answer}


def send(simulator: Simulator, *events: dict[str, Any], **fault: Any) -> Iterator[Any]:
    """The SDK's stream of these events."""
    body = [
        f"event: {event.get('type')}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n".encode()
        for number, event in enumerate(events)
    ]
    simulator.raw(body, **fault)
    return simulator.openai().responses.create(model="m", input="x", stream=True)


def outcome(signals: InMemoryTelemetry) -> dict[str, Any]:
    """Status and how the stream ended."""
    span = signals.span("chat m")
    wanted = ("gen_ai.response.finish", "aiobs.incomplete", "aiobs.cancelled", "error.type")
    return {"status": span.status.status_code.name, **attributes_of(span, *wanted)}


DONE = {"status": "UNSET", "gen_ai.response.finish_reasons": ("stop",)}
BROKEN_OFF = {"status": "UNSET", "gen_ai.response.finish_reasons": ("error",), "aiobs.incomplete": True}
TEXT = {"type": "text"}
SEARCH = {"type": "search", "queries": ["q"], "query": "q", "sources": []}


# What came is kept


PARTIAL: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "text": ([delta("one "), delta("two")], [{**TEXT, "content": "one two"}]),
    "refusal": (
        [{"type": "response.refusal.delta", **ITEM, "delta": "No."}],
        [{**TEXT, "content": "No.", "refusal": True}],
    ),
    "reasoning": (
        [
            {"type": "response.reasoning_text.delta", **ITEM, "delta": "Hm"},
            {"type": "response.reasoning_summary_text.delta", **ITEM, "summary_index": 0, "delta": "."},
            delta("Yes"),
        ],
        [{"type": "reasoning", "content": "Hm."}, {**TEXT, "content": "Yes"}],
    ),
    "calls at the same time": (
        [
            {"type": "response.output_item.added", "output_index": 0,
             "item": {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": ""}},
            {"type": "response.output_item.added", "output_index": 1,
             "item": {"type": "custom_tool_call", "id": "ctc_2", "call_id": "call_2", "name": "run", "input": ""}},
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": '{"a'},
            {"type": "response.custom_tool_call_input.delta", "item_id": "ctc_2", "output_index": 1, "delta": "ls"},
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": '": 1}'},
        ],
        [
            {"type": "tool_call", "id": "call_1", "name": "look", "arguments": {"a": 1}},
            {"type": "tool_call", "id": "call_2", "name": "run", "arguments": "ls"},
        ],
    ),
    "arguments cut short": (
        [
            {"type": "response.output_item.added", "output_index": 0,
             "item": {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": ""}},
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": '{"a'},
        ],
        [{"type": "tool_call", "id": "call_1", "name": "look", "arguments": '{"a'}],
    ),
    "a built-in tool": (
        [
            {"type": "response.output_item.added", "output_index": 0,
             "item": {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}},
            {"type": "response.web_search_call.searching", "item_id": "ws_1", "output_index": 0},
            {"type": "response.output_item.done", "output_index": 0,
             "item": {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": SEARCH}},
            delta("Found"),
        ],
        [
            {"type": "server_tool_call", "id": "ws_1", "name": "web_search",
             "server_tool_call": {"type": "web_search_call", "action": SEARCH}},
            {**TEXT, "content": "Found"},
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("events", "expected"), PARTIAL.values(), ids=PARTIAL.keys())
@pytest.mark.parametrize("end", ["closed", "no end", "cut"])
def test_content_that_came_before_the_end_did(simulator: Simulator, signals, events, expected, end: str) -> None:
    """Closed early, ended without an end, or cut off: the span has what was said and done so far."""
    with_content(signals)
    fault = {"cut_after": len(events) + 1} if end == "cut" else {}
    failed: dict[str, Any] = {}
    # What an early close leaves unread is an event more.
    stream = send(simulator, created(), *events, *([delta(" unread")] if end != "no end" else []), **fault)
    if end == "closed":
        with stream:
            for _ in range(len(events) + 1):
                next(stream)
    elif end == "cut":
        with pytest.raises(CUT) as raised:
            list(stream)
        failed = {"status": "ERROR", "error.type": summarize(raised.value).type}
    else:
        list(stream)
    assert outcome(signals) == {**BROKEN_OFF, **failed}
    assert said(signals) == expected


def test_what_is_known_before_the_end(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Id, model, tier and conversation come with the first event; the file has the text, marked incomplete."""
    observer.observe(tracer_provider=signals.tracer_provider)
    first = created(service_tier="default", conversation={"id": "conv_1"})
    with send(simulator, first, delta("one"), delta(" two")) as stream:
        next(stream)
        next(stream)
    assert attributes_of(
        signals.span(), "gen_ai.response.id", "gen_ai.response.model", "openai.res", "gen_ai.conv"
    ) == {
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.model": "m",
        "openai.response.service_tier": "default",
        "gen_ai.conversation.id": "conv_1",
    }
    (event,) = file_events()
    response = event["response"]
    assert (response["text"], response["incomplete"], response["status"], response["usage"]) == (
        "one", True, "in_progress", None,
    )  # fmt: skip


def close_by_hand(stream: Any) -> None:
    next(stream)
    stream.close()


def close_response(stream: Any) -> None:
    next(stream)
    stream.response.close()


def close_unread(stream: Any) -> None:
    stream.close()


def let_go(stream: Any) -> None:
    next(stream)
    del stream
    gc.collect()


@pytest.mark.parametrize("leave", [close_by_hand, close_response, close_unread])
def test_closed_early(simulator: Simulator, instrumented, leave) -> None:
    """However the program closes: one span, incomplete, no error."""
    leave(send(simulator, created(), delta("one"), ended(output=[message("one")])))
    assert outcome(instrumented) == BROKEN_OFF


def test_let_go_of(simulator: Simulator, instrumented) -> None:
    """A stream that nobody holds any more is ended by flush()."""
    let_go(send(simulator, created(), delta("one")))
    assert flush()
    assert outcome(instrumented) == BROKEN_OFF


def test_closed_after_the_last_event_but_before_the_end(simulator: Simulator, instrumented) -> None:
    """A program that stops at response.completed has the whole answer: its reason stays, and so does the mark."""
    stream = send(simulator, created(), delta("one"), ended(output=[message("one")]))
    while next(stream).type != "response.completed":
        pass
    stream.close()
    assert outcome(instrumented)["gen_ai.response.finish_reasons"] == ("stop",)


# Failing


def test_failed_with_something_said(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """response.failed: ERROR with the provider's code, usage and what was said are there."""
    with_content(signals)
    error = {"code": "server_error", "message": "Sorry."}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    stream = send(simulator, created(), delta("So"), ended("failed", [message("So")], error=error, usage=usage))
    assert [event.type for event in stream][-1] == "response.failed"
    assert outcome(signals) == {
        "status": "ERROR", "error.type": "server_error", "gen_ai.response.finish_reasons": ("error",),
    }  # fmt: skip
    assert attributes_of(signals.span(), "gen_ai.usage.") == {
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
    }
    assert said(signals) == [{**TEXT, "content": "So"}]
    assert signals.span().status.description == "Sorry."


ERROR_EVENTS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "flat": ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down"}, "rate_limit_exceeded", False),
    "no code": ({"type": "error", "code": None, "message": "Oh"}, "error", False),
    "a sentence as the code": ({"type": "error", "code": "you said: x", "message": "Oh"}, "error", False),
    "nested": (
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow down"}},
        "rate_limit_exceeded",
        True,
    ),
    "nested without a code": ({"type": "error", "error": {"message": "Oh"}}, "openai.APIError", True),
}


@pytest.mark.parametrize(("event", "error_type", "raises"), ERROR_EVENTS.values(), ids=ERROR_EVENTS.keys())
def test_an_error_event(simulator: Simulator, signals, event, error_type, raises) -> None:
    """The flat one is an event to the program, the nested one an exception; to the span both are an ERROR."""
    with_content(signals)
    stream = send(simulator, created(), delta("So"), event)
    if raises:
        with pytest.raises(openai.APIError):
            list(stream)
    else:
        last = list(stream)[-1]
        assert "error" in (last.type, getattr(last, "event", None))  # the name of the event, to openai before 1.98
    found = outcome(signals)
    assert found.pop("aiobs.incomplete", True) is True
    assert found == {"status": "ERROR", "error.type": error_type, "gen_ai.response.finish_reasons": ("error",)}
    assert said(signals) == [{**TEXT, "content": "So"}]


# Any order


ORDERS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "nothing but the end": ([ended(output=[message("one")])], "one"),
    "pieces before the beginning": ([delta("one"), created(), delta(" two"), ended(output=[])], "one two"),
    "an end that repeats nothing": ([created(), delta("one"), ended(output=[])], "one"),
    "an end that says more": ([created(), delta("one"), ended(output=[message("one two")])], "one two"),
    "a piece after the end": ([created(), ended(output=[message("one")]), delta(" late")], "one"),
    "the beginning twice": ([created(), delta("one"), created(), ended(output=[message("one")])], "one"),
    "progress after the end": (
        [delta("one"), ended(output=[message("one")]), {"type": "response.in_progress", "response": BEGUN}],
        "one",
    ),
    "done, then added": (
        [
            {"type": "response.output_item.done", "output_index": 0, "item": message("one")},
            {"type": "response.output_item.added", "output_index": 0, "item": message("")},
            delta("one"),
            ended(output=[]),
        ],
        "one",
    ),
}


@pytest.mark.parametrize(("events", "text"), ORDERS.values(), ids=ORDERS.keys())
def test_events_in_another_order(simulator: Simulator, signals, events, text) -> None:
    """What the last whole answer says counts, else the pieces; nothing is there twice."""
    with_content(signals)
    assert len(list(send(simulator, *events))) == len(events)
    assert outcome(signals) == DONE
    assert said(signals) == [{**TEXT, "content": text}]


ODD_EVENTS: dict[str, dict[str, Any]] = {
    "unknown": {"type": "response.something.new", "delta": "NO"},
    "of another service": {"type": "ping"},
    "without a type": {"delta": "NO"},
    "type null": {"type": None},
    "type a number": {"type": 7},
    "delta null": delta(None),  # type: ignore[arg-type]  # what servers send
    "delta a list": delta(["NO"]),  # type: ignore[arg-type]  # what servers send
    "answer null": {"type": "response.in_progress", "response": None},
    "answer a text": {"type": "response.in_progress", "response": "NO"},
    "answer missing": {"type": "response.in_progress"},
    "item null": {"type": "response.output_item.done", "item": None},
    "item a text": {"type": "response.output_item.added", "item": "NO"},
    "item without a type": {"type": "response.output_item.done", "item": {"id": "x"}},
    "arguments of no call": {"type": "response.function_call_arguments.delta", "item_id": None, "delta": None},
    "keepalive": {"type": "keepalive"},
    "picture in parts": {"type": "response.image_generation_call.partial_image", "partial_image_b64": "TkVFRExF"},
}


@pytest.mark.parametrize("event", ODD_EVENTS.values(), ids=ODD_EVENTS.keys())
def test_an_event_that_nobody_knows(simulator: Simulator, signals, event) -> None:
    """The program gets it, the answer is what the others say, and no reader fails."""
    with_content(signals)
    assert len(list(send(simulator, created(), delta("one"), event, delta(" two"), ended(output=[])))) == 5
    assert outcome(signals) == DONE
    assert said(signals) == [{**TEXT, "content": "one two"}]


def test_nothing_at_all(simulator: Simulator, instrumented) -> None:
    """A stream without an event never said why it ended, as one that broke off."""
    assert list(send(simulator)) == []
    assert outcome(instrumented) == BROKEN_OFF


@pytest.mark.parametrize("item_id", [None, "", "msg_1"])
def test_calls_without_ids(simulator: Simulator, signals, item_id) -> None:
    """Compatible servers that give a call's item no id: its arguments still find it."""
    with_content(signals)
    item = {"type": "function_call", "id": item_id, "call_id": "call_1", "name": "look", "arguments": ""}
    pieces = [
        {"type": "response.function_call_arguments.delta", "item_id": item_id, "output_index": 0, "delta": piece}
        for piece in ('{"a"', ": 1}")
    ]
    list(send(simulator, created(), {"type": "response.output_item.added", "output_index": 0, "item": item}, *pieces))
    assert said(signals) == [{"type": "tool_call", "id": "call_1", "name": "look", "arguments": {"a": 1}}]
