"""What the reply to a test span means, in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from aiobs.diagnosis.endpoints import safe_url, secrets_in
from aiobs.diagnosis.finding import Finding, error
from aiobs.diagnosis.otlp import endpoint_of, header_names, headers_of, protocol_of
from aiobs.errors import AiobsError, ConfigurationError, scrub
from aiobs.exporters.otlp_probe import Reply, send_test_span

_PATH = "/v1/traces"
_LONGEST = 300


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


@dataclass(frozen=True)
class _Verdict:
    what: str
    means: str
    do: str
    accepted: bool = False


def probe(endpoint: str | None, timeout: float) -> Probe:
    """Send a span named ``aiobs doctor``, without content, and say what came back.

    ``endpoint``: a base URL, as OTEL_EXPORTER_OTLP_ENDPOINT takes it; None: what the environment says.
    """
    try:
        protocol = protocol_of("traces")
    except ConfigurationError as problem:
        return Probe("", "", "", (), False, 0.0, str(problem), "Nothing can be sent.", "Correct it.")
    url, source = (_completed(endpoint, protocol), "argument") if endpoint else endpoint_of("traces", protocol)
    started = time.monotonic()
    reply = send_test_span(protocol, url, timeout)
    seconds = round(time.monotonic() - started, 3)
    verdict = explain(reply, url, source, protocol, timeout)
    return Probe(
        safe_url(url), source, protocol, header_names("traces"), verdict.accepted, seconds,
        _printable(scrub(verdict.what, _secrets(url))), verdict.means, verdict.do,
    )  # fmt: skip


def _secrets(url: str) -> tuple[str, ...]:
    """What a receiver or an exception might echo: header values, userinfo and query."""
    values = (part for value in headers_of("traces").values() for part in (value, value.rpartition(" ")[2]))
    return (*filter(None, values), *secrets_in(url))


def _printable(text: str) -> str:
    """What a receiver says, without what would steer a terminal, and no longer than a person reads."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} …"


def check_probe(probed: Probe | None) -> Iterator[Finding]:
    """A test span that was not accepted."""
    if probed is not None and not probed.accepted:
        yield error("otlp", f"The test span was not accepted: {probed.what}", probed.means, probed.do)


def explain(reply: Reply, url: str, source: str, protocol: str, timeout: float) -> _Verdict:
    """A reply in words."""
    if reply.error is not None:
        return _of_error(reply.error, url, timeout)
    if protocol == "grpc":
        return _of_grpc(reply)
    status = reply.status or 0
    if 200 <= status < 300:
        return _of_success(reply)
    return _of_status(status, reply.detail, url, source)


def _completed(endpoint: str, protocol: str) -> str:
    if protocol == "grpc" or endpoint.rstrip("/").endswith(_PATH):
        return endpoint
    return endpoint.rstrip("/") + _PATH


def _of_success(reply: Reply) -> _Verdict:
    if reply.body and "html" in reply.content_type:
        return _Verdict(f"{reply.status} with a web page.", "Something answers there, but no OTLP receiver.",
                        "Check host, port and path of the endpoint.")  # fmt: skip
    try:
        partial = ExportTraceServiceResponse.FromString(reply.body).partial_success
    except Exception:  # protobuf's DecodeError; its package begins with google, like a provider's SDK
        return _Verdict("accepted", "", "", accepted=True)  # JSON, or nothing in particular
    if partial.rejected_spans:
        return _Verdict(f"rejected by the receiver: {partial.error_message or 'no reason given'}",
                        "The connection works; the receiver does not want this span.",
                        "Look into the receiver's limits and filters.")  # fmt: skip
    message = f"accepted, and the receiver says: {partial.error_message}"
    return _Verdict(message if partial.error_message else "accepted", "", "", accepted=True)


