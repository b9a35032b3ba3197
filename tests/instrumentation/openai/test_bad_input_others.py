"""Odd requests and odder answers of responses and embeddings: the program sees what it sees without us.

No reader fails, whatever comes: a step that fails loses what it would have read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from aiobs import Instrumentor, guard, observer
from aiobs.instrumentation.openai import PROVIDER
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import attributes_of, file_events, said, with_content
from tests.instrumentation.openai.twice import both_ways

pytestmark = pytest.mark.quiet_guard  # so that a reader that fails is seen in the guard's count, not in the program

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CYCLE: dict[str, Any] = {"role": "user", "content": "x"}
CYCLE["self"] = CYCLE
NO_MODEL = pytest.mark.nonconforming("the request has no model that could be named")


def named(cases: dict[str, Any], *without_model: str) -> list[Any]:
    """The cases as parameters; those without a model cannot name one."""
    return [
        pytest.param(value, id=name, marks=NO_MODEL if name in without_model else ()) for name, value in cases.items()
    ]


# Requests

REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "one-shot input": lambda: {"input": iter([{"role": "user", "content": "x"}])},
    "one-shot content": lambda: {"input": [{"role": "user", "content": iter([{"type": "input_text", "text": "x"}])}]},
    "one-shot output": lambda: {"input": [{"type": "function_call_output", "call_id": "c", "output": iter(["x"])}]},
    "one-shot tools": lambda: {"input": "x", "tools": iter([TOOL])},
    "omit": lambda: {
        "input": "x", "temperature": openai.omit, "tools": openai.omit, "stream": openai.omit, "text": openai.omit,
        "reasoning": openai.omit, "conversation": openai.omit, "prompt": openai.omit, "instructions": openai.omit,
        "previous_response_id": openai.omit, "service_tier": openai.omit,
    },
    "NOT_GIVEN": lambda: {"input": "x", "temperature": openai.NOT_GIVEN, "tools": openai.NOT_GIVEN},
    "None": lambda: {"input": "x", "temperature": None, "tools": None, "stream": None, "text": None, "prompt": None},
    "input omitted": lambda: {"input": openai.omit},
    "input None": lambda: {"input": None},
    "input a number": lambda: {"input": 5},
    "input an object": lambda: {"input": {"role": "user", "content": "x"}},
    "items of other types": lambda: {"input": ["hello", 7, None, [], {}, {"type": 5}, {"role": 5, "content": 6}]},
    "parts of other types": lambda: {
        "input": [{"role": "user", "content": [1, None, {"type": 3}, {"type": "input_image"}, {"type": "input_file"},
                                               {"type": "input_audio", "input_audio": 5}, {"type": "refusal"}]}]
    },
    "calls of other types": lambda: {
        "input": [{"type": "function_call", "id": 5, "call_id": [], "name": None, "arguments": {"a": 1}},
                  {"type": "function_call_output", "call_id": None}, {"type": "mcp_call", "output": {1: 2}},
                  {"type": "reasoning", "summary": "x", "content": 7}]
    },
    "instructions an object": lambda: {"input": "x", "instructions": {"a": 1}},
    "text a text": lambda: {"input": "x", "text": "json"},
    "format a text": lambda: {"input": "x", "text": {"format": "json"}},
    "reasoning a text": lambda: {"input": "x", "reasoning": "high"},
    "effort a number": lambda: {"input": "x", "reasoning": {"effort": 5}},
    "conversation a number": lambda: {"input": "x", "conversation": 5},
    "prompt a text": lambda: {"input": "x", "prompt": "pmpt"},
    "prompt's fields": lambda: {"input": "x", "prompt": {"id": 5, "version": 3, "variables": ["a"]}},
    "variables of other types": lambda: {
        "input": "x", "prompt": {"id": "p", "variables": {"a": None, "b": [1], "c\ud800": "d\ud800"}}
    },
    "tools of other types": lambda: {"input": "x", "tools": [None, 1, {"type": 5}, {"type": "x"}, {}]},
    "lone surrogate": lambda: {"input": "a\ud800b", "instructions": "\udfff"},
    "surrogate model": lambda: {"model": "m\ud800", "input": "x"},
    "NaN": lambda: {"input": "x", "temperature": float("nan"), "top_p": float("inf")},
    "2**70": lambda: {"input": "x", "max_output_tokens": 2**70, "metadata": {"a": -(2**70)}},
    "bytes": lambda: {"input": b"\xff\x00"},
    "cycle": lambda: {"input": [CYCLE]},
    "1 MB": lambda: {"input": "x" * 1_000_000, "instructions": "y" * 1_000_000},
    "1 MB in items": lambda: {"input": [{"role": "user", "content": "x" * 1_000}] * 1_000},
    "deep": lambda: {"input": [{"role": "user", "content": json.loads("[" * 200 + "]" * 200)}]},
    "model of another type": lambda: {"model": 5, "input": "x"},
    "no model": lambda: {"model": openai.omit, "input": "x"},
    "extra body": lambda: {"input": "x", "extra_body": {"model": "other", "stream": False, "temperature": "hot"}},
    "extra body without a model": lambda: {"input": "x", "extra_body": {"model": None, "reasoning": 5}},
    "extra body of another type": lambda: {"input": "x", "extra_body": ["x"]},
}  # fmt: skip
GOOD = json.dumps(
    {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "ok", "annotations": []}]}],
    }
).encode()  # fmt: skip
NAMELESS = ("model of another type", "no model", "extra body without a model")


@pytest.mark.parametrize("make", named(REQUESTS, *NAMELESS))
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make) -> None:
    """The request that goes out, and what comes back, are the same with and without us."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(GOOD),
        lambda: simulator.openai().responses.create(**{"model": "m", **make()}),
        may_fail=(),
    )


