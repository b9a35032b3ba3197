"""Failing calls: the program gets the SDK's error, the span says what it was, ``summarize`` what it means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from google import genai
from google.genai import errors
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.errors import summarize
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import SDK, everything, file_events, refused
from tests.versions import aio_of, closing, has, needs

HTTP: Any = import_module("httpx2" if SDK >= (3, 0) else "httpx")
SYNC: Any = HTTP if has("gemini sync calls over httpx") else import_module("requests")
LOST = {
    name: getattr(SYNC, name, None) or getattr(SYNC.exceptions, other)
    for name, other in (
        ("ConnectError", "ConnectionError"),
        ("ReadTimeout", "ReadTimeout"),
        ("RemoteProtocolError", "ConnectionError"),
    )
}
"""What a sync call raises whose connection fails."""
CUT = () if SYNC is HTTP else (SYNC.exceptions.ChunkedEncodingError,)
NO_JSON = has("gemini errors of answers that are no JSON")
RPC = "type.googleapis.com/google.rpc"


def whole(client: Any) -> Any:
    return client.models.generate_content(model="m", contents="q")


def streamed(client: Any) -> Any:
    return list(client.models.generate_content_stream(model="m", contents="q"))


def whole_async(client: Any) -> Any:
    async def call() -> Any:
        async with aio_of(client) as entered:
            return await entered.models.generate_content(model="m", contents="q")

    return asyncio.run(call())


def streamed_async(client: Any) -> Any:
    async def call() -> Any:
        async with aio_of(client) as entered:
            return [chunk async for chunk in await entered.models.generate_content_stream(model="m", contents="q")]

    return asyncio.run(call())


every_way = pytest.mark.parametrize("call", [whole, streamed, whole_async, streamed_async])


# Errors of the service

STATUSES = [
    (400, None, "ClientError", "INVALID_ARGUMENT", "BAD_REQUEST", False),
    (400, "FAILED_PRECONDITION", "ClientError", "FAILED_PRECONDITION", "BAD_REQUEST", False),
    (400, "API_KEY_INVALID", "ClientError", "INVALID_ARGUMENT", "AUTH", False),
    (401, None, "ClientError", "UNAUTHENTICATED", "AUTH", False),
    (403, None, "ClientError", "PERMISSION_DENIED", "AUTH", False),
    (404, None, "ClientError", "NOT_FOUND", "BAD_REQUEST", False),
    (429, None, "ClientError", "RESOURCE_EXHAUSTED", "RATE_LIMITED", True),
    (499, None, "ClientError", "CANCELLED", "CANCELLED", False),
    (500, None, "ServerError", "INTERNAL", "PROVIDER_ERROR", True),
    (503, None, "ServerError", "UNAVAILABLE", "PROVIDER_ERROR", True),
    (504, None, "ServerError", "DEADLINE_EXCEEDED", "TIMEOUT", True),
]


@pytest.mark.parametrize(("status", "code", "error", "error_type", "our_code", "retryable"), STATUSES)
@refused(whole, streamed_async)
def test_a_status_error(
    simulator: Simulator,
    instrumented: InMemoryTelemetry,
    call: Callable[[Any], Any],
    status: int,
    code: str | None,
    error: str,
    error_type: str,
    our_code: str,
    retryable: bool,
) -> None:
    """``error.type`` is Google's word; the description is no more than that with the gate closed."""
    simulator.fail(status, code=code, message="The prompt was: NEEDLE")
    with pytest.raises(errors.APIError, match="NEEDLE") as raised:
        call(simulator.gemini())
    assert type(raised.value).__name__ == error
    span = instrumented.span("generate_content m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, error_type)
    attributes: Any = span.attributes
    assert {key: attributes[key] for key in attributes if "error" in key or "http" in key} == {
        "error.type": error_type,
        "aiobs.error.code": our_code,
        "aiobs.error.retryable": retryable,
        "aiobs.http.status_code": status,
    }
    assert "NEEDLE" not in everything(instrumented)
    (event,) = instrumented.events("gen_ai.client.operation.exception")
    assert dict(event.attributes) == {"exception.type": f"google.genai.errors.{error}"}


MEANINGS: dict[str, tuple[dict[str, Any], str, float | None, bool]] = {
    "per minute": (
        {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow down.", "details": [
            {"@type": f"{RPC}.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]},
            {"@type": f"{RPC}.RetryInfo", "retryDelay": "17.5s"}]},
        "RATE_LIMITED", 17.5, True,
    ),
    "per day": (
        {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Enough for today.", "details": [
            {"@type": f"{RPC}.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
            {"@type": f"{RPC}.RetryInfo", "retryDelay": "39s"}]},
        "QUOTA_EXCEEDED", 39.0, False,
    ),
    "no details": ({"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Busy."}, "RATE_LIMITED", None, True),
    "context length": (
        {"code": 400, "status": "INVALID_ARGUMENT",
         "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."},
        "CONTEXT_LENGTH", None, False,
    ),
    "key": (
        {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key.",
         "details": [{"@type": f"{RPC}.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]},
        "AUTH", None, False,
    ),
    "argument": ({"code": 400, "status": "INVALID_ARGUMENT", "message": "Bad schema."}, "BAD_REQUEST", None, False),
    "unknown word": ({"code": 418, "status": "TEAPOT", "message": "No."}, "BAD_REQUEST", None, False),
    "no word": ({"code": 500, "message": "No."}, "PROVIDER_ERROR", None, True),
}  # fmt: skip


@pytest.mark.parametrize(("error", "code", "retry_after", "retryable"), MEANINGS.values(), ids=MEANINGS.keys())
@refused(whole, streamed, whole_async, streamed_async)
def test_what_an_error_means(
    simulator: Simulator,
    call: Callable[[Any], Any],
    error: dict[str, Any],
    code: str,
    retry_after: float | None,
    retryable: bool,
) -> None:
    """``summarize`` looks into the body where Google's word stands for many things, and finds when to come back."""
    simulator.raw(json.dumps({"error": error}).encode(), status=error["code"])
    with pytest.raises(errors.APIError) as raised:
        call(simulator.gemini())
    failure = summarize(raised.value)
    assert (failure.code, failure.retry_after, failure.retryable) == (code, retry_after, retryable)
    assert failure.status_code == error["code"]
    assert failure.type == error.get("status", f"google.genai.errors.{type(raised.value).__name__}")


@needs("gemini errors that are lists")
def test_an_error_that_is_a_list(simulator: Simulator) -> None:
    """Vertex wraps errors of streams in a list."""
    body = [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow down."}}]
    simulator.raw(json.dumps(body).encode(), status=429)
    with pytest.raises(errors.ClientError) as raised:
        streamed(simulator.vertex())
    assert (summarize(raised.value).code, summarize(raised.value).status_code) == ("RATE_LIMITED", 429)


def test_an_error_that_is_no_json(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A proxy's page: the status says what it means."""
    simulator.raw(b"<html>NEEDLE</html>", status=502, headers={"content-type": "text/html"})
    with pytest.raises(errors.ServerError) as raised:
        whole(simulator.gemini())
    assert summarize(raised.value).code == "PROVIDER_ERROR"
    attributes: Any = instrumented.span().attributes
    assert attributes["aiobs.http.status_code"] == 502
    assert "NEEDLE" not in everything(instrumented)


# Errors on the way


def _nobody_listens(simulator: Simulator) -> Any:
    return genai.Client(api_key="k", vertexai=False, http_options={"base_url": "http://127.0.0.1:1"})


def _too_slow(simulator: Simulator) -> Any:
    simulator.fault(silence=5)
    return simulator.gemini(http_options={"timeout": 1000})


def _hung_up(simulator: Simulator) -> Any:
    simulator.fault(hang_up=True)
    return simulator.gemini()


def _no_json(simulator: Simulator) -> Any:
    simulator.fault(malformed=True)
    return simulator.gemini()


def class_of(name: str) -> str:
    """The public name of what a sync call raises in its place."""
    return f"{LOST[name].__module__.removesuffix('._exceptions')}.{LOST[name].__name__}"


ON_THE_WAY = [
    (_nobody_listens, whole, class_of("ConnectError"), "CONNECTION", True),
    (_nobody_listens, streamed_async, f"{HTTP.__name__}.ConnectError", "CONNECTION", True),
    (_too_slow, whole, class_of("ReadTimeout"), "TIMEOUT", True),
    (_too_slow, streamed, class_of("ReadTimeout"), "TIMEOUT", True),
    (_too_slow, whole_async, f"{HTTP.__name__}.ReadTimeout", "TIMEOUT", True),
    (_hung_up, whole, class_of("RemoteProtocolError"), "CONNECTION", True),
    (_hung_up, streamed_async, f"{HTTP.__name__}.RemoteProtocolError", "CONNECTION", True),
    pytest.param(
        _no_json,
        streamed,
        "google.genai.errors.UnknownApiResponseError",
        "PROVIDER_ERROR",
        True,
        marks=needs("gemini errors of answers that are no JSON"),
    ),
    (_no_json, whole, "json.decoder.JSONDecodeError", "PROVIDER_ERROR", True),
]


@pytest.mark.parametrize(("prepare", "call", "error_type", "code", "retryable"), ON_THE_WAY)
def test_an_error_on_the_way(
    simulator: Simulator,
    instrumented: InMemoryTelemetry,
    prepare: Callable[[Simulator], Any],
    call: Callable[[Any], Any],
    error_type: str,
    code: str,
    retryable: bool,
) -> None:
    """Without a word of the provider's, ``error.type`` is the public class, and its bases say what it means."""
    with closing(prepare(simulator)) as client, pytest.raises((HTTP.HTTPError, *LOST.values(), ValueError)):
        call(client)
    attributes: Any = instrumented.span().attributes
    assert (attributes["error.type"], attributes["aiobs.error.code"], attributes["aiobs.error.retryable"]) == (
        error_type, code, retryable,
    )  # fmt: skip


def _class(module: str, name: str, *bases: type[BaseException]) -> type[BaseException]:
    return type(name, bases or (Exception,), {"__module__": module})


AIOHTTP_ERROR = _class("aiohttp.client_exceptions", "ClientError")
AIOHTTP_CONNECTION = _class("aiohttp.client_exceptions", "ClientConnectionError", AIOHTTP_ERROR)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AIOHTTP_CONNECTION("gone"), "CONNECTION"),
        (_class("aiohttp.client_exceptions", "ServerDisconnectedError", AIOHTTP_CONNECTION)("gone"), "CONNECTION"),
        (_class("aiohttp.client_exceptions", "ClientPayloadError", AIOHTTP_ERROR)("cut"), "CONNECTION"),
        (
            _class("aiohttp.client_exceptions", "ServerTimeoutError", AIOHTTP_CONNECTION, TimeoutError)("slow"),
            "TIMEOUT",
        ),
        (_class("requests.exceptions", "ChunkedEncodingError", OSError)("cut"), "CONNECTION"),
        (TimeoutError(), "TIMEOUT"),
        (ConnectionResetError("reset"), "CONNECTION"),
        (asyncio.CancelledError(), "CANCELLED"),
        *([(errors.UnknownApiResponseError("no JSON"), "PROVIDER_ERROR")] if NO_JSON else []),
        (errors.UnsupportedFunctionError("no"), "UNKNOWN"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_errors_of_other_transports(error: BaseException, code: str) -> None:
    """aiohttp's, which async clients use where it is installed, and those of requests, which google-genai 1.5 uses."""
    assert summarize(error).code == code


# Errors in an answer


@needs("gemini errors inside streams")
@every_way
def test_an_error_in_an_answer_of_200(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[[Any], Any]
) -> None:
    """The SDK makes an empty answer of it, or raises where it is streamed; the span fails with Google's word."""
    body = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "NEEDLE"}}
    data = json.dumps(body).encode()
    if call in (streamed, streamed_async):
        simulator.raw([b"data: " + data + b"\r\n\r\n"])
        with pytest.raises(errors.ServerError):
            call(simulator.gemini())
    else:
        simulator.raw(data)
        assert call(simulator.gemini()).candidates is None
    span = instrumented.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "UNAVAILABLE")
    attributes: Any = span.attributes
    assert (attributes["error.type"], attributes["aiobs.error.code"]) == ("UNAVAILABLE", "PROVIDER_ERROR")
    assert "NEEDLE" not in everything(instrumented)
    (point,) = instrumented.metrics()["gen_ai.client.inference.duration"]
    assert point.attributes["error.type"] == "UNAVAILABLE"


@needs("gemini retries and HTTP status")
@pytest.mark.parametrize("content", [None, "span_and_event"])
def test_an_error_in_an_answer_of_200_leaks_nothing(
    simulator: Simulator, signals: InMemoryTelemetry, content: str | None
) -> None:
    """It may quote the prompt for a status, and the key in its message: neither gets out."""
    Instrumentor(**signals.providers, capture_content=content).instrument()
    simulator.raw(b'{"error": {"message": "bad key my-odd-key-1", "status": "you said: NEEDLE"}}')
    whole(simulator.gemini(api_key="my-odd-key-1"))
    assert (signals.span().attributes or {})["error.type"] == "error"
    assert "NEEDLE" not in everything(signals)
    assert "my-odd-key-1" not in everything(signals)


def test_an_answer_about_an_error_is_no_error(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Only a body that begins with an error is one."""
    simulator.reply('{"error": {"status": "INTERNAL"}}')
    whole(simulator.gemini())
    assert instrumented.span().status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("call", [streamed, streamed_async])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"error_after": 1, "message": "NEEDLE"}, marks=needs("gemini errors inside streams")),
        {"cut_after": 1},
        {"malformed": True},
    ],
)
def test_a_stream_that_breaks(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[[Any], Any], fault: dict[str, Any]
) -> None:
    """It failed and it is incomplete; what came before counts."""
    simulator.fault(**fault)
    with pytest.raises((errors.ServerError, HTTP.RemoteProtocolError, *CUT, ValueError)) as raised:
        call(simulator.gemini())
    attributes: Any = instrumented.span().attributes
    assert attributes["error.type"] == summarize(raised.value).type
    assert (attributes["gen_ai.response.finish_reasons"], attributes["aiobs.incomplete"]) == (("error",), True)
    assert attributes.get("gen_ai.response.id") == ("simulated000001" if has("gemini ids of answers") else None)
    assert attributes["gen_ai.usage.input_tokens"] > 0
    assert "NEEDLE" not in everything(instrumented)


# Credentials


@refused(whole, streamed, whole_async, streamed_async)
def test_a_key_that_the_service_echoes(
    simulator: Simulator, signals: InMemoryTelemetry, call: Callable[[Any], Any]
) -> None:
    """With content allowed the message is there, and the key in it is not: on no signal, nor in the file."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    simulator.fail(
        400, message="API key my-odd-key-1 not valid; nor AIzaSyA1234567890123456789012345 nor http://u:pw@host/"
    )
    with pytest.raises(errors.ClientError, match="my-odd-key-1"):
        call(simulator.gemini(api_key="my-odd-key-1"))
    assert "API key [REDACTED] not valid" in str(signals.span().status.description)
    (event,) = signals.events("gen_ai.client.operation.exception")
    assert "Traceback" in event.attributes["exception.stacktrace"]
    shown = everything(signals) + json.dumps(file_events())
    for secret in ("my-odd-key-1", "AIzaSyA", "u:pw"):
        assert secret not in shown


def test_a_token_that_the_service_echoes(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The same of a Vertex client's token."""
    from google.oauth2.credentials import Credentials

    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    simulator.fail(403, message="Bad token my-odd-token.")  # of a 401, google-genai 1.5 makes a refresh
    credentials = Credentials("my-odd-token")  # type: ignore[no-untyped-call]  # google-auth has no types for it
    with pytest.raises(errors.ClientError):
        whole(simulator.vertex(credentials=credentials))
    assert "my-odd-token" not in everything(signals)
    assert "Bad token [REDACTED]." in str(signals.span().status.description)


def test_the_exception_is_the_sdks_own(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Same type, response and context as without us; nothing of ours in it."""
    simulator.fail(503, message="later")
    with pytest.raises(errors.ServerError) as raised:
        whole(simulator.gemini())
    error = raised.value
    assert (error.code, error.status, error.message) == (503, "UNAVAILABLE", "later")
    assert (error.__cause__, error.__context__) == (None, None)


def test_the_session_file_has_the_message(simulator: Simulator) -> None:
    """Name and message in the file, with the structured twin; response null."""
    observer.observe()
    simulator.fail(429, message="Slow down")
    with pytest.raises(errors.ClientError):
        whole(simulator.gemini())
    (event,) = file_events()
    assert event["error"].startswith("ClientError: 429 RESOURCE_EXHAUSTED.")
    assert "Slow down" in event["error"]
    assert event["response"] is None
    details = {key: event["error_details"][key] for key in ("type", "code", "retryable", "status_code")}
    assert details == {
        "type": "RESOURCE_EXHAUSTED",
        "code": "RATE_LIMITED",
        "retryable": True,
        "status_code": 429,
    }
