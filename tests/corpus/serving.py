"""How a recorded answer goes back to the SDK: over a real socket, or past it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobs.testing import Simulator
from tests.corpus.recordings import Recorded, events
from tests.versions import aio_of, has

GOOGLE = ("gemini", "vertex")
SMALL = 4_000
"""Bytes: larger bodies go over the socket in pieces of this part of themselves, not byte by byte."""


def pieces(exchange: Recorded, cut: str) -> list[bytes] | bytes:
    """The body as it goes out: ``given`` (a stream event by event, anything else in one piece), or cut into bytes."""
    if cut == "bytes":
        size = max(1, len(exchange.body) // SMALL)
        return [exchange.body[start : start + size] for start in range(0, len(exchange.body), size)]
    return events(exchange.body) if exchange.is_sse else exchange.body


def serve(simulator: Simulator, exchange: Recorded, cut: str = "given") -> None:
    """Answer the next request as this exchange did; an older SDK may have refused to make the one before."""
    simulator.forget()
    simulator.raw(pieces(exchange, cut), exchange.status, exchange.headers)


# Past the socket


class Memory:
    """What both SDKs send their requests through in place of a socket; answers every request with ``reply``."""

    def __init__(self) -> None:
        self.reply: tuple[int, dict[str, str], bytes | list[bytes]] = (200, {}, b"{}")
        self.sent: list[tuple[str, bytes]] = []
        self._http = http_library()

    def answer(self, request: Any, content: Any) -> Any:
        """Note the request; the reply as a response of the SDKs' HTTP library."""
        self.sent.append((str(request.url), request.content))
        status, headers, _ = self.reply
        return self._http.Response(status, headers=headers, content=content, request=request)

    def transports(self) -> tuple[Any, Any]:
        """A sync and an async transport."""
        memory, http = self, self._http

        class Sync(http.BaseTransport):  # type: ignore[misc, name-defined]  # httpx or httpx2, known at run time
            def handle_request(self, request: Any) -> Any:
                request.read()
                body = memory.reply[2]
                return memory.answer(request, body if isinstance(body, bytes) else iter(body))

        class Async(http.AsyncBaseTransport):  # type: ignore[misc, name-defined]  # the same
            async def handle_async_request(self, request: Any) -> Any:
                await request.aread()
                body = memory.reply[2]
                return memory.answer(request, body if isinstance(body, bytes) else _each(body))

        return Sync(), Async()

    def clients(self) -> dict[str, tuple[Any, Any]]:
        """A sync and an async client of every family; what a Google client is asked for asynchronously is its ``aio``."""
        sync, asynchronous = self.transports()
        made = {
            name: (
                _openai(name.replace("openai", "OpenAI").replace("azure_", "Azure"), self._http.Client, sync),
                _openai(f"Async{name.replace('openai', 'OpenAI').replace('azure_', 'Azure')}",
                        self._http.AsyncClient, asynchronous),
            )
            for name in ("openai", "azure_openai")
        }  # fmt: skip
        options = {"client_args": {"transport": sync}, "async_client_args": {"transport": asynchronous}}
        for family in GOOGLE if has("gemini past the socket") else ():
            client = _google(family, options)
            made[family] = (client, client.aio)
        return made


async def _each(body: list[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


def http_library() -> Any:
    """httpx2 or httpx, whatever the SDK stands on."""
    import openai

    names = [base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__]
    return sys.modules[next(name for name in names if name in ("httpx", "httpx2"))]


def _openai(name: str, kind: Any, transport: Any) -> Any:
    import openai

    place = {"azure_endpoint": "http://memory", "api_version": "2024-10-21"} if "Azure" in name else {}
    options = {"api_key": "sk-recorded", "max_retries": 0, "http_client": kind(transport=transport), **place}
    return getattr(openai, name)(**options)


def _google(family: str, http_options: dict[str, Any]) -> Any:
    from google import genai
    from google.oauth2.credentials import Credentials

    if "retry_options" in genai.types.HttpOptions.model_fields:
        http_options = {**http_options, "retry_options": {"attempts": 1}}  # interactions would try again by themselves
    if family == "gemini":
        return genai.Client(vertexai=False, api_key="recorded", http_options=http_options)
    credentials = Credentials("recorded")  # type: ignore[no-untyped-call]  # google-auth has no types for it
    return genai.Client(
        vertexai=True, project="p", location="us-central1", credentials=credentials, http_options=http_options
    )


@asynccontextmanager
async def socket_clients(simulator: Simulator) -> AsyncIterator[dict[str, tuple[Any, Any]]]:
    """Clients of the simulator, as ``Memory.clients`` gives them; it closes the sync ones itself."""
    async with AsyncExitStack() as stack:
        made = {
            family: (
                getattr(simulator, family)(),
                await stack.enter_async_context(getattr(simulator, f"async_{family}")()),
            )
            for family in ("openai", "azure_openai")
        }
        for family in GOOGLE if has("gemini") else ():
            client = getattr(simulator, family)()
            made[family] = (client, await stack.enter_async_context(aio_of(client)))
        yield made
