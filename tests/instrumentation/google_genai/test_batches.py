"""Batches of Gemini: the calls, and the spans of the requests, whose answers come with the job or in a file."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.capture import results
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, content_of, file_events
from tests.versions import has, needs

pytestmark = needs("gemini batches")

MODEL = "gemini-2.5-flash"


def asked(*keys: str) -> list[dict[str, Any]]:
    return [
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **({"metadata": {"key": key}} if key else {})}
        for key in keys
    ]


def finished(client: Any, source: Any) -> Any:
    """A batch of these requests, asked after until it was done."""
    batch = client.batches.create(model=MODEL, src=source)
    client.batches.get(name=batch.name)
    return client.batches.get(name=batch.name)


def job(**metadata: Any) -> bytes:
    """What the service says of a batch that this process has not heard of."""
    given = {"model": f"models/{MODEL}", "state": "BATCH_STATE_SUCCEEDED", **metadata}
    return json.dumps({"name": "batches/b1", "metadata": given}).encode()


def of_batch(signals: InMemoryTelemetry) -> list[Any]:
    return [span for span in signals.spans if "aiobs.batch.id" in (span.attributes or {})]


def test_submitting_and_asking(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Whom to ask, how far it is, how often asked, a link to the submitting call, the time at the end."""
    finished(simulator.gemini(), "files/asked")
    create, first, second = instrumented.spans
    common = {"gen_ai.provider.name": "gcp.gemini", "server.address": "127.0.0.1", "aiobs.http.status_code": 200}
    which = {"gen_ai.response.id": "batches/simulated000001", "gen_ai.response.model": MODEL}
    assert create.name == f"create_batch {MODEL}"
    assert attributes_of(create) == {
        **common,
        **which,
        "gen_ai.operation.name": "create_batch",
        "gen_ai.request.model": MODEL,
        "aiobs.api.name": "batches.create",
        "aiobs.request.config.src": "files/asked",
        "gen_ai.response.status": "queued",
    }
    duration = second.attributes["aiobs.job.duration"]
    assert attributes_of(second) == {
        **common,
        **which,
        "gen_ai.operation.name": "fetch_batch",
        "aiobs.api.name": "batches.get",
        "gen_ai.response.status": "completed",
        "aiobs.job.polls": 2,
        "aiobs.job.duration": duration,
    }
    assert attributes_of(first)["gen_ai.response.status"] == "in_progress"
    assert [span.links[0].context for span in (first, second)] == [create.context] * 2


def test_answers_that_come_with_the_job(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Each is a span of ``generate_content``, once, however often the job is asked after."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    client = simulator.gemini()
    batch = finished(client, asked("one", ""))
    client.batches.get(name=batch.name)
    one, two = of_batch(signals)
    assert content_of(one)["output.messages"][0]["parts"][0]["content"].startswith("Here is a simulated answer")
    shown = attributes_of(one)
    del shown["gen_ai.output.messages"]
    assert shown == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": MODEL,
        "server.address": "127.0.0.1",
        "aiobs.api.name": "batches.get",
        "aiobs.batch.id": "batches/simulated000001",
        **({"aiobs.batch.custom_id": "one"} if has("gemini metadata of batches") else {}),
        "gen_ai.response.id": "simulated000001",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 4,
        "gen_ai.usage.output_tokens": 27,
        "gen_ai.usage.text.input_tokens": 4,
        "gen_ai.usage.text.output_tokens": 27,
    }
    assert "aiobs.batch.custom_id" not in attributes_of(two)
    assert [link.context for link in one.links] == [signals.span(f"create_batch {MODEL}").context]
    metrics = signals.metrics()
    assert sum(point.value for point in metrics["gen_ai.client.inference.usage.input_tokens"]) == 8
    assert "gen_ai.client.inference.duration" not in metrics