def _of_status(status: int, reason: str, url: str, source: str) -> _Verdict:
    what = f"{status} {reason}".strip() + "."
    if status in (401, 403):
        names = header_names("traces")
        sent = f"headers sent: {', '.join(names)}" if names else "no header of yours was sent"
        return _Verdict(what, f"The receiver does not take these credentials ({sent}).",
                        "Set OTEL_EXPORTER_OTLP_HEADERS (or OTEL_EXPORTER_OTLP_TRACES_HEADERS, which wins), like "
                        "authorization=Bearer%20<key>.")  # fmt: skip
    if status == 404:
        return _Verdict(what, f"No OTLP receiver at the path of {safe_url(url)}.", _PATH_RULE[_is_own(source)])
    if status in (405, 415, 426, 505):
        return _Verdict(what, "Another kind of service, or a port for gRPC only.",
                        "Use the receiver's port for OTLP over HTTP, usually 4318, or "
                        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc.")  # fmt: skip
    if 300 <= status < 400:
        return _Verdict(what, "The receiver is elsewhere; the exporter follows no redirect, and spans are lost.",
                        "Use the endpoint's final URL; often https:// for http://.")  # fmt: skip
    if status in (429, 502, 503, 504):
        return _Verdict(what, "The receiver, or a proxy before it, is overloaded or not ready; the exporter retries.",
                        "Try again; if it stays, look into the receiver's log.")  # fmt: skip
    return _Verdict(what, "The receiver refuses the request." if status < 500 else "The receiver failed.",
                    "Look into the receiver's log.")  # fmt: skip


def _is_own(source: str) -> bool:
    return source == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


_PATH_RULE = {
    True: f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is: it needs the whole path, usually {_PATH}.",
    False: f"OTEL_EXPORTER_OTLP_ENDPOINT gets {_PATH} appended: give it without, or give the whole URL in "
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.",
}


_GRPC = {
    "UNAUTHENTICATED": ("The receiver does not take these credentials.",
                        "Set OTEL_EXPORTER_OTLP_HEADERS, like authorization=Bearer%20<key>."),
    "PERMISSION_DENIED": ("The receiver does not take these credentials.",
                          "Set OTEL_EXPORTER_OTLP_HEADERS, like authorization=Bearer%20<key>."),
    "UNIMPLEMENTED": ("A gRPC server, but no OTLP receiver of traces.", "Check host and port of the endpoint."),
    "DEADLINE_EXCEEDED": ("Nobody answered in time.", "Check host and port, and a firewall between."),
    "RESOURCE_EXHAUSTED": ("The receiver is overloaded; the exporter retries.", "Look into the receiver's log."),
    "UNAVAILABLE": ("No gRPC server answers there.",
                    "Check host and port (gRPC usually has 4317), http:// or https://, or use "
                    "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf."),
}  # fmt: skip


def _of_grpc(reply: Reply) -> _Verdict:
    if reply.grpc_code == "OK":
        return _of_success(reply)
    means, do = _GRPC.get(reply.grpc_code, ("The receiver refuses the request.", "Look into the receiver's log."))
    return _Verdict(f"{reply.grpc_code}: {reply.detail}", means, do)


_ERRORS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("ProxyError",), "the proxy failed: {detail}", "HTTP_PROXY or HTTPS_PROXY is used for this endpoint.",
     "Add the host to NO_PROXY if it is near."),
    (("SSLError", "SSLCertVerificationError"), "TLS failed: {detail}",
     "The certificate is not trusted, or the port does not speak TLS.",
     "For a certificate of your own: OTEL_EXPORTER_OTLP_CERTIFICATE=<file> (REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE may "
     "win over it); for a port without TLS: http://."),
    (("gaierror", "NameResolutionError"), "the host name of {url} is not known.", "DNS does not find it.",
     "Check the spelling; a name from a container network is not known outside of it."),
    (("ConnectionRefusedError",), "connection refused.", "Nothing listens at {url}.",
     "Start the collector, or correct host and port (OTLP over HTTP usually has 4318)."),
    (("ConnectTimeout", "ReadTimeout", "TimeoutError"), "no answer within {timeout:g} s.",
     "Nobody listens, a firewall swallows it, or the receiver hangs.",
     "Check host and port; a slow receiver needs --timeout here and OTEL_EXPORTER_OTLP_TIMEOUT in the program."),
    (("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"), "the connection was closed without an answer.",
     "A gRPC port, a port that wants TLS, or a service of another kind.",
     "Check the port (OTLP over HTTP usually has 4318) and http:// or https://."),
    (("BadStatusLine", "UnknownProtocol"), "the answer is not HTTP/1.1.",
     "A gRPC port answers in HTTP/2; other services in their own ways.",
     "Use the receiver's port for OTLP over HTTP, usually 4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc."),
    (("MissingSchema", "InvalidSchema", "InvalidURL", "LocationParseError"), "{url} is not a URL for HTTP.",
     "The endpoint needs http:// or https:// and a host.", "Give it like http://127.0.0.1:4318."),
    (("InvalidHeader",), "a header cannot be sent.", "OTEL_EXPORTER_OTLP_HEADERS has a value with a line break or a "
     "leading space.", "Give it as name=value,name=value, percent-encoded."),
)  # fmt: skip
"""Exceptions by class name, the most telling first: what, means, do."""


def _of_error(raised: Exception, url: str, timeout: float) -> _Verdict:
    chain = list(_chain(raised))
    names = {cls.__name__ for one in chain for cls in type(one).__mro__}
    for known, *texts in _ERRORS:
        if names.intersection(known):
            values = {"url": safe_url(url), "timeout": timeout, "detail": chain[-1]}
            what, means, do = (text.format(**values) for text in texts)
            return _Verdict(what, means, do)
    what = str(raised) if isinstance(raised, AiobsError) else f"{type(raised).__name__}: {raised}"
    return _Verdict(what, "Nothing was sent.", "Correct what it says.")


def _chain(raised: BaseException) -> Iterator[BaseException]:
    """The exception, what is in its arguments and what it was raised from: HTTP clients nest them in all these ways."""
    pending, seen = [raised], set()
    while pending:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
        pending += [found for found in inner if isinstance(found, BaseException)]
