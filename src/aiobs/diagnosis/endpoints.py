"""OTLP endpoints: whether they are this machine, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import SplitResult

from aiobs.diagnosis.finding import Finding, error, warning
from aiobs.exporters.replies.urls import safe_url, split

PORTS = {4317: "grpc", 4318: "http/protobuf"}


def is_loopback(url: str) -> bool:
    """The host is this machine by its name or address; a name is not looked up."""
    parts = split(url if "://" in url else f"//{url}")
    host = (parts.hostname or "") if parts else ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return url.startswith("unix:")


def check_endpoint(url: str, source: str, protocol: str, signal: str) -> Iterator[Finding]:
    """A URL that cannot work, the port of the other protocol, or a path that the exporter will not complete."""
    parts, shown = split(url), safe_url(url)
    if protocol != "grpc" and (parts is None or parts.scheme not in ("http", "https") or not parts.hostname):
        yield error("endpoint-url", f"{source} is not an http:// or https:// URL: {shown}",
                    "Nothing can be sent.", "Give it like http://127.0.0.1:4318.")  # fmt: skip
        return
    usual = PORTS.get(parts.port or 0) if parts else None
    if usual and usual != protocol:
        port = next(port for port, name in PORTS.items() if name == protocol)
        yield warning("port-mismatch", f"{shown} has the usual port of {usual}, but the protocol is {protocol}.",
                      "If a collector listens there, it understands nothing of it.",
                      f"Use port {port}, or OTEL_EXPORTER_OTLP_PROTOCOL={usual}.")  # fmt: skip
    if protocol == "http/protobuf" and parts:
        yield from _check_path(parts, shown, source, signal)


def _check_path(parts: SplitResult, shown: str, source: str, signal: str) -> Iterator[Finding]:
    """A signal's own variable is used as it is; the general one gets /v1/<signal> appended."""
    if source.endswith(f"_{signal.upper()}_ENDPOINT") and parts.path in ("", "/"):
        yield warning("endpoint-path", f"{source} has no path: {shown}",
                      f"It is used as it is; receivers listen at /v1/{signal} and answer 404 elsewhere.",
                      f"Append /v1/{signal}, or use OTEL_EXPORTER_OTLP_ENDPOINT, which gets it appended.")  # fmt: skip
    if source == "OTEL_EXPORTER_OTLP_ENDPOINT" and parts.query:
        yield warning("endpoint-path", f"{source} has a query: {shown}?…",
                      f"/v1/{signal} is appended to the query, not to the path.",
                      f"Use OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT with the whole URL.")  # fmt: skip
    if source == "OTEL_EXPORTER_OTLP_ENDPOINT" and parts.path.count("/v1/") > 1:
        yield warning("endpoint-path", f"{signal} are sent to {shown}: the path is there twice.",
                      f"{source} gets /v1/{signal} appended.",
                      f"Leave /v1/{signal} out of {source}.")  # fmt: skip
