"""Streams: the SDK's own objects, and a span that ends once however the stream does."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import openai
import pytest
from opentelemetry.trace import StatusCode

from aiobs.capture import deferred
from aiobs.runtime import flush
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import chat_with_parse, needs

ASK = [{"role": "user", "content": "What is an API?"}]
TEXT = "one two three four"


def create(simulator: Simulator, **options):
    return simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True, **options)


def outcome(signals: InMemoryTelemetry) -> dict:
    span = signals.span("chat m")
    attributes = span.attributes
    return {
        "status": span.status.status_code,
        "reasons": attributes.get("gen_ai.response.finish_reasons"),
        "incomplete": attributes.get("aiobs.incomplete"),
        "cancelled": attributes.get("aiobs.cancelled"),
        "error": attributes.get("error.type"),
    }


DONE = {"status": StatusCode.UNSET, "reasons": ("stop",), "incomplete": None, "cancelled": None, "error": None}
BROKEN_OFF = {**DONE, "reasons": ("error",), "incomplete": True}


def test_an_exhausted_stream_has_usage_and_first_chunk(simulator: Simulator, instrumented) -> None:
    """S1-37: usage from the last chunk, time to first chunk, and the span's end is the stream's."""
    simulator.reply(TEXT, usage={"prompt_tokens": 11, "completion_tokens": 22})
    stream = create(simulator, stream_options={"include_usage": True})
    assert isinstance(stream, openai.Stream)
    assert instrumented.spans == ()
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == TEXT
    attributes = instrumented.span("chat m").attributes
    assert outcome(instrumented) == DONE
    assert attributes["gen_ai.request.stream"] is True
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (11, 22)
    assert 0 < attributes["gen_ai.response.time_to_first_chunk"] < 5
    metrics = instrumented.metrics()
    assert metrics["gen_ai.client.inference.time_to_first_chunk"][0].count == 1
    assert metrics["gen_ai.client.inference.time_per_output_chunk"][0].count == 1


async def test_an_exhausted_async_stream(simulator: Simulator, instrumented) -> None:
    """The async SDK drains the connection after the last chunk; that is not a close."""
    simulator.reply(TEXT)
    async with simulator.async_openai() as client:
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        assert isinstance(stream, openai.AsyncStream)
        assert len([chunk async for chunk in stream]) == 6
    assert outcome(instrumented) == DONE


def test_next_and_for_drive_one_iteration(simulator: Simulator, instrumented) -> None:
    """next() and for may be mixed (16 in how instrumentation breaks apps).

    breaks-apps #16
    """
    simulator.reply(TEXT)
    stream = create(simulator)
    first = next(stream)
    rest = list(stream)
    assert first.choices[0].delta.role == "assistant"
    assert len(rest) == 5
    assert outcome(instrumented) == DONE


def close_in_with(stream) -> None:
    with stream:
        next(stream)


def close_by_hand(stream) -> None:
    next(stream)
    stream.close()
    stream.close()


def close_response(stream) -> None:
    next(stream)
    stream.response.close()


def close_unread(stream) -> None:
    stream.close()


@pytest.mark.parametrize("leave", [close_in_with, close_by_hand, close_response, close_unread])
def test_a_closed_stream_ends_at_once(simulator: Simulator, instrumented, leave) -> None:
    """Each way of closing ends the span, once, at the last chunk's time, as incomplete.

    breaks-apps #3, #17
    """
    simulator.reply(TEXT)
    leave(create(simulator))
    assert outcome(instrumented) == BROKEN_OFF


@pytest.mark.parametrize("leave", [close_in_with, close_by_hand, close_response])
def test_closing_after_the_end_changes_nothing(simulator: Simulator, instrumented, leave) -> None:
    """A stream that was read to its end and is closed afterwards stays complete."""
    simulator.reply(TEXT)
    stream = create(simulator)
    list(stream)
    with pytest.raises(StopIteration):
        leave(stream)
    assert outcome(instrumented) == DONE


def test_a_stream_let_go_of_is_ended_by_the_next_call(simulator: Simulator, instrumented) -> None:
    """break without with: the collector finds the stream, the next call ends its span."""
    simulator.reply(TEXT)
    for _chunk in create(simulator):
        break
    del _chunk
    gc.collect()
    assert instrumented.spans == ()
    simulator.openai().chat.completions.create(model="other", messages=ASK)
    assert outcome(instrumented) == BROKEN_OFF


def test_a_stream_let_go_of_is_ended_by_flush(simulator: Simulator, instrumented) -> None:
    """flush() runs the collector if a stream is open: the SDK's stream and generator hold each other."""
    simulator.reply(TEXT)
    gc.disable()
    try:
        create(simulator)
        assert flush()
    finally:
        gc.enable()
    assert outcome(instrumented) == BROKEN_OFF


