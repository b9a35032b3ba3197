"""Events of the session file, version 1: pure functions from a call, or a finished span, and its identity."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from pydantic_core import from_json

from aiobs.call import Call, Callsite, Failure, FunctionCall, Usage
from aiobs.errors import scrub
from aiobs.exporters.session.foreign import in_our_names
from aiobs.guard import typed
from aiobs.semconv import credentials, names
from aiobs.semconv.serialise import to_json, to_jsonable, truncate

EVENT_BYTES = 1_048_576
_SECOND = 1_000_000_000  # an integer: divided by a float, nanoseconds lose their last digits

TRANSPORT_KEYS = frozenset({"extra_headers", "extra_query", "headers", "http_client", "timeout"})
"""Request arguments that are about the connection and can hold credentials: never written."""

_OPERATIONS_OF_FUNCTIONS = frozenset({"execute_tool", "retrieval", "invoke_agent", "invoke_workflow", "plan"})
_SDK_OF = {
    "azure": "openai",
    "azure.ai.openai": "openai",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "gcp.vertex_ai": "gemini",
    "google": "gemini",
    "vertexai": "gemini",
}
_API_OF = {
    ("openai", "chat"): "chat.completions.create",
    ("openai", "embeddings"): "embeddings.create",
    ("gemini", "chat"): "models.generate_content",
    ("gemini", "generate_content"): "models.generate_content",
}


class Identity(NamedTuple):
    """Which span an event belongs to, in hexadecimal, and which session."""

    span_id: str
    trace_id: str
    parent_span_id: str | None
    session_id: str


def identity(span_id: int, trace_id: int, parent_id: int | None, session_id: str) -> Identity:
    """16, 32 and 16 hexadecimal digits."""
    return Identity(f"{span_id:016x}", f"{trace_id:032x}", f"{parent_id:016x}" if parent_id else None, session_id)


# With the record that capture left beside the span


def call_event(call: Call, who: Identity) -> dict[str, Any]:
    """A provider event."""
    request = typed(dict, call.session_request or _any_request, call) or {"model": call.request.model}
    return {
        "provider": call.provider,
        "api": call.api,
        "request": without_credentials(request),
        "response": None if call.failure else response_record(call),
        "error": _error(call),
        **({"error_details": _details(call.failure, call.request_id)} if call.failure else {}),
        **_times(call.started_ns, call.duration_ns),
        "callsite": callsite_record(call.callsite),
        **who._asdict(),
        **_context(call.context),
        "evaluations": [],
    }


def response_record(call: Call) -> dict[str, Any] | None:
    """What came back, in the operation's own shape."""
    return typed(dict, call.session_response or _any_response, call)


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
        "error": None if call.error is None else scrub(call.error),
        **_times(call.started_ns, call.duration_ns),
        "callsite": callsite_record(call.callsite),
        **who._asdict(),
        "enh_prompt": call.enh_prompt,
        "enh_prompt_id": call.enh_prompt_id,
        "auto_enhance_after": call.auto_enhance_after,
        **_context(call.context),
        **({"called_from": callsite_record(call.called_from)} if call.called_from is not None else {}),
        **({"instance": call.instance} if call.instance is not None else {}),
        "evaluations": [],
    }


def _context(context: dict[str, Any] | None) -> dict[str, Any]:
    """The run that the call was part of, its user, its tags; nothing if there is nothing to say."""
    return {"context": context} if context else {}


def _any_request(call: Call) -> dict[str, Any]:
    other = {key: value for key, value in call.request.kwargs.items() if key != "model"}
    return {"model": call.request.model, "other": other}


def _any_response(call: Call) -> dict[str, Any] | None:
    response = call.response
    if response is None:
        return None
    choices = [response.choices[index] for index in sorted(response.choices)]
    return {
        "id": response.id,
        "model": response.model,
        "text": choices[0].said("text") if choices else None,
        "usage": _usage(response.usage),
        "finish_reason": response.finish_reasons[0] if response.finish_reasons else None,
    }


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    return None if usage is None else _tokens(usage.input, usage.output)


def _tokens(spent: Any, made: Any) -> dict[str, Any]:
    total = spent + made if isinstance(spent, int) and isinstance(made, int) else None
    return {"prompt_tokens": spent, "completion_tokens": made, "total_tokens": total}


def _error(call: Call) -> str | None:
    failure = call.failure
    if failure is None:
        return "CancelledError: " if call.cancelled else None
    return f"{failure.exception_type.rpartition('.')[2] or failure.type}: {scrub(failure.message)}"


