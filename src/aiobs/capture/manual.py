"""``record_llm_call``: a model call that no instrumentor of ours sees, as the program tells it.

It goes the way of every other call: span, metrics, event, session file, hooks, the content gate. What the program says
is read by the readers below, as an SDK's objects are by theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from opentelemetry.trace import SpanContext

from aiobs.call import Call, Callsite, Choice, Message, Part, Prompt, Request, Response, Server, Tool, Usage
from aiobs.capture.callsite import OWN, find_callsite
from aiobs.capture.provider import Operation, Provider, Shape
from aiobs.capture.recording import start
from aiobs.clock import wall_ns
from aiobs.errors import answered_error, summarize
from aiobs.guard import guarded, typed
from aiobs.semconv.encode import PARAMETERS

_SECOND = 1_000_000_000


def record_llm_call(
    provider: str,
    api: str,
    request: Mapping[str, Any] | None = None,
    response: Mapping[str, Any] | str | None = None,
    usage: Mapping[str, Any] | None = None,
    *,
    error: BaseException | str | None = None,
    operation: str = "chat",
    server: str | None = None,
    started_at: float | None = None,
    ended_at: float | None = None,
) -> SpanContext | None:
    """Record a model call that was made by other means (a provider of your own, a gateway, an old log).

    ``provider``: who answered (``acme``); ``api``: what was called (``acme.complete``). ``request``: ``model`` and what
    else was asked (``messages`` of role and content, or a ``prompt``; ``temperature``, ``max_tokens`` …). ``response``:
    the text, or a mapping of ``text`` and what else is known (``id``, ``model``, ``finish_reason``, ``tool_calls``).
    ``usage``: numbers of tokens, as ``prompt_tokens``/``completion_tokens`` or ``input_tokens``/``output_tokens``;
    those of the response unless given. ``error``: why the call failed, an exception or a text. ``operation``: a name of
    the GenAI conventions. ``server``: who was asked (``host``, ``host:port`` or a URL; port 443 unless named); without
    it nobody is told. ``started_at``, ``ended_at``: seconds since the epoch; the end is now unless given, and without a
    start the time that the call took is unknown and in no histogram.

    Returns the identity of the span, so that scores can refer to it; None if nothing is recorded. Raises TypeError for
    a provider or api that is no text, or a request or usage that is no mapping; ValueError for an end before the start;
    nothing for what is in them.
    """
    _check(provider, api, request, usage, started_at, ended_at)
    site = typed(Callsite, find_callsite, 2, OWN)
    told = {"request": dict(request or {}), "server": server}
    answer = {"response": response, "usage": usage}
    return guarded(_record, provider, api, operation, told, answer, error, (started_at, ended_at), site)


def _check(
    provider: object, api: object, request: object, usage: object, started_at: float | None, ended_at: float | None
) -> None:
    for name, text in (("provider", provider), ("api", api)):
        if not isinstance(text, str) or not text:
            raise TypeError(f"{name} must be a name, got {text!r}.")
    for name, mapping in (("request", request), ("usage", usage)):
        if mapping is not None and not isinstance(mapping, Mapping):
            raise TypeError(f"{name} must be a mapping, got {type(mapping).__name__}.")
    if started_at is not None and ended_at is not None and ended_at < started_at:
        raise ValueError(f"ended_at ({ended_at}) is before started_at ({started_at}); both are epoch seconds.")


def _record(
    provider: str,
    api: str,
    operation: str,
    told: dict[str, Any],
    answer: dict[str, Any],
    error: BaseException | str | None,
    times: tuple[float | None, float | None],
    site: Callsite | None,
) -> SpanContext | None:
    started_at, ended_at = times
    ended_ns = wall_ns() if ended_at is None else int(ended_at * _SECOND)
    started_ns = ended_ns if started_at is None else int(started_at * _SECOND)
    recording = start(_provider(provider), _operation(operation, api), told, (), told, site, started_ns)
    if recording is None:
        return None
    recording.call.is_past = started_at is None
    at = recording.after(max(0, ended_ns - started_ns))
    if error is None:
        recording.finish(answer, at)
    elif isinstance(error, BaseException):
        recording.fail(error, at=at)
    else:
        recording.note_failure(answered_error(None, str(error)))
        recording.finish_unread(at=at)
    return recording.span.get_span_context()


# The readers: ``kwargs`` is {"request": ..., "server": ...}, an answer {"response": ..., "usage": ...}


def _read_request(kwargs: dict[str, Any]) -> Request:
    asked = kwargs["request"]
    params = {name: asked[name] for name in PARAMETERS if asked.get(name) is not None}
    return Request(model=_model(kwargs), params=params, stream=asked.get("stream") is True)


def _model(kwargs: dict[str, Any]) -> str | None:
    model = kwargs["request"].get("model")
    return model if isinstance(model, str) else None


def _read_prompt(kwargs: dict[str, Any]) -> Prompt:
    asked = kwargs["request"]
    given: Any = next((asked[key] for key in ("messages", "prompt", "input", "contents") if asked.get(key)), ())
    messages = [_message(item) for item in (given if isinstance(given, (list, tuple)) else (given,))]
    tools = [cast("Tool", tool) for tool in asked.get("tools") or () if isinstance(tool, dict)]
    return Prompt([message for message in messages if message is not None], tools=tools)


def _message(item: Any) -> Message | None:
    if isinstance(item, str):
        return {"role": "user", "parts": [{"type": "text", "content": item}]}
    if not isinstance(item, Mapping):
        return None
    content = item.get("parts") or item.get("content")
    parts = content if isinstance(content, list) else [content]
    return {"role": str(item.get("role") or "user"), "parts": [_part(part) for part in parts if part]}


def _part(part: Any) -> Part:
    """A part as the schema has it; of OpenAI's, ``text`` is where the schema has ``content``."""
    if not isinstance(part, Mapping):
        return {"type": "text", "content": str(part)}
    return cast("Part", {"type": "text", **part, **({"content": part["text"]} if "text" in part else {})})


