"""The kinds of call whose memory is measured; a new operation in ``tests/contract/drivers.py`` is measured by itself.

A ``Kind`` makes one call and lets go of everything that it had.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import aiobs
from aiobs import observe, observer
from tests.contract.drivers import DRIVERS, STREAMS, WHOLE, Driver
from tests.contract.operations.openai_texts import CHAT
from tests.memory.wired import Wired

Step = Callable[["Lab"], Any]


class Lab:
    """What a kind makes its calls with: clients in memory, and an event loop that stays."""

    def __init__(self) -> None:
        self.wired = Wired()
        self.clients = self.wired.clients()

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of this process: one is not to be shared across a fork."""
        return asyncio.new_event_loop()

    def client(self, driver: Driver) -> Any:
        """The client that the driver's method is a method of."""
        return self.clients[driver.of.name if driver.of.name in self.clients else _family(driver)][driver.is_async]

    def ask(self, driver: Driver) -> Any:
        """Make the call, or the coroutine that makes it."""
        return driver.method(self.client(driver))(**driver.arguments())

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine to its end, and what that leaves to the loop."""
        return self.loop.run_until_complete(coroutine)


def _family(driver: Driver) -> str:
    return driver.of.name.partition("-")[0]


@dataclass(frozen=True)
class Kind:
    """One way of calling. ``step`` makes one call; ``requests`` is how many spans at least it leaves (0: none)."""

    name: str
    step: Step
    spans: int = 1
    fails: bool = False
    holds: bool = False

    def __str__(self) -> str:
        return self.name


# Answers


def _whole(driver: Driver, lab: Lab) -> None:
    answer = lab.ask(driver)
    if driver.is_async:
        lab.run(answer)


def _failing(driver: Driver, lab: Lab) -> None:
    with contextlib.suppress(Exception):
        lab.run(_all_of(driver, lab)) if driver.is_async else [*_iterated(lab.ask(driver))]


def _iterated(answer: Any) -> Any:
    return answer if hasattr(answer, "__next__") or hasattr(answer, "_iterator") else ()


async def _all_of(driver: Driver, lab: Lab) -> None:
    answer = await lab.ask(driver)
    if driver.streams:
        async for _ in answer:
            pass


def _cancelled(driver: Driver, lab: Lab) -> None:
    lab.run(_cancel(driver, lab))


async def _cancel(driver: Driver, lab: Lab) -> None:
    task = asyncio.ensure_future(_all_of(driver, lab))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# Streams


def _read(stream: Any) -> None:
    for _ in stream:
        pass


async def _read_async(stream: Any) -> None:
    async for _ in stream:
        pass


def _break_off(stream: Any) -> None:
    for _ in stream:
        break


async def _break_off_async(stream: Any) -> None:
    async for _ in stream:
        break


def _close(stream: Any) -> None:
    next(iter(stream))
    stream.close()


async def _close_async(stream: Any) -> None:
    await anext(aiter(stream))
    await (stream.aclose() if hasattr(stream, "aclose") else stream.close())


def _leave(stream: Any) -> None:
    """Never read."""


async def _leave_async(stream: Any) -> None:
    """Never read."""


Use = tuple[Callable[[Any], None], Callable[[Any], Awaitable[None]]]
USES: dict[str, Use] = {
    "read": (_read, _read_async),
    "abandoned": (_break_off, _break_off_async),
    "closed": (_close, _close_async),
    "unread": (_leave, _leave_async),
}
"""What a program does with a stream."""


def _streamed(driver: Driver, use: Use, lab: Lab) -> None:
    if driver.is_async:
        lab.run(_stream_async(driver, use, lab))
    else:
        use[0](lab.ask(driver))


async def _stream_async(driver: Driver, use: Use, lab: Lab) -> None:
    await use[1](await lab.ask(driver))
    await asyncio.sleep(0)


# Raw responses of OpenAI


def _raw(driver: Driver, way: str, lab: Lab) -> None:
    completions = getattr(lab.client(driver).chat.completions, way)
    answer = completions.create(**driver.arguments())
    if driver.is_async:
        lab.run(_use_raw_async(answer, driver.streams))
    elif way == "with_streaming_response":
        with answer as response:
            _use_raw(response, driver.streams)
    else:
        _use_raw(answer, driver.streams)


def _use_raw(response: Any, streams: bool) -> None:
    parsed = response.parse()
    if streams:
        _read(parsed)


async def _use_raw_async(answer: Any, streams: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        entered = hasattr(answer, "__aenter__")
        response = await (stack.enter_async_context(answer) if entered else answer)
        parsed = response.parse()
        parsed = await parsed if hasattr(parsed, "__await__") else parsed
        if streams:
            await _read_async(parsed)


# Functions of the program


@observe
def _function(question: str) -> dict[str, str]:
    return {"answer": question}


@observe
async def _coroutine(question: str) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"answer": question}


@observe
def _generator(question: str) -> Iterator[str]:
    yield question
    yield question


@observe
async def _async_generator(question: str) -> AsyncIterator[str]:
    yield question
    yield question


@observe
def _raising(question: str) -> None:
    raise LookupError(question)


def _observe_raising(lab: Lab) -> None:
    with contextlib.suppress(LookupError):
        _raising("what")


def _block(lab: Lab) -> None:
    with aiobs.span("block"):
        pass


async def _left_async() -> None:
    async for _ in _async_generator("what"):
        break
    await asyncio.sleep(0)


OBSERVED: dict[str, Step] = {
    "function": lambda lab: _function("what"),
    "coroutine": lambda lab: lab.run(_coroutine("what")),
    "generator-read": lambda lab: _read(_generator("what")),
    "generator-abandoned": lambda lab: _break_off(_generator("what")),
    "async-generator-read": lambda lab: lab.run(_read_async(_async_generator("what"))),
    "async-generator-abandoned": lambda lab: lab.run(_left_async()),
    "raising": _observe_raising,
    "block": _block,
}


# Functions that the SDK of Google calls


def weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


def _with_functions(driver: Driver, lab: Lab) -> None:
    method = driver.method(lab.client(driver))
    answer = method(**driver.arguments(), config={"tools": [weather]})
    if not driver.is_async:
        _read(answer) if driver.streams else None
    else:
        lab.run(_drain(answer, driver.streams))


async def _drain(answer: Any, streams: bool) -> None:
    taken = await answer
    if streams:
        await _read_async(taken)


# Sessions


def _session(lab: Lab) -> None:
    observer.observe("one of many", labels={"team": "a"})
    _function("what")
    observer.end()


def _session_block(lab: Lab) -> None:
    with observer.session("one of many"):
        _function("what")


def _flushed(lab: Lab) -> None:
    with observer.session("one of many"):
        _function("what")
    observer.flush()


# The table


def _of(drivers: Any, what: str, step: Callable[[Driver, Lab], None], **options: Any) -> list[Kind]:
    return [Kind(f"{driver}-{what}", partial(step, driver), **options) for driver in drivers]


def _stream_kinds() -> list[Kind]:
    return [
        Kind(f"{driver}-{name}", partial(_streamed, driver, use), spans=int(not _makes_no_request(driver, name)))
        for name, use in USES.items()
        for driver in STREAMS
    ]


def _makes_no_request(driver: Driver, use: str) -> bool:
    return use == "unread" and driver.of.sdk.name == "gemini"


CHATS = tuple(driver for driver in DRIVERS if driver.of is CHAT)
GEMINI = tuple(driver for driver in DRIVERS if driver.of.name == "gemini")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *[Kind(str(driver), partial(_whole, driver)) for driver in WHOLE],
        *_stream_kinds(),
        *_of(DRIVERS, "failing", _failing, fails=True),
        *_of([driver for driver in DRIVERS if driver.is_async], "cancelled", _cancelled, holds=True),
        *_of(CHATS, "raw", lambda driver, lab: _raw(driver, "with_raw_response", lab)),
        *_of(CHATS, "streaming-response", lambda driver, lab: _raw(driver, "with_streaming_response", lab)),
        *_of(GEMINI, "functions", _with_functions, spans=4),
        *[Kind(f"observe-{name}", step) for name, step in OBSERVED.items()],
        Kind("session-observe-end", _session),
        Kind("session-block", _session_block),
    )
}
