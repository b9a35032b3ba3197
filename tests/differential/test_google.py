"""Google GenAI: chats, functions, configurations, odd answers."""

from __future__ import annotations

import asyncio
import enum
import inspect
import json
import typing
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import types
from pydantic import BaseModel

from aiobs.testing import Simulator
from tests.contract.drivers import DRIVERS, Driver
from tests.contract.programs import Stage, to_the_end
from tests.differential.engine import Bench
from tests.differential.looks import look
from tests.versions import aio_of

GENERATE = [driver for driver in DRIVERS if driver.of.name in ("gemini", "vertex")]
ASK = "What is the weather in Rome?"


class Weather(BaseModel):
    """A schema given as a class."""

    place: str
    degrees: float | None = None


class Sky(enum.Enum):
    """A schema given as an enum."""

    CLEAR = "clear"
    GREY = "grey"


def weather(place: str, days: int = 1) -> dict[str, Any]:
    """The weather.

    Args:
        place: Where.
    """
    _called.append((place, days))
    return {"degrees": 21}


async def weather_async(place: str) -> str:
    """The weather, later."""
    await asyncio.sleep(0)
    _called.append((place,))
    return "21"


def broken(place: str) -> str:
    """A function that fails."""
    _called.append((place,))
    raise LookupError("no such place")


_called: list[Any] = []
TOOL = {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"place": {"type": "STRING"}}}}


def config(**options: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(**options)


CONFIGS: dict[str, Callable[[], Any]] = {
    "#59 pydantic class": lambda: config(response_mime_type="application/json", response_schema=Weather),
    "#59 list of classes": lambda: config(response_mime_type="application/json", response_schema=list[Weather]),
    "#59 enum": lambda: config(response_mime_type="text/x.enum", response_schema=Sky),
    "#59 dictionary": lambda: {"response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}},
    "#59 union": lambda: config(response_mime_type="application/json", response_schema=typing.Union[int, str]),  # noqa: UP007  # as programs of Python 3.9 spell it
    "#42 functions": lambda: config(tools=[weather]),
    "#42 functions in a dictionary": lambda: {"tools": [weather]},
    "#42 a function that fails": lambda: config(tools=[broken]),
    "#42 functions, not called": lambda: config(tools=[weather], automatic_function_calling={"disable": True}),
    "#43 declarations": lambda: {"tools": [{"function_declarations": [TOOL]}]},
    "#39 headers": lambda: config(http_options={"headers": {"x-mine": "1"}}),
    "#60 nothing": lambda: None,
    "#60 empty": lambda: config(),
    "#65 big numbers": lambda: config(seed=2**31 - 1, temperature=0.0),
}  # fmt: skip


def tools_of(options: Any) -> list[Any]:
    tools = options.get("tools") if isinstance(options, dict) else getattr(options, "tools", None)
    return [tool for tool in tools or [] if callable(tool)]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("make", CONFIGS.values(), ids=[f"breaks-apps {name}" for name in CONFIGS])
def test_configurations(bench: Bench, make: Callable[[], Any], streams: bool) -> None:
    """The program's configuration is its own afterwards, with the functions that were in it, each called once.

    breaks-apps #42, #43, #59, #72
    """

    def run(stage: Stage) -> None:
        _called.clear()
        options = make()
        before, functions = look(options), tools_of(options)
        models = bench.simulator.gemini().models
        method = models.generate_content_stream if streams else models.generate_content
        for _ in range(2):  # a configuration is used again
            answer = method(model="m", contents=ASK, config=options)
            for item in answer if streams else [answer]:
                stage.take(item)
        stage.facts += [look(options) == before, list(_called)]
        stage.facts.append([one is other for one, other in zip(tools_of(options), functions, strict=True)])
        stage.facts.append([(str(inspect.signature(one)), inspect.iscoroutinefunction(one)) for one in functions])

    bench.check(run)


@pytest.mark.parametrize("function", [weather, weather_async, broken], ids=lambda function: function.__name__)
def test_functions_on_the_async_client(bench: Bench, function: Callable[..., Any]) -> None:
    """Coroutine functions are awaited once, functions are called once.

    breaks-apps #43
    """

    async def run(stage: Stage) -> None:
        _called.clear()
        async with aio_of(bench.simulator.gemini()) as client:
            stage.take(await client.models.generate_content(model="m", contents=ASK, config={"tools": [function]}))
            async for chunk in await client.models.generate_content_stream(
                model="m", contents=ASK, config={"tools": [function]}
            ):
                stage.take(chunk)
        stage.facts.append(list(_called))

    bench.check(run)


def test_chats(bench: Bench) -> None:
    """A chat keeps its history, whole and streamed, as without us.

    breaks-apps #33
    """

    def run(stage: Stage) -> None:
        chat = bench.simulator.gemini().chats.create(model="m", config={"tools": [weather]})
        stage.take(chat.send_message(ASK))
        for chunk in chat.send_message_stream("And tomorrow?"):
            stage.take(chunk)
        stage.facts += [look(chat.get_history()), look(chat), sorted(vars(chat))]

    bench.check(run)


def test_a_chat_left_half_way(bench: Bench) -> None:
    """A streamed answer that is not read to its end leaves the history that it leaves without us.

    breaks-apps #17, #18
    """

    def run(stage: Stage) -> None:
        chat = bench.simulator.gemini().chats.create(model="m")
        stream = chat.send_message_stream(ASK)
        stage.take(next(stream))
        stream.close()
        stage.facts += [look(chat.get_history()), look(stream), inspect.getgeneratorstate(stream)]

    bench.check(run)


def part(**fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [fields]}, "index": 0}]}


ANSWERS: dict[str, Any] = {
    "#51 no candidates": {"usageMetadata": {"promptTokenCount": 1}},
    "#51 candidates null": {"candidates": None, "promptFeedback": {"blockReason": "SAFETY"}},
    "#51 candidates empty": {"candidates": []},
    "#51 content null": {"candidates": [{"content": None, "finishReason": "SAFETY"}]},
    "#51 parts null": {"candidates": [{"content": {"role": "model", "parts": None}}]},
    "#51 no parts": {"candidates": [{"content": {}, "finishReason": "A_NEW_REASON"}]},
    "#49 part without a kind": part(),
    "#52 function call without arguments": part(functionCall={"name": "weather"}),
    "#55 function call without a name": part(functionCall={"args": {"a": None}}),
    "#58 wrong types": {"candidates": [{"content": {"parts": [{"text": 7}]}, "index": "x"}]},
    "#58 usage null": {**part(text="a"), "usageMetadata": None},
    "#73 unknown part": part(aNewKind={"x": 1}),
    "#56 another operation's": {"embedding": {"values": [0.5]}},
    "empty": {},
    "#21 error": {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=[f"breaks-apps {name}" for name in ANSWERS])
@pytest.mark.parametrize("driver", GENERATE, ids=str)
def test_odd_answers(bench: Bench, driver: Driver, answer: Any) -> None:
    """Whatever comes is handed on, or fails as it does without us.

    breaks-apps #49, #51, #52, #55, #56, #58
    """

    def script(simulator: Simulator, driver: Driver) -> None:
        body, plain = json.dumps(answer).encode(), json.dumps(part(text="a")).encode()
        events = [b"data: " + one + b"\r\n\r\n" for one in (body, plain, body)]
        simulator.raw(events if driver.streams else body)

    bench.compare(to_the_end(driver), driver, script)