def _details(failure: Failure, request_id: str | None) -> dict[str, Any]:
    return {
        "type": failure.type,
        "code": failure.code,
        "message": scrub(failure.message),
        "retryable": failure.retryable,
        "status_code": failure.status_code,
        "request_id": request_id,
    }


def _times(started_ns: int, duration_ns: int) -> dict[str, float]:
    return {
        "started_at": started_ns / _SECOND,
        "ended_at": (started_ns + duration_ns) / _SECOND,
        "duration_ms": round(duration_ns / 1e6, 3),
    }


def callsite_record(callsite: Callsite | None) -> dict[str, Any] | None:
    """File relative to the working directory where that is possible."""
    if callsite is None:
        return None
    try:
        file = _relative(callsite.file, os.getcwd())
    except (OSError, ValueError):  # the working directory is gone; another drive
        file = callsite.file
    return {"file": file, "line": callsite.line, "function": callsite.function}


@lru_cache(maxsize=1024)
def _relative(file: str, directory: str) -> str:
    return os.path.relpath(file, directory)


# With the span alone


def span_event(span: ReadableSpan, who: Identity) -> tuple[str, dict[str, Any]] | None:
    """A span that came without a record: ``event`` (a model call), ``function`` (a tool, a function); None for others.

    It says what its attributes say: content only if the span carries some.
    """
    attributes: Mapping[str, Any] = span.attributes or {}
    attributes = attributes if _is_ours(span) else in_our_names(attributes)
    operation = attributes.get(names.OPERATION)
    if operation in _OPERATIONS_OF_FUNCTIONS or (operation is None and _is_ours(span)):
        return "function", function_event(_function_call(span, attributes), who)
    return None if operation is None else ("event", _model_event(span, attributes, str(operation), who))


def _is_ours(span: ReadableSpan) -> bool:
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == names.SCOPE


def _function_call(span: ReadableSpan, attributes: Mapping[str, Any]) -> FunctionCall:
    """A tool is ``tool:<name>``; an observed function has its qualified name."""
    tool, function = attributes.get("gen_ai.tool.name"), attributes.get(names.CODE_FUNCTION)
    is_tool = attributes.get(names.OPERATION) == "execute_tool"
    given = _content(attributes, names.INPUT)
    given = given if isinstance(given, dict) else {}
    started = span.start_time or 0
    return FunctionCall(
        name=f"tool:{tool or span.name}" if is_tool else span.name,
        api=f"tool:{tool or span.name}" if is_tool else str(function or span.name),
        module=None,
        args=given.get("args"),
        kwargs=_keywords(given.get("kwargs") or _content(attributes, "gen_ai.tool.call.arguments")),
        result=_content(attributes, names.OUTPUT) or _content(attributes, "gen_ai.tool.call.result"),
        error=_span_error(span, attributes),
        callsite=_span_callsite(attributes),
        started_ns=started,
        duration_ns=(span.end_time or started) - started,
        context=_span_context(attributes),
        enh_prompt=bool(attributes.get(names.ENH_PROMPT)),
        enh_prompt_id=attributes.get(names.ENH_PROMPT_ID) if attributes.get(names.ENH_PROMPT) else None,
        auto_enhance_after=attributes.get(names.ENH_PROMPT_AFTER),
    )


def _keywords(given: Any) -> dict[str, Any] | None:
    """Arguments by name; what a tool got that is no object has one."""
    return given if given is None or isinstance(given, dict) else {"arguments": given}


def _model_event(span: ReadableSpan, attributes: Mapping[str, Any], operation: str, who: Identity) -> dict[str, Any]:
    named = str(attributes.get(names.PROVIDER) or attributes.get("gen_ai.system") or "unknown")
    provider = _SDK_OF.get(named, named)
    error = _span_error(span, attributes)
    started = span.start_time or 0
    return {
        "provider": provider,
        "api": str(attributes.get(names.API_NAME) or _API_OF.get((provider, operation), operation)),
        "request": _span_request(attributes),
        "response": None if error else _span_response(attributes),
        "error": error,
        **_times(started, (span.end_time or started) - started),
        "callsite": callsite_record(_span_callsite(attributes)),
        **who._asdict(),
        **_context(_span_context(attributes)),
        "evaluations": [],
    }


def _span_request(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": attributes.get(names.REQUEST_MODEL),
        "messages": _messages(attributes, names.INPUT_MESSAGES),
        "temperature": attributes.get("gen_ai.request.temperature"),
        "max_tokens": attributes.get("gen_ai.request.max_tokens"),
        "other": {},
    }


