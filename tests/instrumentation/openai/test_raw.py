"""Raw and streaming responses: the SDK's objects unchanged, and nothing read that the program has not read."""

from __future__ import annotations

import openai
import pytest
from opentelemetry.trace import StatusCode

from aiobs.testing import Simulator

ASK = [{"role": "user", "content": "What is an API?"}]
TEXT = "one two three"


def test_a_raw_response_is_read_without_parsing_it(simulator: Simulator, instrumented) -> None:
    """The span has everything although the program has not called parse()."""
    raw = simulator.openai().chat.completions.with_raw_response.create(model="m", messages=ASK)
    assert type(raw).__name__ == "LegacyAPIResponse"
    assert raw._parsed_by_type == {}
    attributes = instrumented.span("chat m").attributes
    assert attributes["gen_ai.response.id"] == "chatcmpl-simulated000001"
    assert attributes["gen_ai.usage.input_tokens"] > 0
    assert raw.parse() is raw.parse()
    assert raw.headers["x-request-id"] == "req_000001"


def test_a_raw_stream_is_traced_when_it_is_parsed(simulator: Simulator, instrumented) -> None:
    """parse() of a raw stream gives the SDK's stream, each chunk seen as it passes.

    breaks-apps #6
    """
    simulator.reply(TEXT)
    raw = simulator.openai().chat.completions.with_raw_response.create(model="m", messages=ASK, stream=True)
    assert instrumented.spans == ()
    stream = raw.parse()
    assert isinstance(stream, openai.Stream)
    assert raw.parse() is stream
    assert len(list(stream)) == 5
    assert instrumented.span("chat m").attributes["gen_ai.response.finish_reasons"] == ("stop",)


async def test_an_async_raw_response(simulator: Simulator, instrumented) -> None:
    """On the async client the legacy response's parse() is sync, and stays so."""
    async with simulator.async_openai() as client:
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=ASK)
        assert raw.parse().choices[0].message.content
        stream = await client.chat.completions.with_raw_response.create(model="s", messages=ASK, stream=True)
        assert [chunk async for chunk in stream.parse()]
    assert [span.attributes["gen_ai.response.finish_reasons"] for span in instrumented.spans] == [("stop",), ("stop",)]


def test_a_streaming_response_is_not_read_by_us(simulator: Simulator, instrumented) -> None:
    """10: the body is on the wire until the program reads it.

    breaks-apps #10
    """
    with simulator.openai().chat.completions.with_streaming_response.create(model="m", messages=ASK) as response:
        assert not response.http_response.is_stream_consumed
        assert instrumented.spans == ()
        assert response.parse().choices[0].message.content
    assert instrumented.span("chat m").attributes["gen_ai.response.finish_reasons"] == ("stop",)


@pytest.mark.parametrize("read", ["nothing", "bytes", "lines", "json", "read"])
def test_however_the_body_is_read(simulator: Simulator, instrumented, read: str) -> None:
    """One span; the answer is on it exactly if the program read the body as a whole."""
    with simulator.openai().chat.completions.with_streaming_response.create(model="m", messages=ASK) as response:
        if read == "bytes":
            assert b"".join(response.iter_bytes())
        elif read == "lines":
            assert list(response.iter_lines())
        elif read in ("json", "read"):
            assert getattr(response, read)()
    span = instrumented.span("chat m")
    assert ("gen_ai.response.id" in span.attributes) == (read in ("json", "read"))
    assert span.status.status_code is StatusCode.UNSET


def test_a_streaming_response_that_streams(simulator: Simulator, instrumented) -> None:
    """with_streaming_response and stream=True: parse() gives a stream, which is traced."""
    simulator.reply(TEXT)
    chat = simulator.openai().chat.completions
    with chat.with_streaming_response.create(model="m", messages=ASK, stream=True) as response:
        assert len(list(response.parse())) == 5
    assert instrumented.span("chat m").attributes["gen_ai.response.finish_reasons"] == ("stop",)


async def test_an_async_streaming_response(simulator: Simulator, instrumented) -> None:
    """9: parse() of the async one is a coroutine, and stays one.

    breaks-apps #9
    """
    simulator.reply(TEXT)
    async with simulator.async_openai() as client:
        chat = client.chat.completions
        async with chat.with_streaming_response.create(model="m", messages=ASK, stream=True) as response:
            stream = await response.parse()
            assert len([chunk async for chunk in stream]) == 5
        async with chat.with_streaming_response.create(model="whole", messages=ASK) as response:
            assert (await response.parse()).id == "chatcmpl-simulated000002"
    reasons = [span.attributes["gen_ai.response.finish_reasons"] for span in instrumented.spans]
    assert reasons == [("stop",), ("stop",)]


def test_a_streaming_response_left_early(simulator: Simulator, instrumented) -> None:
    """Leaving the block before the stream's end is no error."""
    simulator.reply(TEXT)
    chat = simulator.openai().chat.completions
    with chat.with_streaming_response.create(model="m", messages=ASK, stream=True) as response:
        next(response.parse())
    span = instrumented.span("chat m")
    assert span.attributes["aiobs.incomplete"] is True
    assert span.status.status_code is StatusCode.UNSET


def test_a_raw_body_that_is_no_json(simulator: Simulator, instrumented) -> None:
    """A span without an answer; parse() fails, or not, as without us."""
    simulator.raw(b"<html>", headers={"content-type": "text/html"})
    raw = simulator.openai().chat.completions.with_raw_response.create(model="m", messages=ASK)
    assert raw.parse() == "<html>"
    assert "gen_ai.response.id" not in instrumented.span("chat m").attributes
