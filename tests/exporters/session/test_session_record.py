"""Events of the session file, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

from aiobs.call import Failure
from aiobs.exporters.session.record import (
    Identity,
    call_event,
    callsite_record,
    event_line,
    function_event,
    identity,
    span_event,
    without_credentials,
)
from aiobs.semconv.credentials import NAMES

from .conftest import function_call, model_call

WHO = identity(0xAB, 0xCD, 0xEF, "session")
FAILURE = Failure(
    type="invalid_api_key",
    code="AUTH",
    exception_type="openai.AuthenticationError",
    message="Incorrect API key provided: sk-proj-abcdefgh12345678",
    status_code=401,
)


def test_identities_are_hexadecimal() -> None:
    """S1-76: 16, 32 and 16 digits; no parent is None."""
    assert Identity("00000000000000ab", f"{'cd':0>32}", "00000000000000ef", "session") == WHO
    assert identity(1, 2, None, "s").parent_span_id is None


def test_a_call_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-35, S1-44, S1-76, S1-79: every field, times from the monotonic duration, the file relative."""
    monkeypatch.setattr("os.getcwd", lambda: "/srv/project")
    assert call_event(model_call(), WHO) == {
        "provider": "openai",
        "api": "chat.completions.create",
        "request": {"model": "gpt-4o-mini", "other": {"seed": 7}},
        "response": {
            "id": "chatcmpl-1",
            "model": "gpt-4o-mini-2024",
            "text": "Hello",
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            "finish_reason": "stop",
        },
        "error": None,
        "started_at": 1_700_000_000.0,
        "ended_at": 1_700_000_000.001234567,
        "duration_ms": 1.235,
        "callsite": {"file": "../app.py", "line": 12, "function": "main"},
        "span_id": "00000000000000ab",
        "trace_id": f"{'cd':0>32}",
        "parent_span_id": "00000000000000ef",
        "session_id": "session",
        "evaluations": [],
    }


def test_the_operation_says_what_its_request_and_response_are() -> None:
    """S1-34: the shapes of the file are the operation's own."""
    call = model_call(session_request=lambda call: {"model": "m"}, session_response=lambda call: {"text": "t"})
    event = call_event(call, WHO)
    assert (event["request"], event["response"]) == ({"model": "m"}, {"text": "t"})


def test_a_failed_call_has_its_error_without_the_key() -> None:
    """S1-40: name and message, the structured twin, no response; the echoed key is scrubbed from both."""
    event = call_event(model_call(failure=FAILURE, request_id="req_1"), WHO)
    assert event["response"] is None
    assert event["error"] == "AuthenticationError: Incorrect API key provided: [REDACTED]"
    assert event["error_details"] == {
        "type": "invalid_api_key",
        "code": "AUTH",
        "message": "Incorrect API key provided: [REDACTED]",
        "retryable": False,
        "status_code": 401,
        "request_id": "req_1",
    }


def test_a_cancelled_call_says_so() -> None:
    """S1-62: cancellation is an error in the file, without details."""
    event = call_event(model_call(cancelled=True, response=None), WHO)
    assert (event["error"], event["response"], "error_details" in event) == ("CancelledError: ", None, False)


def test_a_function_is_a_function_event() -> None:
    """S1-55, S1-63, S1-77: every field, and not captured is null."""
    event = function_event(function_call(kwargs=None, error="ValueError: sk-abcdefgh12345678 is no key"), WHO)
    assert event == {
        "provider": "function",
        "api": "app.research",
        "name": "research",
        "module": "app",
        "args": ["q"],
        "kwargs": None,
        "result": [1],
        "error": "ValueError: [REDACTED] is no key",
        "started_at": 0.0,
        "ended_at": 0.0,
        "duration_ms": 0.0,
        "callsite": None,
        **WHO._asdict(),
        "enh_prompt": False,
        "enh_prompt_id": None,
        "auto_enhance_after": None,
        "evaluations": [],
    }


