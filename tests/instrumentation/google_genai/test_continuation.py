"""Automatic continuation: an answer that the SDK gets by several requests."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import errors
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, file_events, tree_of
from tests.versions import aio_of, needs

pytestmark = needs("gemini continuation")

HELPER = "automatic_continuation m"
REQUEST = "generate_content m"


def whole(client: Any, **config: Any) -> str:
    return str(client.models.generate_content(model="m", contents="q", config=config or None).text)


def streamed(client: Any, **config: Any) -> str:
    stream = client.models.generate_content_stream(model="m", contents="q", config=config or None)
    return "".join(chunk.text or "" for chunk in stream)


def whole_async(client: Any, **config: Any) -> str:
    async def call() -> str:
        async with aio_of(client) as entered:
            return str((await entered.models.generate_content(model="m", contents="q", config=config or None)).text)

    return asyncio.run(call())


def streamed_async(client: Any, **config: Any) -> str:
    async def call() -> str:
        async with aio_of(client) as entered:
            stream = await entered.models.generate_content_stream(model="m", contents="q", config=config or None)
            return "".join([chunk.text or "" async for chunk in stream])

    return asyncio.run(call())


APIS = {
    whole: "models.generate_content",
    streamed: "models.generate_content_stream",
    whole_async: "models.generate_content",
    streamed_async: "models.generate_content_stream",
}
every_way = pytest.mark.parametrize("call", APIS)


def to_be_continued(simulator: Simulator, text: str) -> None:
    """An answer that is not all; the SDK stops at a token that it has had before."""
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5}
    simulator.reply(
        text, finish_reason="CONTINUATION", choice={"continuationToken": b64encode(text.encode()).decode()}, usage=usage
    )


@every_way
def test_a_parent_and_its_requests(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., str]
) -> None:
    """An INTERNAL parent without usage around the spans of the requests, as if it had been there from the start."""
    to_be_continued(simulator, "One, ")
    to_be_continued(simulator, "two, ")
    simulator.reply("three.", usage={"promptTokenCount": 30, "candidatesTokenCount": 7})
    tracer = instrumented.tracer_provider.get_tracer("program")
    with tracer.start_as_current_span("program"):
        assert call(simulator.gemini()) == "One, two, three."
    assert tree_of(instrumented) == ["program", [HELPER, [REQUEST] * 3]]
    parent = instrumented.span(HELPER)
    assert (parent.kind, parent.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
    assert attributes_of(parent) == {"aiobs.api.name": APIS[call], "gen_ai.request.model": "m"}
    assert (parent.attributes or {})["code.file.path"] == __file__
    requests: list[Any] = [span.attributes for span in instrumented.spans if span.name == REQUEST]
    assert [each["gen_ai.response.finish_reasons"] for each in requests] == [
        ("continuation",), ("continuation",), ("stop",),
    ]  # fmt: skip
    assert [each["gen_ai.usage.input_tokens"] for each in requests] == [10, 10, 30]


@every_way
def test_an_answer_that_is_whole(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., str]
) -> None:
    """No parent where there is nothing to continue, or where the program does not want it."""
    simulator.reply("All.")
    call(simulator.gemini())
    to_be_continued(simulator, "One, ")
    assert call(simulator.gemini(), automatic_continuation=False) == "One, "
    assert tree_of(instrumented) == [REQUEST, REQUEST]


@every_way
def test_one_event(simulator: Simulator, signals: InMemoryTelemetry, call: Callable[..., str]) -> None:
    """The session file has one event, with the sum of the usage."""
    observer.observe(tracer_provider=signals.tracer_provider)
    to_be_continued(simulator, "One, ")
    simulator.reply("two.", usage={"promptTokenCount": 30, "candidatesTokenCount": 7})
    call(simulator.gemini())
    (event,) = file_events()
    parent = signals.span(HELPER).context
    assert parent is not None
    assert (event["span_id"], event["parent_span_id"]) == (f"{parent.span_id:016x}", None)
    usage = event["response"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (40, 12)
    assert event["callsite"]["file"].endswith("test_continuation.py")


@pytest.mark.parametrize("call", [whole, whole_async])
def test_a_continuation_that_fails(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., str]
) -> None:
    """The parent and the request that failed have the error, the first request has none."""
    to_be_continued(simulator, "One, ")
    simulator.fail(503)
    with pytest.raises(errors.ServerError):
        call(simulator.gemini())
    assert tree_of(instrumented) == [HELPER, [REQUEST, REQUEST]]
    first, second = [span for span in instrumented.spans if span.name == REQUEST]
    statuses = [span.status.description for span in (first, second, instrumented.span(HELPER))]
    assert statuses == [None, "UNAVAILABLE", "UNAVAILABLE"]


@pytest.mark.parametrize("call", [streamed, streamed_async])
def test_a_stream_that_breaks_and_goes_on(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., str]
) -> None:
    """The SDK goes on after a break where the stream has left a token: one failed request, one good one, one parent."""
    simulator.raw(
        [
            b'data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "One, "}]}, "index": 0, '
            b'"continuationToken": "dG9rZW4="}]}\r\n\r\n',
            b'data: {"error": {"code": 503, "status": "UNAVAILABLE", "message": "later"}}\r\n\r\n',
        ]
    )
    simulator.reply("two.")
    assert call(simulator.gemini()) == "One, two."
    assert tree_of(instrumented) == [HELPER, [REQUEST, REQUEST]]
    first, second = [span for span in instrumented.spans if span.name == REQUEST]
    assert (first.status.description, second.status.status_code) == ("UNAVAILABLE", StatusCode.UNSET)
    assert instrumented.span(HELPER).status.status_code is StatusCode.UNSET


def test_functions_and_a_continuation(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Inside automatic function calling there is one parent, that of the function calling."""

    def weather(city: str) -> str:
        """The weather."""
        return "sunny"

    to_be_continued(simulator, "Let me see, ")
    simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    simulator.reply("sunny.")
    whole(simulator.gemini(), tools=[weather])
    assert tree_of(instrumented) == [
        "automatic_function_calling m",
        [REQUEST, REQUEST, "execute_tool weather", REQUEST],
    ]
