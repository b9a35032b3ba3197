"""Odd requests and odder answers: the program sees what it sees without us, one span ends, nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from aiobs import Instrumentor, observer
from aiobs.testing import Simulator
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

pytestmark = pytest.mark.quiet_guard  # the readers of odd answers may fail, one step each, and nothing else may

ASK = [{"role": "user", "content": "What is an API?"}]
CYCLE: dict[str, Any] = {"role": "user", "content": "x"}
CYCLE["self"] = CYCLE


REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "one-shot messages": lambda: {"messages": iter(ASK)},
    "generator messages": lambda: {"messages": (message for message in ASK)},
    "one-shot tools": lambda: {"messages": ASK, "tools": iter([{"type": "function", "function": {"name": "f"}}])},
    "one-shot content": lambda: {"messages": [{"role": "user", "content": iter([{"type": "text", "text": "x"}])}]},
    "NOT_GIVEN": lambda: {"messages": ASK, "temperature": openai.NOT_GIVEN, "tools": openai.NOT_GIVEN},
    "omit": lambda: {"messages": ASK, "temperature": openai.omit, "stop": openai.omit, "stream": openai.omit},
    "None": lambda: {"messages": ASK, "temperature": None, "stop": None, "tools": None, "stream": None},
    "messages None": lambda: {"messages": None},
    "messages text": lambda: {"messages": "hello"},
    "messages of text": lambda: {"messages": ["hello", 7, None]},
    "roles of other types": lambda: {"messages": [{"role": 5, "content": 6}, {"content": {"a": 1}}, {}]},
    "parts of other types": lambda: {
        "messages": [{"role": "user", "content": [1, None, {"type": 3}, {"type": "image_url"}]}]
    },
    "lone surrogate": lambda: {"messages": [{"role": "user", "content": "a\ud800b"}]},
    "surrogate model": lambda: {"model": "m\ud800", "messages": ASK},
    "NaN": lambda: {"messages": ASK, "temperature": float("nan"), "top_p": float("inf")},
    "2**70": lambda: {"messages": ASK, "seed": 2**70, "max_tokens": -(2**70)},
    "bytes": lambda: {"messages": [{"role": "user", "content": b"\xff\x00"}]},
    "cycle": lambda: {"messages": [CYCLE]},
    "set": lambda: {"messages": ASK, "stop": {"a"}},
    "huge": lambda: {"messages": [{"role": "user", "content": "x" * 5_000_000}]},
    "deep": lambda: {"messages": [{"role": "user", "content": json.loads("[" * 200 + "]" * 200)}]},
    "odd tools": lambda: {"messages": ASK, "tools": [None, 1, {"type": "x"}, {"type": "function", "function": None}]},
    "tool calls": lambda: {"messages": [{"role": "assistant", "tool_calls": [None, {"function": {"arguments": 5}}]}]},
    "model of other type": lambda: {"model": 5, "messages": ASK},
    "extra body": lambda: {"messages": ASK, "extra_body": {"model": None, "stream": "x", "temperature": "hot"}},
    "empty": lambda: {"messages": []},
}


MARKS = {
    "model of other type": pytest.mark.nonconforming("the request has no model that could be named"),
    "extra body": pytest.mark.nonconforming("the request has no model that could be named"),
    "omit": needs("openai omit"),
}


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=MARKS.get(name, ())) for name, make in REQUESTS.items()],
)
def test_odd_requests(simulator: Simulator, signals, make) -> None:
    """The request that goes out, and what comes back, are the same with and without us."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.reply("ok", fields={"id": "chatcmpl-x"}),
        lambda: simulator.openai().chat.completions.create(**{"model": "m", **make()}),
    )


def test_an_iterator_that_the_sdk_did_not_read_is_as_full_as_before(simulator: Simulator, signals) -> None:
    """38: a call that fails before it is sent leaves the program its iterator, with content and a session on.

    breaks-apps #38
    """
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    messages, tools = iter(ASK), iter([{"type": "function", "function": {"name": "f"}}])
    with pytest.raises(TypeError):
        simulator.openai().chat.completions.create(model="m", messages=messages, tools=tools, nonsense=1)
    assert (list(messages), len(list(tools))) == (ASK, 1)


