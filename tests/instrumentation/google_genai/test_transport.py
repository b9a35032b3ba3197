"""What is learned below the methods: retries, HTTP status; and streams that are left, closed or never started."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import errors, types
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, flush, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import file_events
from tests.instrumentation.google_genai.test_errors import streamed, streamed_async, whole, whole_async
from tests.versions import aio_of, needs

RETRY: Any = {"attempts": 3, "initial_delay": 0.001, "max_delay": 0.002, "jitter": 0.0}
counted = needs("gemini retries and HTTP status")

every_way = pytest.mark.parametrize("call", [whole, streamed, whole_async, streamed_async])


def embed(client: Any) -> Any:
    return client.models.embed_content(model="gemini-embedding-001", contents="q")


# Retries


@counted
@pytest.mark.parametrize("call", [whole, streamed, whole_async, streamed_async, embed])
@pytest.mark.parametrize("status", [429, 503])
def test_retries_are_counted_inside_one_span(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[[Any], Any], status: int
) -> None:
    """Two refusals and an answer are one span without an error, and two retries."""
    simulator.fail(status, times=2)
    call(simulator.gemini(http_options={"retry_options": RETRY}))
    assert len(simulator.requests) == 3
    span = instrumented.span()
    attributes: Any = span.attributes
    assert span.status.status_code is StatusCode.UNSET
    assert (attributes["aiobs.retry.count"], attributes["aiobs.http.status_code"]) == (2, 200)
    assert "error.type" not in attributes


@counted
@every_way
def test_retries_that_were_in_vain(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[[Any], Any]
) -> None:
    """One span with the last error."""
    simulator.fail(503, times=3)
    with pytest.raises(errors.ServerError):
        call(simulator.gemini(http_options={"retry_options": RETRY}))
    attributes: Any = instrumented.span().attributes
    assert (attributes["aiobs.retry.count"], attributes["error.type"]) == (2, "UNAVAILABLE")
    assert attributes["aiobs.http.status_code"] == 503


@counted
@pytest.mark.parametrize("call", [whole, streamed_async])
def test_retries_of_a_client_that_was_there_before_us(
    simulator: Simulator, signals: InMemoryTelemetry, call: Callable[[Any], Any]
) -> None:
    """A client made before ``instrument()`` counts too."""
    client = simulator.gemini(http_options={"retry_options": RETRY})
    Instrumentor(**signals.providers).instrument()
    simulator.fail(503)
    call(client)
    assert (signals.span().attributes or {})["aiobs.retry.count"] == 1


@counted
def test_retries_that_a_call_asks_for(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Options of one call, and another call without: each has its own count."""
    client = simulator.gemini()
    simulator.fail(503)
    config = types.GenerateContentConfig(http_options=types.HttpOptions(retry_options=RETRY))
    client.models.generate_content(model="m", contents="q", config=config)
    client.models.generate_content(model="m", contents="q")
    assert [(span.attributes or {}).get("aiobs.retry.count") for span in instrumented.spans] == [1, None]


