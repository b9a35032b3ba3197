"""Responses: how requests, answers and events are read.

An answer is one choice: what the model said and did, item by item. Compatible servers send ``null`` and other types
almost anywhere: what does not have the expected type is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Failure, Job, Request, Response, Usage
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import counts, fields_of, get, items, text, texts, unread
from aiobs.instrumentation.openai.items import fold_item
from aiobs.instrumentation.openai.requests import as_sent
from aiobs.instrumentation.records import answer_record, called_record, plain, with_extras

if TYPE_CHECKING:
    from openai.types.responses import Response as NativeResponse
    from openai.types.responses import ResponseStreamEvent

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",
    "previous_response_id": "previous_response",
}
_FILE_FIELDS = ("model", "input", "instructions", "temperature", "max_output_tokens")


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model and parameters; ``extra_body`` overrides them, as it does on the wire."""
    given = as_sent(kwargs)
    params: dict[str, Any] = {"api_type": "responses"}
    for key in filter(_PARAMETERS.get, given):
        if (value := given[key]) is not None:
            params[_PARAMETERS[key]] = value
    if not _STRUCTURED.isdisjoint(given):
        params.update((name, value) for name, value in _read_structured(given).items() if value is not None)
    return Request(model=text(given.get("model")), params=params, stream=bool(given.get("stream")))


_STRUCTURED = frozenset({"conversation", "prompt", "reasoning", "text", "text_format", "service_tier"})