def test_answers_in_a_file(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The file that the job names is told of once; a line with an error is one."""
    client = simulator.gemini()
    batch = finished(client, "files/asked")
    for _ in range(2):
        client.files.download(file=batch.dest.file_name)
    good, bad = of_batch(instrumented)
    assert (good.attributes["aiobs.batch.custom_id"], good.attributes["gen_ai.usage.input_tokens"]) == ("a", 4)
    assert bad.status.status_code is StatusCode.ERROR
    shown = attributes_of(bad)
    assert (shown["error.type"], shown["aiobs.error.code"]) == ("INVALID_ARGUMENT", "BAD_REQUEST")
    assert (shown["gen_ai.request.model"], shown["aiobs.batch.custom_id"]) == (MODEL, "b")


@pytest.mark.parametrize("source", ["inlined", "file"])
def test_more_answers_than_are_told_of(
    simulator: Simulator, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """How many have no span is on the last that has one, and on the counter, wherever the answers came from."""
    monkeypatch.setattr(results, "MOST", 1)
    client = simulator.gemini()
    batch = finished(client, "files/asked" if source == "file" else asked("one", "two", "three"))
    if source == "file":
        client.files.download(file=batch.dest.file_name)
    expected = 1 if source == "file" else 2
    (span,) = of_batch(instrumented)
    assert span.attributes["aiobs.batch.results.unrecorded"] == expected
    (point,) = instrumented.metrics()["aiobs.batch.results.unrecorded"]
    assert (point.value, dict(point.attributes)) == (expected, {"gen_ai.provider.name": "gcp.gemini"})


@pytest.mark.filterwarnings("ignore:.*experimental")
def test_vectors(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A batch of embeddings has spans of ``embeddings`` with their tokens, linked to the call that submitted it."""
    client = simulator.gemini()
    source = {"inlined_requests": {"contents": [{"parts": [{"text": "hi"}]}]}}
    batch = client.batches.create_embeddings(model="text-embedding-004", src=source)
    for _ in range(2):
        client.batches.get(name=batch.name)
    (span,) = of_batch(instrumented)
    assert (span.name, span.attributes["gen_ai.usage.input_tokens"]) == ("embeddings text-embedding-004", 3)
    submitted = instrumented.span("create_batch text-embedding-004")
    assert submitted.attributes["aiobs.api.name"] == "batches.create_embeddings"
    assert submitted.attributes["gen_ai.response.id"] == batch.name
    assert [link.context for link in span.links] == [submitted.context]


def test_refused_requests_of_a_job(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """An error in place of an answer."""
    error = {"error": {"code": 8, "message": "too much"}, "metadata": {"key": "k"}}
    simulator.raw(job(output={"inlinedResponses": {"inlinedResponses": [error]}}))
    simulator.gemini().batches.get(name="batches/b1")
    (span,) = of_batch(instrumented)
    shown = attributes_of(span)
    assert (span.status.status_code, span.links) == (StatusCode.ERROR, ())
    assert (shown["error.type"], shown["aiobs.error.code"]) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")


@pytest.mark.filterwarnings("ignore:.*is not a valid")
@pytest.mark.parametrize("state", ["BATCH_STATE_FAILED", "BATCH_STATE_CANCELLED", "BATCH_STATE_NEW", None])
def test_other_ends(simulator: Simulator, instrumented: InMemoryTelemetry, state: str | None) -> None:
    """A batch that failed is ERROR on the call that finds out; a state that is new is told as it is."""
    simulator.raw(job(state=state))
    simulator.gemini().batches.get(name="batches/b1")
    span = instrumented.span("fetch_batch")
    expected = {
        "BATCH_STATE_FAILED": "failed",
        "BATCH_STATE_CANCELLED": "cancelled",
        "BATCH_STATE_NEW": "batch_state_new",
    }
    assert span.attributes.get("gen_ai.response.status") == expected.get(state or "")
    failed = state == "BATCH_STATE_FAILED"
    assert span.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)


def test_cancelling(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """It has no answer; it is linked to the submitting call."""
    client = simulator.gemini()
    batch = client.batches.create(model=MODEL, src=asked("a"))
    client.batches.cancel(name=batch.name)
    create, cancel = instrumented.spans
    assert (cancel.name, cancel.attributes["gen_ai.response.id"]) == ("cancel_batch", batch.name)
    assert [link.context for link in cancel.links] == [create.context]


def test_async(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The async client, in the same way."""

    async def program() -> None:
        async with simulator.gemini().aio as client:
            batch = await client.batches.create(model=MODEL, src="files/asked")
            for _ in range(2):
                batch = await client.batches.get(name=batch.name)
            await client.files.download(file=batch.dest.file_name)

    asyncio.run(program())
    spans = of_batch(instrumented)
    assert [span.attributes["aiobs.batch.custom_id"] for span in spans] == ["a", "b"]
    assert spans[0].attributes["code.file.path"] == __file__


def test_the_session_file(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Requests as they were passed, polls in the event of the batch; an event for each answer."""
    observer.observe("batches", tracer_provider=signals.tracer_provider)
    Instrumentor(**signals.providers).instrument()
    finished(simulator.gemini(), asked("a"))
    create, answer = file_events()
    assert create["request"]["src"][0]["contents"][0]["parts"][0]["text"] == "hi"
    assert (create["response"]["poll_count"], create["response"]["usage"]) == (2, None)
    assert (answer["api"], answer["response"]["usage"]["prompt_tokens"]) == ("batches.get", 4)
