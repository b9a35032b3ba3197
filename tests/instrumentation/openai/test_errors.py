"""Failing calls: the program gets the SDK's error, the span says what it was."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import openai
import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import Simulator

ASK = [{"role": "user", "content": "What is an API?"}]


@pytest.mark.parametrize(
    ("status", "code", "error", "error_type", "our_code", "retryable"),
    [
        (400, None, openai.BadRequestError, "openai.BadRequestError", "BAD_REQUEST", False),
        (400, "context_length_exceeded", openai.BadRequestError, "context_length_exceeded", "CONTEXT_LENGTH", False),
        (401, "invalid_api_key", openai.AuthenticationError, "invalid_api_key", "AUTH", False),
        (403, None, openai.PermissionDeniedError, "openai.PermissionDeniedError", "AUTH", False),
        (404, "model_not_found", openai.NotFoundError, "model_not_found", "BAD_REQUEST", False),
        (429, "rate_limit_exceeded", openai.RateLimitError, "rate_limit_exceeded", "RATE_LIMITED", True),
        (429, "insufficient_quota", openai.RateLimitError, "insufficient_quota", "QUOTA_EXCEEDED", False),
        (500, None, openai.InternalServerError, "openai.InternalServerError", "PROVIDER_ERROR", True),
        (503, None, openai.InternalServerError, "openai.InternalServerError", "PROVIDER_ERROR", True),
    ],
)
def test_a_status_error(simulator, instrumented, status, code, error, error_type, our_code, retryable) -> None:
    """S1-40: error.type is the provider's code or the public class; the description is no more with the gate closed."""
    simulator.fail(status, code=code, message="The prompt was: secret")
    with pytest.raises(error) as raised:
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert "secret" in str(raised.value)
    span = instrumented.span("chat m")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == error_type
    assert {key: span.attributes[key] for key in span.attributes if "error" in key or "http" in key} == {
        "error.type": error_type,
        "aiobs.error.code": our_code,
        "aiobs.error.retryable": retryable,
        "aiobs.http.status_code": status,
    }
    assert span.attributes["aiobs.request.id"] == "req_000001"
    assert span.events == ()
    (event,) = instrumented.events("gen_ai.client.operation.exception")
    assert event.severity_number.value == 13
    assert set(event.attributes) == {"exception.type"}
    (duration,) = instrumented.metrics()["gen_ai.client.inference.duration"]
    assert duration.attributes["error.type"] == error_type


def test_a_timeout(simulator: Simulator, instrumented) -> None:
    """error.type of an error without a provider's code is the public class."""
    simulator.fault(silence=5)
    with pytest.raises(openai.APITimeoutError):
        simulator.openai(timeout=0.1).chat.completions.create(model="m", messages=ASK)
    attributes = instrumented.span().attributes
    assert (attributes["error.type"], attributes["aiobs.error.code"]) == ("openai.APITimeoutError", "TIMEOUT")


def test_no_connection(instrumented) -> None:
    """Nobody listens."""
    with openai.OpenAI(base_url="http://127.0.0.1:1/v1", api_key="k", max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(model="m", messages=ASK)
    attributes = instrumented.span().attributes
    assert (attributes["error.type"], attributes["aiobs.error.code"]) == ("openai.APIConnectionError", "CONNECTION")


@pytest.mark.nonconforming("a call without a model")
def test_wrong_arguments_fail_with_the_sdks_own_words(simulator: Simulator, signals) -> None:
    """44: what the SDK says about missing or unknown arguments is not ours to change.

    breaks-apps #44
    """
    client = simulator.openai()

    def failures() -> list[str]:
        texts = []
        for arguments in ({"model": "m"}, {"model": "m", "messages": ASK, "nonsense": 1}, {}):
            with pytest.raises(TypeError) as raised:
                client.chat.completions.create(**arguments)
            texts.append(str(raised.value))
        with pytest.raises(TypeError) as raised:
            client.chat.completions.create("m", ASK)
        return [*texts, str(raised.value)]

    without = failures()
    Instrumentor(**signals.providers).instrument()
    assert failures() == without
    assert len(signals.spans) == 4


def test_an_error_in_an_answer_of_200(simulator: Simulator, instrumented) -> None:
    """Compatible servers answer 200 with an error in it: the program gets what the SDK makes of it, the span fails."""
    simulator.raw(b'{"error": {"message": "overloaded", "code": "overloaded_error"}}')
    result = simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert result.choices is None
    span = instrumented.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "overloaded_error"


@pytest.mark.parametrize("content", [None, "span_and_event"])
def test_an_error_in_an_answer_of_200_leaks_nothing(simulator: Simulator, signals, content) -> None:
    """Such an error may quote the prompt in its code, and the key in its message: neither gets out.

    breaks-apps #82, #85
    """
    Instrumentor(**signals.providers, capture_content=content).instrument()
    simulator.raw(b'{"error": {"message": "bad key my-odd-key-1", "code": "you said: NEEDLE"}}')
    simulator.openai(api_key="my-odd-key-1").chat.completions.create(model="m", messages=ASK)
    shown = signals.span().to_json() + "".join(log.to_json() for log in signals.logs)
    assert signals.span().attributes["error.type"] == "error"
    assert "NEEDLE" not in shown
    assert "my-odd-key-1" not in shown


def test_the_exception_is_the_same_object_with_its_cause(simulator: Simulator, instrumented) -> None:
    """The SDK's exception goes through untouched: same cause, no context of ours.

    breaks-apps #104
    """
    simulator.fault(cut_after=0)
    with pytest.raises(openai.APIConnectionError) as raised:
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert raised.value.__cause__ is not None
    assert "aiobs" not in "".join(traceback.format_exception_only(raised.value))
    assert raised.value.__context__ is raised.value.__cause__


def test_an_open_gate_describes_errors_without_credentials(simulator: Simulator, signals) -> None:
    """With content allowed the message is there, and keys that a server echoes are not.

    breaks-apps #85
    """
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    simulator.fail(401, message="Incorrect API key provided: my-odd-key-1. Also sk-abcdefghijk and http://u:pw@host/")
    with pytest.raises(openai.AuthenticationError):
        simulator.openai(api_key="my-odd-key-1").chat.completions.create(model="m", messages=ASK)
    description = signals.span().status.description
    assert "Incorrect API key provided: [REDACTED]." in description
    (event,) = signals.events("gen_ai.client.operation.exception")
    shown = description + str(dict(event.attributes))
    assert "Traceback" in event.attributes["exception.stacktrace"]
    for secret in ("my-odd-key-1", "sk-abc", "u:pw"):
        assert secret not in shown


def test_the_session_file_has_the_message(simulator: Simulator) -> None:
    """S1-40: name and message in the file, with the structured twin; response null."""
    observer.observe()
    simulator.fail(429, code="rate_limit_exceeded", message="Slow down")
    with pytest.raises(openai.RateLimitError):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    (event,) = json.loads(Path(observer.flush()).read_text())["events"]
    assert event["error"].startswith("RateLimitError: Error code: 429 - ")
    assert "Slow down" in event["error"]
    assert event["response"] is None
    assert {key: event["error_details"][key] for key in ("type", "code", "retryable", "status_code", "request_id")} == {
        "type": "rate_limit_exceeded", "code": "RATE_LIMITED", "retryable": True, "status_code": 429,
        "request_id": "req_000001",
    }  # fmt: skip
