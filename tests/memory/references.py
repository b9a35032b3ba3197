"""What of a program's own objects is still alive once it has let go of them, with the garbage collector switched off."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiobs.capture import deferred
from tests.contract.drivers import DRIVERS, STREAMS, WHOLE, Driver
from tests.memory.kinds import CHATS, GEMINI, USES, Lab, Use, weather


class Text(str):
    """A text that can be referred to weakly."""


class Entry(dict[str, Any]):
    """A dict that can be referred to weakly."""


class Entries(list[Any]):
    """A list that can be referred to weakly."""


@dataclass
class Eyes:
    """Looks at objects without holding them; ``seen`` is what was alive at each moment."""

    watched: dict[str, weakref.ref[Any]] = field(default_factory=dict)
    seen: dict[str, bool] = field(default_factory=dict)

    def on(self, **objects: Any) -> None:
        """Watch these from now on."""
        for name, one in objects.items():
            if one is not None:
                self.watched[name] = weakref.ref(one)

    def look(self, moment: str) -> None:
        """Note who is alive."""
        deferred.drain()  # what a finaliser left, as the next call does
        self.seen.update({f"{name} {moment}": ref() is not None for name, ref in self.watched.items()})


Scene = Callable[[Lab, Eyes], None]


def alive(scene: Scene, lab: Lab) -> dict[str, bool]:
    """Who is alive at each moment of the scene, by reference counting alone."""
    scene(lab, Eyes())  # fills the caches of the SDK
    gc.collect()
    gc.disable()
    eyes = Eyes()
    scene(lab, eyes)
    for _ in range(3):
        lab.run(asyncio.sleep(0))
    eyes.look("at the end")
    return eyes.seen


def _arguments(driver: Driver, eyes: Eyes) -> dict[str, Any]:
    """The driver's arguments, the prompt in objects that can be watched."""
    arguments = driver.arguments()
    if driver.of.prompt is None:
        return arguments
    prompt = arguments[driver.of.prompt]
    if isinstance(prompt, str):
        watched: Any = Text(prompt)
    elif isinstance(prompt, dict):
        watched = Entry(prompt)
    else:
        watched = Entries(Entry(item) for item in prompt)
        eyes.on(message=watched[0])
    eyes.on(prompt=watched)
    return {**arguments, driver.of.prompt: watched}


def _ask(driver: Driver, lab: Lab, eyes: Eyes) -> Any:
    return driver.method(lab.client(driver))(**_arguments(driver, eyes))


# Scenes


def _whole(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    answer = _ask(driver, lab, eyes)
    answer = lab.run(answer) if driver.is_async else answer
    eyes.on(answer=answer)
    eyes.look("with the answer")
    del answer
    eyes.look("after the answer")


def _streamed(driver: Driver, use: Use, lab: Lab, eyes: Eyes) -> None:
    stream = _ask(driver, lab, eyes)
    stream = lab.run(stream) if driver.is_async else stream
    eyes.on(stream=stream, response=getattr(stream, "response", None))
    lab.run(use[1](stream)) if driver.is_async else use[0](stream)
    eyes.look("with the stream")
    del stream
    eyes.look("after the stream")


def _failing(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    lab.wired.fails = True
    try:
        answer = _ask(driver, lab, eyes)
        answer = lab.run(answer) if driver.is_async else answer
        if driver.streams:
            lab.run(anext(answer)) if driver.is_async else next(answer)
    except Exception as error:
        eyes.on(error=error, response=getattr(error, "response", None))
    eyes.look("after the error")


def _cancelled(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    lab.wired.holds = True
    lab.run(_cancel(driver, lab, eyes))


async def _cancel(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    async def call() -> None:
        answer = await _ask(driver, lab, eyes)
        if driver.streams:
            await anext(aiter(answer))

    task = asyncio.ensure_future(call())
    eyes.on(task=task)
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    del task
    eyes.look("after the task")


def _raw(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    made = lab.client(driver).chat.completions.with_raw_response.create(**_arguments(driver, eyes))
    raw = lab.run(made) if driver.is_async else made
    parsed = raw.parse()
    eyes.on(raw=raw, http=raw.http_response, parsed=parsed)
    if driver.streams:
        lab.run(USES["read"][1](parsed)) if driver.is_async else USES["read"][0](parsed)
    eyes.look("with the response")
    del raw, parsed, made
    eyes.look("after the response")


def _functions(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    def function(city: str) -> str:
        """The weather in a city."""
        return weather(city)

    eyes.on(function=function)
    made = driver.method(lab.client(driver))(**_arguments(driver, eyes), config={"tools": [function]})
    answer = lab.run(made) if driver.is_async else made
    del function, made
    if driver.streams:
        lab.run(USES["read"][1](answer)) if driver.is_async else USES["read"][0](answer)
    eyes.on(answer=answer)
    del answer
    eyes.look("after the answer")


def _client(driver: Driver, lab: Lab, eyes: Eyes) -> None:
    there, lab.clients = lab.clients, lab.wired.clients()
    try:
        eyes.on(client=lab.client(driver))
        _streamed(driver, USES["read"], lab, eyes)
    finally:
        lab.clients = there
    eyes.look("after the client")


def is_left_open(scene: str) -> bool:
    """The program does not end the stream: until it goes, its recording needs the prompt that it will write down."""
    return scene.endswith(("-abandoned", "-unread"))


SCENES: dict[str, Scene] = {
    **{f"{driver}": partial(_whole, driver) for driver in WHOLE},
    **{f"{driver}-{name}": partial(_streamed, driver, use) for name, use in USES.items() for driver in STREAMS},
    **{f"{driver}-failing": partial(_failing, driver) for driver in DRIVERS},
    **{f"{driver}-cancelled": partial(_cancelled, driver) for driver in DRIVERS if driver.is_async},
    **{f"{driver}-raw": partial(_raw, driver) for driver in CHATS},
    **{f"{driver}-functions": partial(_functions, driver) for driver in GEMINI},
    **{f"{driver}-client": partial(_client, driver) for driver in (*CHATS, *GEMINI) if driver.streams},
}
