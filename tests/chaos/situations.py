"""What a program does while something is broken: short programs, and what each of them can see."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.genai import types
from opentelemetry.context import _RUNTIME_CONTEXT as RUNTIME_CONTEXT  # what is found there may be broken later

from aiobs import observe, span
from aiobs.testing import Simulator
from aiobs.testing import gemini_live as live_wire
from aiobs.testing import openai_realtime as realtime_wire
from aiobs.testing.socket_server import Close, Drop, Script, SocketServer, Step
from tests.contract.drivers import DRIVERS, NEEDLE, OPERATIONS, PROMPT, SAID, Driver, Operation


class House:
    """A provider, clients of every kind, and an event loop; made once, as making clients is dear."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._runner = asyncio.Runner()
        self._clients: dict[tuple[tuple[str, str], bool], Any] = {}
        self._open = AsyncExitStack()
        self._sockets: SocketServer | None = None
        self.attached: list[str] = []

    def run(self, made: Callable[[], Awaitable[Any]]) -> Any:
        """Run a coroutine function in the loop."""

        async def main() -> Any:
            before = context_now()
            try:
                return await made()
            finally:
                if context_now() != before:
                    self.attached.append("the context is another one after an async call")

        return self._runner.run(main())

    def client(self, driver: Driver) -> Any:
        """The client of a driver."""
        key = (driver.of.sdk.clients, driver.is_async)
        if key not in self._clients:
            self._clients[key] = self._entered(driver) if driver.is_async else driver.client(self.simulator)
        return self._clients[key]

    def _entered(self, driver: Driver) -> Any:
        return self._runner.run(self._open.enter_async_context(driver.async_client(self.simulator)))

    def connecting(self, kind: str, script: Script) -> Any:
        """A client whose connections go to a server that follows the script."""
        if self._sockets is None:
            self._sockets = SocketServer(script)
        self._sockets.script = script
        key = ((kind, "connections"), False)
        if key not in self._clients:
            address = self._sockets.origin.replace("http", "ws")
            if kind == "live":
                self._clients[key] = live_client(address)
            else:
                self._clients[key] = getattr(self._sockets, kind)(websocket_base_url=address)
        return self._clients[key]

    def ask(self, driver: Driver) -> Callable[[], Any]:
        """What makes the call."""
        return partial(driver.method(self.client(driver)), **driver.arguments())

    def tidy(self) -> None:
        """Let the cycle collector and the loop finish what programs let go of."""

        async def tidy() -> None:
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)

        self._runner.run(tidy())

    def close(self) -> None:
        """Close the async clients and the loop."""
        if self._sockets is not None:
            self._sockets.close()
        self._runner.run(self._open.aclose())
        self._runner.close()


def live_client(address: str) -> Any:
    """With only an address: that one is dialled as it is, without TLS."""
    from google import genai

    client = genai.Client(vertexai=True, http_options={"base_url": address})
    vars(client._api_client)["_websocket_ssl_ctx"] = {}  # it hands on a TLS context for addresses without TLS too
    return client


def context_now() -> dict[str, Any]:
    """The context, asked where nothing is broken."""
    return dict(RUNTIME_CONTEXT.get_current())


@dataclass(frozen=True)
class Situation:
    """One thing that a program does; ``play`` gives what it got."""

    name: str
    play: Callable[[House], Any]

    def __str__(self) -> str:
        return self.name


def seen(house: House, situation: Situation) -> tuple[Any, ...]:
    """What a program can see of it: what came, or what was raised, with its cause."""
    house.attached.clear()
    before = context_now()
    try:
        told: tuple[Any, ...] = ("returned", situation.play(house))
    except BaseException as error:
        context = None if isinstance(error, asyncio.CancelledError) else type(error.__context__)  # where it hits varies
        told = ("raised", type(error), str(error), type(error.__cause__), context)
    if context_now() != before:
        house.attached.append("the context is another one after the call")
    return (*told, tuple(house.attached))


# Calls

Awaited = Callable[[Callable[[], Any], Driver], Awaitable[Any]]


def _took(driver: Driver, taken: Sequence[Any]) -> Any:
    return [type(item) for item in taken], driver.text(taken)


