"""Stored responses and those from the background: created, polled, fetched as a stream, cancelled."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.capture import deferred, jobs
from aiobs.testing import Answer, Fault, InMemoryTelemetry, Simulator
from tests.contract.outcome import file_events as events_so_far
from tests.instrumentation.openai.reading import attributes_of, file_events, metrics_of, said, with_content
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

BACKGROUND = needs("openai background")
STREAMS = needs("openai streams of stored responses")
TOOL: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def link_of(span: ReadableSpan) -> int | None:
    """The span id of the one link, None without."""
    assert len(span.links) <= 1
    return span.links[0].context.span_id if span.links else None


def id_of(span: ReadableSpan) -> int:
    """The span's id."""
    assert span.context is not None
    return span.context.span_id


# Fetched


@pytest.mark.parametrize("by_position", [True, False], ids=["by position", "by name"])
def test_a_fetched_response(simulator: Simulator, instrumented: InMemoryTelemetry, by_position: bool) -> None:
    """Name, kind and attributes, literally: what it used, its conversation and its prompt are not said again."""
    fields = {"conversation": {"id": "conv_1"}, "output": [{"type": "compaction", "id": "c", "encrypted_content": "x"}]}
    simulator.reply("b", fields=fields, usage={"input_tokens": 7})
    responses = simulator.openai().responses
    responses.retrieve("resp_stored1") if by_position else responses.retrieve(response_id="resp_stored1")
    span = instrumented.span("fetch_response")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "openai.api.type": "responses",
        "gen_ai.response.id": "resp_stored1",
        "gen_ai.response.model": "gpt-4.1",
        "gen_ai.response.status": "completed",
        "gen_ai.response.finish_reasons": ("stop",),
        "openai.response.service_tier": "default",
        "aiobs.http.status_code": 200,
    }
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}
    assert instrumented.logs == ()