def test_flush_leaves_a_stream_that_is_still_read(simulator: Simulator, instrumented) -> None:
    """An open stream that somebody holds goes on after flush()."""
    simulator.reply(TEXT)
    stream = create(simulator)
    next(stream)
    flush()
    assert instrumented.spans == ()
    list(stream)
    assert outcome(instrumented) == DONE


def test_the_exit_ends_streams_that_are_open(simulator: Simulator, instrumented) -> None:
    """At exit nobody reads on."""
    simulator.reply(TEXT)
    stream = create(simulator)
    next(stream)
    deferred.settle_all()
    assert outcome(instrumented) == BROKEN_OFF
    assert len(list(stream)) == 5


async def test_a_stream_of_a_closed_loop_is_ended_by_flush(simulator: Simulator, instrumented) -> None:
    """A stream whose event loop is gone can never be read on."""

    def run() -> list:
        async def leave_open():
            client = simulator.async_openai()
            stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
            await anext(stream)
            kept.append((client, stream))

        kept: list = []
        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave_open())
        loop.run_until_complete(kept[0][0].close())
        loop.close()
        return kept

    simulator.reply(TEXT)
    thread_result: list = []
    thread = threading.Thread(target=lambda: thread_result.append(run()))
    thread.start()
    thread.join()
    assert instrumented.spans == ()
    flush()
    assert outcome(instrumented) == BROKEN_OFF


def test_a_sync_stream_outlives_the_loop_it_was_opened_in(simulator: Simulator, instrumented) -> None:
    """A sync client used inside a coroutine: its stream can be read on when the loop is closed."""

    async def opened() -> list:
        stream = create(simulator)
        next(stream)
        return [stream]

    simulator.reply(TEXT)
    (stream,) = asyncio.run(opened())
    flush()
    assert instrumented.spans == ()
    list(stream)
    assert outcome(instrumented) == DONE


@pytest.mark.parametrize(
    ("fault", "error", "error_type"),
    [
        pytest.param(
            {"cut_after": 2},
            openai.APIConnectionError,
            "openai.APIConnectionError",
            marks=needs("openai errors of broken streams"),
        ),
        ({"error_after": 2, "code": "server_error"}, openai.APIError, "server_error"),
        ({"error_after": 2}, openai.APIError, "openai.APIError"),
        ({"malformed": True}, ValueError, "json.decoder.JSONDecodeError"),
    ],
)
def test_a_failing_stream_fails_its_span(simulator: Simulator, instrumented, fault, error, error_type) -> None:
    """A stream that breaks raises the SDK's own error, and the span is an ERROR with its type.

    breaks-apps #21
    """
    simulator.fault(**fault)
    with pytest.raises(error):
        list(create(simulator))
    assert outcome(instrumented) == {
        "status": StatusCode.ERROR, "reasons": ("error",), "incomplete": True, "cancelled": None, "error": error_type,
    }  # fmt: skip


def test_a_stream_that_ends_early_without_error(simulator: Simulator, instrumented) -> None:
    """A clean end with no finish reason is no error, but `error` is the choice's finish reason."""
    simulator.raw([b'data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}\n\n'])
    assert len(list(create(simulator))) == 1
    assert outcome(instrumented) == BROKEN_OFF


def test_keyboard_interrupt_in_a_stream(simulator: Simulator, instrumented) -> None:
    """An interrupt while waiting for a chunk is the user's: no error, cancelled."""
    simulator.reply(TEXT)
    stream = create(simulator)
    inner = stream._iterator._inner

    def interrupted():
        raise KeyboardInterrupt

    stream._iterator._next = interrupted
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    inner.close()
    assert outcome(instrumented) == {**BROKEN_OFF, "cancelled": True}


async def test_a_cancelled_task(simulator: Simulator, instrumented) -> None:
    """Cancelling a task that waits for a chunk: no error, cancelled."""
    gate = simulator.gated(TEXT)
    async with simulator.async_openai() as client:

        async def read() -> None:
            stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
            async for _ in stream:
                started.set()

        started = asyncio.Event()
        gate.release(1)
        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.open()
    assert outcome(instrumented) == {**DONE, "reasons": ("error",), "incomplete": True, "cancelled": True}


