"""What a backend answered to an official OTLP exporter, and what that means in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from aiobs.errors import AiobsError, scrub
from aiobs.exporters.replies import failures
from aiobs.exporters.replies.failures import Failure
from aiobs.exporters.replies.own_process import listens
from aiobs.exporters.replies.urls import safe_url

_LONGEST = 300
_PATIENCE = 0.5  # seconds after which a request without an answer is a reason
_GRPC_AS_HTTP = {"OK": 200, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "UNIMPLEMENTED": 404, "INTERNAL": 500,
                 "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What came back: an HTTP status, a gRPC code, or the error that kept both from coming."""

    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    grpc_code: str = ""
    detail: str = ""
    error: Exception | None = None
    retry_after: str = ""


class NotSent(Exception):
    """The exporter did not send it; its text is what the exporter said."""


@dataclass(frozen=True)
class Place:
    """Where a signal is sent, and what of that to name in a remedy.

    ``source``: the variable or option that says so; ``headers``: the names of what is sent; ``secrets``: what a
    receiver may echo and nobody is shown; ``credentials`` and ``timeout_option``: how to give these.
    """

    url: str
    source: str
    protocol: str
    signal: str = "traces"
    timeout: float = 10.0
    headers: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    credentials: str = "OTEL_EXPORTER_OTLP_HEADERS, like authorization=Bearer%20<key>"
    timeout_option: str = "timeout= (OTEL_EXPORTER_OTLP_TIMEOUT)"


@dataclass(frozen=True)
class Verdict:
    """A reply in words; ``code`` is the row of the table of failures, empty if all is well.

    ``rejected``: how many of those that were sent were not stored. ``cause`` is the same for the same failure there.
    """

    code: str
    what: str
    means: str = ""
    do: str = ""
    rejected: int = 0
    cause: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """It arrived, all of it."""
        return not self.code

    def __str__(self) -> str:
        said = " ".join(part if part.endswith((".", "…")) else f"{part}." for part in (self.what, self.means, self.do))
        return f"{self.cause[1]}: {said}" if self.cause else said


class Answers:
    """The answers to one exporter: the last one, and the last one that this thread got."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place
        self.words = ""  # the exporter's own, of what it did last
        self._mine = threading.local()
        self._last: Reply | None = None
        self._asked_at: float | None = None

    def asked(self) -> None:
        """A request is under way; nothing is known until its answer comes."""
        self._mine.reply = None
        self._asked_at = time.monotonic()

    def note(self, reply: Reply) -> None:
        """This came back."""
        self._mine.reply = self._last = reply
        self._asked_at = None

    def forget(self) -> None:
        """What this thread was answered before."""
        self._mine.reply, self.words = None, ""

    def reply(self) -> Reply | None:
        """The last answer to this thread."""
        return getattr(self._mine, "reply", None)

    def status(self) -> int | None:
        """The HTTP status of the last answer to this thread, or what is like it, told once; None if there was none."""
        reply, self._mine.reply = self.reply(), None
        return None if reply is None else _status_of(reply)

    def retry_after(self) -> float | None:
        """In how many seconds the last answer asks to come again."""
        return seconds_until(self._last.retry_after) if self._last is not None else None

    def why(self) -> Verdict | None:
        """Why it does not work at the moment; None if it does, or where nothing is known."""
        reply, place, asked_at = self._last, self.place, self._asked_at
        if place is None:
            return None
        if asked_at is not None and (waited := time.monotonic() - asked_at) >= _PATIENCE:
            reply, place = Reply(error=TimeoutError()), replace(place, timeout=round(waited, 1))
        if reply is None:
            return None
        verdict = explain(reply, place)
        if verdict.code == "no-answer" and listens(place.url):
            verdict = _verdict(failures.BY_CODE["own-process"], reply, place)
        return None if verdict.accepted else verdict


def explain(reply: Reply, place: Place) -> Verdict:
    """A reply in words."""
    if reply.error is not None:
        return _of_error(reply.error, reply, place)
    if reply.grpc_code not in ("", "OK"):
        return _verdict(failures.of_grpc(reply.grpc_code, reply.detail), reply, place)
    if reply.grpc_code == "OK" or 200 <= (reply.status or 0) < 300:
        return _of_success(reply, place)
    return _verdict(failures.of_status(reply.status or 0), reply, place)


def _of_success(reply: Reply, place: Place) -> Verdict:
    if reply.body and "html" in reply.content_type:
        row = failures.BY_CODE["other-service"]
        return Verdict(row.code, f"{reply.status} with a web page.", "Something answers there, but no OTLP receiver.",
                       "Check host, port and path of the endpoint.", cause=_cause(row, place))  # fmt: skip
    rejected, message = _partial(reply.body)
    if rejected:
        verdict = _verdict(failures.BY_CODE["rejected"], Reply(detail=message or "no reason given"), place)
        return Verdict(verdict.code, verdict.what, verdict.means, verdict.do, rejected, verdict.cause)
    return Verdict("", _printable(f"accepted, and the receiver says: {message}" if message else "accepted", place))


def _partial(body: bytes) -> tuple[int, str]:
    """How many were rejected and why; the answers for metrics and logs are alike."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except Exception:  # protobuf's DecodeError; its package begins with google, like a provider's SDK
        return 0, ""  # JSON, or nothing in particular
    return partial.rejected_spans, partial.error_message


