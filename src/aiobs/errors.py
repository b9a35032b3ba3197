"""The errors aiobs raises (configuration mistakes only) and the reading of any error that a provider raised.

AiobsError                 everything below
├── ConfigurationError     an option has a value that cannot work
│   └── InvalidLabel       a session label breaks a rule (also a ValueError)
├── NoActiveSession        labels were changed with no session open (also a RuntimeError)
├── ExportError            an exporter given to ``flush()`` could not deliver; the message says what to do
├── UnreadableFile         a session file cannot be read; the message says why (also a ValueError)
├── MissingExtra           an optional dependency is not installed; the message has the pip line (also an ImportError)
└── ProviderNotInstalled   a provider named to ``Instrumentor`` has no SDK here (also an ImportError)
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from aiobs.call import Failure


class AiobsError(Exception):
    """Base of every error that aiobs raises into user code."""


class ConfigurationError(AiobsError, ValueError):
    """An option was given a value that cannot work; the message says what to give instead."""


class InvalidLabel(ConfigurationError):
    """A session label breaks a rule; the message names the label and the rule."""


class NoActiveSession(AiobsError, RuntimeError):
    """Labels were read or changed while no session is open."""


class ExportError(AiobsError):
    """An exporter could not deliver; ``cause`` is the exception behind it, if there is one."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class UnreadableFile(AiobsError, ValueError):
    """A file is not there, or is no session file; the message says what it is instead and what to do."""


class MissingExtra(AiobsError, ImportError):
    """A feature needs an optional dependency that is not installed."""


class ProviderNotInstalled(AiobsError, ImportError):
    """A provider was named explicitly, but its SDK is not installed."""


CODES = (
    "AUTH", "BAD_REQUEST", "BUDGET_EXCEEDED", "CANCELLED", "CIRCUIT_OPEN", "CONNECTION", "CONTENT_FILTER",
    "CONTEXT_LENGTH", "PROVIDER_ERROR", "QUOTA_EXCEEDED", "RATE_LIMITED", "TIMEOUT", "UNKNOWN", "VALIDATION",
)  # fmt: skip
"""The codes that ``summarize`` gives; low in cardinality and the same for every provider."""

_RETRYABLE = frozenset({"CIRCUIT_OPEN", "CONNECTION", "PROVIDER_ERROR", "RATE_LIMITED", "TIMEOUT"})

_REFUSED_INPUT = (
    "data_residency_mismatch", "empty_image_file", "failed_to_download_image", "image_file_not_found",
    "image_file_too_large", "image_parse_error", "image_too_large", "image_too_small", "invalid_base64_image",
    "invalid_image", "invalid_image_format", "invalid_image_mode", "invalid_image_url", "invalid_prompt",
    "unsupported_image_media_type",
)  # fmt: skip
"""Codes that OpenAI has for a request that it took and could not use: they come in answers, without a status."""

_BY_PROVIDER_CODE = {
    "insufficient_quota": "QUOTA_EXCEEDED",
    "billing_hard_limit_reached": "QUOTA_EXCEEDED",
    "context_length_exceeded": "CONTEXT_LENGTH",
    "content_filter": "CONTENT_FILTER",
    "content_policy_violation": "CONTENT_FILTER",
    "rate_limit_exceeded": "RATE_LIMITED",
    "invalid_api_key": "AUTH",
    "server_error": "PROVIDER_ERROR",
    "billing_not_active": "QUOTA_EXCEEDED",
    "bio_policy": "CONTENT_FILTER",
    "image_content_policy_violation": "CONTENT_FILTER",
    "misalignment_policy_violation": "CONTENT_FILTER",
    "vector_store_timeout": "TIMEOUT",
    **dict.fromkeys(_REFUSED_INPUT, "BAD_REQUEST"),
    "content_blocked": "CONTENT_FILTER",
    "UNAUTHENTICATED": "AUTH",
    "PERMISSION_DENIED": "AUTH",
    "DEADLINE_EXCEEDED": "TIMEOUT",
    "RESOURCE_EXHAUSTED": "RATE_LIMITED",
    "UNAVAILABLE": "PROVIDER_ERROR",
    "INTERNAL": "PROVIDER_ERROR",
    "INVALID_ARGUMENT": "BAD_REQUEST",
    "FAILED_PRECONDITION": "BAD_REQUEST",
    "OUT_OF_RANGE": "BAD_REQUEST",
    "CANCELLED": "CANCELLED",
    "API_KEY_INVALID": "AUTH",
}