def _whole(ask: Callable[[], Any], driver: Driver) -> Any:
    return _took(driver, [ask()])


async def _whole_async(ask: Callable[[], Any], driver: Driver) -> Any:
    return _took(driver, [await ask()])


def _streamed(ask: Callable[[], Any], driver: Driver) -> Any:
    stream = ask()
    return type(stream).__name__.replace("LazyChunks", "generator"), _took(driver, list(stream))


async def _streamed_async(ask: Callable[[], Any], driver: Driver) -> Any:
    stream = await ask()
    return _took(driver, [chunk async for chunk in stream])


def _closed(ask: Callable[[], Any], driver: Driver) -> Any:
    stream = ask()
    first = next(iter(stream))
    stream.close()
    return _took(driver, [first])


async def _closed_async(ask: Callable[[], Any], driver: Driver) -> Any:
    stream = await ask()
    first = await anext(aiter(stream))
    await (stream.aclose() if hasattr(stream, "aclose") else stream.close())
    return _took(driver, [first])


def _dropped(ask: Callable[[], Any], driver: Driver) -> Any:
    for chunk in ask():
        return _took(driver, [chunk])
    return None


async def _dropped_async(ask: Callable[[], Any], driver: Driver) -> Any:
    async for chunk in await ask():
        return _took(driver, [chunk])


def _left(ask: Callable[[], Any], driver: Driver) -> Any:
    for _ in ask():
        raise LookupError("the program's own")


async def _left_async(ask: Callable[[], Any], driver: Driver) -> Any:
    async for _ in await ask():
        raise LookupError("the program's own")


async def _cancelled_async(house: House, ask: Callable[[], Any], driver: Driver) -> Any:
    """Cancelled before the answer comes."""
    received = len(house.simulator.requests)
    task = asyncio.ensure_future(_take_all(ask, driver))
    while len(house.simulator.requests) == received:
        await asyncio.sleep(0.001)
    task.cancel()
    await task


async def _take_all(ask: Callable[[], Any], driver: Driver) -> None:
    answer = await ask()
    if driver.streams:
        async for _ in answer:
            pass


async def _cancelled_reading_async(ask: Callable[[], Any], driver: Driver) -> Any:
    """Cancelled between two chunks."""
    task = asyncio.current_task()
    assert task is not None
    async for _ in await ask():
        task.cancel()


def _answered(simulator: Simulator, driver: Driver) -> None:
    simulator.reply(SAID, usage=driver.of.usage)


def _refused(simulator: Simulator, driver: Driver) -> None:
    simulator.fail(400, code=driver.of.sdk.codes[400], message=f"You said {NEEDLE}")


def _cut(simulator: Simulator, driver: Driver) -> None:
    simulator.raw([*driver.of.opening, b"data: {not json\n\n"])


def _cancelled(driver: Driver, house: House) -> Any:
    ask = house.ask(driver)
    house.simulator.fault(silence=30)
    return house.run(lambda: _cancelled_async(house, ask, driver))


def _call(
    driver: Driver,
    name: str,
    script: Callable[[Simulator, Driver], None],
    program: Callable[[Callable[[], Any], Driver], Any] | Awaited,
) -> Situation:
    def play(house: House) -> Any:
        ask = house.ask(driver)
        script(house.simulator, driver)
        if driver.is_async:
            return house.run(lambda: program(ask, driver))
        return program(ask, driver)

    return Situation(f"{driver}-{name}", play)


def _of(driver: Driver) -> Iterator[Situation]:
    """Every situation that a driver can get into."""
    programs: dict[str, Any] = _ASYNC if driver.is_async else _SYNC
    to_the_end = programs["streamed" if driver.streams else "whole"]
    yield _call(driver, "answered", _answered, to_the_end)
    yield _call(driver, "refused", _refused, to_the_end)
    if driver.streams:
        yield _call(driver, "broken", _cut, to_the_end)
        for name in ("closed", "dropped", "left"):
            yield _call(driver, name, _answered, programs[name])
    if driver.is_async:
        yield Situation(f"{driver}-cancelled", partial(_cancelled, driver))
    if driver.is_async and driver.streams:
        yield _call(driver, "cancelled-reading", _answered, _cancelled_reading_async)


