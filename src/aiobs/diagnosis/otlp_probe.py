"""What the reply to a test span means, in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aiobs.diagnosis.finding import Finding, error
from aiobs.diagnosis.otlp import protocol_of
from aiobs.errors import ConfigurationError
from aiobs.exporters.answers import Place, explain
from aiobs.exporters.otlp import Target, endpoint_of
from aiobs.exporters.otlp_probe import send_test_span
from aiobs.exporters.urls import safe_url, secrets_in

_PATH = "/v1/traces"


@dataclass(frozen=True)
class Probe:
    """One test span: where it went and what became of it. ``means`` and ``do`` are empty if it was accepted."""

    endpoint: str
    source: str
    protocol: str
    headers: tuple[str, ...]
    accepted: bool
    seconds: float
    what: str
    means: str = ""
    do: str = ""


def probe(endpoint: str | None, timeout: float) -> Probe:
    """Send a span named ``aiobs doctor``, without content, and say what came back.

    ``endpoint``: a base URL, as OTEL_EXPORTER_OTLP_ENDPOINT takes it; None: what the environment says.
    """
    try:
        protocol = protocol_of("traces")
    except ConfigurationError as problem:
        return Probe("", "", "", (), False, 0.0, str(problem), "Nothing can be sent.", "Correct it.")
    url, source = (_completed(endpoint, protocol), "argument") if endpoint else endpoint_of("traces", protocol)
    place = _place(url, source, protocol, timeout)
    started = time.monotonic()
    reply = send_test_span(protocol, url, timeout)
    seconds = round(time.monotonic() - started, 3)
    verdict = explain(reply, place)
    return Probe(
        safe_url(url), source, protocol, place.headers, verdict.accepted, seconds,
        verdict.what, verdict.means, verdict.do,
    )  # fmt: skip


def check_probe(probed: Probe | None) -> Iterator[Finding]:
    """A test span that was not accepted."""
    if probed is not None and not probed.accepted:
        yield error("otlp", f"The test span was not accepted: {probed.what}", probed.means, probed.do)


def _completed(endpoint: str, protocol: str) -> str:
    if protocol == "grpc" or endpoint.rstrip("/").endswith(_PATH):
        return endpoint
    return endpoint.rstrip("/") + _PATH


def _place(url: str, source: str, protocol: str, timeout: float) -> Place:
    """As of the program, by the variables of this command."""
    of_program = Target(None, None, protocol, timeout).place("traces")
    return replace(
        of_program,
        url=url,
        source=source,
        secrets=(*of_program.secrets, *secrets_in(url)),
        credentials="OTEL_EXPORTER_OTLP_HEADERS (or OTEL_EXPORTER_OTLP_TRACES_HEADERS, which wins), like "
        "authorization=Bearer%20<key>",
        timeout_option="--timeout here and OTEL_EXPORTER_OTLP_TIMEOUT in the program",
    )