TEXTS: dict[str, Callable[[], dict[str, Any]]] = {
    "one-shot tokens": lambda: {"input": iter([1, 2])},
    "one-shot texts": lambda: {"input": (text for text in ["a"])},
    "empty": lambda: {"input": []},
    "None": lambda: {"input": None},
    "an object": lambda: {"input": {"a": 1}},
    "of other types": lambda: {"input": ["a", 7, None]},
    "surrogate": lambda: {"input": "\ud800"},
    "2**70": lambda: {"input": [2**70], "dimensions": 2**70},
    "NaN": lambda: {"input": "x", "dimensions": float("nan")},
    "bytes": lambda: {"input": b"\xff"},
    "1 MB": lambda: {"input": "x" * 1_000_000},
    "2000 texts": lambda: {"input": ["x"] * 2_000, "dimensions": 2},
    "omit": lambda: {"input": "x", "dimensions": openai.omit, "user": openai.omit},
    "encoding of another type": lambda: {"input": "x", "encoding_format": 5},
    "dimensions a text": lambda: {"input": "x", "dimensions": "8"},
    "model of another type": lambda: {"model": 5, "input": "x"},
    "extra body": lambda: {"input": "x", "extra_body": {"model": None, "dimensions": "x"}},
}


@pytest.mark.parametrize("make", named(TEXTS, "model of another type", "extra body"))
def test_odd_texts(simulator: Simulator, signals: InMemoryTelemetry, make) -> None:
    """The same for embeddings."""
    both_ways(
        simulator,
        signals,
        lambda: None,
        lambda: simulator.openai().embeddings.create(**{"model": "m", **make()}),
        may_fail=(),
    )


PLACES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "responses": (lambda client: client.responses, "input"),
    "embeddings": (lambda client: client.embeddings, "input"),
}


@pytest.mark.parametrize(("place", "prompt"), PLACES.values(), ids=PLACES.keys())
def test_an_iterator_that_the_sdk_did_not_read_is_as_full_as_before(
    simulator: Simulator, signals, place, prompt
) -> None:
    """38: a call that fails before it is sent leaves the program its iterator, with content and a session on."""
    with_content(signals)
    observer.observe(tracer_provider=signals.tracer_provider)
    given, more = iter(["a", "b"]), iter([TOOL])
    with pytest.raises(TypeError):
        place(simulator.openai()).create(model="m", **{prompt: given}, tools=more, nonsense=1)
    assert (list(given), list(more)) == (["a", "b"], [TOOL])
    assert simulator.requests == []


@pytest.mark.nonconforming("a call without a model")
@pytest.mark.parametrize("place", [place for place, _ in PLACES.values()], ids=PLACES.keys())
def test_wrong_arguments_fail_with_the_sdks_own_words(simulator: Simulator, signals, place) -> None:
    """44: what the SDK says about missing or unknown arguments is not ours to change; each is a span of its own."""
    method = place(simulator.openai()).create

    def failures() -> list[tuple[str, str]]:
        found = []
        for args, kwargs in (((), {"model": "m", "input": "x", "nonsense": 1}), (("m", "x"), {})):
            with pytest.raises(TypeError) as raised:
                method(*args, **kwargs)
            found.append((type(raised.value).__name__, str(raised.value)))
        return found

    without = failures()
    Instrumentor(**signals.providers).instrument()
    method = place(simulator.openai()).create
    assert failures() == without
    assert [span.status.status_code.name for span in signals.spans] == ["ERROR", "ERROR"]


