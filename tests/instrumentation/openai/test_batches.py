"""Batches: what submitting, asking and cancelling become, and the spans of the requests when results are read."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.capture import jobs, results
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.contract.outcome import file_events
from tests.versions import has

_MOVING = ("code.", "server.port", "aiobs.job.duration", "aiobs.request.id")
CHAT = "/v1/chat/completions"


def attributes_of(span: Any) -> dict[str, Any]:
    return {key: value for key, value in (span.attributes or {}).items() if not key.startswith(_MOVING)}


def asked(*names: str, url: str = CHAT, **body: Any) -> bytes:
    """The file of a batch: one request for each name; one without messages is refused."""
    said = {"messages": [{"role": "user", "content": "hi"}]} if url == CHAT else {}
    lines = [
        {"custom_id": name, "method": "POST", "url": url, "body": {"model": "gpt-4o", **said, **body}} for name in names
    ]
    return "\n".join(map(json.dumps, lines)).encode()


def submitted(client: Any, content: bytes, endpoint: str = CHAT) -> Any:
    file = client.files.create(file=("batch.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


def finished(client: Any, content: bytes, endpoint: str = CHAT) -> Any:
    """A batch of these requests, asked after until it was done."""
    batch = submitted(client, content, endpoint)
    client.batches.retrieve(batch.id)
    return client.batches.retrieve(batch.id)


def handed_out(simulator: Simulator, client: Any, body: bytes, endpoint: str = CHAT, **fields: Any) -> Any:
    """Read a file with just these bytes, as the results of a batch of which this process has not heard before."""
    batch = {
        "id": "batch_1", "object": "batch", "endpoint": endpoint, "status": "completed", "input_file_id": "file-1",
        "output_file_id": "file-2", "completion_window": "24h", "created_at": 1, **fields,
    }  # fmt: skip
    simulator.raw(json.dumps(batch).encode())
    client.batches.retrieve("batch_1")
    simulator.raw(body, headers={"content-type": "application/octet-stream"})
    return client.files.content("file-2")


def line(custom_id: str = "a", **response: Any) -> bytes:
    body = {"id": "c", "model": "gpt-4o", "object": "chat.completion", "created": 1, "choices": []}
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    answer = {"status_code": 200, "request_id": "r", "body": {**body, "usage": usage}, **response}
    return json.dumps({"id": "b", "custom_id": custom_id, "response": answer, "error": None}).encode() + b"\n"


def of_batch(signals: InMemoryTelemetry) -> list[Any]:
    """The spans of requests of a batch."""
    return [span for span in signals.spans if "aiobs.batch.id" in (span.attributes or {})]


# Calls


def test_submitting_asking_and_the_end(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """What was asked for, how far it is, a link to the submitting call, how often asked, how long it took at the end."""
    client = simulator.openai()
    finished(client, asked("a"))
    create, first, second = instrumented.spans
    common = {"gen_ai.provider.name": "openai", "server.address": "127.0.0.1", "aiobs.http.status_code": 200}
    assert attributes_of(create) == {
        **common,
        "gen_ai.operation.name": "create_batch",
        "aiobs.api.name": "batches.create",
        "aiobs.request.config.endpoint": CHAT,
        "aiobs.request.config.completion_window": "24h",
        "aiobs.request.config.input_file_id": "file-simulated000001",
        "gen_ai.response.id": "batch_simulated000002",
        "gen_ai.response.status": "validating",
        "aiobs.batch.requests": 1,
        "aiobs.batch.completed": 0,
        "aiobs.batch.failed": 0,
    }
    assert attributes_of(second) == {
        **common,
        "gen_ai.operation.name": "fetch_batch",
        "aiobs.api.name": "batches.retrieve",
        "gen_ai.response.id": "batch_simulated000002",
        "gen_ai.response.status": "completed",
        "aiobs.job.polls": 2,
        "aiobs.batch.requests": 1,
        "aiobs.batch.completed": 1,
        "aiobs.batch.failed": 0,
    }
    assert attributes_of(first)["gen_ai.response.status"] == "in_progress"
    assert [span.links[0].context for span in (first, second)] == [create.context] * 2
    assert ["aiobs.job.duration" in span.attributes for span in (create, first, second)] == [False, False, True]


def test_cancelling_is_linked_and_is_no_poll(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The call that cancels is linked to the one that submitted; it has not asked how far the batch is."""
    client = simulator.openai()
    batch = submitted(client, asked("a"))
    client.batches.cancel(batch_id=batch.id)
    create, cancel = instrumented.spans
    assert (cancel.name, attributes_of(cancel)["gen_ai.response.status"]) == ("cancel_batch", "cancelling")
    assert [link.context for link in cancel.links] == [create.context]
    assert "aiobs.job.polls" not in attributes_of(cancel)


