"""OTLP by the standard variables: where each signal would be sent, and what is in its way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import util

from aiobs.diagnosis.endpoints import check_endpoint, is_loopback
from aiobs.diagnosis.finding import Finding, error, warning
from aiobs.errors import ConfigurationError
from aiobs.exporters import otlp
from aiobs.exporters.otlp import DEFAULTS, SIGNALS, endpoint_of, headers_of
from aiobs.exporters.replies.urls import safe_url


@dataclass(frozen=True)
class Destination:
    """Where one signal is sent; ``source`` is the variable that says so, or ``default``; headers by name only."""

    signal: str
    protocol: str
    url: str
    source: str
    headers: tuple[str, ...]

    @property
    def is_remote(self) -> bool:
        """Not this machine."""
        return not is_loopback(self.url)


def destinations(*, by_distro: bool) -> tuple[Destination, ...]:
    """Each signal that is not switched off, if the protocol is one of those there are."""
    try:
        flavours = _protocols(by_distro=by_distro)
    except ConfigurationError:
        return ()
    found = ((signal, flavour, *endpoint_of(signal, flavour)) for signal, flavour in flavours.items())
    return tuple(
        Destination(signal, flavour, safe_url(url), source, header_names(signal))
        for signal, flavour, url, source in found
    )


def check_otlp(*, by_distro: bool) -> Iterator[Finding]:
    """A protocol that is not known or not installed, and endpoints that do not fit it."""
    try:
        flavours = _protocols(by_distro=by_distro)
    except ConfigurationError as problem:
        yield error("otlp-protocol", str(problem), "Nothing can be sent.",
                    "Correct OTEL_EXPORTER_OTLP_PROTOCOL, or unset it.")  # fmt: skip
        return
    if "grpc" in flavours.values() and not has_grpc() and not by_distro:
        yield error("grpc-missing", "The protocol is grpc, but its exporter is not installed.", "Nothing can be sent.",
                    'pip install "aiobs[grpc]", or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.')  # fmt: skip
    yield from _once_per_source(flavours)
    yield from _check_defaults(flavours)


def check_distro(configurator: str) -> Iterator[Finding]:
    """The distro's own default protocol, where nobody names one."""
    if _names_no_protocol("traces"):
        missing = "" if has_grpc() else " Its exporter is not installed, so that nothing is set up at all."
        yield warning("distro-grpc", f"{configurator} makes grpc the default protocol.",
                      f"Under opentelemetry-instrument everything goes by grpc, usually to port 4317.{missing}",
                      "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, unless grpc is meant.")  # fmt: skip


def header_names(signal: str) -> tuple[str, ...]:
    """The names alone."""
    return tuple(headers_of(signal))


def protocol_of(signal: str, *, by_distro: bool = False) -> str:
    """As aiobs reads it; under a distro the default is grpc. Raises ConfigurationError."""
    return "grpc" if by_distro and _names_no_protocol(signal) else otlp.protocol_of(signal)


def exporter_is_none(signal: str) -> bool:
    """``OTEL_TRACES_EXPORTER=none`` and its siblings."""
    return os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none"


def has_grpc() -> bool:
    """The exporter of the extra is installed."""
    try:
        return util.find_spec("opentelemetry.exporter.otlp.proto.grpc") is not None
    except ModuleNotFoundError:
        return False


def _names_no_protocol(signal: str) -> bool:
    """A distro's default is set unless the general variable is there, even empty."""
    general = "OTEL_EXPORTER_OTLP_PROTOCOL"
    return general not in os.environ and not os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")


def _protocols(*, by_distro: bool) -> dict[str, str]:
    return {signal: protocol_of(signal, by_distro=by_distro) for signal in SIGNALS if not exporter_is_none(signal)}


def _check_defaults(flavours: dict[str, str]) -> Iterator[Finding]:
    """A signal with an endpoint of its own leaves the others at the default."""
    sources = {signal: endpoint_of(signal, flavour)[1] for signal, flavour in flavours.items()}
    others = [signal for signal, source in sources.items() if source == "default"]
    if others and len(others) < len(sources):
        named = ", ".join(sorted(set(sources.values()) - {"default"}))
        none = " ".join(f"OTEL_{signal.upper()}_EXPORTER=none" for signal in others)
        yield warning("endpoint-partial", f"{named} is set, but {' and '.join(others)} have no endpoint.",
                      f"They are sent to {DEFAULTS[flavours[others[0]]]}.",
                      f"Set OTEL_EXPORTER_OTLP_ENDPOINT as well, or {none}.")  # fmt: skip


def _once_per_source(flavours: dict[str, str]) -> Iterable[Finding]:
    """The three signals usually share a variable; it is wrong once."""
    found: dict[tuple[str, str], Finding] = {}
    for signal, flavour in flavours.items():
        url, source = endpoint_of(signal, flavour)
        for finding in check_endpoint(url, source, flavour, signal):
            found.setdefault((finding.code, source), finding)
    return found.values()
