"""A loopback HTTP/1.1 server with full control over what goes out when; for tests only.

One thread per connection; closing it ends every thread and socket at once, also those that are asleep in a reply.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Exchange(BaseHTTPRequestHandler):
    """One connection; ``respond`` of the server is called for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # each chunk leaves as it is written
    wbufsize = 0
    server: _Server

    def setup(self) -> None:
        """Let the server know the socket, so that it can be closed from outside."""
        super().setup()
        self.server.live.add(self.connection)

    def finish(self) -> None:
        """Forget the socket."""
        self.server.live.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        """Serve requests until the client is gone."""
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:  # the names that http.server looks for
        """Read the body, then let the owner answer."""
        length = int(self.headers.get("content-length") or 0)
        self.server.respond(self, self.rfile.read(length))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def send_whole(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Status, headers and a body of known length."""
        self.send_head(status, {**headers, "content-length": str(len(body))})
        self.wfile.write(body)

    def send_head(self, status: int, headers: dict[str, str]) -> None:
        """Status and headers alone."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_chunks(self, chunks: Iterable[bytes]) -> None:
        """Chunked transfer encoding, one ``send`` a chunk, and the chunk that ends it."""
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection here and now, whatever was promised."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined when the server closes
    request_queue_size = 128
    live: set[socket.socket]
    respond: Callable[[Exchange, bytes], None]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class LoopbackServer:
    """A server on 127.0.0.1 and a free port, from ``start`` to ``close`` (or as a context manager)."""

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.closing = threading.Event()

    def start(self) -> Self:
        """Listen and serve."""
        self.closing.clear()
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.live = set()
        self._server.respond = self.respond
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="aiobs-loopback", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Close every connection and wait for every thread."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        self.closing.set()
        server.shutdown()
        for connection in list(server.live):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
        self._thread.join()

    def respond(self, exchange: Exchange, body: bytes) -> None:
        """Answer one request."""
        raise NotImplementedError

    @property
    def origin(self) -> str:
        """``http://127.0.0.1:PORT``."""
        if self._server is None:
            raise RuntimeError("The server is not running; use it as a context manager, or call start().")
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()
