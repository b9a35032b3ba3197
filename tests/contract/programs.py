"""Small programs that make one call, each written for both kinds of client; and the stage that they play on."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opentelemetry import trace

from aiobs.testing import Simulator
from tests.contract.drivers import PROMPT, Driver

PAUSE = 0.06  # seconds that a program leaves a stream lying about


@dataclass
class Stage:
    """What a program has, and what became of it.

    ``ask`` makes the call · ``has_arrived``: the server has a request of it · ``taken``: the answer, or the chunks · ``current``: the spans that were the current one
    where the program's own code ran · ``read_at``: when it had the last chunk · ``facts``: what else it noticed.
    """

    ask: Callable[[], Any] = lambda: None
    has_arrived: Callable[[], bool] = lambda: True
    taken: list[Any] = field(default_factory=list)
    current: list[trace.Span] = field(default_factory=list)
    facts: list[Any] = field(default_factory=list)
    read_at: int = 0
    error: BaseException | None = None

    def take(self, item: Any) -> None:
        """The program has got an answer, or one more chunk."""
        self.read_at = time.time_ns()
        self.taken.append(item)
        self.look()

    def look(self) -> None:
        """Note which span is the current one."""
        self.current.append(trace.get_current_span())


@dataclass(frozen=True)
class Program:
    """The same program for a sync and for an async client."""

    name: str
    sync: Callable[[Stage], None]
    awaited: Callable[[Stage], Awaitable[None]]

    def __str__(self) -> str:
        return self.name


def play(driver: Driver, program: Program, simulator: Simulator, prompt: str = PROMPT) -> Stage:
    """Run the program; what it raises is on the stage."""
    before = len(simulator.requests)
    stage = Stage(has_arrived=lambda: len(simulator.requests) > before)
    with ctrl_c_raises():
        try:
            if driver.is_async:
                asyncio.run(_play_async(driver, program, simulator, prompt, stage))
            else:
                stage.ask = partial(driver.method(driver.client(simulator)), **driver.arguments(prompt))
                program.sync(stage)
        except BaseException as error:
            stage.error = error
        stage.look()
    stage.ask, stage.has_arrived = Stage.ask, Stage.has_arrived
    return stage


async def _play_async(driver: Driver, program: Program, simulator: Simulator, prompt: str, stage: Stage) -> None:
    async with driver.async_client(simulator) as client:
        stage.ask = partial(driver.method(client), **driver.arguments(prompt))
        try:
            await program.awaited(stage)
        finally:
            stage.look()


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as in a program of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def press_ctrl_c_when(is_time: Callable[[], bool]) -> None:
    """A while after it is time: Ctrl-C in the midst of a start can hit a finaliser, which swallows it."""
    while not is_time():
        time.sleep(PAUSE / 10)
    time.sleep(PAUSE)
    press_ctrl_c()


def press_ctrl_c() -> None:
    """From any thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


# The programs


def _call(stage: Stage) -> None:
    stage.take(stage.ask())


async def _call_async(stage: Stage) -> None:
    stage.take(await stage.ask())


def _read(stage: Stage) -> None:
    for chunk in stage.ask():
        stage.take(chunk)


async def _read_async(stage: Stage) -> None:
    async for chunk in await stage.ask():
        stage.take(chunk)


def _never_read(stage: Stage) -> None:
    stage.ask()
    gc.collect()


async def _never_read_async(stage: Stage) -> None:
    await stage.ask()
    gc.collect()


def _break_off(stage: Stage) -> None:
    for chunk in stage.ask():
        stage.take(chunk)
        time.sleep(PAUSE)
        break
    gc.collect()


async def _break_off_async(stage: Stage) -> None:
    async for chunk in await stage.ask():
        stage.take(chunk)
        await asyncio.sleep(PAUSE)
        break
    gc.collect()
    await asyncio.sleep(0)


def _close(stage: Stage) -> None:
    stream = stage.ask()
    stage.take(next(iter(stream)))
    time.sleep(PAUSE)
    stream.close()
    stage.look()


async def _close_async(stage: Stage) -> None:
    stream = await stage.ask()
    stage.take(await anext(aiter(stream)))
    await asyncio.sleep(PAUSE)
    await (stream.aclose() if hasattr(stream, "aclose") else stream.close())
    stage.look()


def _raise_in_loop(stage: Stage) -> None:
    for chunk in stage.ask():
        stage.take(chunk)
        time.sleep(PAUSE)
        raise LookupError("the program's own")


async def _raise_in_loop_async(stage: Stage) -> None:
    async for chunk in await stage.ask():
        stage.take(chunk)
        await asyncio.sleep(PAUSE)
        raise LookupError("the program's own")


def _interrupted_between(stage: Stage) -> None:
    for chunk in stage.ask():
        stage.take(chunk)
        if len(stage.taken) == 1:
            threading.Timer(PAUSE, press_ctrl_c).start()


async def _interrupted_between_async(stage: Stage) -> None:
    async for chunk in await stage.ask():
        stage.take(chunk)
        task = asyncio.current_task()
        if task is not None and len(stage.taken) == 1:
            asyncio.get_running_loop().call_later(PAUSE, task.cancel)


async def _cancelled_async(stage: Stage) -> None:
    task = asyncio.create_task(_call_or_read(stage))
    await asyncio.sleep(PAUSE)
    task.cancel()
    await task


async def _call_or_read(stage: Stage) -> None:
    answer = await stage.ask()
    if hasattr(answer, "__aiter__"):
        async for chunk in answer:
            stage.take(chunk)


def _waiting(stage: Stage) -> None:
    threading.Thread(target=press_ctrl_c_when, args=[stage.has_arrived]).start()
    answer = stage.ask()
    for chunk in answer:
        stage.take(chunk)


CALL = Program("call", _call, _call_async)
READ = Program("read", _read, _read_async)
CANCELLED_WAITING = Program("cancelled-waiting", _waiting, _cancelled_async)
CANCELLED_READING = Program("cancelled-reading", _interrupted_between, _interrupted_between_async)
NEVER_READ = Program("never-read", _never_read, _never_read_async)
LEFT = (
    Program("break", _break_off, _break_off_async),
    Program("close", _close, _close_async),
    Program("raise", _raise_in_loop, _raise_in_loop_async),
)
"""Programs that leave a stream after its first chunk."""


def to_the_end(driver: Driver) -> Program:
    """The program that takes all that there is."""
    return READ if driver.streams else CALL