def test_a_batch_that_failed(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR with the code of its first error on the call that finds out."""
    error = {"code": "invalid_json_line", "message": "not JSON", "line": 1, "param": None}
    handed_out(simulator, simulator.openai(), b"", status="failed", errors={"object": "list", "data": [error]})
    span = instrumented.span("fetch_batch")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "invalid_json_line")


@pytest.mark.parametrize(
    "answer", [b"[]", b"null", b'"page"', b'{"id": 7, "status": ["x"], "request_counts": "many", "endpoint": {}}']
)
def test_odd_batches(simulator: Simulator, instrumented: InMemoryTelemetry, answer: bytes) -> None:
    """What is no batch is read as far as it goes: one span, no status."""
    simulator.raw(answer)
    simulator.openai().batches.retrieve("batch_1")
    span = instrumented.span("fetch_batch")
    assert (span.status.status_code, span.attributes["gen_ai.response.id"]) == (StatusCode.UNSET, "batch_1")


def test_the_session_file_counts_no_batch(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The event of a batch has its numbers and what the provider says of all of it, which is nobody's ``usage``."""
    observer.observe("batches", tracer_provider=signals.tracer_provider)
    Instrumentor(**signals.providers).instrument()
    client = simulator.openai()
    client.files.content(finished(client, asked("a")).output_file_id)
    create, request = file_events()
    assert create["request"]["other"]["endpoint"] == CHAT
    assert (create["response"]["usage"], create["response"]["status"]) == (None, "completed")
    if has("openai requests of every recording"):
        assert create["response"]["batch_usage"]["input_tokens"] == 8
    assert (request["api"], request["response"]["usage"]["prompt_tokens"]) == ("files.content", 8)
    assert request["response"]["text"].startswith("Here is a simulated answer")


# Results


def test_each_request_of_a_batch_is_a_span(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """What a call of the endpoint would have, with the batch's id and the program's name for the request."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    client = simulator.openai()
    client.files.content(finished(client, asked("one", "two")).output_file_id)
    spans = of_batch(signals)
    assert [span.attributes["aiobs.batch.custom_id"] for span in spans] == ["one", "two"]
    assert [link.context for link in spans[0].links] == [signals.span("create_batch").context]
    assert spans[0].name == "chat gpt-4o"
    shown = attributes_of(spans[0])
    assert json.loads(shown.pop("gen_ai.output.messages"))[0]["parts"][0]["content"].startswith("Here is a simulated")
    assert shown == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "server.address": "127.0.0.1",
        "aiobs.api.name": "files.content",
        "aiobs.batch.id": "batch_simulated000002",
        "aiobs.batch.custom_id": "one",
        "gen_ai.response.id": "chatcmpl-simulated000001",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 8,
        "gen_ai.usage.output_tokens": 42,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "gen_ai.usage.audio.input_tokens": 0,
        "gen_ai.usage.audio.output_tokens": 0,
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_simulated",
    }
    assert spans[0].attributes["aiobs.request.id"] == "req_batch000"
    assert spans[0].attributes["code.file.path"] == __file__


def test_nothing_is_said_with_the_gate_closed(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """An answer of a batch is content as any other."""
    client = simulator.openai()
    client.files.content(finished(client, asked("a")).output_file_id)
    assert len(of_batch(instrumented)) == 1
    assert "simulated answer" not in "".join(span.to_json() for span in instrumented.spans)


def test_tokens_are_counted_and_times_are_not(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The counters have what the requests used; the histogram of durations has none of them."""
    client = simulator.openai()
    client.files.content(finished(client, asked("a", "b")).output_file_id)
    metrics = instrumented.metrics()
    (point,) = metrics["gen_ai.client.inference.usage.input_tokens"]
    assert (point.value, point.attributes["gen_ai.request.model"]) == (16, "gpt-4o")
    assert "gen_ai.client.inference.duration" not in metrics
    timed = {point.attributes["gen_ai.operation.name"] for point in metrics["gen_ai.client.operation.duration"]}
    assert timed == {"create_batch", "fetch_batch"}


def test_a_file_counts_once(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Reading it again, after asking again, tells nothing new."""
    client = simulator.openai()
    batch = finished(client, asked("a"))
    for _ in range(2):
        client.files.content(batch.output_file_id)
        client.batches.retrieve(batch.id)
    assert len(of_batch(instrumented)) == 1


def test_refused_requests(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A request that the endpoint refused is ERROR with its code, and of the model that the batch was for."""
    client = simulator.openai()
    batch = finished(client, asked("good") + b"\n" + asked("bad", messages=None))
    client.files.content(batch.output_file_id)
    client.files.content(batch.error_file_id)
    good, bad = of_batch(instrumented)
    assert (good.status.status_code, bad.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    shown = attributes_of(bad)
    assert (shown["error.type"], shown["aiobs.error.code"]) == ("missing_required_parameter", "BAD_REQUEST")
    assert (shown["aiobs.http.status_code"], shown["aiobs.error.retryable"]) == (400, False)
    assert (shown["gen_ai.request.model"], shown["aiobs.batch.custom_id"]) == ("gpt-4o", "bad")


def test_a_request_that_expired(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A line with an error and no response."""
    error = {"code": "batch_expired", "message": "too late"}
    gone = json.dumps({"id": "b", "custom_id": "a", "response": None, "error": error}).encode()
    handed_out(simulator, simulator.openai(), line() + gone)
    _, span = of_batch(instrumented)
    assert (span.attributes["error.type"], span.attributes["gen_ai.request.model"]) == ("batch_expired", "gpt-4o")


@pytest.mark.parametrize(
    ("endpoint", "body", "name"),
    [
        ("/v1/embeddings", {"input": "x"}, "embeddings gpt-4o"),
        pytest.param("/v1/responses", {"input": "x"}, "chat gpt-4o"),
    ],
)
def test_other_endpoints(
    simulator: Simulator, instrumented: InMemoryTelemetry, endpoint: str, body: dict[str, Any], name: str
) -> None:
    """The operation is that of the batch's endpoint."""
    client = simulator.openai()
    client.files.content(finished(client, asked("a", url=endpoint, **body), endpoint).output_file_id)
    (span,) = of_batch(instrumented)
    assert (span.name, span.attributes["gen_ai.usage.input_tokens"] > 0) == (name, True)


def test_a_batch_of_another_process(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """One that was submitted elsewhere is told of without a link."""
    handed_out(simulator, simulator.openai(), line())
    (span,) = of_batch(instrumented)
    assert (span.links, span.attributes["aiobs.batch.id"]) == ((), "batch_1")


def test_other_files_are_files(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A file that no batch is known to have written is not looked at, whatever is in it."""
    client = simulator.openai()
    finished(client, asked("a"))
    simulator.raw(line())
    client.files.content("file-other")
    assert of_batch(instrumented) == []


ODD = {
    "no JSON": b"{not json",
    "a list": b"[1, 2]",
    "null": b"null",
    "a text": b'"x"',
    "no response": b'{"custom_id": "a"}',
    "a response that is none": b'{"custom_id": "a", "response": "x"}',
    "a body that is none": b'{"custom_id": "a", "response": {"status_code": 200, "body": 7}}',
    "no UTF-8": b"\xff\xfe\x00",
    "cut": line()[:60],
    "deep": b"[" * 2000 + b"]" * 2000,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_what_is_no_result(
    simulator: Simulator, instrumented: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, odd: bytes
) -> None:
    """It is counted in one log line; the lines around it have their spans, and the program its bytes."""
    caplog.set_level(logging.WARNING, "aiobs")
    body = line("a") + odd + b"\n\n" + line("b")
    assert handed_out(simulator, simulator.openai(), body).content == body
    assert [span.attributes["aiobs.batch.custom_id"] for span in of_batch(instrumented)] == ["a", "b"]
    assert [record.getMessage() for record in caplog.records if record.name == "aiobs"] == [
        "aiobs: 1 results of batch batch_1 could not be read; they have no span"
    ]


@pytest.mark.quiet_guard
@pytest.mark.nonconforming("an answer that names no model")
@pytest.mark.parametrize("field", ["id", "model", "usage", "choices", "created"])
@pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": {}}], ids=repr)
def test_odd_answers(simulator: Simulator, instrumented: InMemoryTelemetry, field: str, value: Any) -> None:
    """An answer with something odd in it has its span all the same."""
    body = {"id": "c", "model": "gpt-4o", "choices": [], "usage": None, field: value}
    handed_out(simulator, simulator.openai(), line("a", body=body) + line("b"))
    assert len(of_batch(instrumented)) == 2


def test_the_first_thousand(
    simulator: Simulator, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Of more results than ``MOST`` the first have spans; log, counter and the last span say how many have none."""
    monkeypatch.setattr(results, "MOST", 3)
    handed_out(simulator, simulator.openai(), line() + b"{cut\n" + line() * 8)
    assert [unrecorded(span) for span in of_batch(instrumented)] == [None, 8]
    told = [record.getMessage() for record in caplog.records if record.name == "aiobs"]
    assert told == [
        "aiobs: 1 results of batch batch_1 could not be read; they have no span",
        "aiobs: batch batch_1 has 7 results beyond the first 3; they have no span",
    ]
    (point,) = instrumented.metrics()["aiobs.batch.results.unrecorded"]
    assert (point.value, dict(point.attributes)) == (8, {"gen_ai.provider.name": "openai"})


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken"])
def test_files_within_the_bound(simulator: Simulator, instrumented: InMemoryTelemetry, broken: bool) -> None:
    """Nothing is told where every result has a span; a file without one readable line is on the counter alone."""
    handed_out(simulator, simulator.openai(), b"{cut\n" if broken else line("a") + line("b"))
    assert [unrecorded(span) for span in of_batch(instrumented)] == ([] if broken else [None, None])
    points = instrumented.metrics().get("aiobs.batch.results.unrecorded", ())
    assert [point.value for point in points] == ([1] if broken else [])


def unrecorded(span: Any) -> Any:
    """How many results the span says have none."""
    return span.attributes.get("aiobs.batch.results.unrecorded")


def _streamed(client: Any, file: str) -> bytes:
    with client.files.with_streaming_response.content(file) as response:
        return b"".join(response.iter_bytes())


def _raw(client: Any, file: str) -> bytes:
    return bytes(client.files.with_raw_response.content(file).content)


def _text(client: Any, file: str) -> bytes:
    with pytest.warns(DeprecationWarning, match="content"):
        return str(client.files.retrieve_content(file)).encode()


@pytest.mark.parametrize(("read", "spans"), [(_streamed, 0), (_raw, 1), (_text, 1)])
def test_other_ways_of_reading(
    simulator: Simulator, instrumented: InMemoryTelemetry, read: Callable[[Any, str], bytes], spans: int
) -> None:
    """What the SDK has in memory is read; what the program takes piece by piece is its own."""
    client = simulator.openai()
    handed_out(simulator, client, line(), output_file_id="file-3")
    simulator.raw(line(), headers={"content-type": "text/plain"})
    assert read(client, "file-3") == line()
    assert len(of_batch(instrumented)) == spans


def test_async(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """An async client, in the same way."""

    async def program() -> None:
        async with simulator.async_openai() as client:
            file = await client.files.create(file=("batch.jsonl", asked("a")), purpose="batch")
            batch = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
            for _ in range(2):
                batch = await client.batches.retrieve(batch_id=batch.id)
            await client.files.content(batch.output_file_id)

    asyncio.run(program())
    (span,) = of_batch(instrumented)
    assert [link.context for link in span.links] == [instrumented.span("create_batch").context]
    assert span.attributes["code.file.path"] == __file__


def test_requests_are_children_of_the_programs_span(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """They are where the program read them."""
    client = simulator.openai()
    batch = finished(client, asked("a"))
    with instrumented.tracer_provider.get_tracer("program").start_as_current_span("reading") as reading:
        client.files.content(batch.output_file_id)
    (span,) = of_batch(instrumented)
    assert span.parent == reading.get_span_context()


def test_nothing_of_it_when_uninstrumented(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Afterwards a file is a file, and nothing is remembered."""
    client = simulator.openai()
    batch = finished(client, asked("a"))
    Instrumentor().uninstrument()
    client.files.content(batch.output_file_id)
    assert (of_batch(instrumented), jobs.has_files()) == ([], False)