_BY_DETAIL = (
    ("API_KEY_INVALID", "AUTH"),
    ("API key not valid", "AUTH"),
    ("input token count", "CONTEXT_LENGTH"),
    ("maximum context length", "CONTEXT_LENGTH"),
    ("PerDay", "QUOTA_EXCEEDED"),
)
"""Words in the body of an error whose code says less than they do, of providers that have few codes."""

_BY_CLASS = {
    "ContentFilterFinishReasonError": "CONTENT_FILTER",
    "LengthFinishReasonError": "CONTEXT_LENGTH",
    "ValidationError": "VALIDATION",
    "APIResponseValidationError": "VALIDATION",
    "JSONDecodeError": "PROVIDER_ERROR",
    "APITimeoutError": "TIMEOUT",
    "TimeoutException": "TIMEOUT",
    "TimeoutError": "TIMEOUT",
    "Timeout": "TIMEOUT",
    "APIConnectionError": "CONNECTION",
    "APIError": "PROVIDER_ERROR",  # without a status: the provider broke off a stream and gave no code
    "TransportError": "CONNECTION",
    "ServerTimeoutError": "TIMEOUT",
    "ClientConnectionError": "CONNECTION",
    "ClientPayloadError": "CONNECTION",
    "UnknownApiResponseError": "PROVIDER_ERROR",
    "ConnectionError": "CONNECTION",
    "ChunkedEncodingError": "CONNECTION",  # of requests, which google-genai 1.5 asks with
    "BudgetExceeded": "BUDGET_EXCEEDED",
    "CircuitBreakerOpenError": "CIRCUIT_OPEN",
    "CancelledError": "CANCELLED",
}


def summarize(error: BaseException) -> Failure:
    """What any error of a provider's SDK means, without importing the SDK.

    Looks at the provider's own code and body, then at the HTTP status, then at the class and its bases, by name.
    """
    if (closed := _close_code(error)) is not None:
        return _closed(error, closed)
    told, error = error, _behind(error)
    provider_code = _code(error)
    status = _status(error)
    code = (
        _by_detail(error)
        or _BY_PROVIDER_CODE.get(provider_code or "")
        or _BY_PROVIDER_CODE.get(_text(error, "type") or "")
        or _by_status(status if status is not None else _status_in(provider_code))
        or _by_message(error)
        or _by_class(error)
    )
    return Failure(
        type=provider_code or public_name(type(error)),
        code=code,
        exception_type=public_name(type(told)),
        message=exception_text(told),
        retryable=code in _RETRYABLE,
        status_code=status,
        request_id=_text(error, "request_id"),
        retry_after=_retry_after(error),
    )


def _close_code(error: BaseException) -> int | None:
    """The code that a WebSocket connection was closed with, 1006 without one; None for any other error.

    ``code`` of the websockets library's own exceptions warns whoever reads it; Google's SDK has it as an APIError's.
    """
    if any(base.__name__ == "ConnectionClosed" for base in type(error).__mro__):
        code = getattr(getattr(error, "rcvd", None), "code", None)
        return int(code) if isinstance(code, int) else 1006
    code = getattr(error, "code", None)
    return code if type(code) is int and 1000 <= code < 5000 else None


def _closed(error: BaseException, close_code: int) -> Failure:
    code = _BY_CLOSE_CODE.get(close_code, "CONNECTION")
    name = public_name(type(error))
    return Failure(name, code, name, exception_text(error), retryable=code in _RETRYABLE)


_BY_CLOSE_CODE = {
    **dict.fromkeys((1002, 1003, 1007, 1008, 1009), "BAD_REQUEST"),
    **dict.fromkeys((1011, 1012, 1013, 1014), "PROVIDER_ERROR"),
    3000: "AUTH",
    3003: "AUTH",
    3008: "TIMEOUT",
}


def _behind(error: BaseException) -> BaseException:
    """What broke off an answer that an SDK was getting by several requests; any other error itself."""
    is_shell = type(error).__name__ == "ContinuationInterruptedError"
    return error.__cause__ if is_shell and error.__cause__ is not None else error