_SYNC = {"whole": _whole, "streamed": _streamed, "closed": _closed, "dropped": _dropped, "left": _left}
_ASYNC = {
    "whole": _whole_async,
    "streamed": _streamed_async,
    "closed": _closed_async,
    "dropped": _dropped_async,
    "left": _left_async,
}

# Raw responses


def _openai(house: House) -> Any:
    client = house.client(next(driver for driver in DRIVERS if driver.of.name == "openai-chat"))
    return type(client.chat.completions)(client)  # a new one: `with_raw_response` keeps the method that it found


_ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}


def _raw_response(house: House) -> Any:
    house.simulator.reply(SAID)
    return _openai(house).with_raw_response.create(**_ASKED).parse().choices[0].message.content


def _raw_stream(house: House) -> Any:
    house.simulator.reply(SAID)
    return len(list(_openai(house).with_raw_response.create(**_ASKED, stream=True).parse()))


def _streaming_response(house: House) -> Any:
    house.simulator.reply(SAID)
    with _openai(house).with_streaming_response.create(**_ASKED) as response:
        return response.parse().choices[0].message.content


# Functions and blocks of the program's own


@observe
def add(first: int, second: int) -> int:
    """Add."""
    return first + second


@observe
def refuse(reason: str) -> None:
    """Raise."""
    raise LookupError(reason)


@observe(name="wait", enh_prompt=True)
async def wait(value: str) -> str:
    """Give the value, a little later."""
    await asyncio.sleep(0)
    return value


@observe
async def refuse_later(reason: str) -> None:
    """Raise, a little later."""
    await asyncio.sleep(0)
    raise LookupError(reason)


@observe
def count(upto: int) -> Iterator[int]:
    """Count, and say what was counted."""
    yield from range(upto)
    return "counted"  # what `yield from` gives is part of what must not change


@observe
async def count_later(upto: int) -> Any:
    """Count, a little later."""
    for number in range(upto):
        yield number


def _generator(house: House) -> Any:
    def collect() -> Iterator[Any]:
        told = yield from count(3)
        yield told

    return list(collect())


def _generator_closed(house: House) -> Any:
    numbers: Any = count(3)
    first = next(numbers)
    numbers.close()
    return first


def _generator_thrown_into(house: House) -> Any:
    numbers: Any = count(3)
    next(numbers)
    return numbers.throw(LookupError("the program's own"))


async def _async_generator() -> Any:
    return [number async for number in count_later(3)]


async def _async_generator_closed() -> Any:
    numbers = count_later(3)
    first = await anext(numbers)
    await numbers.aclose()
    return first


def _block(house: House) -> Any:
    with span("step", question=NEEDLE, number=3):
        return 1


def _block_raising(house: House) -> Any:
    with span("step"):
        raise LookupError("the program's own")


async def _async_block() -> Any:
    async with observe(name="step"):
        await asyncio.sleep(0)
    return 1


def _nested(house: House) -> Any:
    """A call inside a block inside a function."""

    @observe
    def outer(question: str) -> Any:
        with span("inner"):
            house.simulator.reply(SAID)
            return _openai(house).create(**_ASKED).choices[0].message.content

    return outer(NEEDLE)


# Automatic function calling


def lookup(word: str) -> str:
    """Look a word up."""
    return f"{word} means {NEEDLE}"


def fails(word: str) -> str:
    """Look a word up, in vain."""
    raise LookupError(f"no {word}, {NEEDLE}")


async def lookup_later(word: str) -> str:
    """Look a word up, a little later."""
    await asyncio.sleep(0)
    return lookup(word)


def _gemini(house: House, is_async: bool) -> Any:
    return house.client(next(one for one in DRIVERS if one.of.name == "gemini" and one.is_async is is_async))


def _asks_for(house: House, function: Any) -> dict[str, Any]:
    house.simulator.reply(tool_calls=[(function.__name__, {"word": "API"})])
    house.simulator.reply(SAID)
    return {"model": "m", "contents": PROMPT, "config": types.GenerateContentConfig(tools=[function])}


def _functions(function: Any, house: House) -> Any:
    answer = _gemini(house, False).models.generate_content(**_asks_for(house, function))
    return answer.text, len(answer.automatic_function_calling_history)


