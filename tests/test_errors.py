"""The reading of errors: what any of them means, by code, status and class, without importing an SDK.

Errors of OpenAI's SDK are raised by it, from what a server answers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from email.utils import formatdate
from typing import Any

import openai
import pydantic
import pytest

from aiobs.call import Failure
from aiobs.errors import CODES, answered_error, public_name, scrub, summarize
from aiobs.testing import Simulator
from tests.versions import chat_with_parse

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def raised_by(call: Callable[[], Any]) -> BaseException:
    """What the call raises."""
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def refused(simulator: Simulator, status: int, error: Any, headers: dict[str, str] | None = None) -> Failure:
    """What the SDK's error means when the server answers with this status and error object."""
    simulator.raw(json.dumps({"error": error}).encode(), status, headers)
    return summarize(raised_by(lambda: simulator.openai().chat.completions.create(**ASK)))


# By what the provider says

REFUSALS: dict[str, tuple[int, Any, str, str, bool]] = {
    "400": (400, {"message": "x"}, "openai.BadRequestError", "BAD_REQUEST", False),
    "400 context": (
        400, {"code": "context_length_exceeded"}, "context_length_exceeded", "CONTEXT_LENGTH", False,
    ),
    "400 context by its words": (
        400, {"code": "invalid_request_error", "message": "This model's maximum context length is 8192 tokens."},
        "invalid_request_error", "CONTEXT_LENGTH", False,
    ),
    "400 filter": (400, {"code": "content_filter"}, "content_filter", "CONTENT_FILTER", False),
    "400 policy": (400, {"code": "content_policy_violation"}, "content_policy_violation", "CONTENT_FILTER", False),
    "401": (401, {"code": "invalid_api_key"}, "invalid_api_key", "AUTH", False),
    "401 without a code": (401, {"message": "x"}, "openai.AuthenticationError", "AUTH", False),
    "403": (403, {"code": "unsupported_country"}, "unsupported_country", "AUTH", False),
    "404": (404, {"code": "model_not_found"}, "model_not_found", "BAD_REQUEST", False),
    "408": (408, {"message": "x"}, "openai.APIStatusError", "TIMEOUT", True),
    "409": (409, {"message": "x"}, "openai.ConflictError", "BAD_REQUEST", False),
    "413": (413, {"message": "x"}, "openai.APIStatusError", "BAD_REQUEST", False),
    "422": (422, {"message": "x"}, "openai.UnprocessableEntityError", "BAD_REQUEST", False),
    "429": (429, {"code": "rate_limit_exceeded"}, "rate_limit_exceeded", "RATE_LIMITED", True),
    "429 without a code": (429, {"message": "x"}, "openai.RateLimitError", "RATE_LIMITED", True),
    "429 quota": (429, {"code": "insufficient_quota"}, "insufficient_quota", "QUOTA_EXCEEDED", False),
    "429 quota by its type": (
        429, {"type": "insufficient_quota", "code": None}, "openai.RateLimitError", "QUOTA_EXCEEDED", False,
    ),
    "429 billing": (429, {"code": "billing_hard_limit_reached"}, "billing_hard_limit_reached", "QUOTA_EXCEEDED", False),
    "500": (500, {"code": "server_error"}, "server_error", "PROVIDER_ERROR", True),
    "500 by its type": (500, {"type": "server_error"}, "openai.InternalServerError", "PROVIDER_ERROR", True),
    "503": (503, {"message": "overloaded"}, "openai.InternalServerError", "PROVIDER_ERROR", True),
    "529": (529, {"type": "overloaded_error"}, "openai.InternalServerError", "PROVIDER_ERROR", True),
    "a number as the code": (429, {"code": 429}, "429", "RATE_LIMITED", True),
    "a sentence as the code": (400, {"code": "you said: x"}, "openai.BadRequestError", "BAD_REQUEST", False),
    "a very long code": (400, {"code": "x" * 65}, "openai.BadRequestError", "BAD_REQUEST", False),
    "an object as the code": (400, {"code": {"a": 1}}, "openai.BadRequestError", "BAD_REQUEST", False),
    "no object": (400, "plain", "openai.BadRequestError", "BAD_REQUEST", False),
    "a list": (500, ["x"], "openai.InternalServerError", "PROVIDER_ERROR", True),
    "nothing": (502, None, "openai.InternalServerError", "PROVIDER_ERROR", True),
}  # fmt: skip