@counted
def test_retries_of_a_helper(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Each request has its own; there is one event for all of it."""

    def look(at: str) -> str:
        """Look at it."""
        return at

    observer.observe(tracer_provider=signals.tracer_provider)
    client = simulator.gemini(http_options={"retry_options": RETRY})
    simulator.fail(503)
    simulator.reply(tool_calls=[("look", {"at": "x"})])
    simulator.fail(429, times=2)
    client.models.generate_content(model="m", contents="q", config={"tools": [look]})
    requests = [span for span in signals.spans if span.name == "generate_content m"]
    assert [(span.attributes or {}).get("aiobs.retry.count") for span in requests] == [1, 2]
    assert len(file_events()) == 1


# Status


@counted
@pytest.mark.parametrize("call", [whole, streamed, whole_async, streamed_async, embed])
def test_the_status_of_an_answer(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[[Any], Any]
) -> None:
    """It is known for good answers too."""
    call(simulator.gemini())
    assert (instrumented.span().attributes or {})["aiobs.http.status_code"] == 200


def test_no_status_without_an_answer(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A connection that was closed had none."""
    simulator.fault(hang_up=True)
    with pytest.raises(Exception, match=r"(?i)disconnected|aborted|closed"):
        whole(simulator.gemini())
    assert "aiobs.http.status_code" not in (instrumented.span().attributes or {})


@counted
def test_calls_at_the_same_time_keep_theirs_apart(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Two calls by one client at once: the retries of one are not those of the other."""

    def rule(request: Any) -> Any:
        from aiobs.testing import Answer, Fault

        first = [other for other in simulator.requests if b"odd" in other.body]
        return Answer(fault=Fault(status=503)) if b"odd" in request.body and len(first) < 3 else None

    async def program() -> None:
        async with aio_of(simulator.gemini(http_options={"retry_options": RETRY})) as client:
            calls = [client.models.generate_content(model=text, contents=text) for text in ("odd", "even")]
            await asyncio.gather(*calls)

    simulator.on(rule)
    asyncio.run(program())
    counts = {span.name: (span.attributes or {}).get("aiobs.retry.count") for span in instrumented.spans}
    assert counts == {"generate_content odd": 2, "generate_content even": None}


# Streams that are left


def test_a_stream_is_the_sdks_own(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A generator, sync or async, as without us, and of the same name."""
    client = simulator.gemini()

    def kinds() -> list[Any]:
        made = client.models.generate_content_stream(model="m", contents="q")

        async def opened() -> Any:
            stream = await client.aio.models.generate_content_stream(model="m", contents="q")
            await stream.aclose()
            return stream

        found = [made, asyncio.run(opened())]
        return [(type(each), each.__name__) for each in found]

    without = kinds()
    Instrumentor(**signals.providers).instrument()
    assert kinds() == without
    assert signals.spans == ()


@pytest.mark.parametrize("leave", ["never started", "closed before it started", "dropped"])
def test_a_stream_that_was_never_started(simulator: Simulator, instrumented: InMemoryTelemetry, leave: str) -> None:
    """It has made no request: no span."""
    stream = simulator.gemini().models.generate_content_stream(model="m", contents="q")
    if leave == "closed before it started":
        stream.close()
        assert list(stream) == []
    if leave == "dropped":
        del stream
        gc.collect()
    assert flush()
    assert (simulator.requests, instrumented.spans) == ([], ())


@pytest.mark.parametrize("leave", ["close", "drop", "throw"])
def test_a_stream_that_is_left(simulator: Simulator, instrumented: InMemoryTelemetry, leave: str) -> None:
    """Closed, dropped or thrown into: incomplete, no error, and what came before counts."""
    simulator.reply("one two three", usage={"promptTokenCount": 7})
    stream = simulator.gemini().models.generate_content_stream(model="m", contents="q")
    assert next(stream).text == "one"
    if leave == "close":
        stream.close()
        stream.close()
    elif leave == "throw":
        with pytest.raises(LookupError):
            stream.throw(LookupError("the program's own"))
    del stream
    gc.collect()
    assert flush()
    span = instrumented.span()
    attributes: Any = span.attributes
    assert (span.status.status_code, attributes["gen_ai.response.finish_reasons"]) == (StatusCode.UNSET, ("error",))
    assert (attributes["aiobs.incomplete"], attributes["gen_ai.usage.input_tokens"]) == (True, 7)


def test_an_async_stream_that_is_left(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The same with ``aclose``, twice, and reading on afterwards."""

    async def program() -> None:
        async with aio_of(simulator.gemini()) as client:
            stream = await client.models.generate_content_stream(model="m", contents="q")
            await anext(stream)
            await stream.aclose()
            await stream.aclose()
            assert [chunk async for chunk in stream] == []

    asyncio.run(program())
    assert flush()
    attributes: Any = instrumented.span().attributes
    assert (attributes["gen_ai.response.finish_reasons"], attributes["aiobs.incomplete"]) == (("error",), True)
