"""What programs and frameworks do with streams."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import itertools
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from aiobs.testing import Gate, InMemoryTelemetry, Simulator
from tests.contract.drivers import SAID, STREAMS, Driver
from tests.contract.programs import Program
from tests.contract.scripts import answered
from tests.differential.engine import Bench
from tests.differential.looks import look, outcome_of
from tests.differential.scene import END, Scene, both

every_stream = pytest.mark.parametrize("driver", STREAMS, ids=str)
OPENAI = [driver for driver in STREAMS if driver.of.sdk.name == "openai"]
GOOGLE = [driver for driver in STREAMS if driver.of.sdk.name == "gemini"]
PROTOCOL = (
    "__next__", "__iter__", "__anext__", "__aiter__", "__enter__", "__aenter__", "__await__", "close", "aclose", "send",
    "asend", "throw", "athrow", "gi_frame", "ag_frame", "response", "_iterator", "_decoder",
)  # fmt: skip


@both
async def ask_what_it_is(scene: Scene) -> None:
    """Classes, protocols and identity, before, while and after it is read."""
    stream = await scene.ask()
    scene.note(type(stream).__name__, stream, [hasattr(stream, name) for name in PROTOCOL])
    scene.note([ask(stream) for ask in (inspect.isgenerator, inspect.isasyncgen, inspect.iscoroutine)])
    scene.note((iter(stream) is iter(stream)) if hasattr(stream, "__iter__") else None)
    scene.note(outcome_of(lambda: len(stream)), outcome_of(lambda: stream[0]), bool(stream))
    scene.note(sorted(vars(stream)) if hasattr(stream, "__dict__") else None)
    scene.take(await scene.next(stream))
    scene.note(getattr(stream, "response", None), await scene.rest(stream) and "read")
    scene.note([await scene.next(stream), await scene.next(stream)])
    await scene.close(stream)
    scene.note(await scene.next(stream), *left_behind(stream))


def left_behind(stream: Any) -> list[Any]:
    """What is in a stream and in its response."""
    response = getattr(stream, "response", None)
    held = [sorted(vars(one)) for one in (stream, response) if hasattr(one, "__dict__")]
    return [held, getattr(response, "is_closed", None), getattr(response, "is_stream_consumed", None)]


@both
async def mix_next_and_for(scene: Scene) -> None:
    """next(), for, break, for again: one iteration."""
    stream = await scene.ask()
    scene.take(await scene.next(stream))
    async for chunk in scene.chunks(stream):
        scene.take(chunk)
        if not scene.is_async:
            break
    scene.take(await scene.next(stream))
    await scene.rest(stream)
    scene.note(await scene.next(stream))


@both
async def close_early(scene: Scene) -> None:
    """One chunk, close, close again, try to read on."""
    stream = await scene.ask()
    scene.take(await scene.next(stream))
    scene.note([await scene.close(stream), await scene.close(stream)])
    scene.note(await scene.next(stream), *left_behind(stream))


@both
async def close_unread(scene: Scene) -> None:
    """Closed before anything was read."""
    stream = await scene.ask()
    await scene.close(stream)
    scene.note(await scene.next(stream), *left_behind(stream))


@both
async def forget(scene: Scene) -> None:
    """Made, and let go of."""
    scene.note(type(await scene.ask()).__name__)
    gc.collect()


@both
async def raise_in_the_loop(scene: Scene) -> None:
    """The program's own exception leaves the loop."""
    async for chunk in scene.chunks(await scene.ask()):
        scene.take(chunk)
        raise LookupError("the program's own")


@both
async def read_in_other_contexts(scene: Scene) -> None:
    """Each chunk in a context of its own, as servers and notebooks do; no context token may cross them."""
    stream = await scene.ask()
    chunk: Any = None
    while chunk is not END:
        elsewhere = contextvars.Context()
        if scene.is_async:
            chunk = await asyncio.create_task(scene.next(stream), context=elsewhere)
        else:
            chunk = elsewhere.run(next, stream, END)
        scene.take(chunk)
        scene.note(sorted(variable.name for variable in contextvars.copy_context()))


@both
async def read_in_another_thread(scene: Scene) -> None:
    """The first chunk here, the others in a thread (a task, where the client is async)."""
    stream = await scene.ask()
    scene.take(await scene.next(stream))
    if scene.is_async:
        await asyncio.create_task(scene.rest(stream))
        return
    thread = threading.Thread(target=lambda: [scene.take(chunk) for chunk in stream], name="reader")
    thread.start()
    thread.join()


