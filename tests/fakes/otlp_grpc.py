"""A gRPC receiver of all three signals, as a collector's port 4317 is one: real, on a port of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

_SERVICES = {
    "trace.v1.TraceService": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "metrics.v1.MetricsService": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "logs.v1.LogsService": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
}


class GrpcReceiver:
    """Keeps what it is sent; with a ``code`` it refuses it, ``answer`` is what it says in place of an empty one."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.code: Any = None
        self.answer: Any = None

    def take(self, answer: Callable[[], Any]) -> Callable[[Any, Any], Any]:
        """What serves one batch."""

        def export(request: Any, context: Any) -> Any:
            self.messages.append(request)
            self.metadata.append(dict(context.invocation_metadata()))
            if self.code is not None:
                context.abort(self.code, "said the receiver")
            return self.answer or answer()

        return export

    @property
    def requests(self) -> list[Any]:
        """Those of traces."""
        return [message for message in self.messages if hasattr(message, "resource_spans")]

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
    options: Sequence[tuple[str, int]] = (), *, credentials: Any = None
) -> Iterator[tuple[int, GrpcReceiver]]:
    """Its port, and what it was sent; with TLS, by the server's credentials."""
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    receiver = GrpcReceiver()
    for name, (request, answer) in _SERVICES.items():
        handler = grpc.unary_unary_rpc_method_handler(
            receiver.take(answer), request.FromString, lambda message: message.SerializeToString()
        )
        service = f"opentelemetry.proto.collector.{name}"
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
    address = "127.0.0.1:0"
    is_plain = credentials is None
    port = server.add_insecure_port(address) if is_plain else server.add_secure_port(address, credentials)
    server.start()
    yield port, receiver
    server.stop(None).wait()
