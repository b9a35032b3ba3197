"""Receivers that go wrong in every way, on this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from aiobs.testing.loopback import Exchange, LoopbackServer


class Receiver(LoopbackServer):
    """Answers every request with one status, reason, type and body; keeps the authorization headers it got."""

    def __init__(self, status: int = 200, body: bytes = b"", content_type: str = "application/x-protobuf") -> None:
        super().__init__()
        self.status = status
        self.body = body
        self.content_type = content_type
        self.echo = False
        self.received: list[str] = []

    def respond(self, exchange: Exchange, body: bytes) -> None:
        self.received.append(exchange.headers.get("authorization", ""))
        reason = f"no good: {self.received[-1]}" if self.echo else None
        exchange.send_response_only(self.status, reason)
        exchange.send_header("content-type", self.content_type)
        exchange.send_header("content-length", str(len(self.body)))
        exchange.end_headers()
        exchange.wfile.write(self.body)


@pytest.fixture
def unused_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes], int]]:
    """A port that sends these bytes to whoever connects, once it has spoken, and closes."""
    with contextlib.ExitStack() as stack:

        def serve(answer: bytes) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=_answer, args=(listener, answer), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return int(listener.getsockname()[1])

        yield serve


def _answer(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    """What is left unread makes the close a reset."""
