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
from aiobs.exporters.replies.answers import Answers, Place
from aiobs.exporters.replies.connections import AnsweringSession
from aiobs.exporters.replies.explained import explained
from aiobs.exporters.replies.urls import secrets_in
from aiobs.exporters.spool import SpoolingLogExporter, SpoolingSpanExporter
from aiobs.losses import lose
from aiobs.settings import as_names, as_seconds

SIGNALS = ("traces", "metrics", "logs")
DEFAULTS = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}
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
    to = target(endpoint=endpoint, headers=headers, protocol=protocol, timeout=timeout, spool=spool)
    made = {signal: to.exporter(signal) for signal in _wanted(signals)}
    return Pipelines(
        span_exporter=made.get("traces"), log_exporter=made.get("logs"), metric_exporter=made.get("metrics")
    )


def target(
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | str | None = None,
    protocol: str | None = None,
    timeout: float | str | None = None,
    signals: Iterable[str] | str = SIGNALS,
    spool: str | None = None,
) -> Target:
    """Where ``pipelines`` with the same options sends."""
    seconds = None if timeout is None else as_seconds(timeout)
    return Target(endpoint, _as_headers(headers), protocol, seconds, spool=spool)


@dataclass(frozen=True)
class Target:
    """Where to send; what is None is left to the standard variables.

    ``named`` and ``credentials`` are how the endpoint and the credentials are given, for what is told of failures.
    """

    endpoint: str | None
    headers: Mapping[str, str] | None
    protocol: str | None
    timeout: float | None
    name: str = "otlp"
    spool: str | None = None
    named: str = "endpoint="
    credentials: str = "headers=, or OTEL_EXPORTER_OTLP_HEADERS, like authorization=Bearer%20<key>"

    def exporter(self, signal: str, around: Callable[[Any], Any] | None = None) -> Any:
        """The official exporter of a signal, what ``around`` makes of it, and its spool in front of that."""
        answers = Answers(self.place(signal))
        exporter = self._official(signal, answers)
        exporter = around(exporter) if around else exporter
        return _spooled(self.name, signal, exporter, answers, self.spool) if self.spool else exporter

    def place(self, signal: str) -> Place:
        """Where that signal is sent, by the options and the variables."""
        flavour = protocol_of(signal, self.protocol)
        given = {**headers_of(signal), **(self.headers or {})}
        url, source = self._address(signal, flavour)
        return Place(
            url=url,
            source=source,
            protocol=flavour,
            signal=signal,
            timeout=self.timeout if self.timeout is not None else timeout_of(signal),
            headers=tuple(given),
            secrets=(*_parts(given.values()), *secrets_in(url)),
            credentials=self.credentials,
        )

    def sent_headers(self, flavour: str) -> dict[str, str] | None:
        """Those that are given; gRPC takes names in lower case only."""
        given = self.headers or {}
        return {name.lower() if flavour == "grpc" else name: text for name, text in given.items()} or None

    def _official(self, signal: str, answers: Answers) -> Any:
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
            "headers": self.sent_headers(flavour),
            "timeout": self.timeout,
            "session": _session(flavour, answers),
            **self._given(signal, flavour),
        }
        given = {name: value for name, value in options.items() if value is not None}
        return explained(getattr(found, cls), self.name, answers, given)

    def _given(self, signal: str, flavour: str) -> dict[str, Any]:
        if self.endpoint is None:
            return {}
        endpoint = self._address(signal, flavour)[0]
        return {"endpoint": endpoint, **({"insecure": not endpoint.startswith("https:")} if flavour == "grpc" else {})}

    def _address(self, signal: str, flavour: str) -> tuple[str, str]:
        """The URL, and the option or variable that it comes from."""
        if self.endpoint is None:
            return endpoint_of(signal, flavour)
        path = "" if flavour == "grpc" else f"/v1/{signal}"
        base = self.endpoint if flavour == "grpc" else self.endpoint.rstrip("/").removesuffix("/v1/traces")
        return base + path, self.named


def endpoint_of(signal: str, flavour: str) -> tuple[str, str]:
    """The URL as the official exporter makes it, and the variable (or ``default``) that it comes from."""
    own, general = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    if url := os.environ.get(own):
        return url, own
    base, source = (url, general) if (url := os.environ.get(general)) else (DEFAULTS[flavour], "default")
    return (base, source) if flavour == "grpc" else (f"{base.removesuffix('/')}/v1/{signal}", source)


def headers_of(signal: str) -> Mapping[str, str]:
    """What the official exporter reads from the signal's variable, else from the general one."""
    own, general = f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"
    return parse_env_headers(os.environ.get(own) or os.environ.get(general, ""), liberal=True)


def timeout_of(signal: str) -> float:
    """Seconds, as the official exporter reads them."""
    text = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_TIMEOUT"
    )
    try:
        return float(text or 10)
    except ValueError:
        return 10.0


def _parts(values: Iterable[str]) -> tuple[str, ...]:
    """Header values, and keys without their ``Bearer``."""
    return tuple(part for value in values for part in (value, value.rpartition(" ")[2]) if part)


def _session(flavour: str, answers: Answers) -> AnsweringSession | None:
    """Unless somebody provides sessions that carry credentials, by the variables of the official exporter."""
    is_provided = any(name.startswith(_CREDENTIAL_PROVIDER) for name in os.environ)
    return None if flavour == "grpc" or is_provided else AnsweringSession(answers)


def _spooled(name: str, signal: str, exporter: Any, answers: Answers, folder: str) -> Any:
    """Metrics need none: what could not be sent is in the totals of the next time."""
    if signal == "metrics":
        return exporter
    cls, item = (SpoolingSpanExporter, "span") if signal == "traces" else (SpoolingLogExporter, "log")
    on_loss = partial(_lost_in_spool, name, item, folder)
    return cls(
        exporter, folder, status=answers.status, on_loss=on_loss, why=answers.why, retry_after=answers.retry_after
    )


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
