"""Programs that talk over OpenAI's connections, sync and async alike, and what was recorded of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiobs.testing import InMemoryTelemetry
from aiobs.testing.socket_server import SocketServer

pytest.importorskip("websockets", reason="openai's connections need websockets (openai[realtime])")

Talk = list[tuple[str, Any]]
"""Steps of a program: ``("send", event)``, ``("until", type)``: receive up to an event of this type, ``("all", None)``."""


def api_of(client: Any, api: str) -> Any:
    """``realtime`` or ``beta.realtime`` of a client."""
    for name in api.split("."):
        client = getattr(client, name)
    return client


def talk_sync(server: SocketServer, api: str, steps: Talk, **connect: Any) -> list[Any]:
    """The events that the program got."""
    got: list[Any] = []
    with (
        server.openai() as client,
        api_of(client, api).connect(**connect) as connection,
    ):
        for kind, argument in steps:
            if kind == "send":
                connection.send(argument)
                continue
            for event in connection:
                got.append(event)
                if event.type == argument:
                    break
    return got


async def talk_async(server: SocketServer, api: str, steps: Talk, **connect: Any) -> list[Any]:
    """The same of the async client."""
    got: list[Any] = []
    async with (
        server.async_openai() as client,
        api_of(client, api).connect(**connect) as connection,
    ):
        for kind, argument in steps:
            if kind == "send":
                await connection.send(argument)
                continue
            async for event in connection:
                got.append(event)
                if event.type == argument:
                    break
    return got


async def talk(is_async: bool, server: SocketServer, api: str, steps: Talk, **connect: Any) -> list[Any]:
    """One of the two."""
    if is_async:
        return await talk_async(server, api, steps, **connect)
    return talk_sync(server, api, steps, **connect)


both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])

ASK = ("send", {"type": "response.create"})
DONE = ("until", "response.done")


def said(text: str) -> tuple[str, Any]:
    """The program puts in a message."""
    content = [{"type": "input_text", "text": text}]
    return "send", {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


def spans_of(telemetry: InMemoryTelemetry, operation: str) -> list[dict[str, Any]]:
    """The attributes of the spans of an operation, in the order they ended."""
    return [
        dict(span.attributes or {})
        for span in telemetry.spans
        if (span.attributes or {}).get("gen_ai.operation.name") == operation
    ]


def without_place(attributes: dict[str, Any], *more: str) -> dict[str, Any]:
    """What does not differ from run to run."""
    left_out = ("code.", "server.port", "gen_ai.response.time_to_first_chunk", *more)
    return {name: value for name, value in attributes.items() if not name.startswith(left_out)}


Check = Callable[..., None]
