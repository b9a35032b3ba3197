"""What can go wrong between an exporter and its backend: one table, for the log, ``aiobs doctor`` and the docs.

A row says what happened, what it means and what to do. Replies lead to rows by HTTP status, by gRPC code, by the class
of the exception and by words in it; failures of our own side (the spool) are asked for by their code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

RETRIED = "tried again for 10 s (`timeout=`), then lost; a spool keeps it"
AT_ONCE = "lost; a spool keeps it"
REFUSED = "lost; a spool sets it aside in `refused/`, and the others go on"
KEPT = "sent at once, without the spool"
ASIDE = "set aside in `refused/`, and the others go on"
DROPPED = "lost"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A row. ``what``, ``means`` and ``do`` are templates; ``fate`` is what becomes of the data, for the docs.

    ``statuses``: of HTTP; ``grpc``: codes; ``raised``: names of exception classes; ``words``: any of them, in what was
    said, is needed besides. The first row that fits is taken, those with words before those without.
    ``is_of_path``: another path of the same server may be fine.
    """

    code: str
    when: str
    what: str
    means: str
    do: str
    fate: str
    statuses: frozenset[int] = frozenset()
    grpc: frozenset[str] = frozenset()
    raised: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    is_of_path: bool = False

    def sentences(self, **values: object) -> tuple[str, str, str]:
        """What, what it means and what to do, filled in."""
        return self.what.format(**values), self.means.format(**values), self.do.format(**values)


_UNAVAILABLE = frozenset({"UNAVAILABLE"})
_CREDENTIALS = "Set {credentials}."
_ANSWER = "{answer}{wait}."