@pytest.mark.parametrize(("status", "error", "error_type", "code", "retryable"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal(simulator: Simulator, status, error, error_type, code, retryable) -> None:
    """S4-15: the provider's code says more than its status; the type is the code, else the public class."""
    failure = refused(simulator, status, error)
    assert (failure.type, failure.code, failure.retryable) == (error_type, code, retryable)
    assert (failure.status_code, failure.request_id) == (status, "req_000001")
    assert failure.exception_type.startswith("openai.")
    assert failure.code in CODES


@pytest.mark.parametrize("body", [b"<html>", b"", b"5", b"null", b"{not json"])
def test_a_refusal_in_no_json(simulator: Simulator, body: bytes) -> None:
    """S4-15: a proxy's page means what its status means."""
    simulator.raw(body, 502, {"content-type": "text/html"})
    failure = summarize(raised_by(lambda: simulator.openai().chat.completions.create(**ASK)))
    assert (failure.type, failure.code, failure.status_code) == (
        "openai.InternalServerError", "PROVIDER_ERROR", 502,
    )  # fmt: skip


STREAMED: dict[str, tuple[Any, str, str, bool]] = {
    "a code": ({"code": "server_error", "message": "x"}, "server_error", "PROVIDER_ERROR", True),
    "rate limit": ({"code": "rate_limit_exceeded"}, "rate_limit_exceeded", "RATE_LIMITED", True),
    "a type": ({"type": "insufficient_quota", "message": "x"}, "openai.APIError", "QUOTA_EXCEEDED", False),
    "nothing": ({"message": "x"}, "openai.APIError", "PROVIDER_ERROR", True),
    "a status as the code": ({"code": 429, "message": "x"}, "429", "RATE_LIMITED", True),
    "another": ({"code": 502, "message": "x"}, "502", "PROVIDER_ERROR", True),
}


@pytest.mark.parametrize(("error", "error_type", "code", "retryable"), STREAMED.values(), ids=STREAMED.keys())
def test_an_error_in_a_stream(simulator: Simulator, error, error_type, code, retryable) -> None:
    """S4-15: an error event has no status; its code counts, or that the provider broke off."""
    simulator.raw([b"data: " + json.dumps({"error": error}).encode() + b"\n\n"])
    stream = simulator.openai().chat.completions.create(**ASK, stream=True)
    failure = summarize(raised_by(lambda: list(stream)))
    assert (failure.type, failure.code, failure.retryable) == (error_type, code, retryable)


ANSWERED: dict[str, tuple[Any, str, str, bool]] = {
    "server_error": ("server_error", "server_error", "PROVIDER_ERROR", True),
    "rate limit": ("rate_limit_exceeded", "rate_limit_exceeded", "RATE_LIMITED", True),
    "prompt": ("invalid_prompt", "invalid_prompt", "BAD_REQUEST", False),
    "policy": ("bio_policy", "bio_policy", "CONTENT_FILTER", False),
    "unknown": ("something_new", "something_new", "PROVIDER_ERROR", True),
    "status": (429, "429", "RATE_LIMITED", True),
    "status of ours": (400, "400", "BAD_REQUEST", False),
    "no error's status": (200, "200", "PROVIDER_ERROR", True),
    "none": (None, "error", "PROVIDER_ERROR", True),
    "sentence": ("you said: x", "error", "PROVIDER_ERROR", True),
    "list": (["x"], "error", "PROVIDER_ERROR", True),
    "bool": (True, "error", "PROVIDER_ERROR", True),
}


@pytest.mark.parametrize(("given", "word", "code", "retryable"), ANSWERED.values(), ids=ANSWERED.keys())
def test_an_error_in_an_answer(given, word, code, retryable) -> None:
    """S4-15: an error inside a 200 means what the same code means as a refusal; only a word is a type."""
    failure = answered_error(given, "message")
    assert (failure.type, failure.code, failure.retryable) == (word, code, retryable)
    assert failure.message == "message"


# By class


class City(pydantic.BaseModel):
    name: str


class CircuitBreakerOpenError(Exception):
    """As other libraries call it."""


class BudgetExceeded(Exception):
    """As a budget raises it."""


class Timeout(OSError):
    """As requests calls it."""


class TransportError(Exception):
    """As httpx calls what goes wrong on the way."""


class TimeoutException(TransportError):
    """As httpx calls what all of its timeouts are."""


class PoolTimeout(TimeoutException):
    """One of them."""


CLASSES: dict[str, tuple[Callable[[], Any], str, bool]] = {
    "no such field": (lambda: City.model_validate({}), "VALIDATION", False),
    "timeout": (lambda: _raise(TimeoutError()), "TIMEOUT", True),
    "asyncio timeout": (lambda: _raise(TimeoutError()), "TIMEOUT", True),
    "future timeout": (lambda: _raise(concurrent.futures.TimeoutError()), "TIMEOUT", True),
    "requests timeout": (lambda: _raise(Timeout()), "TIMEOUT", True),
    "httpx timeout": (lambda: _raise(PoolTimeout("x")), "TIMEOUT", True),
    "reset": (lambda: _raise(ConnectionResetError("x")), "CONNECTION", True),
    "refused": (lambda: _raise(ConnectionRefusedError("x")), "CONNECTION", True),
    "no json": (lambda: json.loads("{"), "PROVIDER_ERROR", True),
    "breaker": (lambda: _raise(CircuitBreakerOpenError("chat")), "CIRCUIT_OPEN", True),
    "breaker by its words": (lambda: _raise(RuntimeError("Circuit Breaker is open")), "CIRCUIT_OPEN", True),
    "budget": (lambda: _raise(BudgetExceeded("5 USD")), "BUDGET_EXCEEDED", False),
    "cancelled": (lambda: _raise(asyncio.CancelledError()), "CANCELLED", False),
    "future cancelled": (lambda: _raise(concurrent.futures.CancelledError()), "CANCELLED", False),
    "interrupt": (lambda: _raise(KeyboardInterrupt()), "UNKNOWN", False),
    "value": (lambda: _raise(ValueError("x")), "UNKNOWN", False),
}


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(("call", "code", "retryable"), CLASSES.values(), ids=CLASSES.keys())
def test_an_error_of_any_library(call, code, retryable) -> None:
    """S4-14, S4-15: a class, or one of its bases, by name; an open circuit breaker by its words too."""
    error = raised_by(call)
    failure = summarize(error)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert failure.type == failure.exception_type == public_name(type(error))
    assert (failure.status_code, failure.request_id, failure.retry_after) == (None, None, None)


def test_a_timeout_of_the_sdk(simulator: Simulator) -> None:
    """S4-14: openai.APITimeoutError is no TimeoutError, and a TIMEOUT."""
    simulator.fault(silence=5)
    error = raised_by(lambda: simulator.openai(timeout=0.05).chat.completions.create(**ASK))
    assert not isinstance(error, TimeoutError)
    failure = summarize(error)
    assert (failure.type, failure.code, failure.retryable) == ("openai.APITimeoutError", "TIMEOUT", True)


@pytest.mark.parametrize("fault", [{"hang_up": True}, {"cut_after": 0}])
def test_a_connection_of_the_sdk(simulator: Simulator, fault) -> None:
    """S4-15: a connection that breaks may be tried again."""
    simulator.fault(**fault)
    failure = summarize(raised_by(lambda: simulator.openai().chat.completions.create(**ASK)))
    assert (failure.type, failure.code, failure.retryable) == ("openai.APIConnectionError", "CONNECTION", True)


PARSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "not the type": ({"text": '{"name": 5}'}, "pydantic_core.ValidationError", "VALIDATION"),
    "not json": ({"text": "{"}, "pydantic_core.ValidationError", "VALIDATION"),
    "cut": ({"text": "{", "finish_reason": "length"}, "openai.LengthFinishReasonError", "CONTEXT_LENGTH"),
    "filtered": (
        {"text": "{", "finish_reason": "content_filter"}, "openai.ContentFilterFinishReasonError", "CONTENT_FILTER",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "error_type", "code"), PARSED.values(), ids=PARSED.keys())
def test_an_answer_that_cannot_be_parsed(simulator: Simulator, answer, error_type, code) -> None:
    """S4-15: what parse() raises after the answer has come; trying the same again is of no use."""
    simulator.reply(**answer)
    failure = summarize(raised_by(lambda: chat_with_parse(simulator.openai()).parse(**ASK, response_format=City)))
    assert (failure.type, failure.code, failure.retryable) == (error_type, code, False)


def test_an_answer_that_the_sdk_refuses(simulator: Simulator) -> None:
    """S4-15: strict validation of answers raises with the status of a success; it is a VALIDATION."""
    simulator.raw(b'{"choices": "x"}')
    client = simulator.openai(_strict_response_validation=True)
    failure = summarize(raised_by(lambda: client.chat.completions.create(**ASK)))
    assert (failure.type, failure.code) == ("openai.APIResponseValidationError", "VALIDATION")


def test_every_code_has_a_cause() -> None:
    """S4-15: the tables above come to every code there is."""
    by_provider = {row[3] for row in REFUSALS.values()} | {row[2] for row in (*ANSWERED.values(), *STREAMED.values())}
    by_class = {row[1] for row in CLASSES.values()} | {row[2] for row in PARSED.values()}
    assert sorted(by_provider | by_class) == sorted(CODES)


# When to try again

WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "part of a second": ({"retry-after": "0.5"}, 0.5),
    "now": ({"retry-after": "0"}, 0.0),
    "milliseconds": ({"retry-after-ms": "1500"}, 1.5),
    "both": ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
    "milliseconds that are none": ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
    "a date that is past": ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    "nonsense": ({"retry-after": "soon"}, None),
    "negative": ({"retry-after": "-3"}, None),
    "nan": ({"retry-after": "nan"}, None),
    "infinite": ({"retry-after": "inf"}, None),
    "empty": ({"retry-after": ""}, None),
    "a date that is none": ({"retry-after": "Wed, 99 Oct 99999 99:99:99 GMT"}, None),
    "absent": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), WAITS.values(), ids=WAITS.keys())
