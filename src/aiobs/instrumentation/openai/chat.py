"""Chat completions: how requests, answers and chunks are read.

Compatible servers send ``null`` and other types almost anywhere: what does not have the expected type is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Failure, Request, Response, ToolCall, Usage
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import counts, fields_of, get, items, texts, unread
from aiobs.instrumentation.openai.media import audio_part
from aiobs.instrumentation.openai.requests import as_sent
from aiobs.instrumentation.records import answer_record, called_record, native_usage, plain, with_extras

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop": "stop_sequences",
    "seed": "seed",
    "n": "choice_count",
    "reasoning_effort": "reasoning_level",
}
_FILE_FIELDS = ("model", "messages", "temperature", "max_tokens")


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model and parameters; ``extra_body`` overrides them, as it does on the wire."""
    given = as_sent(kwargs)
    params: dict[str, Any] = {"api_type": "chat_completions"}
    for key in filter(_PARAMETERS.get, given):
        if (value := given[key]) is not None:
            params[_PARAMETERS[key]] = value
    if ("modalities" in given or "response_format" in given) and (output := _output_type(given)) is not None:
        params["output_type"] = output
    if (tier := given.get("service_tier")) is not None and tier != "auto":
        params["service_tier"] = tier
    model = given.get("model")
    return Request(
        model=model if isinstance(model, str) else None,
        params=params,
        stream=bool(given.get("stream")),
    )


def _output_type(given: Mapping[str, Any]) -> str | None:
    modalities = given.get("modalities")
    if isinstance(modalities, (list, tuple)) and "audio" in modalities:
        return "speech"
    wanted = given.get("response_format")
    if isinstance(wanted, type):
        return "json"
    if isinstance(wanted, dict):
        return "json" if str(wanted.get("type", "")).startswith("json") else "text"
    return None


# Response


def read_response(result: ChatCompletion | Any) -> Response:
    """Ids, usage and finish reasons. A body that was no JSON comes as ``str`` and has none of them."""
    fields = fields_of(result)
    choices = items(fields.get("choices"))
    id_, model, tier, fingerprint, request = texts(*map(fields.get, _IDENTITY), getattr(result, "_request_id", None))
    return Response(
        id=id_,
        model=model,
        usage=usage_of(fields.get("usage")),
        finish_reasons=[get(choice, "finish_reason") for choice in choices],
        service_tier=tier,
        system_fingerprint=fingerprint,
        request_id=request,
        failure=None if choices else error_in_answer(fields.get("error")),
        native=result,
    )


_IDENTITY = ("id", "model", "service_tier", "system_fingerprint")


def read_identity(response: Response, source: Any) -> None:
    """Ids and model of a chunk. Some of a stream have empty ones; other servers send other types."""
    for name in _IDENTITY:
        value = getattr(source, name, None)
        if value and type(value) is str:
            setattr(response, name, value)


def error_in_answer(error: Any) -> Failure | None:
    """Some compatible servers answer 200 with an error in the body."""
    return None if error is None else answered_error(get(error, "code"), get(error, "message"))


def usage_of(usage: CompletionUsage | Any) -> Usage | None:
    """Tokens as chat completions count them; None where there is no usage."""
    if usage is None:
        return None
    whole = fields_of(usage)
    prompt = fields_of(whole.get("prompt_tokens_details"))
    completion = fields_of(whole.get("completion_tokens_details"))
    found = counts(*map(whole.get, _WHOLE), *map(prompt.get, _PROMPT), *map(completion.get, _COMPLETION))
    return Usage(usage, *found)


# The counts of ``Usage``, in their order, as these objects call them.
_WHOLE = ("prompt_tokens", "completion_tokens")
_PROMPT = ("cached_tokens", "cache_write_tokens", "text_tokens", "image_tokens", "audio_tokens")
_COMPLETION = ("reasoning_tokens", "text_tokens", "image_tokens", "audio_tokens")


def read_choices(result: ChatCompletion | Any) -> dict[int, Choice]:
    """What the model said, by choice."""
    choices = {}
    for position, choice in enumerate(items(getattr(result, "choices", None))):
        read = choices[index_of(choice, position)] = Choice(finish_reason=get(choice, "finish_reason"))
        _fold_message(read, get(choice, "message"))
    return choices


# Stream


def fold_chunk(response: Response, chunk: ChatCompletionChunk | Any) -> None:
    """Add one chunk; the common one, a piece of text of choice 0 and nothing else, takes the short way."""
    try:
        (choice,) = chunk.choices
        if chunk.usage is None and choice.finish_reason is None:
            known = response.choices.get(choice.index)
            if known is not None and (not response.wants_content or _is_text(known, choice.delta)):
                return
    except (AttributeError, TypeError, ValueError):  # other than one, or not the types that the API has
        pass
    _fold_other(response, chunk)


