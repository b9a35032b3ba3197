"""One program that makes every exchange of a driver, and reads all that comes back."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from aiobs.testing import Simulator
from tests.contract.drivers import Driver
from tests.needles.exchanges import Exchange
from tests.needles.outputs import Output, Outputs


def run(driver: Driver, exchanges: Iterable[Exchange], outputs: Outputs) -> None:
    """Make them all; what the SDK raises is the program's, which goes on. Warnings are the SDK's too."""
    with Simulator() as simulator, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if driver.is_async:
            asyncio.run(_run_async(driver, exchanges, simulator, outputs))
            return
        method = driver.method(driver.client(simulator))
        for exchange in exchanges:
            exchange.script(simulator)
            with suppress(Exception):
                answer = method(**exchange.arguments)
                outputs.extra += shown(answer)
                if driver.streams:
                    for chunk in answer:
                        del chunk
            simulator._script.clear()


async def _run_async(driver: Driver, exchanges: Iterable[Exchange], simulator: Simulator, outputs: Outputs) -> None:
    async with driver.async_client(simulator) as client:
        method = driver.method(client)
        for exchange in exchanges:
            exchange.script(simulator)
            with suppress(Exception):
                answer = await method(**exchange.arguments)
                outputs.extra += shown(answer)
                if driver.streams:
                    async for chunk in answer:
                        del chunk
            simulator._script.clear()


def shown(answer: Any) -> Iterator[Output]:
    """How the objects look that we have put on the program's: an iterator, a shadowed method, an iterator of ours."""
    seen = [answer, *vars(answer).values()] if hasattr(answer, "__dict__") else [answer]
    response = getattr(answer, "response", None)
    seen += vars(response).values() if hasattr(response, "__dict__") else ()
    for each in seen:
        if _is_ours(each):
            yield Output("repr", "", f"{each!r} {each!s}")


def _is_ours(each: Any) -> bool:
    inner = getattr(each, "func", each)
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return str(module).startswith("aiobs")