def test_how_long_to_wait(simulator: Simulator, headers, seconds) -> None:
    """S4-15: seconds that the provider asked to wait, None for what says nothing."""
    assert refused(simulator, 429, {"message": "x"}, headers).retry_after == seconds


def test_until_when_to_wait(simulator: Simulator) -> None:
    """S4-15: a date comes to the seconds from now."""
    date = formatdate(time.time() + 3600, usegmt=True)
    waits = refused(simulator, 429, {"message": "x"}, {"retry-after": date}).retry_after
    assert waits == pytest.approx(3600, abs=60)


# Texts


class Unprintable(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError


class Odd(Exception):
    """Attributes of other types than an SDK's."""

    def __init__(self) -> None:
        super().__init__("x")
        self.status_code, self.code, self.request_id = "429", ["x"], 7
        self.response, self.type = "no response", {"a": 1}


def test_an_exception_that_cannot_be_printed() -> None:
    """Its class is its text."""
    failure = summarize(Unprintable())
    assert (failure.message, failure.code) == ("Unprintable", "UNKNOWN")


def test_an_exception_with_odd_attributes() -> None:
    """What has another type than an SDK gives it counts as absent."""
    failure = summarize(Odd())
    name = failure.exception_type
    assert asdict(failure) == asdict(Failure(type=name, code="UNKNOWN", exception_type=name, message="x"))
    assert failure.type.endswith("Odd")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-proj-abcdefgh12345678.", "key [REDACTED]"),
        ("key sk-ab***************wxyz", "key [REDACTED]"),
        ("Bearer abcdefghijkl", "Bearer [REDACTED]"),
        ("http://user:pass@host/path", "http://[REDACTED]@host/path"),
        ("my odd-key here", "my [REDACTED] here"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_credentials_are_scrubbed(text: str, clean: str) -> None:
    """Promise 3: what looks like a key, and the client's own key whatever it looks like."""
    assert scrub(text, ("odd-key", "abc")) == clean


def test_names_of_classes() -> None:
    """The public name, without private modules and without ``builtins``."""
    assert public_name(openai.RateLimitError) == "openai.RateLimitError"
    assert public_name(ValueError) == "ValueError"