ANSWERS: dict[str, bytes] = {
    "choices null": b'{"id":"x","model":"m","choices":null}',
    "no choices": b'{"id":"x","model":"m"}',
    "empty choices": b'{"id":"x","model":"m","choices":[]}',
    "choices object": b'{"id":"x","choices":{"a":1}}',
    "choice null": b'{"id":"x","choices":[null, 7]}',
    "message null": b'{"id":"x","choices":[{"index":0,"message":null,"finish_reason":null}]}',
    "content object": b'{"id":"x","choices":[{"index":"a","message":{"content":{"a":1},"tool_calls":7},"finish_reason":5}]}',
    "tool calls null": b'{"id":"x","choices":[{"index":0,"message":{"content":null,"tool_calls":[null,{"function":null}]}}]}',
    "usage text": b'{"id":5,"model":[],"choices":[],"usage":"many"}',
    "usage odd": b'{"usage":{"prompt_tokens":"7","completion_tokens":-1,"prompt_tokens_details":{"cached_tokens":9e99}}}',
    "usage huge": b'{"usage":{"prompt_tokens":99999999999999999999999,"prompt_tokens_details":[]}}',
    "array": b"[1,2,3]",
    "number": b"5",
    "null": b"null",
    "text": b'"text"',
    "empty object": b"{}",
    "surrogate": b'{"id":"\\ud800","model":"\\udfff","choices":[{"index":0,"message":{"content":"\\ud800"}}]}',
    "no json": b"<html>",
    "nothing": b"",
    "audio": b'{"choices":[{"message":{"audio":{"data":5,"transcript":null}}}]}',
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("mode", ["whole", "raw"])
def test_odd_answers(simulator: Simulator, signals, body: bytes, mode: str) -> None:
    """47 to 58: whatever a compatible server answers."""

    def call() -> Any:
        chat = simulator.openai().chat.completions
        if mode == "raw":
            return chat.with_raw_response.create(model="m", messages=ASK).parse()
        return chat.create(model="m", messages=ASK)

    both_ways(simulator, signals, lambda: simulator.raw(body), call)


def test_odd_content_types(simulator: Simulator, signals) -> None:
    """57: a body that is no JSON comes as str."""
    chat = simulator.openai().chat.completions
    prepare = lambda: simulator.raw(b"plain", headers={"content-type": "text/plain"})  # noqa: E731
    both_ways(simulator, signals, prepare, lambda: chat.create(model="m", messages=ASK))


CHUNKS: dict[str, bytes] = {
    "delta null": b'{"choices":[{"index":0,"delta":null}]}',
    "choices null": b'{"choices":null}',
    "no choices": b'{"id":"","model":"","prompt_filter_results":[]}',
    "choice null": b'{"choices":[null]}',
    "index null": b'{"choices":[{"index":null,"delta":{"content":"x"}}]}',
    "tool call index null": b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":null,"id":"a","function":{"name":"f"}}]}}]}',
    "tool call parts": b'{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"{}"}},null,7]}}]}',
    "content types": b'{"choices":[{"index":0,"delta":{"content":[1],"refusal":{},"role":7}}]}',
    "usage everywhere": b'{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":1}}',
    "usage text": b'{"choices":[],"usage":"x"}',
    "unknown": b'{"type":"ping"}',
    "array": b"[]",
    "number": b"7",
    "text": b'"x"',
    "null": b"null",
    "surrogate": b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}',
    "function call": b'{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":"{}"}}}]}',
}


@pytest.mark.parametrize("chunk", CHUNKS.values(), ids=CHUNKS.keys())
def test_odd_chunks(simulator: Simulator, signals, chunk: bytes) -> None:
    """Each odd chunk between two ordinary ones."""
    plain = b'{"id":"x","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}'
    body = [b"data: " + data + b"\n\n" for data in (plain, chunk, plain, b"[DONE]")]

    def call() -> list[str]:
        stream = simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True)
        return [repr(item) for item in stream]

    both_ways(simulator, signals, lambda: simulator.raw(body), call)


class Unprintable(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_that_cannot_be_printed(simulator: Simulator, signals) -> None:
    """31, 103: the program gets its own exception, and later calls are still recorded.

    breaks-apps #31, #103
    """

    def refuse(request: Any) -> None:
        raise Unprintable

    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    with openai.OpenAI(
        api_key="k", max_retries=0, base_url=simulator.origin,
        http_client=openai.DefaultHttpxClient(event_hooks={"request": [refuse]}),
    ) as client, pytest.raises((Unprintable, openai.APIConnectionError)):  # fmt: skip
        client.chat.completions.create(model="m", messages=ASK)
    simulator.openai().chat.completions.create(model="next", messages=ASK)
    assert [span.name for span in signals.spans] == ["chat m", "chat next"]
