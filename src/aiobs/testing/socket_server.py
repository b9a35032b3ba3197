"""A loopback server of WebSocket connections that follows a script; for tests only. Needs ``websockets``."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiobs.errors import MissingExtra
from aiobs.testing.wire import wires

if TYPE_CHECKING:
    from websockets.http11 import Request
    from websockets.sync.server import ServerConnection

Event = dict[str, Any]


@dataclass(frozen=True)
class Close:
    """In place of an event: close the connection, properly."""

    code: int = 1000
    reason: str = ""


class Drop:
    """In place of an event: the connection is gone without a word."""


@dataclass(frozen=True)
class Pause:
    """In place of an event: wait until the test sets ``until``."""

    until: threading.Event


_DIAL_SECURELY = ("openai", "async_openai")
"""Clients that once dialled ``wss`` wherever their ``base_url`` led."""

Step = Event | str | Close | Drop | Pause
"""An event; text that is sent as it is; or something that happens instead."""


@dataclass
class Script:
    """What the server says: ``greeting`` when it is dialled, ``answer`` (event, its number from 1) to each event."""

    answer: Callable[[Event, int], Iterable[Step]] = lambda event, number: ()
    greeting: Iterable[Step] = field(default_factory=tuple)


class SocketServer:
    """A provider's connections on this machine.

    ``received`` are the events that programs sent, ``messages`` the same as they came; ``paths`` are the addresses that
    they dialled, ``headers`` what they said then. Clients are methods, as
    those of ``Simulator``: ``server.openai()``.
    """

    def __init__(self, script: Script) -> None:
        try:
            from websockets.sync.server import serve
        except ImportError as error:
            raise MissingExtra("A server of WebSocket connections needs websockets: pip install websockets") from error
        self.script = script
        self.received: list[Event] = []
        self.messages: list[str | bytes] = []
        self.headers: list[list[tuple[str, str]]] = []
        self.paths: list[str] = []
        self._open: list[ServerConnection] = []
        self._server = serve(
            self._serve, "127.0.0.1", 0, max_size=None, compression=None, process_request=self._dialled
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        """``http://host:port``."""
        return f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _dialled(self, connection: ServerConnection, request: Request) -> None:
        """Before the answer: who is connected knows that it is written down."""
        self.paths.append(request.path)
        self.headers.append(list(request.headers.raw_items()))

    def _serve(self, connection: ServerConnection) -> None:
        self._open.append(connection)
        with suppress(Exception):  # whoever dialled is gone
            self._play(connection, self.script.greeting)
            for number, message in enumerate(connection, 1):
                self.messages.append(message)
                event = json.loads(message)
                self.received.append(event)
                self._play(connection, self.script.answer(event, number))

    def _play(self, connection: ServerConnection, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Close):
                connection.close(step.code, step.reason)
            elif isinstance(step, Drop):
                connection.socket.shutdown(socket.SHUT_RDWR)
            elif isinstance(step, Pause):
                step.until.wait(30)
            else:
                connection.send(step if isinstance(step, str) else json.dumps(step))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A ready client of that name, from any wire format."""
        if not name.startswith("_"):
            for wire in wires():
                if name in wire.clients:
                    place = {"websocket_base_url": f"ws{self.origin[4:]}/v1"} if name in _DIAL_SECURELY else {}
                    return lambda **options: wire.clients[name](self.origin, **{**place, **options})
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def close(self) -> None:
        """End every connection and every thread."""
        for connection in self._open:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
