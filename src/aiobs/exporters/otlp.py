"""OTLP by the standard variables: the official exporters, in the background, with an exit that does not wait long."""

from __future__ import annotations

import importlib
import os
from typing import Any

from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters.registry import Pipelines

_PROTOCOLS = ("http/protobuf", "grpc")


def pipelines() -> Pipelines:
    """Traces, metrics and logs to the endpoint that ``OTEL_EXPORTER_OTLP_*`` name.

    A signal is left out when its variable (``OTEL_METRICS_EXPORTER`` …) says ``none``. Raises ConfigurationError for
    an unknown protocol, MissingExtra for grpc without the extra.
    """
    traces = _exporter("TRACES", "trace_exporter", "OTLPSpanExporter")
    metrics = _exporter("METRICS", "metric_exporter", "OTLPMetricExporter")
    logs = _exporter("LOGS", "_log_exporter", "OTLPLogExporter")
    return Pipelines(
        span_processors=(BatchSpanProcessor(traces),) if traces else (),
        metric_readers=(PeriodicExportingMetricReader(metrics),) if metrics else (),
        log_processors=(BatchLogRecordProcessor(logs),) if logs else (),
    )


def span_processor() -> BatchSpanProcessor:
    """Traces alone, in batches in the background, for a TracerProvider of the program's own."""
    return BatchSpanProcessor(_made("TRACES", "trace_exporter", "OTLPSpanExporter"))


def _wanted(signal: str) -> bool:
    return os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() != "none"


def protocol(signal: str) -> str:
    """``http/protobuf`` unless the signal's variable, or the general one, says ``grpc``."""
    text = (
        os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or _PROTOCOLS[0]
    )
    name = text.strip().lower()
    if name not in _PROTOCOLS:
        raise ConfigurationError(f"OTLP protocol {text!r} is not supported; use {' or '.join(_PROTOCOLS)}.")
    return name


def _exporter(signal: str, module: str, cls: str) -> Any:
    return _made(signal, module, cls) if _wanted(signal) else None


def _made(signal: str, module: str, cls: str) -> Any:
    """The official exporter, imported only now: it brings an HTTP or gRPC client."""
    flavour = "http" if protocol(signal) == "http/protobuf" else "grpc"
    try:
        found = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{flavour}.{module}")
    except ImportError as error:
        if flavour == "http":
            raise
        raise MissingExtra('OTLP over grpc needs an extra: pip install "aiobs[grpc]"') from error
    return getattr(found, cls)()
