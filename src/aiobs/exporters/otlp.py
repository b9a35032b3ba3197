"""OTLP: the official exporters, to the endpoint that is given or that the standard variables name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from opentelemetry.util.re import parse_env_headers

from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters.registry import Pipelines
from aiobs.exporters.spool import AnsweringSession, SpoolingLogExporter, SpoolingSpanExporter
from aiobs.losses import lose
from aiobs.settings import as_names, as_seconds

SIGNALS = ("traces", "metrics", "logs")
_PROTOCOLS = ("http/protobuf", "grpc")
_CREDENTIAL_PROVIDER = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_"
_CLASSES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


def pipelines(
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | str | None = None,
    protocol: str | None = None,
    timeout: float | str | None = None,
    signals: Iterable[str] | str = SIGNALS,
    spool: str | None = None,
) -> Pipelines:
    """The official exporters of traces, metrics and logs.

    ``endpoint``: the base URL, to which ``/v1/traces`` and its like are added over HTTP; unset: what
    ``OTEL_EXPORTER_OTLP_*`` say, else this machine. ``headers``: a mapping, or ``name=value,name=value``. ``protocol``:
    ``http/protobuf`` (default) or ``grpc``. ``timeout``: seconds for an export with its retries, default 10.
    ``signals``: which of the three; one is also left out when its variable (``OTEL_METRICS_EXPORTER`` …) says ``none``.
    ``spool``: a folder where spans and log records wait on disk for a backend that is away (docs/spool.md), one for
    each endpoint.
    Raises ConfigurationError for what cannot be understood, MissingExtra for grpc without the extra.
    """
    target = Target(
        endpoint, _as_headers(headers), protocol, None if timeout is None else as_seconds(timeout), spool=spool
    )
    made = {signal: target.exporter(signal) for signal in _wanted(signals)}
    return Pipelines(
        span_exporter=made.get("traces"), log_exporter=made.get("logs"), metric_exporter=made.get("metrics")
    )


@dataclass(frozen=True)
class Target:
    """Where to send; what is None is left to the standard variables."""

    endpoint: str | None
    headers: Mapping[str, str] | None
    protocol: str | None
    timeout: float | None
    name: str = "otlp"
    spool: str | None = None

    def exporter(self, signal: str, around: Callable[[Any], Any] | None = None) -> Any:
        """The official exporter of a signal, what ``around`` makes of it, and its spool in front of that."""
        session = _session(protocol_of(signal, self.protocol))
        exporter = self._official(signal, session)
        exporter = around(exporter) if around else exporter
        return _spooled(self.name, signal, exporter, session, self.spool) if self.spool else exporter

    def _official(self, signal: str, session: AnsweringSession | None) -> Any:
        """Imported only now: it brings an HTTP or gRPC client."""
        flavour = protocol_of(signal, self.protocol)
        module, cls = _CLASSES[signal]
        try:
            found = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{flavour.partition('/')[0]}.{module}")
        except ImportError as error:
            if flavour != "grpc":
                raise
            raise MissingExtra('OTLP over grpc needs an extra: pip install "aiobs[grpc]"') from error
        options = {
            "headers": self.headers and dict(self.headers),
            "timeout": self.timeout,
            "session": session,
            **self._address(signal, flavour),
        }
        return getattr(found, cls)(**{name: value for name, value in options.items() if value is not None})

    def _address(self, signal: str, flavour: str) -> dict[str, Any]:
        if self.endpoint is None:
            return {}
        if flavour == "grpc":
            return {"endpoint": self.endpoint, "insecure": not self.endpoint.startswith("https:")}
        path = f"/v1/{signal}"
        return {"endpoint": self.endpoint.rstrip("/").removesuffix("/v1/traces") + path}


def _session(flavour: str) -> AnsweringSession | None:
    """Unless somebody provides sessions that carry credentials, by the variables of the official exporter."""
    is_provided = any(name.startswith(_CREDENTIAL_PROVIDER) for name in os.environ)
    return None if flavour == "grpc" or is_provided else AnsweringSession()


def _spooled(name: str, signal: str, exporter: Any, session: AnsweringSession | None, folder: str) -> Any:
    """Metrics need none: what could not be sent is in the totals of the next time."""
    if signal == "metrics":
        return exporter
    cls, item = (SpoolingSpanExporter, "span") if signal == "traces" else (SpoolingLogExporter, "log")
    on_loss = partial(_lost_in_spool, name, item, folder)
    return cls(exporter, folder, status=session.status if session else None, on_loss=on_loss)


def _lost_in_spool(name: str, item: str, folder: str, reason: str, count: int) -> None:
    lose(name, item, reason, count, f"its spool {folder} could not keep them; its other messages say why.")


def protocol_of(signal: str, given: str | None = None) -> str:
    """``http/protobuf`` unless it is given, or the signal's variable, or the general one, says ``grpc``."""
    text = (
        given
        or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or _PROTOCOLS[0]
    )
    name = text.strip().lower()
    if name not in _PROTOCOLS:
        raise ConfigurationError(f"OTLP protocol {text!r} is not supported; use {' or '.join(_PROTOCOLS)}.")
    return name


def _wanted(given: Iterable[str] | str) -> list[str]:
    names = as_names(given.replace(" ", ",") if isinstance(given, str) else given) or ()
    unknown = [name for name in names if name not in SIGNALS]
    if unknown or not names:
        raise ConfigurationError(f"signals={given!r}: use one or more of {', '.join(SIGNALS)}.")
    return [name for name in names if os.environ.get(f"OTEL_{name.upper()}_EXPORTER", "").strip().lower() != "none"]


def _as_headers(given: Mapping[str, str] | str | None) -> Mapping[str, str] | None:
    """As the variable OTEL_EXPORTER_OTLP_HEADERS has them, or as they are."""
    if not isinstance(given, str):
        return given
    found = parse_env_headers(given, liberal=True)
    if given.strip() and not found:
        raise ConfigurationError("headers= could not be read: write name=value,name=value (its text is not shown).")
    return found
