"""Prometheus: metrics at ``http://localhost:9464/metrics``, with a bound on the number of values that a label has.

>>> configure(exporters=[Exporter("prometheus", port=9464)])

One process serves its own metrics. Where several share a port (workers of a web server) the first one gets it and the
others warn: give them ports of their own, or send OTLP to a collector, which serves them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics.export import MetricsData

from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters.registry import Pipelines
from aiobs.exporters.rewriting.cardinality import LabelLimit

DEFAULT_PORT = 9464

_served: dict[tuple[str, int], tuple[Any, Any]] = {}
"""Server and registry by address: they stay when exporters are exchanged."""

_IN_USE = (
    "{host}:{port} cannot be listened on ({why}). One process serves one port: give each its own (port=0 takes any), "
    "or send OTLP to a collector, which serves the metrics of all"
)


def pipelines(*, host: str | None = None, port: int | str | None = None, label_limit: int | str = 200) -> Pipelines:
    """A reader that answers a scrape.

    ``host`` and ``port``: unset: ``OTEL_EXPORTER_PROMETHEUS_HOST`` and ``_PORT``, else localhost and 9464; port 0 takes
    any, which ``address()`` tells. ``label_limit``: how many values of a label are told apart, the first ones that
    come; the others are added up as ``other``. Raises ConfigurationError for no number, MissingExtra without the extra,
    OSError for a port in use.
    """
    registry, limit = _registry(*address_of(host, port)), LabelLimit(_whole("label_limit", label_limit))
    return Pipelines(metric_reader=lambda rewrite: _reader(registry, limit, rewrite))


def address_of(host: str | None, port: int | str | None) -> tuple[str, int]:
    """Where it would serve; what is None is as the variables say. Raises ConfigurationError for no number."""
    number = port if port is not None else os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT") or DEFAULT_PORT
    return host or os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST") or "localhost", _whole("port", number)


def address() -> tuple[str, int] | None:
    """Host and port of the server that was started last, or None."""
    servers = [server for server, _ in _served.values()]
    return servers[-1].server_address[:2] if servers else None


def _reader(registry: Any, limit: LabelLimit, rewrite: Callable[[MetricsData], MetricsData]) -> Any:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader

    class BoundedReader(PrometheusMetricReader):
        """Adds up what is beyond the bound before it is served."""

        def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
            super()._receive_metrics(limit.apply(rewrite(metrics_data)), timeout_millis, **kwargs)

    return BoundedReader(registry=registry)


def _registry(host: str, port: int) -> Any:
    if (host, port) not in _served:
        try:
            import opentelemetry.exporter.prometheus  # noqa: F401  # both, before anything is opened
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError as error:
            raise MissingExtra('The Prometheus exporter needs an extra: pip install "aiobs[prometheus]"') from error
        registry = CollectorRegistry()
        try:
            server, _thread = start_http_server(port, host, registry)
        except OSError as error:
            raise OSError(error.errno, _IN_USE.format(host=host, port=port, why=error.strerror)) from error
        _served[host, port] = server, registry
    return _served[host, port][1]


def _whole(name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ConfigurationError(f"{name}={value!r} is not a whole number of 0 or more.")
    return number


def _close_in_child() -> None:
    """The parent serves: a child that keeps the socket open would hold the port after the parent's end."""
    for server, _ in _served.values():
        server.socket.close()
    _served.clear()


os.register_at_fork(after_in_child=_close_in_child)
