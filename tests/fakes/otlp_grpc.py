"""A gRPC receiver of traces, as a collector's port 4317 is one: real, on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse


class TraceService(service.TraceServiceServicer):
    """Keeps what it is sent; with a ``code`` it refuses it."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.code: Any = None

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:
        """One batch."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.code is not None:
            context.abort(self.code, "said the receiver")
        return ExportTraceServiceResponse()

    @property
    def names(self) -> list[str]:
        """The names of the spans that came."""
        return [
            span.name
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def grpc_receiver(
    options: Sequence[tuple[str, int]] = (), *, credentials: Any = None, servicer: Any = None
) -> Iterator[tuple[int, Any]]:
    """Its port, and what it was sent; with TLS, by the server's credentials."""
    server = grpc.server(ThreadPoolExecutor(2), options=options)
    receiver = servicer or TraceService()
    service.add_TraceServiceServicer_to_server(receiver, server)
    add = server.add_insecure_port if credentials is None else partial(_add_secure, server, credentials)
    port = add("127.0.0.1:0")
    server.start()
    yield port, receiver
    server.stop(None).wait()


def _add_secure(server: Any, credentials: Any, address: str) -> int:
    return int(server.add_secure_port(address, credentials))