def test_a_callsite_without_a_working_directory_is_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-81: a deleted directory raises nothing."""

    def gone() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("os.getcwd", gone)
    assert callsite_record(model_call().callsite) == {"file": "/srv/app.py", "line": 12, "function": "main"}


def test_credentials_are_never_written() -> None:
    """S1-34: connection arguments go, credentials at any depth are replaced, what the program says stays."""
    schema = {"type": "object", "properties": {"password": {"type": "string"}, "headers": {"type": "object"}}}
    tool = {"type": "mcp", "headers": {"X-Token": "t"}, "authorization": "t", "parameters": schema}
    request = {
        "messages": [{"role": "user", "content": "my password", "api_key": "said"}],
        "api_key": "sk-1",
        "extra_headers": {"Authorization": "Bearer x"},
        "config": {"http_options": {"headers": {"x-goog-api-key": "k"}, "api_version": "v1"}, "max_tokens": 5},
        "other": {"timeout": 3, "extra_headers": {}, "tools": (tool,), "Authorization": "Bearer x"},
    }
    assert without_credentials(request) == {
        "messages": request["messages"],
        "api_key": "[REDACTED]",
        "config": {
            "http_options": "[REDACTED]",
            "max_tokens": 5,
        },
        "other": {
            "tools": [
                {
                    "type": "mcp",
                    "headers": {"X-Token": "[REDACTED]"},
                    "authorization": "[REDACTED]",
                    "parameters": schema,
                }
            ],
            "Authorization": "[REDACTED]",
        },
    }


@pytest.mark.parametrize("key", sorted(NAMES))
def test_each_credential_is_replaced_in_any_spelling(key: str) -> None:
    """The quick look for credentials overlooks none of the keys."""
    for name in (key, key.upper(), key.title()):
        assert without_credentials({"config": {"a": [{name: "s"}]}}) == {"config": {"a": [{name: "[REDACTED]"}]}}


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": [{"content": "x" * 3_000_000}]},
        {"contents": ["y" * 2_000] * 2_000},
        {"input": "z" * 5_000_000, "other": {"deep": [["w" * 9_000_000]]}},
    ],
)
def test_a_giant_request_is_cut_to_a_mebibyte(request_: dict[str, Any]) -> None:
    """S1-34: the event stays below the cap, and says that it was cut."""
    line = event_line("event", {"request": request_, "response": None})
    assert len(line) <= 1_048_576
    assert json.loads(line)["event"]["request"]["truncated"] is True


# Spans without a record


def event_of(
    scope: str, name: str, attributes: dict[str, Any], status: Status | None = None
) -> tuple[str, dict[str, Any]] | None:
    span = (
        TracerProvider(shutdown_on_exit=False).get_tracer(scope).start_span(name, attributes=attributes, start_time=0)
    )
    if status is not None:
        span.set_status(status)
    span.end(2_000_000)
    return span_event(span, WHO)  # type: ignore[arg-type]  # the SDK's spans are readable


MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}])


@pytest.mark.parametrize(
    ("named", "provider", "api"),
    [
        ("openai", "openai", "chat.completions.create"),
        ("azure.ai.openai", "openai", "chat.completions.create"),
        ("gcp.vertex_ai", "gemini", "models.generate_content"),
        ("anthropic", "anthropic", "chat"),
    ],
)
def test_a_model_call_of_another_instrumentation_is_an_event(named: str, provider: str, api: str) -> None:
    """S1-85: from its attributes, in the shape that viewers read."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": named,
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.input.messages": MESSAGES,
        "gen_ai.output.messages": MESSAGES,
    }
    kind, event = event_of("other", "chat m", attributes) or ("", {})
    said = {"role": "user", "content": "Hi", "parts": [{"type": "text", "content": "Hi"}]}
    assert (kind, event["provider"], event["api"], event["error"]) == ("event", provider, api, None)
    assert event["request"] == {"model": "m", "messages": [said], "temperature": None, "max_tokens": None, "other": {}}
    assert event["response"] == {
        "id": None,
        "model": None,
        "text": "Hi",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "finish_reason": "stop",
    }
    assert event["duration_ms"] == 2.0


def test_a_failed_span_has_its_error() -> None:
    """S1-40: error.type and description, no response."""
    attributes = {"gen_ai.operation.name": "chat", "error.type": "RateLimitError"}
    _, event = event_of("other", "chat", attributes, Status(StatusCode.ERROR, "slow down")) or ("", {})
    assert (event["error"], event["response"]) == ("RateLimitError: slow down", None)


@pytest.mark.parametrize("text", ["no json", "{}", "[1]", '[{"parts": 5}]', '[{"parts": [3, {"type": "text"}]}]'])
def test_odd_messages_do_no_harm(text: str) -> None:
    """What another instrumentation writes is its own affair."""
    found = event_of("other", "chat", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": text})
    assert found is not None


def test_a_tool_is_a_function_event() -> None:
    """Tools are function events called ``tool:<name>``."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.arguments": '{"q": 1}',
    }
    kind, event = event_of("aiobs", "execute_tool search", attributes) or ("", {})
    assert (kind, event["name"], event["api"], event["kwargs"]) == ("function", "tool:search", "tool:search", {"q": 1})


def test_an_observed_function_without_a_record_is_a_function_event() -> None:
    """With the plain exporter: name, definition, arguments if the span has them, the mark for prompt analysis."""
    attributes = {
        "code.function.name": "app.research",
        "code.file.path": str(Path.cwd() / "app.py"),
        "code.line.number": 3,
        "aiobs.input": '{"args": ["q"], "kwargs": {"n": 1}}',
        "aiobs.output": "[1]",
        "aiobs.enh_prompt": True,
        "aiobs.enh_prompt.id": "id-1",
        "aiobs.enh_prompt.auto_after": 10,
    }
    kind, event = event_of("aiobs", "research", attributes) or ("", {})
    assert kind == "function"
    assert {name: event[name] for name in ("name", "api", "args", "kwargs", "result", "enh_prompt_id")} == {
        "name": "research",
        "api": "app.research",
        "args": ["q"],
        "kwargs": {"n": 1},
        "result": [1],
        "enh_prompt_id": "id-1",
    }
    assert event["callsite"] == {"file": "app.py", "line": 3, "function": "app.research"}


def test_other_spans_are_no_events() -> None:
    """S1-85: HTTP and database spans are not in the file."""
    assert event_of("http", "GET", {"http.request.method": "GET"}) is None