def _functions_streamed(house: House) -> Any:
    chunks = _gemini(house, False).models.generate_content_stream(**_asks_for(house, lookup))
    return [chunk.text for chunk in chunks]


def _functions_stream_closed(house: House) -> Any:
    chunks = _gemini(house, False).models.generate_content_stream(**_asks_for(house, lookup))
    first = next(chunks).text
    chunks.close()
    list(house.simulator._script)  # what was not asked for
    house.simulator._script.clear()
    return first


def _chat(house: House) -> Any:
    asked = _asks_for(house, lookup)
    chat = _gemini(house, False).chats.create(model="m", config=asked["config"])
    return chat.send_message(PROMPT).text


def _functions_async(house: House) -> Any:
    asked = _asks_for(house, lookup_later)
    client = _gemini(house, True)

    async def ask() -> Any:
        return (await client.models.generate_content(**asked)).text

    return house.run(ask)


def _functions_streamed_async(house: House) -> Any:
    asked = _asks_for(house, lookup)
    client = _gemini(house, True)

    async def ask() -> Any:
        return [chunk.text async for chunk in await client.models.generate_content_stream(**asked)]

    return house.run(ask)


_OWN: dict[str, Callable[[House], Any]] = {
    "raw-response": _raw_response,
    "raw-stream": _raw_stream,
    "streaming-response": _streaming_response,
    "function": lambda house: add(1, second=2),
    "function-raising": lambda house: refuse(NEEDLE),
    "coroutine": lambda house: house.run(lambda: wait(NEEDLE)),
    "coroutine-raising": lambda house: house.run(lambda: refuse_later(NEEDLE)),
    "generator": _generator,
    "generator-closed": _generator_closed,
    "generator-thrown-into": _generator_thrown_into,
    "async-generator": lambda house: house.run(_async_generator),
    "async-generator-closed": lambda house: house.run(_async_generator_closed),
    "block": _block,
    "block-raising": _block_raising,
    "async-block": lambda house: house.run(_async_block),
    "nested": _nested,
    "functions": partial(_functions, lookup),
    "functions-raising": partial(_functions, fails),
    "functions-streamed": _functions_streamed,
    "functions-stream-closed": _functions_stream_closed,
    "functions-async": _functions_async,
    "functions-streamed-async": _functions_streamed_async,
    "chat": _chat,
}

# Connections that stay open

_ASK = {"type": "response.create", "model": "m", "input": PROMPT}
_HALF = realtime_wire.spoken("r", SAID)[:4]
_WRONG = [realtime_wire.event("error", error={"type": "invalid_request_error", "code": "x", "message": NEEDLE})]


def _talk(
    house: House, api: str, script: Script, until: str, *, is_async: bool, ends: BaseException | None = None
) -> Any:
    """What a program gets that asks once, over ``realtime`` or ``responses``, and leaves after an event, or raises."""
    client = house.connecting("async_openai" if is_async else "openai", script)
    options = {"model": "m"} if api == "realtime" else {}

    def is_last(event: Any) -> bool:
        if ends is not None and event.type == until:
            raise ends
        return bool(event.type == until)

    async def ask() -> Any:
        got = []
        async with getattr(client, api).connect(**options) as connection:
            await connection.send(_ASK)
            async for event in connection:
                got.append(event.type)
                if is_last(event):
                    return got

    if is_async:
        return house.run(ask)
    got = []
    with getattr(client, api).connect(**options) as connection:
        connection.send(_ASK)
        for event in connection:
            got.append(event.type)
            if is_last(event):
                break
    return got


_LIVE_ASKED: dict[str, Any] = {"turns": {"role": "user", "parts": [{"text": PROMPT}]}}
_TURN = (live_wire.text(SAID), live_wire.complete())
_HALF_A_TURN = (live_wire.text(SAID), live_wire.text(SAID))
_INTERRUPTED = (live_wire.text(SAID), live_wire.content(interrupted=True), live_wire.complete())
_CALLED = (live_wire.call("look", {"word": NEEDLE}), live_wire.text(SAID), live_wire.complete())


