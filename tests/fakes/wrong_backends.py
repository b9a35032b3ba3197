"""Backends that go wrong, each in one way, for real: on sockets of this machine."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from aiobs.testing import OTLPSink
from aiobs.testing.loopback import Exchange, LoopbackServer

from .certificates import certificate
from .otlp_grpc import grpc_receiver

HANGS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
held = []
while True:
    held.append(listener.accept())
"""


class Refusing(LoopbackServer):
    """Answers every request alike, until ``is_mended``; then as a collector does, and keeps how many came."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        super().__init__()
        self.status, self.headers, self.body = status, headers or {}, body
        self.is_mended = False
        self.requests = 0
        self.bodies: list[bytes] = []

    def respond(self, exchange: Exchange, body: bytes) -> None:
        self.requests += 1
        if self.is_mended:
            self.bodies.append(body)
            exchange.send_whole(200, {"content-type": "application/x-protobuf"}, b"")
        else:
            exchange.send_response_only(self.status)
            for name, value in {"content-type": "text/plain", **self.headers}.items():
                exchange.send_header(name, value)
            exchange.send_header("content-length", str(len(self.body)))
            exchange.end_headers()
            exchange.wfile.write(self.body)


@dataclass
class Running:
    """One that runs: its endpoint, the variables that lead to it, and the server itself where there is one."""

    endpoint: str
    variables: dict[str, str] = field(default_factory=dict)
    server: Any = None


Serve = Callable[[Path], AbstractContextManager[Running]]


def answers(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Serve:
    @contextmanager
    def serve(folder: Path) -> Iterator[Running]:
        with Refusing(status, headers, body) as server:
            yield Running(server.origin, server=server)

    return serve


class SmallSink(OTLPSink):
    """Takes 50,000 bytes."""

    def respond(self, exchange: Exchange, body: bytes) -> None:
        if len(body) > 50_000:
            exchange.send_whole(413, {}, b"")
        else:
            super().respond(exchange, body)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


@contextmanager
def small(folder: Path) -> Iterator[Running]:
    with SmallSink() as sink:
        yield Running(sink.endpoint, server=sink)


@contextmanager
def small_grpc(folder: Path) -> Iterator[Running]:
    """A gRPC receiver that takes 50,000 bytes; by default they take 4 MiB."""
    with grpc_receiver([("grpc.max_receive_message_length", 50_000)]) as (port, receiver):
        yield Running(f"http://127.0.0.1:{port}", server=receiver)


SMALL: dict[str, Serve] = {"http/protobuf": small, "grpc": small_grpc}


def grpc_answers(code: grpc.StatusCode) -> Serve:
    @contextmanager
    def serve(folder: Path) -> Iterator[Running]:
        with grpc_receiver() as (port, receiver):
            receiver.code = code
            yield Running(f"http://127.0.0.1:{port}", server=receiver)

    return serve


def partial_success() -> ExportTraceServiceResponse:
    """One span was not stored."""
    return ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="quota")
    )


@contextmanager
def grpc_rejecting(folder: Path) -> Iterator[Running]:
    with grpc_receiver() as (port, receiver):
        receiver.answer = partial_success()
        yield Running(f"http://127.0.0.1:{port}", server=receiver)


@contextmanager
def grpc_port(folder: Path) -> Iterator[Running]:
    with grpc_receiver() as (port, receiver):
        yield Running(f"http://127.0.0.1:{port}", server=receiver)


@contextmanager
def grpc_port_by_tls(folder: Path) -> Iterator[Running]:
    with grpc_receiver() as (port, receiver):
        yield Running(f"https://127.0.0.1:{port}", server=receiver)


@contextmanager
def http_port(folder: Path) -> Iterator[Running]:
    with OTLPSink() as sink:
        yield Running(sink.endpoint, server=sink)


@contextmanager
def http_port_by_tls(folder: Path) -> Iterator[Running]:
    with OTLPSink() as sink:
        yield Running(sink.endpoint.replace("http:", "https:"), server=sink)


def tls(name: str, *, trusted: bool, scheme: str = "https") -> Serve:
    """A port with TLS, whose certificate is for that host."""

    @contextmanager
    def serve(folder: Path) -> Iterator[Running]:
        chain, key = certificate(folder, name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain, key)
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=_shake_hands, args=(listener, context), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(chain)} if trusted else {}
            yield Running(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", variables)

    return serve


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65_536)


def grpc_tls(name: str, *, trusted: bool) -> Serve:
    """A gRPC port with TLS, whose certificate is for that host."""

    @contextmanager
    def serve(folder: Path) -> Iterator[Running]:
        chain, key = certificate(folder, name)
        credentials = grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())])
        with grpc_receiver(credentials=credentials) as (port, receiver):
            variables = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(chain)} if trusted else {}
            yield Running(f"https://127.0.0.1:{port}", variables, receiver)

    return serve


@contextmanager
def silence(folder: Path) -> Iterator[Running]:
    """Another process, which accepts and never answers."""
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class Dripping(LoopbackServer):
    """Answers a byte at a time, and never comes to an end: no timeout between two bytes is exceeded."""

    def respond(self, exchange: Exchange, body: bytes) -> None:
        exchange.send_head(200, {"content-type": "application/x-protobuf", "content-length": "1000000"})
        while True:
            exchange.wfile.write(b"x")
            exchange.pause(0.05)


@contextmanager
def drips(folder: Path) -> Iterator[Running]:
    with Dripping() as server:
        yield Running(server.origin, server=server)


@contextmanager
def hang_up(folder: Path) -> Iterator[Running]:
    """Reads the request and closes the connection."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        thread = threading.Thread(target=_hang_up, args=(listener,), daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}")