def _read_response(answer: dict[str, Any]) -> Response:
    said = _said(answer)
    reasons = said.get("finish_reasons") or [said.get("finish_reason")]
    return Response(
        id=_text(said.get("id")),
        model=_text(said.get("model")),
        usage=_usage(answer["usage"] if answer["usage"] is not None else said.get("usage")),
        finish_reasons=[_text(reason) for reason in reasons if reason],
        native=answer,
    )


def _read_choices(answer: dict[str, Any]) -> dict[int, Choice]:
    said = _said(answer)
    choice = Choice(finish_reason=_text(said.get("finish_reason")))
    choice.say("text", _text(said.get("text")) or _text(said.get("content")) or "")
    for call in said.get("tool_calls") or ():
        if isinstance(call, Mapping):
            asked = choice.call(len(choice.calls))
            asked.id, asked.name = _text(call.get("id")), str(call.get("name") or "")
            asked.arguments.append(str(call.get("arguments") or "{}"))
    return {0: choice}


def _said(answer: dict[str, Any]) -> Mapping[str, Any]:
    response = answer["response"]
    if isinstance(response, Mapping):
        return response
    return {"text": response} if isinstance(response, str) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_COUNTS = {
    "input": ("input_tokens", "prompt_tokens", "prompt_token_count"),
    "output": ("output_tokens", "completion_tokens", "candidates_token_count"),
    "cache_read": ("cache_read_input_tokens", "cached_tokens", "cached_content_token_count"),
    "cache_write": ("cache_write_input_tokens", "cache_creation_input_tokens"),
    "reasoning": ("reasoning_tokens", "thoughts_token_count"),
}


def _usage(given: Any) -> Usage | None:
    if not isinstance(given, Mapping):
        return None
    counts = {
        name: next((given[key] for key in keys if type(given.get(key)) is int), None) for name, keys in _COUNTS.items()
    }
    return Usage(dict(given), **counts)


# In the session file: what was told, as it was told


def _session_request(call: Call) -> dict[str, Any]:
    return {"model": call.request.model, **call.request.kwargs.get("request", {})}


def _session_response(call: Call) -> dict[str, Any] | None:
    response = call.response
    if response is None:
        return None
    said = _said(response.native) if response.wants_content else {}
    spent = response.usage or Usage()
    total = spent.input + spent.output if spent.input is not None and spent.output is not None else None
    tokens = {"prompt_tokens": spent.input, "completion_tokens": spent.output, "total_tokens": total}
    return {
        "id": response.id,
        "model": response.model,
        "text": None,
        "finish_reason": response.finish_reasons[0] if response.finish_reasons else None,
        **said,
        "usage": {**(spent.native or {}), **tokens} if response.usage else None,
    }


def _server(provider: str, asked: str | None) -> Server:
    if asked is None:
        return Server(provider, None, None)
    place = urlsplit(asked if "//" in asked else f"//{asked}")
    return Server(provider, place.hostname, place.port or 443)


# The tables: one provider per name, one operation per api


@lru_cache(maxsize=64)
def _provider(name: str) -> Provider:
    return Provider(
        name=name,
        distribution="",
        packages=(),
        operations=(),
        client_of=lambda told: told,
        server_of=lambda told: _server(name, told["server"]),
        shape_of=lambda result: Shape.VALUE,
        failure_of=summarize,
        answer_of=lambda error: None,
        secrets_of=lambda client: (),
        model_of=_model,
    )


@lru_cache(maxsize=256)
def _operation(name: str, api: str) -> Operation:
    return Operation(
        name,
        api,
        methods=(),
        read_request=_read_request,
        read_response=_read_response,
        read_prompt=_read_prompt,
        read_choices=_read_choices,
        session_request=_session_request,
        session_response=_session_response,
    )
