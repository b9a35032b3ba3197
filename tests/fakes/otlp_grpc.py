"""A gRPC receiver of traces, as a collector's port 4317 is one: real, on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse


class TraceService(service.TraceServiceServicer):
    """Keeps what it is sent; with a ``code`` it refuses it."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.code: Any = None

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:
        """One batch."""
        self.requests.append(request)
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
def grpc_receiver() -> Iterator[tuple[int, TraceService]]:
    """Its port, and what it was sent."""
    server = grpc.server(ThreadPoolExecutor(2))
    receiver = TraceService()
    service.add_TraceServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, receiver
    server.stop(None).wait()