def _hang_up(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)


@contextmanager
def nobody(folder: Path) -> Iterator[Running]:
    """A port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused for as long as it is held
        yield Running(f"http://127.0.0.1:{taken.getsockname()[1]}")


@contextmanager
def no_such_host(folder: Path) -> Iterator[Running]:
    """Names below .invalid exist nowhere."""
    yield Running("http://collector.invalid:4318")


@contextmanager
def no_url(folder: Path) -> Iterator[Running]:
    yield Running("localhost:4318")


def in_a_while(seconds: float) -> str:
    return formatdate(time() + seconds, usegmt=True)


@dataclass(frozen=True)
class Wrong:
    """One row: how it goes wrong, and the row of ``aiobs.exporters.replies.failures`` that tells of it."""

    name: str
    code: str
    serve: Serve
    protocol: str = "http/protobuf"


HTTP = [
    Wrong("a redirect", "redirected", answers(302, {"location": "https://example.com/"})),
    Wrong("401", "unauthorized", answers(401)),
    Wrong("403", "unauthorized", answers(403)),
    Wrong("404", "not-found", answers(404)),
    Wrong("405", "other-service", answers(405)),
    Wrong("a web page", "other-service", answers(200, {"content-type": "text/html"}, b"<html>Welcome</html>")),
    Wrong("400", "refused", answers(400)),
    Wrong("413", "too-large", answers(413)),
    Wrong("429", "overloaded", answers(429, {"retry-after": "30"})),
    Wrong("429 with a date", "overloaded", answers(429, {"retry-after": in_a_while(60)})),
    Wrong("500", "failing", answers(500)),
    Wrong("502", "not-ready", answers(502)),
    Wrong("503", "not-ready", answers(503, {"retry-after": "30"})),
    Wrong("partial success", "rejected",
          answers(200, {"content-type": "application/x-protobuf"}, partial_success().SerializeToString())),
    Wrong("nothing listens", "connection-refused", nobody),
    Wrong("no such host", "dns", no_such_host),
    Wrong("no URL", "url", no_url),
    Wrong("silence", "no-answer", silence),
    Wrong("a connection that is closed", "closed", hang_up),
    Wrong("a gRPC port", "not-http", grpc_port),
    Wrong("TLS that nobody trusts", "tls-untrusted", tls("127.0.0.1", trusted=False)),
    Wrong("TLS for another host", "tls-name", tls("other.example.com", trusted=True)),
    Wrong("https:// to a port without TLS", "tls", http_port_by_tls),
    Wrong("http:// to a port with TLS", "closed", tls("127.0.0.1", trusted=True, scheme="http")),
]  # fmt: skip
GRPC = [
    Wrong("unauthenticated", "unauthorized", grpc_answers(grpc.StatusCode.UNAUTHENTICATED), "grpc"),
    Wrong("no traces", "not-found", grpc_answers(grpc.StatusCode.UNIMPLEMENTED), "grpc"),
    Wrong("invalid", "refused", grpc_answers(grpc.StatusCode.INVALID_ARGUMENT), "grpc"),
    Wrong("exhausted", "overloaded", grpc_answers(grpc.StatusCode.RESOURCE_EXHAUSTED), "grpc"),
    Wrong("internal", "failing", grpc_answers(grpc.StatusCode.INTERNAL), "grpc"),
    Wrong("partial success", "rejected", grpc_rejecting, "grpc"),
    Wrong("nothing listens", "not-grpc", nobody, "grpc"),
    Wrong("no such host", "dns-grpc", no_such_host, "grpc"),
    Wrong("silence", "no-answer", silence, "grpc"),
    Wrong("an HTTP port", "not-grpc", http_port, "grpc"),
    Wrong("TLS that nobody trusts", "tls-untrusted", grpc_tls("127.0.0.1", trusted=False), "grpc"),
    Wrong("TLS for another host", "tls-name", grpc_tls("other.example.com", trusted=True), "grpc"),
    Wrong("https:// to a port without TLS", "tls-grpc", grpc_port_by_tls, "grpc"),
]
ALL = [*HTTP, *GRPC]
