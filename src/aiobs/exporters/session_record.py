"""Events of the session file, version 1: pure functions from a call, or a finished span, and its identity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from pydantic_core import from_json

from aiobs.call import Call, Callsite, Failure, FunctionCall
from aiobs.errors import scrub
from aiobs.semconv import names
from aiobs.semconv.serialise import to_jsonable

SECRET_KEYS = frozenset({"extra_headers", "api_key", "authorization", "headers", "http_client", "timeout"})
OWN_SPANS = frozenset({"execute_tool", "retrieval", "invoke_agent", "invoke_workflow", "plan"})


class Identity(NamedTuple):
    """Which span an event belongs to, in hexadecimal, and which session."""

    span_id: str
    trace_id: str
    parent_span_id: str | None
    session_id: str


def identity(span_id: int, trace_id: int, parent_id: int | None, session_id: str) -> Identity:
    """16, 32 and 16 hexadecimal digits."""
    return Identity(f"{span_id:016x}", f"{trace_id:032x}", f"{parent_id:016x}" if parent_id else None, session_id)


def call_event(call: Call, who: Identity) -> dict[str, Any]:
    """A provider event."""
    request = call.session_request(call) if call.session_request else {"model": call.request.model, "other": {}}
    response = call.session_response(call) if call.session_response and not call.failure else None
    return {
        "provider": call.provider,
        "api": call.api,
        "request": without_secrets(request),
        "response": response,
        "error": _error(call),
        **({"error_details": _details(call.failure)} if call.failure else {}),
        **_times(call.started_ns, call.duration_ns),
        "callsite": callsite_record(call.callsite),
        **who._asdict(),
        "evaluations": [],
    }


def function_event(call: FunctionCall, who: Identity) -> dict[str, Any]:
    """A function event."""
    return {
        "provider": "function",
        "api": call.api,
        "name": call.name,
        "module": call.module,
        "args": call.args,
        "kwargs": call.kwargs,
        "result": call.result,
        "error": call.error,
        **_times(call.started_ns, call.duration_ns),
        "callsite": callsite_record(call.callsite),
        **who._asdict(),
        "enh_prompt": call.enh_prompt,
        "enh_prompt_id": call.enh_prompt_id,
        "auto_enhance_after": call.auto_enhance_after,
        "evaluations": [],
    }


def span_event(span: ReadableSpan, who: Identity) -> tuple[str, dict[str, Any]] | None:
    """A span that came without a record: another instrumentation's model call, or a tool of ours; None for others."""
    attributes: Mapping[str, Any] = span.attributes or {}
    operation = attributes.get(names.OPERATION)
    if operation is None:
        return None
    started, ended = span.start_time or 0, span.end_time or 0
    if operation in OWN_SPANS:
        name = str(attributes.get("gen_ai.tool.name") or span.name)
        call = FunctionCall(
            f"tool:{name}" if operation == "execute_tool" else span.name,
            f"{operation}:{name}",
            None,
            None,
            None,
            error=_span_error(span),
            started_ns=started,
            duration_ns=ended - started,
        )
        return "function", function_event(call, who)
    return "event", {
        "provider": str(attributes.get(names.PROVIDER, "unknown")),
        "api": str(attributes.get(names.API_NAME) or operation),
        "request": {
            "model": attributes.get(names.REQUEST_MODEL),
            "messages": _content(attributes, names.INPUT_MESSAGES) or [],
            "other": {},
        },
        "response": _span_response(attributes) if span.status.is_ok or span.status.is_unset else None,
        "error": _span_error(span),
        **_times(started, ended - started),
        "callsite": None,
        **who._asdict(),
        "evaluations": [],
    }


def _span_response(attributes: Mapping[str, Any]) -> dict[str, Any]:
    spent, made = attributes.get(names.INPUT_TOKENS), attributes.get(names.OUTPUT_TOKENS)
    total = spent + made if isinstance(spent, int) and isinstance(made, int) else None
    reasons = list(attributes.get(names.FINISH_REASONS) or ())
    return {
        "id": attributes.get(names.RESPONSE_ID),
        "model": attributes.get(names.RESPONSE_MODEL),
        "text": None,
        "usage": {"prompt_tokens": spent, "completion_tokens": made, "total_tokens": total},
        "finish_reason": reasons[0] if reasons else None,
        "messages": _content(attributes, names.OUTPUT_MESSAGES),
    }


def _content(attributes: Mapping[str, Any], key: str) -> Any:
    text = attributes.get(key)
    try:
        return from_json(text) if isinstance(text, str) else None
    except ValueError:
        return text


def _span_error(span: ReadableSpan) -> str | None:
    kind = (span.attributes or {}).get(names.ERROR_TYPE)
    return f"{kind or 'Error'}: {span.status.description or ''}" if kind or not span.status.is_ok else None


def _error(call: Call) -> str | None:
    failure = call.failure
    if failure is None:
        return "CancelledError: " if call.cancelled else None
    return f"{failure.exception_type.rpartition('.')[2] or failure.type}: {failure.message}"


def _details(failure: Failure) -> dict[str, Any]:
    return {
        "type": failure.type,
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "status_code": failure.status_code,
        "request_id": failure.request_id,
    }


def _times(started_ns: int, duration_ns: int) -> dict[str, float]:
    return {
        "started_at": started_ns / 1e9,
        "ended_at": (started_ns + duration_ns) / 1e9,
        "duration_ms": round(duration_ns / 1e6, 3),
    }


def callsite_record(callsite: Callsite | None) -> dict[str, Any] | None:
    """File relative to the working directory where that is possible."""
    if callsite is None:
        return None
    try:
        file = os.path.relpath(callsite.file)
    except (OSError, ValueError):  # the working directory is gone; another drive
        file = callsite.file
    return {"file": file, "line": callsite.line, "function": callsite.function}


def without_secrets(request: dict[str, Any]) -> dict[str, Any]:
    """Headers and credentials are never written, also not from ``other``."""
    kept = {key: value for key, value in request.items() if key not in SECRET_KEYS}
    other = kept.get("other")
    if isinstance(other, dict):
        kept["other"] = {key: value for key, value in other.items() if key.lower() not in SECRET_KEYS}
    return kept


def json_safe(event: dict[str, Any]) -> dict[str, Any]:
    """The event as plain values, credentials in error texts scrubbed."""
    safe: dict[str, Any] = to_jsonable(event)
    if safe.get("error"):
        safe["error"] = scrub(safe["error"])
    return safe