TABLE: tuple[Failure, ...] = (
    Failure(code="redirected", when="a redirect (3xx)", what=_ANSWER, fate=AT_ONCE, is_of_path=True,
            means="The receiver is elsewhere; the exporter follows no redirect.",
            do="Use the endpoint's final URL; often https:// for http://.", statuses=frozenset(range(300, 400))),
    Failure(code="unauthorized", when="401, 403; `UNAUTHENTICATED`, `PERMISSION_DENIED`", what=_ANSWER, fate=AT_ONCE,
            means="The receiver does not take these credentials ({sent}).", do=_CREDENTIALS,
            statuses=frozenset({401, 403}), grpc=frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})),
    Failure(code="not-found", when="404: a wrong path, or a receiver without that signal; `UNIMPLEMENTED`",
            what=_ANSWER, fate=AT_ONCE, means="No OTLP receiver of {signal} at {url}.", do="{path_rule}",
            statuses=frozenset({404}), grpc=frozenset({"UNIMPLEMENTED"}), is_of_path=True),
    Failure(code="other-service", when="405, 415, 426, 505, or a web page", what=_ANSWER, fate=AT_ONCE, is_of_path=True,
            means="Another kind of service, or a port for gRPC only.",
            do="Use the receiver's port for OTLP over HTTP, usually 4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc.",
            statuses=frozenset({405, 415, 426, 505})),
    Failure(code="too-large", when="413; `RESOURCE_EXHAUSTED` for a large message; more than the exporter sends",
            what=_ANSWER, fate=REFUSED, is_of_path=True,
            means="The request is larger than what is taken: one span or record is that large.",
            do="Bound it with AIOBS_MAX_ATTRIBUTE_BYTES, or raise the limit of the receiver or of a proxy before it.",
            statuses=frozenset({413}), grpc=frozenset({"RESOURCE_EXHAUSTED"}), raised=frozenset({"NotSent"}),
            words=("larger than max", "max_request_size")),
    Failure(code="overloaded", when="429, with or without `Retry-After`; `RESOURCE_EXHAUSTED`", fate=RETRIED,
            what=_ANSWER, means="The receiver takes no more for now; the exporter retries.",
            do="Try again later; if it stays, send less (sample=0.1) or raise the receiver's quota.",
            statuses=frozenset({429}), grpc=frozenset({"RESOURCE_EXHAUSTED"})),
    Failure(code="not-ready", when="502, 503, 504", what=_ANSWER, fate=RETRIED,
            means="The receiver, or a proxy before it, is overloaded or not ready; the exporter retries.",
            do="Try again; if it stays, look into the receiver's log.", statuses=frozenset({502, 503, 504})),
    Failure(code="failing", when="500 and other 5xx; `INTERNAL` and its like", what=_ANSWER, fate=AT_ONCE,
            means="The receiver failed.", do="Look into the receiver's log.", statuses=frozenset(range(500, 600)),
            grpc=frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS", "ABORTED", "CANCELLED"})),
    Failure(code="refused", when="400, 422 and other 4xx; `INVALID_ARGUMENT`", what=_ANSWER, fate=REFUSED,
            means="The receiver refuses the request.", do="Look into the receiver's log.", is_of_path=True,
            statuses=frozenset(range(400, 500)),
            grpc=frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"})),
    Failure(code="rejected", when="accepted, but some of it rejected (OTLP's partial success)", fate=DROPPED,
            what="rejected by the receiver: {detail}", means="The connection works; the receiver does not want it.",
            do="Look into the receiver's limits and filters.", is_of_path=True),
    Failure(code="proxy", when="the proxy fails", what="the proxy failed: {detail}", fate=RETRIED,
            means="HTTP_PROXY or HTTPS_PROXY is used for this endpoint.", do="Add the host to NO_PROXY if it is near.",
            raised=frozenset({"ProxyError"})),
    Failure(code="tls-name", when="TLS: a certificate for another host name", what="TLS failed: {detail}", fate=RETRIED,
            means="The certificate is for another host name than that of {url}.",
            do="Use the host name that is in the certificate, or make one that has this name (subjectAltName).",
            raised=frozenset({"SSLError", "SSLCertVerificationError"}), grpc=_UNAVAILABLE,
            words=("Hostname mismatch", "IP address mismatch", "doesn't match", "Hostname Verification")),
    Failure(code="tls-untrusted", when="TLS: a certificate that is not trusted", what="TLS failed: {detail}",
            fate=RETRIED, means="Nobody whom this machine trusts has signed the certificate.",
            do="For a certificate of your own: OTEL_EXPORTER_OTLP_CERTIFICATE=<file>.",
            raised=frozenset({"SSLError", "SSLCertVerificationError"}), grpc=_UNAVAILABLE,
            words=("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")),
    Failure(code="tls", when="https:// to a port without TLS, and other TLS failures", what="TLS failed: {detail}",
            fate=RETRIED, means="The port does not speak TLS, or not this TLS.",
            do="For a port without TLS: http://. For a certificate of your own: OTEL_EXPORTER_OTLP_CERTIFICATE=<file>.",
            raised=frozenset({"SSLError"})),
    Failure(code="tls-grpc", when="https:// to a gRPC port without TLS", what="UNAVAILABLE: TLS failed: {detail}",
            fate=RETRIED, means="The port does not speak TLS, or not this TLS.",
            do="For a port without TLS: http://. For a certificate of your own: OTEL_EXPORTER_OTLP_CERTIFICATE=<file>.",
            grpc=_UNAVAILABLE, words=("handshake", "Handshake", "SSL")),
    Failure(code="dns", when="a host name that does not exist", what="the host name of {url} is not known.",
            fate=RETRIED, means="DNS does not find it.",
            do="Check the spelling; a name from a container network is not known outside of it.",
            raised=frozenset({"gaierror", "NameResolutionError"})),
    Failure(code="dns-grpc", when="a host name that does not exist, over gRPC", fate=RETRIED,
            what="UNAVAILABLE: the host name of {url} is not known.", means="DNS does not find it.",
            do="Check the spelling; a name from a container network is not known outside of it.",
            grpc=_UNAVAILABLE, words=("DNS", "name resolution", "Name or service not known", "Domain name not found")),
    Failure(code="connection-refused", when="nothing listens", what="connection refused.", fate=RETRIED,
            means="Nothing listens at {url}.",
            do="Start the collector, or correct host and port (OTLP over HTTP usually has 4318, over gRPC 4317).",
            raised=frozenset({"ConnectionRefusedError"})),
    Failure(code="own-process", when="no answer, and the receiver is in this very process", fate=RETRIED,
            what="no answer within {timeout:g} s from {url}, which is in this process.",
            means="A receiver that waits for flush(), or for the export itself, cannot answer it.",
            do="Send to another process, or let the receiver answer in a thread of its own.",
            raised=frozenset({"OwnProcess"})),
    Failure(code="own-echo", when="each export makes spans, as its receiver is in this very process", fate="sent",
            what="each export makes the spans of the next one: {url} is in this process, and its handler is recorded.",
            means="A program that does nothing else sends for ever.",
            do="Say `with suppress_instrumentation():` in the handler, leave its route out of what is instrumented, or "
               "send to another process."),
    Failure(code="no-answer", when="no answer: a hanging server, a firewall; `DEADLINE_EXCEEDED`", fate=RETRIED,
            what="no answer within {timeout:g} s.",
            means="Nobody listens, a firewall swallows it, or the receiver hangs.",
            do="Check host and port; a slow receiver needs {timeout_option}.",
            raised=frozenset({"ConnectTimeout", "ReadTimeout", "Timeout", "TimeoutError"}),
            grpc=frozenset({"DEADLINE_EXCEEDED"})),
    Failure(code="closed", when="http:// to a port that wants TLS, or another service; the connection is closed",
            what="the connection was closed without an answer.", fate=RETRIED,
            means="A gRPC port, a port that wants TLS, or a service of another kind.",
            do="Check the port (OTLP over HTTP usually has 4318) and http:// or https://.",
            raised=frozenset({"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"})),
    Failure(code="not-http", when="http/protobuf to a gRPC port (4317)", what="the answer is not HTTP/1.1.",
            fate=RETRIED, means="A gRPC port answers in HTTP/2; other services in their own ways.",
            do="Use the receiver's port for OTLP over HTTP, usually 4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc.",
            raised=frozenset({"BadStatusLine", "UnknownProtocol"})),
    Failure(code="not-grpc", when="grpc to an HTTP port (4318), or nothing listens; `UNAVAILABLE`", fate=RETRIED,
            what="UNAVAILABLE: {detail}.", means="No gRPC server answers there.",
            do="Check host and port (gRPC usually has 4317), http:// or https://, or use "
               "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.", grpc=_UNAVAILABLE),
    Failure(code="url", when="an endpoint that is no URL", what="{url} is not a URL for HTTP.", fate=AT_ONCE,
            means="The endpoint needs http:// or https:// and a host.", do="Give it like http://127.0.0.1:4318.",
            raised=frozenset({"MissingSchema", "InvalidSchema", "InvalidURL", "LocationParseError"})),
    Failure(code="header", when="a header that cannot be sent", what="a header cannot be sent.", fate=AT_ONCE,
            means="A header (OTEL_EXPORTER_OTLP_HEADERS, headers=) has a value with a line break or a leading space.",
            do="Give it as name=value,name=value, percent-encoded.", raised=frozenset({"InvalidHeader"})),
    Failure(code="spool-unwritable", when="a spool folder that cannot be written, or a full disk", fate=KEPT,
            what="the spool {folder} cannot be written ({detail}).",
            means="What comes is sent without it; of what a backend does not take then, nothing is kept.",
            do="Make room, make it a folder that this user can write, or name another one (spool=)."),
    Failure(code="spool-full", when="a spool that is full", what="the spool {folder} is full.", fate=DROPPED,
            means="Its oldest {signal} are dropped and counted.",
            do="Is the backend there? `aiobs doctor --otlp` tells; `max_bytes` is its bound, 512 MiB."),
    Failure(code="spool-refused", when="what the backend will never take (400, 413, 422)", fate=ASIDE,
            what="the backend refuses some {signal} ({detail}).",
            means="They are set aside in {path}; the others go on.",
            do="Look into the receiver's log; they can be sent again from there (docs/spool.md), or deleted."),
    Failure(code="spool-broken", when="a corrupt spool", fate=ASIDE,
            what="the spool {folder} has lines that cannot be read.",
            means="A disk, an editor or another program has written to it; they are set aside in {path}.",
            do="The others go on. Look at the file if you want what is in it, else delete it."),
)  # fmt: skip

BY_CODE = MappingProxyType({failure.code: failure for failure in TABLE})

UNKNOWN = Failure(
    code="unknown", when="anything else", what="{detail}", means="Nothing was sent.", do="Correct what it says.",
    fate=AT_ONCE,
)  # fmt: skip


def of_status(status: int) -> Failure:
    """The row of an HTTP status."""
    return next((row for row in TABLE if status in row.statuses), UNKNOWN)


def of_grpc(code: str, said: str) -> Failure:
    """The row of a gRPC code, by what was said with it."""
    return _first((row for row in TABLE if code in row.grpc), said) or BY_CODE["refused"]


def of_error(names: Iterable[str], said: str) -> Failure:
    """The row of an exception, by the names of its classes and of those that it was raised from."""
    known = set(names)
    return _first((row for row in TABLE if known & row.raised), said) or UNKNOWN


def _first(rows: Iterator[Failure], said: str) -> Failure | None:
    return next((row for row in rows if not row.words or any(word in said for word in row.words)), None)