@STREAMS
def test_a_fetched_stream(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The cursor is said, the same as of a whole response is, and nothing that the conventions have for streams of others."""
    simulator.reply("to be or not", usage={"input_tokens": 7})
    list(simulator.openai().responses.retrieve("resp_stored1", stream=True, starting_after=2))
    assert attributes_of(instrumented.span("fetch_response")) == {
        "openai.api.type": "responses",
        "gen_ai.request.stream_cursor": "2",
        "gen_ai.response.id": "resp_stored1",
        "gen_ai.response.model": "gpt-4.1",
        "gen_ai.response.status": "completed",
        "gen_ai.response.finish_reasons": ("stop",),
        "openai.response.service_tier": "default",
        "aiobs.http.status_code": 200,
    }
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}


@STREAMS
async def test_every_way_of_fetching_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw and streaming responses, streams, ``responses.stream()``, and all of that with AsyncOpenAI."""
    client = simulator.openai()
    client.responses.retrieve("resp_stored1")
    client.responses.with_raw_response.retrieve("resp_stored1")
    with client.responses.with_streaming_response.retrieve("resp_stored1") as whole:
        whole.read()
    list(client.responses.with_raw_response.retrieve("resp_stored1", stream=True).parse())
    with client.responses.stream(response_id="resp_stored1") as events:
        list(events)
    async with simulator.async_openai() as later:
        await later.responses.retrieve("resp_stored1")
        await later.responses.with_raw_response.retrieve("resp_stored1")
        _ = [event async for event in await later.responses.retrieve("resp_stored1", stream=True)]
        async with later.responses.stream(response_id="resp_stored1") as others:
            _ = [event async for event in others]
    first, *rest = (attributes_of(span) for span in instrumented.spans)
    assert len(rest) == 8
    assert all(found == first for found in rest)
    assert first["gen_ai.response.status"] == "completed"


@pytest.mark.parametrize("streams", [False, pytest.param(True, marks=STREAMS)], ids=["whole", "stream"])
def test_the_content_of_a_fetched_response(simulator: Simulator, signals: InMemoryTelemetry, streams: bool) -> None:
    """What it says, and the instructions and tools that it was made with; no input, which it does not repeat."""
    with_content(signals)
    simulator.reply("b", fields={"instructions": "be brief", "tools": [TOOL]})
    answer = simulator.openai().responses.retrieve("resp_stored1", **({"stream": True} if streams else {}))
    list(answer) if streams else None  # type: ignore[call-overload]  # a stream, if one was asked for
    found = signals.span().attributes or {}
    assert said(signals) == [{"type": "text", "content": "b"}]
    assert json.loads(str(found["gen_ai.system_instructions"])) == [{"type": "text", "content": "be brief"}]
    assert json.loads(str(found["gen_ai.tool.definitions"])) == [{"type": "function", "name": "f"}]
    assert "gen_ai.input.messages" not in found


# From the background


@BACKGROUND
def test_a_response_from_the_background(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Each poll is linked to the call that asked for it; the first that finds it done says how long that took."""
    client = simulator.openai()
    created = client.responses.create(model="m", input="a", background=True)
    states = [client.responses.retrieve(created.id).status for _ in range(3)]
    assert states == ["in_progress", "completed", "completed"]
    first, *polls = instrumented.spans
    assert first.name == "chat m"
    assert attributes_of(first, "gen_ai.response.finish", "gen_ai.response.status", "aiobs.job") == {}
    assert [link_of(poll) for poll in polls] == [id_of(first)] * 3
    told = ("aiobs.job.polls", "aiobs.job.duration", "gen_ai.response.status", "gen_ai.response.finish")
    found = [attributes_of(poll, *told) for poll in polls]
    duration = found[1].pop("aiobs.job.duration")
    assert duration > 0
    assert found == [
        {"aiobs.job.polls": 1, "gen_ai.response.status": "in_progress"},
        {
            "aiobs.job.polls": 2,
            "gen_ai.response.status": "completed",
            "gen_ai.response.finish_reasons": ("stop",),
        },
        {
            "aiobs.job.polls": 3,
            "gen_ai.response.status": "completed",
            "gen_ai.response.finish_reasons": ("stop",),
        },
    ]


@BACKGROUND
@pytest.mark.parametrize(
    ("reason", "status", "said_so"),
    [("length", "incomplete", "length"), ("failed", "failed", "error"), ("cancelled", "cancelled", "cancelled")],
)
def test_every_end_is_an_end(
    simulator: Simulator, instrumented: InMemoryTelemetry, reason: str, status: str, said_so: str
) -> None:
    """Incomplete, failed and cancelled are done; the poll that finds a failure is the error, as nothing else is."""
    simulator.reply("b", finish_reason=reason, fault=Fault(code="server_error", message="NEEDLE"))
    client = simulator.openai()
    created = client.responses.create(model="m", input="a", background=True)
    client.responses.retrieve(created.id)
    client.responses.retrieve(created.id)
    last = instrumented.spans[-1]
    found = last.attributes or {}
    assert (found["gen_ai.response.status"], found["gen_ai.response.finish_reasons"]) == (status, (said_so,))
    assert "aiobs.job.duration" in found
    failed = status == "failed"
    assert (last.status.status_code is StatusCode.ERROR, found.get("error.type")) == (
        failed,
        "server_error" if failed else None,
    )
    assert "NEEDLE" not in last.to_json()


@BACKGROUND
def test_what_a_response_from_the_background_used_is_counted_once(
    simulator: Simulator, instrumented: InMemoryTelemetry
) -> None:
    """By the first poll that finds it done: as the job's on its span, and on the token metrics of the submitting call."""
    client = simulator.openai()
    simulator.reply(usage={"input_tokens": 7, "output_tokens": 5})
    created = client.responses.create(model="m", input="a", background=True)
    for _ in range(3):
        client.responses.retrieve(created.id)
    found = [
        {
            key: value
            for key, value in (span.attributes or {}).items()
            if key.endswith((".input_tokens", ".output_tokens"))
        }
        for span in instrumented.spans
    ]
    assert [one.get("aiobs.job.usage.input_tokens") for one in found] == [None, None, 7, None]
    assert not [key for one in found for key in one if key.startswith("gen_ai.usage")]
    (point,) = instrumented.metrics()["gen_ai.client.inference.operation.input_tokens"]
    assert (point.sum, point.count) == (7, 1)
    asked = ("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model")
    assert [point.attributes[name] for name in asked] == ["chat", "m", "m"]


@BACKGROUND
def test_what_somebody_else_submitted_is_not_counted(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Who made it counted it, or will; asking after it says nothing of usage."""
    client = simulator.openai()
    created = client.responses.create(model="m", input="a", background=True)
    jobs.forget_all()
    for _ in range(2):
        client.responses.retrieve(created.id)
    assert not [key for span in instrumented.spans for key in (span.attributes or {}) if "usage" in key]
    assert "gen_ai.client.inference.operation.input_tokens" not in instrumented.metrics()


@STREAMS
def test_a_stream_from_the_background_that_is_read_on(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Broken off and fetched from there: the second stream is linked to the first, and finds it done."""
    client = simulator.openai()
    stream = client.responses.create(model="m", input="a", background=True, stream=True)
    event = next(iter(stream))
    stream.close()
    list(client.responses.retrieve(event.response.id, stream=True, starting_after=event.sequence_number))  # type: ignore[union-attr]  # the first event has one
    first, second = instrumented.spans
    assert (first.attributes or {})["aiobs.incomplete"] is True
    assert link_of(second) == id_of(first)
    assert set(attributes_of(second, "aiobs.job.polls", "aiobs.job.duration")) == {
        "aiobs.job.polls",
        "aiobs.job.duration",
    }
    assert attributes_of(second, "aiobs.job.usage.output_tokens")


def test_what_is_no_job_is_not_remembered(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A stream from the foreground that is broken off goes on nowhere; a whole answer has come."""
    client = simulator.openai()
    stream = client.responses.create(model="m", input="a", stream=True)
    next(iter(stream))
    stream.close()
    client.responses.create(model="m", input="a")
    deferred.drain()
    made = [str((span.attributes or {})["gen_ai.response.id"]) for span in instrumented.spans]
    assert [jobs.submitted("openai", one) for one in made] == [None, None]


def test_a_response_of_another_process(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Nobody here has asked for it: no link, no count of polls."""
    simulator.openai().responses.retrieve("resp_stored1")
    assert link_of(instrumented.span()) is None
    assert attributes_of(instrumented.span(), "aiobs.job") == {}


@needs("openai responses.cancel")
async def test_a_cancelled_response(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A span of its own, linked to the call that asked for the response; cancelled is done."""
    client = simulator.openai()
    created = client.responses.create(model="m", input="a", background=True)
    client.responses.cancel(created.id)
    first, second = instrumented.spans
    assert (second.name, second.kind, link_of(second)) == ("cancel_response", SpanKind.CLIENT, id_of(first))
    found = attributes_of(second)
    assert found.pop("aiobs.job.duration") > 0
    assert found == {
        "openai.api.type": "responses",
        "gen_ai.response.id": created.id,
        "gen_ai.response.model": "m",
        "gen_ai.response.status": "cancelled",
        "gen_ai.response.finish_reasons": ("cancelled",),
        "openai.response.service_tier": "default",
        "aiobs.http.status_code": 200,
    }
    async with simulator.async_openai() as later:
        created = await later.responses.create(model="m", input="a", background=True)
        await later.responses.cancel(created.id)
    assert attributes_of(instrumented.spans[-1], "gen_ai.response.status") == {"gen_ai.response.status": "cancelled"}


def test_deleting_is_not_recorded(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """No span."""
    simulator.openai().responses.delete(simulator.openai().responses.create(model="m", input="a").id)
    assert [span.name for span in instrumented.spans] == ["chat m"]


# Session file


@BACKGROUND
def test_the_events_of_the_session_file_literally(simulator: Simulator) -> None:
    """Polls are no events of their own: they change that of the call, which says in the end what the job came to."""
    observer.observe()
    simulator.next(Answer("b", usage={"input_tokens": 7, "output_tokens": 5}))
    client = simulator.openai()
    created = client.responses.create(model="m", input="a", background=True)
    client.responses.retrieve(created.id)
    (queued,) = events_so_far()
    assert queued["response"] == {
        "id": created.id,
        "model": "m",
        "text": None,
        "usage": None,
        "finish_reason": None,
        "finish_reasons": [],
        "status": "in_progress",
        "poll_count": 1,
    }
    client.responses.retrieve(created.id)
    client.responses.retrieve(created.id)
    (done,) = file_events()
    assert (done["api"], done["request"], done["span_id"]) == (queued["api"], queued["request"], queued["span_id"])
    assert done["response"].pop("time_to_done_ms") > 0
    assert done["response"].pop("usage")["total_tokens"] == 12
    assert done["response"] == {
        "id": created.id,
        "model": "m",
        "text": "b",
        "finish_reason": "stop",
        "finish_reasons": ["stop"],
        "status": "completed",
        "poll_count": 3,
    }


# What goes wrong


def test_a_response_that_is_not_there(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR, with the id that was asked for."""
    with pytest.raises(openai.NotFoundError):
        simulator.openai().responses.retrieve("resp_none")
    span = instrumented.span("fetch_response")
    assert (span.status.status_code, (span.attributes or {})["gen_ai.response.id"]) == (StatusCode.ERROR, "resp_none")
    assert (span.attributes or {})["error.type"] == "openai.NotFoundError"


REQUESTS: dict[str, Any] = {
    "no id": lambda: {"response_id": ""},
    "a number": lambda: {"response_id": 5},
    "null": lambda: {"response_id": None},
    "surrogate": lambda: {"response_id": "resp_\ud800"},
    "huge": lambda: {"response_id": "r" * 100_000},
    "cursor null": lambda: {"response_id": "r", "starting_after": None},
    "cursor a list": lambda: {"response_id": "r", "starting_after": [1]},
    "cursor a text": lambda: {"response_id": "r", "starting_after": "1"},
    "include an iterator": lambda: {"response_id": "r", "include": iter(["x"])},
    "extra body": lambda: {"response_id": "r", "extra_body": {"model": "x"}, "extra_query": {"a": "b"}},
}


@STREAMS
@pytest.mark.quiet_guard
@pytest.mark.nonconforming("some of the requests have no id that could be named")
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    body = b'{"id": "r", "object": "response", "status": "completed", "output": [], "model": "m"}'
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: simulator.openai().responses.retrieve(**make()),
        may_fail=(),
    )


ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "status": null, "output": null, "instructions": null, "tools": null, "background": null}',
    "of numbers": b'{"id": 5, "status": 6, "output": 7, "instructions": 8, "tools": 9, "background": 1}',
    "of objects": b'{"id": {}, "status": {}, "output": {}, "instructions": [{"a": 1}], "tools": [null, 1, {"type": 5}]}',
    "an unknown status": b'{"id": "r", "status": "meditating", "output": [{"type": "message", "content": [null, 1]}]}',
    "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
}


@STREAMS
@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, streams: bool) -> None:
    """The program sees what it sees without us, and no reader fails."""

    def call() -> Any:
        answer = simulator.openai().responses.retrieve("r", stream=streams)
        return list(answer) if streams else answer  # type: ignore[call-overload]  # a stream, if one was asked for

    event = b'event: response.completed\ndata: {"type": "response.completed", "response": ' + body + b"}\n\n"
    both_ways(simulator, signals, lambda: simulator.raw([event] if streams else body), call, may_fail=())