# Answers

ANSWERS: dict[str, bytes] = {
    "output null": b'{"id":"x","model":"m","status":"completed","output":null}',
    "no output": b'{"id":"x","model":"m","status":"completed"}',
    "empty output": b'{"id":"x","status":"completed","output":[]}',
    "output object": b'{"id":"x","status":"completed","output":{"a":1}}',
    "output a text": b'{"id":"x","status":"completed","output":"text"}',
    "items of other types": b'{"id":"x","status":"completed","output":[null,7,"x",[],{},{"type":null},{"type":5}]}',
    "content null": b'{"status":"completed","output":[{"type":"message","content":null}]}',
    "content a text": b'{"status":"completed","output":[{"type":"message","content":"hi"}]}',
    "parts of other types": b'{"status":"completed","output":[{"type":"message","content":[null,7,{"type":"output_text","text":5}]}]}',
    "summary null": b'{"status":"completed","output":[{"type":"reasoning","summary":null,"content":[{"text":[]}]}]}',
    "call without anything": b'{"status":"completed","output":[{"type":"function_call"},{"type":"custom_tool_call","input":5}]}',
    "tool without anything": b'{"status":"completed","output":[{"type":"web_search_call"},{"type":"mcp_call","error":{"a":1}}]}',
    "picture of another type": b'{"status":"completed","output":[{"type":"image_generation_call","result":{"a":1},"output_format":[]}]}',
    "picture not base64": b'{"status":"completed","output":[{"type":"image_generation_call","result":"*"}]}',
    "id a number": b'{"id":5,"model":[],"status":7,"output":[],"service_tier":{},"conversation":"c"}',
    "status unknown": b'{"id":"x","model":"m","status":"dreaming","output":[]}',
    "usage text": b'{"status":"completed","output":[],"usage":"many"}',
    "usage of texts": b'{"status":"completed","output":[],"usage":{"input_tokens":"7","output_tokens":null,"total_tokens":[],"input_tokens_details":"x"}}',
    "usage odd": b'{"status":"completed","output":[],"usage":{"input_tokens":-1,"output_tokens":9e99,"output_tokens_details":[]}}',
    "usage huge": b'{"status":"completed","output":[],"usage":{"input_tokens":99999999999999999999999}}',
    "incomplete details text": b'{"status":"incomplete","output":[],"incomplete_details":"x"}',
    "error text": b'{"error":"overloaded"}',
    "error of other types": b'{"error":{"code":["x"],"message":{"a":1}}}',
    "error a number": b'{"status":"failed","error":5}',
    "failed without error": b'{"status":"failed","error":null,"output":null}',
    "array": b"[1,2,3]",
    "number": b"5",
    "null": b"null",
    "text": b'"text"',
    "empty object": b"{}",
    "surrogate": b'{"id":"\\ud800","model":"\\udfff","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"\\ud800"}]}]}',
    "NaN": b'{"id":"x","status":"completed","output":[{"type":"mcp_call","output":NaN,"score":Infinity}]}',
    "no json": b"<html>",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("mode", ["whole", "raw", "parse"])
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, mode: str) -> None:
    """47 to 58: whatever a compatible server answers."""

    def call() -> Any:
        responses = simulator.openai().responses
        if mode == "raw":
            return responses.with_raw_response.create(model="m", input="x").parse()
        return (responses.parse if mode == "parse" else responses.create)(model="m", input="x")

    both_ways(simulator, signals, lambda: simulator.raw(body), call, may_fail=())


@pytest.mark.parametrize("content_type", ["text/plain", "text/html", "application/octet-stream", ""])
@pytest.mark.parametrize(("place", "prompt"), PLACES.values(), ids=PLACES.keys())
def test_a_body_that_is_no_json(simulator: Simulator, signals, place, prompt, content_type) -> None:
    """57: it comes as str; the file has it as the text, or nothing."""
    prepare = lambda: simulator.raw(b"plain", headers={"content-type": content_type})  # noqa: E731  # as its sibling
    both_ways(simulator, signals, prepare, lambda: place(simulator.openai()).create(model="m", **{prompt: "x"}), ())


def test_a_body_that_is_no_json_in_the_file(simulator: Simulator) -> None:
    """57: what a server said instead of an answer is the text of a response."""
    observer.observe()
    simulator.raw(b"plain", headers={"content-type": "text/plain"})
    simulator.openai().responses.create(model="m", input="x")
    (event,) = file_events()
    assert (event["response"]["text"], event["response"]["id"], event["response"]["usage"]) == ("plain", None, None)