@both
async def hand_to_itertools(scene: Scene) -> None:
    """A stream is an iterator like any other for what takes iterators."""
    stream = await scene.ask()
    if scene.is_async:
        scene.note([type(chunk).__name__ async for chunk in stream])
    else:
        for chunk in itertools.chain(itertools.islice(stream, 2), itertools.tee(stream)[0]):
            scene.take(chunk)


PROGRAMS = (
    ask_what_it_is,
    mix_next_and_for,
    read_in_other_contexts,
    read_in_another_thread,
    hand_to_itertools,
)


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
@every_stream
def test_streams(bench: Bench, driver: Driver, program: Program) -> None:
    """Whatever a program does with a stream gives the same.

    breaks-apps #1, #2, #12, #16, #29, #54
    """
    bench.compare(program, driver, answered)


def one_chunk(simulator: Simulator, driver: Driver) -> None:
    """No more than one chunk comes, so that what is buffered when the stream is closed does not depend on speed."""
    simulator.gated(SAID).release()


def one_chunk_and_no_garbage(simulator: Simulator, driver: Driver) -> None:
    """For programs that run the collector: what earlier programs left is not theirs to find."""
    gc.collect()
    one_chunk(simulator, driver)


LEFT = (close_early, close_unread, forget, raise_in_the_loop)


@pytest.mark.parametrize("program", LEFT, ids=str)
@every_stream
def test_streams_that_are_left(bench: Bench, driver: Driver, program: Program) -> None:
    """Closed, let go of, left by an exception; and read on afterwards.

    breaks-apps #17, #18, #22
    """
    bench.compare(program, driver, one_chunk_and_no_garbage if program is forget else one_chunk)


