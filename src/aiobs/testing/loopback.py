"""A loopback HTTP/1.1 server with full control over what goes out when; for tests only.

One thread per connection; closing it ends every thread and socket at once, also those that are asleep in a reply.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Self

from aiobs.testing.script import POLL


class Exchange(BaseHTTPRequestHandler):
    """One connection; ``respond`` of the owner is called for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # each chunk leaves as it is written
    wbufsize = 0
    server: _Server

    def finish(self) -> None:
        """Close the files; a client that is gone is no news."""
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
        self.server.owner.answer(self, self._read_body())

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self._read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self._read_line().split(b";")[0], 16):
            body += self._read(size + 2)[:size]
        while self.rfile.readline().strip():
            """A trailer; nobody asks for it."""
        return body

    def _read(self, length: int) -> bytes:
        """So many bytes; ``ConnectionAbortedError`` if the client goes away before, for half a request is none."""
        read = self.rfile.read(length)
        if len(read) < length:
            raise ConnectionAbortedError
        return read

    def _read_line(self) -> bytes:
        """One line; ``ConnectionAbortedError`` if the client goes away before it ends."""
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError
        return line

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

    def send_chunk(self, chunk: bytes) -> None:
        """One chunk in chunked transfer encoding, in one write; nothing for an empty one, which would end the body."""
        if chunk:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    def end_chunks(self) -> None:
        """The chunk that ends a chunked body."""
        self.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection here and now, whatever was promised."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def client_is_gone(self) -> bool:
        """Whether the client has closed its end."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def abandoned(self) -> bool:
        """Whether there is no point in a reply any more: the client is gone, or the server closes."""
        return self.server.owner.closing.is_set() or self.client_is_gone()

    def pause(self, seconds: float) -> None:
        """Wait; ``ConnectionAbortedError`` as soon as the exchange is abandoned."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.server.owner.closing.wait(min(left, POLL)) or self.client_is_gone():
                raise ConnectionAbortedError


class _Server(TCPServer):
    # Not http.server's own class: that one asks the resolver for the host's name when it binds.
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, owner: LoopbackServer, port: int) -> None:
        self.owner = owner
        self.connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), Exchange)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread; noted here, in the accepting thread, so that close() misses none."""
        alive = {thread: connection for thread, connection in self.connections.items() if thread.is_alive()}
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="aiobs-loopback-connection", daemon=True
        )
        self.connections = {**alive, thread: request}
        thread.start()

    def _serve(self, connection: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(connection, client_address)
        except Exception as failure:  # the boundary of a thread: close() hands it to the test
            self.owner.failures.append(failure)
        finally:
            self.shutdown_request(connection)

    def disconnect(self) -> None:
        """Break every connection off and wait for its thread."""
        for connection in self.connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.connections:
            thread.join()


class LoopbackServer:
    """A server on 127.0.0.1, from ``start`` to ``close``, or as a context manager; port 0 takes a free one.

    What breaks in here (a rule of yours that raises, say) is answered with a 500, kept in ``failures`` and raised where
    the ``with`` block ends.
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self.closing = threading.Event()
        self.failures: list[Exception] = []

    def start(self) -> Self:
        """Listen and serve."""
        if self._server is not None:
            raise RuntimeError("The server is running already.")
        self.closing.clear()
        self.failures.clear()  # those of an earlier block were raised there
        self._server = _Server(self, self._port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": POLL}, name="aiobs-loopback", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Close every connection and wait for every thread; closing it again does nothing."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        self.closing.set()
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.disconnect()

    def answer(self, exchange: Exchange, body: bytes) -> None:
        """Answer one request; what fails on our side is noted and told to the client."""
        try:
            self.respond(exchange, body)
        except ConnectionError:  # no other OSError: a rule that finds no file has failed
            exchange.close_connection = True
        except Exception as failure:  # a rule or a body that breaks us: the test must see it, not a dead thread
            self.failures.append(failure)
            exchange.close_connection = True
            body = json.dumps({"error": {"message": f"The test server itself failed: {failure!r}"}}).encode()
            exchange.send_whole(500, {"content-type": "application/json"}, body)
        finally:
            with self._changed:
                self._changed.notify_all()

    def respond(self, exchange: Exchange, body: bytes) -> None:
        """Answer one request."""
        raise NotImplementedError

    def wait_for(self, condition: Callable[[Self], bool], timeout: float = 10.0) -> bool:
        """Wait until the condition on this server holds; False if it does not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    @property
    def origin(self) -> str:
        """``http://127.0.0.1:PORT``."""
        if self._server is None:
            raise RuntimeError("The server is not running; use it as a context manager, or call start().")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, exception: BaseException | None, traceback: object) -> None:
        self.close()
        if self.failures and exception is None:
            raise self.failures[0]
        for failure in self.failures:
            if exception is not None:
                exception.add_note(f"{type(self).__name__} failed meanwhile: {failure!r}")