def test_an_error_in_an_answer_leaks_nothing(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """An error without a status fails the span; its code quotes the prompt and its message the key: neither gets out."""
    with_content(signals)
    simulator.raw(b'{"error": {"message": "bad key my-odd-key-1", "code": "you said: NEEDLE"}}')
    simulator.openai(api_key="my-odd-key-1").responses.create(model="m", input="x")
    span = signals.span()
    shown = span.to_json() + "".join(log.to_json() for log in signals.logs)
    assert attributes_of(span, "error.type") == {"error.type": "error"}
    assert span.status.description == "bad key [REDACTED]"
    assert "NEEDLE" not in shown
    assert "my-odd-key-1" not in shown


EMBEDDED: dict[str, bytes] = {
    "data null": b'{"data":null,"model":"m"}',
    "no data": b'{"model":"m"}',
    "empty data": b'{"data":[],"model":"m"}',
    "data object": b'{"data":{"a":1}}',
    "entries of other types": b'{"data":[null,7,"x",[],{}]}',
    "vectors of other types": b'{"data":[{"embedding":null},{"embedding":7},{"embedding":{"a":1}},{"embedding":[null]}]}',
    "no base64": b'{"data":[{"embedding":"*"},{"embedding":"AAA"},{"embedding":"\\ud800"}]}',
    "model a number": b'{"data":[{"embedding":[0.5]}],"model":5,"usage":"x"}',
    "error": b'{"error":{"code":"overloaded"}}',
    "array": b"[1]",
    "null": b"null",
    "no json": b"<html>",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("body", EMBEDDED.values(), ids=EMBEDDED.keys())
@pytest.mark.parametrize("mode", ["whole", "raw"])
def test_odd_embeddings(simulator: Simulator, signals: InMemoryTelemetry, monkeypatch, body: bytes, mode: str) -> None:
    """The same for embeddings, with their vectors wanted."""
    monkeypatch.setenv("AIOBS_CAPTURE_EMBEDDINGS", "true")

    def call() -> Any:
        embeddings = simulator.openai().embeddings
        if mode == "raw":
            return embeddings.with_raw_response.create(model="m", input="x").parse()
        return embeddings.create(model="m", input="x")

    both_ways(simulator, signals, lambda: simulator.raw(body), call, may_fail=())


# Events


EVENTS: dict[str, bytes] = {
    "array": b"[]",
    "number": b"7",
    "text": b'"x"',
    "null": b"null",
    "empty": b"{}",
    "output null": b'{"type":"response.completed","response":{"status":"completed","output":null}}',
    "items null": b'{"type":"response.completed","response":{"status":"completed","output":[null,7]}}',
    "usage text": b'{"type":"response.completed","response":{"status":"completed","usage":"x"}}',
    "surrogate": b'{"type":"response.output_text.delta","delta":"\\ud83d"}',
    "error of other types": b'{"type":"error","code":5,"message":{"a":1}}',
    "failed null": b'{"type":"response.failed","response":null}',
    "tool": b'{"type":"response.output_item.done","item":{"type":"mcp_call","output":{"a":[1]}}}',
    "malformed": b"{not json",
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_odd_events(simulator: Simulator, signals: InMemoryTelemetry, event: bytes) -> None:
    """Each odd event between two ordinary ones."""
    plain = b'{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"a"}'
    body = [b"data: " + data + b"\n\n" for data in (plain, event, plain)]

    def call() -> list[str]:
        stream = simulator.openai().responses.create(model="m", input="x", stream=True)
        return [repr(item) for item in stream]

    both_ways(simulator, signals, lambda: simulator.raw(body), call, may_fail=())


# Losing one thing loses one thing


def test_a_reader_that_fails_loses_what_it_reads(simulator: Simulator, signals, monkeypatch) -> None:
    """An answer whose items cannot be read: the span has everything else, and the guard one count."""
    with_content(signals)
    simulator.reply("Hi", usage={"input_tokens": 7})

    operation = next(operation for operation in PROVIDER.operations if operation.api == "responses.create")
    monkeypatch.setitem(vars(operation), "read_choices", lambda _: 1 / 0)
    assert simulator.openai().responses.create(model="m", input="x").output_text == "Hi"
    assert said(signals) == []
    assert attributes_of(signals.span(), "gen_ai.usage.input") == {"gen_ai.usage.input_tokens": 7}
    assert sum(guard.errors.values()) == 1