def _span_response(attributes: Mapping[str, Any]) -> dict[str, Any]:
    given = attributes.get(names.FINISH_REASONS)
    reasons = given if isinstance(given, (list, tuple)) else [given]
    said = _messages(attributes, names.OUTPUT_MESSAGES)
    return {
        "id": attributes.get(names.RESPONSE_ID),
        "model": attributes.get(names.RESPONSE_MODEL),
        "text": said[0]["content"] if said else None,
        "usage": _tokens(attributes.get(names.INPUT_TOKENS), attributes.get(names.OUTPUT_TOKENS)),
        "finish_reason": reasons[0] if reasons else None,
    }


def _messages(attributes: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Messages of the conventions (role, parts) with the ``content`` that viewers of the file read."""
    found = _content(attributes, key)
    messages = [message for message in found if isinstance(message, dict)] if isinstance(found, list) else []
    return [{"role": message.get("role"), "content": _text(message), **message} for message in messages]


def _text(message: Mapping[str, Any]) -> str | None:
    given = message.get("parts")
    parts = [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []
    texts = [part["content"] for part in parts if part.get("type") == "text" and isinstance(part.get("content"), str)]
    return "".join(texts) if texts else None


def _content(attributes: Mapping[str, Any], key: str) -> Any:
    text = attributes.get(key)
    try:
        return from_json(text) if isinstance(text, str) else None
    except ValueError:
        return text


def _span_error(span: ReadableSpan, attributes: Mapping[str, Any]) -> str | None:
    if attributes.get(names.CANCELLED):
        return "CancelledError: "
    kind = attributes.get(names.ERROR_TYPE)
    if kind is None and span.status.status_code is not StatusCode.ERROR:
        return None
    return scrub(f"{kind or 'Error'}: {span.status.description or ''}")


def _span_context(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key.startswith(names.CONTEXT)}


def _span_callsite(attributes: Mapping[str, Any]) -> Callsite | None:
    file, line = attributes.get(names.CODE_FILE), attributes.get(names.CODE_LINE)
    if not isinstance(file, str) or not isinstance(line, int):
        return None
    return Callsite(file, line, str(attributes.get(names.CODE_FUNCTION, "")))


# Credentials and size


def without_credentials(request: dict[str, Any]) -> dict[str, Any]:
    """The request without what is about the connection, and without credentials in what is left."""
    kept = _without_transport(request)
    if isinstance(other := kept.get("other"), dict):
        kept["other"] = _without_transport(other)
    return {key: _clean(key, value) for key, value in kept.items()}


def _without_transport(arguments: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key not in TRANSPORT_KEYS}


def _clean(key: str, value: Any) -> Any:
    """One field; the parameters beside the usual ones lie one level deeper."""
    if key == "other" and isinstance(value, dict):
        return {name: credentials.without_credentials(name, item) for name, item in value.items()}
    return credentials.without_credentials(key, value)


def event_line(kind: str, event: dict[str, Any]) -> bytes:
    """The event as a line of the journal; a request that makes it longer than 1 MiB is cut and says so."""
    line = to_json({kind: event}).encode()
    if len(line) <= EVENT_BYTES or "request" not in event:
        return line
    for cut in _cuts(to_jsonable(event["request"])):
        line = to_json({kind: {**event, "request": {**cut, "truncated": True}}}).encode()
        if len(line) <= EVENT_BYTES:
            break
    return line


def _cuts(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The request cut harder and harder: first long texts, then the middle of long lists."""
    for limit in (65_536, 8_192, 1_024):
        request = _with_texts_cut(request, limit)
        yield request
    for room in (256, 64, 16):
        yield {key: _middle_left_out(value, room) for key, value in request.items()}


def _with_texts_cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return truncate(value, limit)
    if isinstance(value, dict):
        return {key: _with_texts_cut(item, limit) for key, item in value.items()}
    return [_with_texts_cut(item, limit) for item in value] if isinstance(value, (list, tuple)) else value


def _middle_left_out(value: Any, room: int) -> Any:
    """The first item, a marker in the shape of the items, and the newest ones."""
    if not isinstance(value, list) or len(value) <= room:
        return value
    note = f"… [{len(value) - room} items left out by aiobs]"
    marker: Any = {"role": "system", "content": note} if isinstance(value[0], dict) else note
    return [value[0], marker, *value[1 - room :]]