def answered_error(code: object, message: object, status: int | None = None) -> Failure:
    """An error that a provider put into a successful answer; its code counts only if it is a word or a number.

    ``status`` is the HTTP status that the error would have had, where the provider tells.
    """
    given = str(code) if type(code) is int else code
    word = given if isinstance(given, str) and re.fullmatch(_WORD, given) else "error"
    stated = status if status is not None else _status_in(word)
    known = _BY_PROVIDER_CODE.get(word) or _by_status(stated) or "PROVIDER_ERROR"
    return Failure(
        type=word,
        code=known,
        exception_type=word,
        message=str(message or word),
        retryable=known in _RETRYABLE,
        status_code=status,
    )


def bare_failure(error: BaseException) -> Failure:
    """What is left to say of an error that cannot be read: its class."""
    name = type(error).__name__
    return Failure(type=name, code="UNKNOWN", exception_type=name, message=name)


def exception_text(error: BaseException) -> str:
    """``str(error)``; the class name for an exception whose ``__str__`` raises."""
    try:
        return str(error)
    except Exception:  # the program's own code, which may raise anything
        return type(error).__name__


def stack_trace(error: BaseException) -> str:
    """The formatted stack trace; traceback.format_exception copes with a ``__str__`` that raises."""
    return "".join(traceback.format_exception(error))


def public_name(cls: type) -> str:
    """``openai.RateLimitError`` rather than ``openai._exceptions.RateLimitError``; builtins without a module."""
    module = cls.__module__
    if module == "builtins":
        return cls.__qualname__
    public = [part for part in module.split(".") if not part.startswith("_")]
    return ".".join([*public, cls.__qualname__])