def _live(
    turns: Sequence[Sequence[Step]], most: int | None, ends: Callable[[], BaseException] | None, house: House
) -> Any:
    """What a program gets that asks once for each turn, and leaves after so many messages, or raises, or is cancelled."""
    client = house.connecting("live", live_wire.live(*turns))
    got: list[Any] = []

    async def ask() -> Any:
        async with client.aio.live.connect(model="m", config={"response_modalities": ["TEXT"]}) as session:
            for _ in turns:
                await session.send_client_content(**_LIVE_ASKED)
                async for message in session.receive():
                    got.append(message.text)
                    if len(got) == most:
                        if ends is not None:
                            raise ends()
                        return got
        return got

    return house.run(ask)


async def _cancelled_listening(client: Any) -> None:
    """Cancelled while it waits for the rest of a turn."""
    has_some = asyncio.Event()

    async def listen() -> None:
        async with client.aio.live.connect(model="m", config={"response_modalities": ["TEXT"]}) as session:
            await session.send_client_content(**_LIVE_ASKED)
            async for _ in session.receive():
                has_some.set()

    task = asyncio.ensure_future(listen())
    await has_some.wait()
    task.cancel()
    await task


def _live_cancelled(house: House) -> Any:
    client = house.connecting("live", live_wire.live(_HALF_A_TURN))
    return house.run(lambda: _cancelled_listening(client))


_LIVE: dict[str, Callable[[House], Any]] = {
    "answered": partial(_live, [_TURN], None, None),
    "several-turns": partial(_live, [_TURN, _INTERRUPTED, _CALLED], None, None),
    "left": partial(_live, [_HALF_A_TURN], 1, None),
    "raising": partial(_live, [_HALF_A_TURN], 1, partial(LookupError, "the program's own")),
    "refused": partial(_live, [[*_HALF_A_TURN, Close(1008, NEEDLE)]], None, None),
    "closed": partial(_live, [_TURN, [*_HALF_A_TURN, Close()]], None, None),
    "dropped": partial(_live, [[*_HALF_A_TURN, Drop()]], None, None),
    "cancelled": _live_cancelled,
}


def _connections() -> Iterator[Situation]:
    for is_async in (False, True):
        kind = "async" if is_async else "sync"
        talks: dict[str, tuple[str, Callable[[], Script], str, BaseException | None]] = {
            "realtime-answered": ("realtime", lambda: realtime_wire.realtime(realtime_wire.spoken("r", SAID)), "response.done", None),
            "realtime-left": ("realtime", lambda: realtime_wire.realtime(_HALF), "response.output_audio.delta", None),
            "realtime-raising": ("realtime", lambda: realtime_wire.realtime(_HALF), "response.output_audio.delta", LookupError("the program's own")),
            "realtime-refused": ("realtime", lambda: realtime_wire.realtime(_WRONG), "error", None),
            "realtime-dropped": ("realtime", lambda: realtime_wire.realtime([*_HALF, Drop()]), "response.done", None),
            "connected": ("responses", lambda: realtime_wire.responses(realtime_wire.written("r", SAID)), "response.completed", None),
        }  # fmt: skip
        for name, (api, script, until, ends) in talks.items():
            yield Situation(f"{name}-{kind}", partial(_scripted, api, script, until, is_async, ends))
    for name, play in _LIVE.items():
        yield Situation(f"live-{name}-async", play)


def _scripted(
    api: str, script: Callable[[], Script], until: str, is_async: bool, ends: BaseException | None, house: House
) -> Any:
    return _talk(house, api, script(), until, is_async=is_async, ends=ends)


_EVERY = bool(os.environ.get("AIOBS_CHAOS_PAIRS"))
_CHOSEN = ("openai-chat", "openai-responses", "gemini")
"""The operations that differ in how they are driven; the others join in a long run."""

OTHERS = tuple(operation for operation in OPERATIONS if operation.name not in _CHOSEN)


def situations_of(operation: Operation) -> tuple[Situation, ...]:
    """Every situation that a program can get into with it."""
    return tuple(situation for driver in DRIVERS if driver.of is operation for situation in _of(driver))


SITUATIONS = (
    *(
        situation
        for operation in OPERATIONS
        if operation.name in _CHOSEN or _EVERY
        for situation in situations_of(operation)
    ),
    *(Situation(name, play) for name, play in _OWN.items()),
)

CONNECTIONS = tuple(_connections())
