"""What the reply to a test span means, in words."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from aiobs.diagnosis.finding import Finding, error
from aiobs.diagnosis.otlp import protocol_of
from aiobs.errors import ConfigurationError
from aiobs.exporters.otlp import Target, endpoint_of
from aiobs.exporters.otlp_probe import send_test_span
from aiobs.exporters.replies.answers import Place, explain
from aiobs.exporters.replies.urls import safe_url, secrets_in

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
    code: str = ""  # of the table of failures
    exporter: str = "otlp"


def probe(endpoint: str | None, timeout: float) -> Probe:
    """Send a span named ``aiobs doctor``, without content, and say what came back.

    ``endpoint``: a base URL, as OTEL_EXPORTER_OTLP_ENDPOINT takes it; None: what the environment says.
    """
    try:
        protocol = protocol_of("traces")
    except ConfigurationError as problem:
        return Probe("", "", "", (), False, 0.0, str(problem), "Nothing can be sent.", "Correct it.")
    url, source = (_completed(endpoint, protocol), "argument") if endpoint else endpoint_of("traces", protocol)
    return _sent(_place(url, source, protocol, timeout), timeout)


def probe_target(name: str, target: Target, timeout: float) -> Probe:
    """The same to where an exporter sends."""
    try:
        place = target.place("traces")
    except ConfigurationError as problem:
        return Probe("", "", "", (), False, 0.0, str(problem), "Nothing can be sent.", "Correct it.", exporter=name)
    place = replace(place, timeout=timeout, timeout_option="--timeout here and timeout= in the program")
    return replace(_sent(place, timeout, target.sent_headers(place.protocol)), exporter=name)


def _sent(place: Place, timeout: float, headers: Mapping[str, str] | None = None) -> Probe:
    started = time.monotonic()
    reply = send_test_span(place.protocol, place.url, timeout, headers)
    seconds = round(time.monotonic() - started, 3)
    verdict = explain(reply, place)
    return Probe(
        safe_url(place.url), place.source, place.protocol, place.headers, verdict.accepted, seconds,
        verdict.what, verdict.means, verdict.do, verdict.code,
    )  # fmt: skip


def check_probes(probes: Iterable[Probe]) -> Iterator[Finding]:
    """A test span that was not accepted."""
    for probed in probes:
        if not probed.accepted:
            where = "" if probed.exporter == "otlp" else f" by {probed.exporter}"
            yield error("otlp", f"The test span was not accepted{where}: {probed.what}", probed.means, probed.do)


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
