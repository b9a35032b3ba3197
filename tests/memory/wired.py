"""Both SDKs without a socket: what the simulator would answer, made once per request and handed over in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from aiobs.testing import Simulator
from aiobs.testing.script import Answer, Fault, Reply, Request
from aiobs.testing.simulator import parsed
from tests.corpus.serving import Memory


class Wired(Memory):
    """Transports that answer as the simulator does; ``fails``: with an error, ``holds``: not at all (async only)."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.holds = False
        self._replies: dict[tuple[str, bytes], Reply] = {}
        self._simulator = Simulator()
        self._simulator.on(lambda request: Answer(fault=Fault(status=400)) if self.fails else None)

    def reply_to(self, request: Any) -> Reply:
        """What the simulator says to this request."""
        key = str(request.url), _without_boundary(request)
        if key not in self._replies:
            self._replies[key] = self._simulator._reply_to(_noted(request))
        return self._replies[key]

    def transports(self) -> tuple[Any, Any]:
        """A sync and an async transport."""
        wired, http = self, self._http

        class Sync(http.BaseTransport):  # type: ignore[misc, name-defined]  # httpx or httpx2, known at run time
            def handle_request(self, request: Any) -> Any:
                request.read()
                reply = wired.reply_to(request)
                body = reply.body if isinstance(reply.body, bytes) else iter(reply.body)
                return http.Response(reply.status, headers=reply.headers, content=body, request=request)

        class Async(http.AsyncBaseTransport):  # type: ignore[misc, name-defined]  # the same
            async def handle_async_request(self, request: Any) -> Any:
                await request.aread()
                if wired.holds:
                    await asyncio.Event().wait()
                reply = wired.reply_to(request)
                body = reply.body if isinstance(reply.body, bytes) else _each(reply.body)
                return http.Response(reply.status, headers=reply.headers, content=body, request=request)

        return Sync(), Async()


async def _each(body: Any) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


def _without_boundary(request: Any) -> bytes:
    """The body; the boundary in that of a form is another one every time."""
    _, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    content: bytes = request.content
    return content.replace(boundary.encode(), b"") if boundary else content


def _noted(request: Any) -> Request:
    url = urlsplit(str(request.url))
    headers = {name.lower(): value for name, value in request.headers.items()}
    body = request.content
    return Request(1, request.method, url.path, url.query, headers, body, parsed(body))