def _read_structured(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are more than a value."""
    conversation, prompt, tier = given.get("conversation"), given.get("prompt"), given.get("service_tier")
    return {
        "conversation": conversation if isinstance(conversation, str) else get(conversation, "id"),
        "prompt_name": get(prompt, "id"),
        "prompt_version": get(prompt, "version"),
        "reasoning_level": get(given.get("reasoning"), "effort"),
        "output_type": _output_type(given),
        "service_tier": tier if tier != "auto" else None,
    }


def _output_type(given: dict[str, Any]) -> str | None:
    if isinstance(given.get("text_format"), type):
        return "json"
    kind = get(get(given.get("text"), "format"), "type")
    if not isinstance(kind, str):
        return None
    return "json" if kind.startswith("json") else "text"


# Response


def read_response(result: NativeResponse | Any) -> Response:
    """Ids, usage and why it ended. A body that was no JSON comes as ``str`` and has none of them."""
    response = Response(request_id=text(getattr(result, "_request_id", None)))
    _read(response, result)
    return response


def _read(response: Response, result: Any) -> None:
    """Everything but content, also of the answer as it stands in the middle of a stream."""
    fields = fields_of(result)
    kinds = [get(item, "type") for item in items(fields.get("output"))]
    id_, model, tier, status = texts(*map(fields.get, _IDENTITY))
    response.id = id_ or response.id
    response.model = model or response.model
    response.service_tier = tier or response.service_tier
    response.conversation = text(get(fields.get("conversation"), "id"))
    response.compacted = "compaction" in kinds
    response.usage = usage_of(fields.get("usage")) or response.usage
    response.native = result
    response.job = None if fields.get("background") is False else job_of(response.id, status)
    if (reason := _finish_reason(status, fields, kinds)) is not None:
        response.finish_reasons = [reason]
    if status == "failed" or (status is None and fields.get("error") is not None):
        response.failure = _failure(fields.get("error"))


_IDENTITY = ("id", "model", "service_tier", "status")


def _finish_reason(status: str | None, fields: Any, kinds: list[Any]) -> str | None:
    """In the words of chat completions; None while it is queued or running."""
    if status == "completed":
        return "tool_calls" if any(kind in kinds for kind in _CALLS) else "stop"
    if status == "incomplete":
        reason = text(get(fields.get("incomplete_details"), "reason"))
        return "length" if reason == "max_output_tokens" else reason
    return {"failed": "error", "cancelled": "cancelled"}.get(status or "")


def job_of(response_id: str | None, status: str | None) -> Job | None:
    """A response as work that goes on, or that has come to its end."""
    return None if response_id is None or status is None else Job(response_id, status not in _UNFINISHED)


_UNFINISHED = ("queued", "in_progress")


def _failure(error: Any) -> Failure:
    return answered_error(get(error, "code"), get(error, "message"))


def usage_of(usage: Any) -> Usage | None:
    """Tokens as responses count them; None where there is no usage."""
    if usage is None:
        return None
    whole = fields_of(usage)
    spent, made = fields_of(whole.get("input_tokens_details")), fields_of(whole.get("output_tokens_details"))
    read, written, reasoning = spent.get("cached_tokens"), spent.get("cache_write_tokens"), made.get("reasoning_tokens")
    given, output, read, written, reasoning = counts(*map(whole.get, _WHOLE), read, written, reasoning)
    native = {name: whole[name] for name in _NATIVE if type(whole.get(name)) is int}
    return Usage(native, given, output, read, written, reasoning=reasoning)


_WHOLE = ("input_tokens", "output_tokens")
_NATIVE = (*_WHOLE, "total_tokens")


def read_choices(result: NativeResponse | Any) -> dict[int, Choice]:
    """The items of the output as one choice."""
    choice = Choice()
    for item in items(fields_of(result).get("output")):
        fold_item(choice, item)
    return {0: choice} if choice.parts else {}


# Stream


def fold_chunk(response: Response, chunk: ResponseStreamEvent | Any) -> None:
    """Add one event; a piece of something, the common one, takes the short way."""
    kind = text(getattr(chunk, "type", None) or get(chunk, "type"))
    read = _DELTAS.get(kind or "")
    if read is not None:
        if response.wants_content:
            read(response.choices.setdefault(0, Choice()), chunk)
    elif kind in _ANSWERS:
        _fold_answer(response, get(chunk, "response"))
    elif kind == "response.output_item.done" and response.wants_content:
        _fold_done(response.choices.setdefault(0, Choice()), get(chunk, "item"))
    elif kind == "response.output_item.added" and response.wants_content:
        _fold_added(response.choices.setdefault(0, Choice()), get(chunk, "item"))
    elif kind == "error" or get(chunk, "event") == "error":  # openai 1.66 gives the event another class and no type
        response.failure = _failure(chunk if kind == "error" else get(chunk, "data"))
        response.choices.setdefault(0, Choice()).finish_reason = "error"


def _say(kind: str) -> Any:
    def add(choice: Choice, event: Any) -> None:
        delta = get(event, "delta")
        if isinstance(delta, str):
            choice.say(kind, delta)

    return add


def _argue(choice: Choice, event: Any) -> None:
    delta = get(event, "delta")
    if isinstance(delta, str):
        choice.call(text(get(event, "item_id"))).arguments.append(delta)


_DELTAS = {
    "response.output_text.delta": _say("text"),
    "response.reasoning_text.delta": _say("reasoning"),
    "response.reasoning_summary_text.delta": _say("reasoning"),
    "response.refusal.delta": _say("refusal"),
    "response.function_call_arguments.delta": _argue,
    "response.custom_tool_call_input.delta": _argue,
}
_ANSWERS = frozenset(
    f"response.{status}" for status in ("created", "queued", "in_progress", "completed", "incomplete", "failed")
)
_CALLS = ("function_call", "custom_tool_call")
_SPOKEN = ("message", "reasoning", *_CALLS)


def _fold_added(choice: Choice, item: Any) -> None:
    """A call begins: its pieces name it by its item's id."""
    if get(item, "type") in _CALLS:
        call = choice.call(text(get(item, "id")))
        call.id, call.name, call.type = text(get(item, "call_id")), str(get(item, "name") or ""), _call_type(item)


def _call_type(item: Any) -> str:
    return "custom" if get(item, "type") == "custom_tool_call" else "function"


def _fold_done(choice: Choice, item: Any) -> None:
    """What was not streamed piece by piece comes whole."""
    if get(item, "type") not in _SPOKEN:
        fold_item(choice, item)


def _fold_answer(response: Response, answer: Any) -> None:
    """The answer as it stands."""
    _read(response, answer)
    choice = response.choices.setdefault(0, Choice())
    if response.finish_reasons:
        choice.finish_reason = response.finish_reasons[0]


def settle(response: Response) -> None:
    """An answer that came to its end has everything in it, which counts more than the pieces."""
    if not (response.wants_content and response.finish_reasons):
        return
    if (whole := read_choices(response.native).get(0)) is not None:
        choice = response.choices.setdefault(0, Choice())
        choice.parts, choice.calls = whole.parts, whole.calls


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, instructions, temperature, max_output_tokens, other``: the request as it was passed."""
    given = call.request.kwargs
    said = given.get("input")
    readable = said is None or isinstance(said, (str, list, tuple))
    other = {key: value for key, value in given.items() if key not in _FILE_FIELDS}
    return {
        **{key: given.get(key) for key in _FILE_FIELDS},
        "model": call.request.model,
        "input": said if readable else unread(said),
        "other": other,
    }


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, text, usage, finish_reason, status`` and what else the answer had; None without an answer."""
    response = call.response
    if response is None:
        return None
    choice = response.choices.get(0, Choice())
    fields = fields_of(response.native)
    record = answer_record(
        response,
        choice.said("text") if response.native is not None and fields else plain(response),
        finish_reasons=response.finish_reasons,
        status=text(fields.get("status")),
    )
    return with_extras(
        record,
        call,
        tool_calls=[called_record(called) for called in choice.calls.values()],
        refusal=choice.said("refusal"),
        reasoning=choice.said("reasoning"),
        moderation=fields.get("moderation") if response.wants_content else None,
    )
