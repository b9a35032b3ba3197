"""A loopback OTLP/HTTP receiver: what an exporter sent, decoded."""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf has no stubs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiobs.testing.loopback import Exchange, LoopbackServer

_DECODERS = {
    "traces": ExportTraceServiceRequest.FromString,
    "metrics": ExportMetricsServiceRequest.FromString,
    "logs": ExportLogsServiceRequest.FromString,
}
_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@dataclass(frozen=True)
class Export:
    """One export request: where it went, its headers (lower-case names) and the status that it got."""

    path: str
    headers: dict[str, str]
    status: int


@dataclass(frozen=True)
class _Refusal:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class OTLPSink(LoopbackServer):
    """``OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint``, protocol http/protobuf.

    ``status`` other than 200 refuses everything, and what is refused is not kept; ``silence`` is how many seconds it
    waits before it reads; both can be changed while it runs. ``spans``, ``metrics`` and ``logs`` are protobuf messages
    in the order they came (``attributes_of`` reads their attributes), ``resources`` one dict per resource received,
    ``exports`` the journal of the requests.
    """

    def __init__(self, status: int = 200, silence: float = 0.0, port: int = 0) -> None:
        super().__init__(port)
        self.status = status
        self.silence = silence
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.logs: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.exports: list[Export] = []
        self._refusals: deque[_Refusal] = deque()

    @property
    def endpoint(self) -> str:
        """The base URL, as the standard variable takes it."""
        return self.origin

    def refuse(self, status: int = 503, *, times: int = 1, retry_after: float | None = None) -> None:
        """Refuse the next ``times`` requests, then go on as before."""
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        self._refusals.extend([_Refusal(status, headers)] * times)

    def respond(self, exchange: Exchange, body: bytes) -> None:
        """Decode one export request."""
        exchange.pause(self.silence)
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        with self._changed:
            refusal = self._refusals.popleft() if self._refusals else _Refusal(self.status)
            status = self._receive(exchange.path, headers, body) if refusal.status == 200 else refusal.status
            self.exports.append(Export(exchange.path, headers, status))
        exchange.send_whole(status, {"content-type": "application/x-protobuf", **refusal.headers}, b"")

    def _receive(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep what the body holds; the status that says whether that went well."""
        signal = path.rpartition("/v1/")[2]  # vendors put a path of their own before it
        if signal not in _DECODERS:
            return 404
        if headers.get("content-type") != "application/x-protobuf":
            return 415
        try:
            message = _DECODERS[signal](_DECOMPRESSORS[headers.get("content-encoding", "identity")](body))
        except (DecodeError, KeyError, OSError, EOFError, zlib.error):
            return 400
        self._keep(signal, message)
        return 200

    def _keep(self, signal: str, message: Any) -> None:
        if signal == "traces":
            groups = message.resource_spans
            self.spans += [span for group in groups for scope in group.scope_spans for span in scope.spans]
        elif signal == "metrics":
            groups = message.resource_metrics
            self.metrics += [metric for group in groups for scope in group.scope_metrics for metric in scope.metrics]
        else:
            groups = message.resource_logs
            self.logs += [record for group in groups for scope in group.scope_logs for record in scope.log_records]
        self.resources += [attributes_of(group.resource) for group in groups]


def attributes_of(item: Any) -> dict[str, Any]:
    """The attributes of a received span, resource, data point or log record as a dict."""
    return {pair.key: _value(pair.value) for pair in item.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None