@pytest.mark.parametrize("driver", [driver for driver in STREAMS if driver.is_async], ids=str)
async def test_streams_that_are_dropped_leave_asyncio_nothing_to_report(
    instrumented: InMemoryTelemetry, simulator: Simulator, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    """The collector closes an SDK's async generators from the outermost inwards, as it does without aiobs."""

    async def first_of(stream: Any) -> Any:
        async for chunk in stream:
            return chunk

    async with driver.async_client(simulator) as client:
        usual = gc.get_threshold()
        gc.collect()
        try:
            gc.set_threshold(60, 2, 2)
            for _ in range(10):
                simulator.reply(SAID)
                await first_of(await driver.method(client)(**driver.arguments()))
        finally:
            gc.set_threshold(*usual)
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


# With blocks and the HTTP response


@both
async def with_block(scene: Scene) -> None:
    """``with stream as inner``, left early."""
    stream = await scene.ask()
    async with scene.within(stream) as inner:
        scene.note(inner is stream, stream.response is inner.response, stream.response)
        scene.note(stream.response.status_code, sorted(stream.response.headers))
        scene.take(await scene.next(inner))
    scene.note(await scene.next(stream), *left_behind(stream))


@both
async def with_block_that_raises(scene: Scene) -> None:
    """The block is left by an exception of the program's."""
    async with scene.within(await scene.ask()) as stream:
        scene.take(await scene.next(stream))
        raise LookupError("the program's own")


@both
async def close_the_response(scene: Scene) -> None:
    """Frameworks close ``stream.response`` rather than the stream."""
    stream = await scene.ask()
    scene.take(await scene.next(stream))
    await scene.close(stream.response)
    scene.note(await scene.next(stream), *left_behind(stream))


@both
async def swap_the_iterator(scene: Scene) -> None:
    """A framework puts its own iterator around the stream's, after the first chunk."""
    stream = await scene.ask()
    scene.take(await scene.next(stream))
    inner = stream._iterator
    stream._iterator = passed_on_async(inner, scene) if scene.is_async else passed_on(inner, scene)
    await scene.rest(stream)
    scene.note(*left_behind(stream))


def passed_on(inner: Any, scene: Scene) -> Any:
    for chunk in inner:
        scene.note("passed on")
        yield chunk


async def passed_on_async(inner: Any, scene: Scene) -> Any:
    async for chunk in inner:
        scene.note("passed on")
        yield chunk


@both
async def read_the_iterator(scene: Scene) -> None:
    """A framework reads ``stream._iterator`` itself, and asks the generator that it knows."""
    stream = await scene.ask()
    inner = stream._iterator
    scene.note(outcome_of(lambda: inner.__name__), hasattr(inner, "gi_frame"), hasattr(inner, "ag_frame"))
    await scene.rest(inner)


BLOCKS = {
    with_block: one_chunk,
    with_block_that_raises: one_chunk,
    close_the_response: one_chunk,
    swap_the_iterator: answered,
    read_the_iterator: answered,
}


@pytest.mark.parametrize("program", BLOCKS, ids=str)
@pytest.mark.parametrize("driver", OPENAI, ids=str)
def test_what_frameworks_do_with_openai_streams(bench: Bench, driver: Driver, program: Program) -> None:
    """With blocks give the stream itself, ``.response`` is the HTTP response, ``_iterator`` may be swapped and read.

    breaks-apps #1, #3, #4, #14
    """
    bench.compare(program, driver, BLOCKS[program])


# Generators


@both
async def drive_a_generator(scene: Scene) -> None:
    """send(), throw(), close(): the SDK gives a generator, and programs use it as one."""
    stream = await scene.ask()
    scene.note([inspect.isgenerator(stream), inspect.isasyncgen(stream)])
    scene.take(await scene.wait(stream.asend(None) if scene.is_async else stream.send(None)))
    scene.note(inspect.getgeneratorstate(stream) if not scene.is_async else stream.ag_running)
    try:
        error = LookupError("the program's own")
        await scene.wait(stream.athrow(error) if scene.is_async else stream.throw(error))
    except LookupError as raised:
        scene.note(raised is error, raised)
    scene.note(await scene.next(stream), await scene.close(stream))


@both
async def throw_before_the_start(scene: Scene) -> None:
    """throw() into a generator that made no request."""
    stream = await scene.ask()
    error = LookupError("the program's own")
    await scene.wait(stream.athrow(error) if scene.is_async else stream.throw(error))


@pytest.mark.parametrize("program", [drive_a_generator, throw_before_the_start], ids=str)
@pytest.mark.parametrize("driver", GOOGLE, ids=str)
def test_googles_generators(bench: Bench, driver: Driver, program: Program) -> None:
    """A generator stays one.

    breaks-apps #11
    """
    bench.compare(program, driver, answered)


# When what comes


@pytest.mark.parametrize("driver", STREAMS, ids=str)
def test_each_chunk_comes_before_the_next_may_leave(bench: Bench, driver: Driver) -> None:
    """The call returns on headers, and each chunk is out while the server holds the next one back.

    breaks-apps #15
    """
    gates: list[Gate] = []

    def gated(simulator: Simulator, driver: Driver) -> None:
        gates.append(simulator.gated(SAID, chunks=3))

    @both
    async def read_by_the_gate(scene: Scene) -> None:
        gate = gates[-1]
        stream = await scene.ask()
        scene.note(gate.passed)
        for _ in range(3):
            gate.release()
            scene.take(await scene.next(stream))
            scene.note(gate.passed)
        gate.open()
        await scene.rest(stream)

    bench.compare(read_by_the_gate, driver, gated)


# How long they live


@both
async def let_go(scene: Scene) -> None:
    """Which of the SDK's objects are gone when the last reference is, without the collector."""
    stream = await scene.ask()
    stream_dies = weakref.ref(stream)
    response = getattr(stream, "response", None)
    response_dies = weakref.ref(response) if response is not None else lambda: None
    first = await scene.next(stream)
    chunk_dies = weakref.ref(first)
    del first, response
    scene.note(chunk_dies() is None)
    async for _ in scene.chunks(stream):
        pass
    del _
    scene.note(stream_dies() is None, response_dies() is None)
    del stream
    scene.note(stream_dies() is None, response_dies() is None)


@both
async def let_go_half_way(scene: Scene) -> None:
    """The same of a stream that is let go of after its first chunk."""
    stream = await scene.ask()
    stream_dies = weakref.ref(stream)
    response = getattr(stream, "response", None)
    response_dies = weakref.ref(response) if response is not None else lambda: None
    del response
    scene.note(look(await scene.next(stream))["type"])
    del stream
    scene.note(stream_dies() is None, response_dies() is None)
    gc.collect()
    scene.note(stream_dies() is None, response_dies() is None)


@pytest.fixture
def without_the_collector() -> Iterator[None]:
    """The collector runs when it is called only."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_the_collector")
@pytest.mark.parametrize("program", [let_go, let_go_half_way], ids=str)
@every_stream
def test_streams_die_when_they_did(bench: Bench, driver: Driver, program: Program) -> None:
    """No cycle of ours goes through the program's objects: they die by their last reference where they did.

    breaks-apps #28
    """
    bench.compare(program, driver, answered if program is let_go else one_chunk_and_no_garbage)