def test_each_chunk_comes_before_the_next_is_sent(simulator: Simulator, instrumented) -> None:
    """Nothing is buffered: chunk n is with the program while the server holds n+1 back."""
    gate = simulator.gated("one two")
    gate.release(1)
    stream = create(simulator)
    assert next(stream).choices[0].delta.content == ""
    gate.release(1)
    assert next(stream).choices[0].delta.content == "one"
    gate.open()
    list(stream)


def test_the_helper_is_one_span(simulator: Simulator, instrumented) -> None:
    """chat.completions.stream() reads through the stream that create() gave it.

    breaks-apps #5
    """
    simulator.reply(TEXT)
    with chat_with_parse(simulator.openai()).stream(model="m", messages=ASK) as helper:
        assert helper.get_final_completion().choices[0].message.content == TEXT
    assert outcome(instrumented) == DONE


async def test_the_async_helper_left_early(simulator: Simulator, instrumented) -> None:
    """Leaving the helper's block closes the response, never the stream; the span ends all the same.

    breaks-apps #4
    """
    simulator.reply(TEXT)
    async with simulator.async_openai() as client:
        async with chat_with_parse(client).stream(model="m", messages=ASK) as helper:
            async for _ in helper:
                break
    assert outcome(instrumented) == BROKEN_OFF


async def test_an_async_helper_that_is_never_entered_makes_no_span(simulator: Simulator, instrumented) -> None:
    """The coroutine is built when stream() is called; the span starts when it is awaited."""
    async with simulator.async_openai() as client:
        manager = chat_with_parse(client).stream(model="m", messages=ASK)
        manager._AsyncChatCompletionStreamManager__api_request.close()
    assert instrumented.spans == ()


def test_concurrent_streams_do_not_mix(simulator: Simulator, instrumented) -> None:
    """State is per call.

    breaks-apps #33
    """
    simulator.on(
        lambda request: __import__("aiobs.testing").testing.Answer(text=request.json["messages"][0]["content"])
    )
    client = simulator.openai()

    def run(number: int) -> None:
        ask = [{"role": "user", "content": f"n{number}"}]
        options = {"stream": True, "stream_options": {"include_usage": True}}
        for _ in client.chat.completions.create(model=f"m{number}", messages=ask, **options):
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(span.name for span in instrumented.spans) == sorted(f"chat m{number}" for number in range(20))
    assert all(span.attributes["gen_ai.response.model"] == span.name[5:] for span in instrumented.spans)


def test_a_framework_that_swaps_the_iterator(simulator: Simulator, instrumented) -> None:
    """14: somebody else's wrapper around ours loses nothing.

    breaks-apps #14
    """
    simulator.reply(TEXT)
    stream = create(simulator)
    ours = stream._iterator
    stream._iterator = (chunk for chunk in ours)
    assert len(list(stream)) == 6
    assert outcome(instrumented) == DONE


def test_the_iterator_forwards_what_it_does_not_have(simulator: Simulator, instrumented) -> None:
    """The SDK's iterator is a generator; code that looks at it still can."""
    stream = create(simulator)
    assert stream._iterator.gi_frame is not None
    stream._iterator.close()
    assert outcome(instrumented) == BROKEN_OFF


def test_nothing_stays_on_the_response(simulator: Simulator, instrumented) -> None:
    """The shadow of close() is a cycle; it is gone when the stream is done.

    breaks-apps #28
    """
    stream = create(simulator)
    assert "close" in vars(stream.response)
    list(stream)
    assert "close" not in vars(stream.response)
    assert "aclose" not in vars(stream.response)


def test_a_close_that_somebody_put_in_front_of_ours_stays(simulator: Simulator, instrumented) -> None:
    """88, on an instance: another tool's shadow of close() survives the end of the stream.

    breaks-apps #88
    """
    stream = create(simulator)
    ours = stream.response.close
    seen = []

    def theirs() -> None:
        seen.append(True)
        ours()

    stream.response.close = theirs
    list(stream)
    assert vars(stream.response)["close"] is theirs
    stream.close()
    assert seen
    assert outcome(instrumented) == DONE


def test_a_closed_stream_ended_with_its_last_chunk(simulator: Simulator, instrumented) -> None:
    """The time that a program leaves a stream lying about is not the model's."""
    simulator.reply(TEXT)
    with create(simulator) as stream:
        next(stream)
        read_at = time.time_ns()
        time.sleep(0.1)
    assert instrumented.span().end_time < read_at + 50_000_000