def scrub(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text without the secrets given, without anything shaped like a provider's key or a password in a URL."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _REDACTED)
    return _key_shapes().sub(_REDACTED, text)


def header_secrets(headers: Any) -> tuple[str, ...]:
    """The values of request headers that may be credentials, also without the word before them (``Bearer``).

    Of headers that are no mapping, which an SDK quotes when it refuses them, all that is in them.
    """
    given = [str(value) for name, value in _header_pairs(headers) if str(name).lower() not in _PLAIN_HEADERS]
    return tuple(part for value in given for part in (value, value.rpartition(" ")[2]) if len(part) >= _SHORTEST_VALUE)


def _header_pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(headers, Mapping):
        return headers.items()
    given = headers if isinstance(headers, (list, tuple)) else (headers,) if isinstance(headers, str) else ()
    return [("", part) for item in given for part in (item if isinstance(item, (list, tuple)) else (item,))]


def query_secrets(query: Any) -> tuple[str, ...]:
    """The values of a query, a mapping or a query string, as they are and as a URL spells them."""
    pairs = query.items() if isinstance(query, Mapping) else parse_qsl(query) if isinstance(query, str) else ()
    given = [value for _, value in pairs if isinstance(value, str) and len(value) >= _SHORTEST_VALUE]
    return (*given, *map(quote, given), *map(quote_plus, given))


def request_of(error: BaseException) -> Any:
    """The HTTP request that failed, if the exception has it."""
    try:
        return getattr(error, "request", None) or getattr(getattr(error, "response", None), "request", None)
    except RuntimeError:  # httpx raises for a request that was never made
        return None


def request_secrets(request: Any) -> tuple[str, ...]:
    """What an HTTP request was authorised with: keys that a callable gave, headers of this one request, userinfo and
    query of the URL.
    """
    try:
        url = urlsplit(str(request.url))
    except (AttributeError, ValueError):
        return ()
    userinfo = tuple(part for part in (url.username, url.password) if part)
    return (*header_secrets(getattr(request, "headers", None)), *query_secrets(url.query), *userinfo)


_PLAIN_HEADERS = frozenset({
    "accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent",
    *(f"x-stainless-{name}" for name in (
        "arch", "async", "lang", "os", "package-version", "raw-response", "read-timeout", "retry-count", "runtime",
        "runtime-version", "helper-method", "timeout")),
    "x-goog-api-client", "openai-beta", "transfer-encoding",
})  # fmt: skip
_SHORTEST_VALUE = 8  # a header or a query also says things like "true"
_REDACTED = "[REDACTED]"
_SHORTEST_SECRET = 4


@cache
def _key_shapes() -> re.Pattern[str]:
    """What keys and passwords look like; compiling it takes as long as a fifth of the rest of ``import aiobs``."""
    return re.compile(
        r"""\b(?:sk|pk|rk)-[\w*.-]{8,}        # OpenAI and those that copied its keys, also half masked
          | \bAIza[\w-]{20,}                 # Google
          | \bya29\.[\w.-]{10,}              # Google OAuth
          | \b(?:gsk|xai|hf)_[\w-]{8,}       # Groq, xAI, Hugging Face
          | (?<=[Bb]earer\ )[\w.~+/=-]{8,}   # an Authorization header
          | (?<=[Bb]asic\ )[\w+/=-]{8,}      # the same of a URL with userinfo
          | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)   # user:password@ in a URL
        """,
        re.VERBOSE,
    )


def _by_status(status: int | None) -> str | None:
    if status is None:
        return None
    known = {401: "AUTH", 403: "AUTH", 408: "TIMEOUT", 429: "RATE_LIMITED"}
    if status in known:
        return known[status]
    if status >= 500:
        return "PROVIDER_ERROR"
    return "BAD_REQUEST" if status >= 400 else None


def _status_in(code: str | None) -> int | None:
    """Some servers give the HTTP status as the code, where it is too late for a status."""
    return int(code) if code and re.fullmatch(_STATUS, code, re.ASCII) else None


_STATUS = r"[45]\d\d"


def _by_class(error: BaseException) -> str:
    for base in type(error).__mro__:
        if base.__name__ in _BY_CLASS:
            return _BY_CLASS[base.__name__]
    return "UNKNOWN"


def _by_detail(error: BaseException) -> str | None:
    """A closer meaning of the few codes that stand for many things."""
    if _code(error) not in _BROAD:
        return None
    body = f"{getattr(error, 'details', '')} {getattr(error, 'message', '')}"
    return next((code for words, code in _BY_DETAIL if words in body), None)


_BROAD = frozenset({"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "invalid_request", "invalid_request_error"})


def _by_message(error: BaseException) -> str | None:
    """S4-15: an open circuit breaker of another library is known by its words only."""
    return "CIRCUIT_OPEN" if "circuit breaker" in exception_text(error).lower() else None


def _code(error: BaseException) -> str | None:
    """The provider's code (OpenAI's ``code``, Google's ``status``), unless it is no word of low cardinality.

    An error of interactions has it in its body only.
    """
    number = getattr(error, "code", None)
    if type(number) is not int:
        code = _text(error, "code")
    else:  # openai before 3 keeps the number that a server put into an error's body; Google's is the HTTP status
        code = str(number) if hasattr(error, "body") else _text(error, "status")
    code = code or _code_in(getattr(error, "body", None))
    return code if code and re.fullmatch(_WORD, code) else None


def _code_in(body: Any) -> str | None:
    """``status``, or ``code``, of the error that a body is; a number is the HTTP status, which is told elsewhere."""
    error = body.get("error") if isinstance(body, dict) else None
    given = [error.get(name) for name in ("status", "code")] if isinstance(error, dict) else []
    return next((word for word in given if isinstance(word, str) and word), None)


_WORD = r"[\w.-]{1,64}"


def _text(error: BaseException, name: str) -> str | None:
    value = getattr(error, name, None)
    return value if isinstance(value, str) and value else None


def _status(error: BaseException) -> int | None:
    """The HTTP status: OpenAI's ``status_code``, Google's ``code``."""
    for name in ("status_code", "code"):
        value = getattr(error, name, None)
        if type(value) is int:
            return value
    return None


def _retry_after(error: BaseException) -> float | None:
    """Seconds to wait, as a header says (a number, or a date) or Google's RetryInfo."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if (given := _header(headers, "retry-after-ms")) is not None and (milliseconds := _number(given)) is not None:
        return milliseconds / 1000
    if (given := _header(headers, "retry-after")) is not None:
        return _number(given) if _number(given) is not None else _until(given)
    found = re.search(_RETRY_DELAY, str(getattr(error, "details", "")))
    return _number(found[1]) if found else None


_RETRY_DELAY = r"""['"]retryDelay['"]:\s*['"](\d+(?:\.\d+)?)s['"]"""


def _header(headers: Any, name: str) -> str | None:
    value = headers.get(name) if hasattr(headers, "get") else None
    return value if isinstance(value, str) else None


def _number(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str) -> float | None:
    """Seconds from now until an HTTP date (RFC 9110); a date that is past is now."""
    try:
        moment = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.timestamp() - time.time())
