"""A loopback OTLP/HTTP receiver: what an exporter sent, decoded."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiobs.testing.loopback import Exchange, LoopbackServer


class OTLPSink(LoopbackServer):
    """``OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint``, protocol http/protobuf.

    ``status`` other than 200 refuses everything; ``silence`` waits that many seconds before it answers.
    """

    def __init__(self, status: int = 200, silence: float = 0.0) -> None:
        super().__init__()
        self.status = status
        self.silence = silence
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.logs: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    @property
    def endpoint(self) -> str:
        """The base URL, as the standard variable takes it."""
        return self.origin

    def respond(self, exchange: Exchange, body: bytes) -> None:
        """Decode one export request."""
        if self.silence:
            self.closing.wait(self.silence)
        if exchange.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.status == 200:
            with self._changed:
                self._receive(exchange.path, body)
                self._changed.notify_all()
        exchange.send_whole(self.status, {"content-type": "application/x-protobuf"}, b"")

    def _receive(self, path: str, body: bytes) -> None:
        if path.endswith("/traces"):
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                self._note_resource(traced.resource)
                self.spans.extend(span for scope in traced.scope_spans for span in scope.spans)
        elif path.endswith("/metrics"):
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics.extend(metric for scope in measured.scope_metrics for metric in scope.metrics)
        elif path.endswith("/logs"):
            for logged in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.logs.extend(record for scope in logged.scope_logs for record in scope.log_records)

    def _note_resource(self, resource: Any) -> None:
        self.resources.append(attributes_of(resource))

    def wait_for(self, condition: Callable[[OTLPSink], bool], timeout: float = 10.0) -> bool:
        """Wait until the condition holds; False if it did not in time."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition(self):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return condition(self)
        return True


def attributes_of(item: Any) -> dict[str, Any]:
    """The attributes of a span, resource or record as a dict."""
    return {pair.key: _value(pair.value) for pair in item.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None