def _is_text(known: Choice, delta: Any) -> bool:
    """Keep the text of a delta that is nothing else: what the server sent is what pydantic calls set."""
    if delta.__pydantic_fields_set__ != _CONTENT or delta.__pydantic_extra__ or type(delta.content) is not str:
        return False
    known.say("text", delta.content)
    return True


_CONTENT = {"content"}


def _fold_other(response: Response, chunk: Any) -> None:
    read_identity(response, chunk)
    if (usage := usage_of(getattr(chunk, "usage", None))) is not None:
        response.usage = usage
    for position, choice in enumerate(items(getattr(chunk, "choices", None))):
        known = response.choices.setdefault(index_of(choice, position), Choice())
        known.finish_reason = get(choice, "finish_reason") or known.finish_reason
        _fold_message(known, get(choice, "delta"))


def index_of(choice: Any, position: int) -> int:
    """Which choice this is, as the server says, else by its place."""
    index = get(choice, "index")
    return index if type(index) is int else position


def _fold_message(choice: Choice, message: Any) -> None:
    """Add a whole message, or the delta of one: they have the same fields."""
    fields = fields_of(message)
    # Two names for one thing; some servers send both. Models reason before they speak.
    _say(choice, "reasoning", fields.get("reasoning_content") or fields.get("reasoning"))
    _say_content(choice, fields.get("content"))
    _say(choice, "refusal", fields.get("refusal"))
    for position, call in enumerate(items(fields.get("tool_calls"))):
        _fold_tool_call(choice, call, position)
    if (function := fields.get("function_call")) is not None:
        _fold_function(choice.call("function_call"), function)
    if (audio := fields.get("audio")) is not None:
        _fold_audio(choice, audio)


def _say(choice: Choice, kind: str, fragment: Any) -> None:
    if type(fragment) is str:
        choice.say(kind, fragment)


def _say_content(choice: Choice, content: Any) -> None:
    """Text; Mistral's models that reason send a list of texts and of thoughts, which are lists of texts."""
    _say(choice, "text", content)
    for part in items(content):
        _say(choice, "text", get(part, "text"))
        for thought in items(get(part, "thinking")):
            _say(choice, "reasoning", get(thought, "text"))


def _fold_tool_call(choice: Choice, call: Any, position: int) -> None:
    """Fragments of one call share an index; servers that send none mean the call with the same id, or the last."""
    index, call_id = get(call, "index"), get(call, "id")
    key = index if type(index) is int else call_id or next(reversed(choice.calls), position)
    known = choice.call(key)
    known.id = call_id or known.id
    known.type = get(call, "type") or known.type
    _fold_function(known, get(call, "function") or get(call, "custom"))


def _fold_function(known: ToolCall, function: Any) -> None:
    known.name = str(get(function, "name") or known.name)
    for field in ("arguments", "input"):
        fragment = get(function, field)
        if isinstance(fragment, str):
            known.arguments.append(fragment)


def _fold_audio(choice: Choice, audio: Any) -> None:
    transcript = get(audio, "transcript")
    if isinstance(transcript, str):
        choice.say("text", transcript)
    if isinstance(data := get(audio, "data"), str):
        choice.parts.append(audio_part({"data": data, "format": "wav"}))


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, messages, temperature, max_tokens, other``: the request as it was passed."""
    given = call.request.kwargs
    messages = given.get("messages", [])
    return {
        "model": call.request.model,
        "messages": list(messages) if isinstance(messages, (list, tuple)) else [_unread(messages)],
        "temperature": given.get("temperature"),
        "max_tokens": given.get("max_tokens"),
        "other": {key: value for key, value in given.items() if key not in _FILE_FIELDS},
    }


def _unread(messages: Any) -> dict[str, str]:
    return {"role": "unknown", "content": unread(messages)}


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, text, usage, finish_reason`` and what else the answer had; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    choices = [response.choices[index] for index in sorted(response.choices)]
    first = choices[0] if choices else Choice()
    record = answer_record(
        response,
        first.said("text") if choices else plain(response),
        usage=native_usage(response),
        finish_reasons=response.finish_reasons,
    )
    return with_extras(
        record,
        call,
        tool_calls=[called_record(called) for called in first.calls.values()],
        refusal=first.said("refusal"),
        reasoning=first.said("reasoning"),
        choices=[choice.said("text") for choice in choices] if len(choices) > 1 else None,
        moderation=get(response.native, "moderation") if response.wants_content else None,
    )