def _of_error(raised: Exception, reply: Reply, place: Place) -> Verdict:
    chain = list(_chain(raised))
    names = {cls.__name__ for one in chain for cls in type(one).__mro__}
    row = failures.of_error(names, " ".join(map(str, chain)))
    told = isinstance(raised, (AiobsError, NotSent))
    detail = str(raised if told else chain[-1]) if told or row is not failures.UNKNOWN else _named(raised)
    return _verdict(row, Reply(detail=detail, retry_after=reply.retry_after), place)


def _named(raised: Exception) -> str:
    return f"{type(raised).__name__}: {raised}"


def _verdict(row: Failure, reply: Reply, place: Place) -> Verdict:
    values = {
        "url": safe_url(place.url), "signal": place.signal, "timeout": place.timeout, "detail": reply.detail,
        "answer": _answer(reply),
        "credentials": place.credentials,
        "wait": f", Retry-After: {reply.retry_after}" if reply.retry_after else "",
        "sent": f"headers sent: {', '.join(place.headers)}" if place.headers else "no header of yours was sent",
        "path_rule": _path_rule(place), "timeout_option": place.timeout_option,
    }  # fmt: skip
    what, means, do = row.sentences(**values)
    return Verdict(row.code, _printable(what, place), means, do, cause=_cause(row, place))


def _answer(reply: Reply) -> str:
    said = reply.detail.rstrip(". ")
    if reply.grpc_code:
        return f"{reply.grpc_code}: {said}"
    return f"{reply.status} {said}" if reply.status else said


def _cause(row: Failure, place: Place) -> tuple[str, ...]:
    """What is said once: of a path for each, of a server for all signals together."""
    url = safe_url(place.url)
    return (row.code, url if row.is_of_path else url.removesuffix(f"/v1/{place.signal}"))


def _printable(text: str, place: Place) -> str:
    """What a receiver says, without secrets and what would steer a terminal, and no longer than a person reads."""
    text = scrub(text, place.secrets)
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} …"


def _path_rule(place: Place) -> str:
    path, own = f"/v1/{place.signal}", f"OTEL_EXPORTER_OTLP_{place.signal.upper()}_ENDPOINT"
    if place.protocol == "grpc":
        return "Check host and port of the endpoint."
    if place.source == own:
        return f"{own} is used as it is: it needs the whole path, usually {path}."
    named = place.source if place.source not in ("default", "argument") else "OTEL_EXPORTER_OTLP_ENDPOINT"
    rule = f"{named} gets {path} appended: give it without, or give the whole URL in {own}."
    if place.signal == "traces":
        return rule
    none = f"OTEL_{place.signal.upper()}_EXPORTER=none"
    return f"A backend for traces only (Jaeger, Phoenix) has none: signals=traces, or {none}. Else: {rule}"


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


def _status_of(reply: Reply) -> int | None:
    """As a spool takes it: 413 for what is too large to be sent at all, 400 for what cannot be encoded."""
    if isinstance(reply.error, NotSent):
        return 413 if "max_request_size" in str(reply.error) else 400 if "encode" in str(reply.error) else None
    if reply.grpc_code == "RESOURCE_EXHAUSTED":
        return 413 if failures.of_grpc(reply.grpc_code, reply.detail).code == "too-large" else 429
    return reply.status or _GRPC_AS_HTTP.get(reply.grpc_code)


def seconds_until(text: str) -> float | None:
    """What ``Retry-After`` says, seconds or a date; None if it says nothing."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
