"""Realtime: its settings, and its responses, each one choice.

A response is put together from its pieces and, at ``response.done``, from its items. Of sound there are
size and hash, where content is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiobs.call import MODALITIES, Choice, Prompt, Request, Response, Tool, Usage
from aiobs.capture.sounds import sounding, take_sounds
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import count, fields_of, get, items, text
from aiobs.instrumentation.openai.items import fold_item
from aiobs.instrumentation.openai.realtime_events import call_id, messages_of

# Settings: a session's, with what a response asked for over them


def read_session(kwargs: dict[str, Any]) -> Request:
    """The model that the address names, and the newest settings."""
    return Request(
        model=text(kwargs.get("model")), params=_params(kwargs["settings"]), config=_config(kwargs["settings"])
    )


def read_request(kwargs: dict[str, Any]) -> Request:
    """What was asked for, over the session's settings."""
    settings = in_effect(kwargs)
    return Request(model=text(kwargs.get("model")), params=_params(settings), config=_config(settings), stream=True)


def in_effect(kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """The settings that hold for a response."""
    return {**kwargs["settings"], **(kwargs.get("asked") or {})}


def _params(settings: Mapping[str, Any]) -> dict[str, Any]:
    modalities = _modalities(settings)
    prompt = settings.get("prompt")
    found = {
        "temperature": _number(settings.get("temperature")),
        "max_tokens": _limit(_first(settings, "max_output_tokens", "max_response_output_tokens")),
        "output_type": "speech" if "audio" in modalities else "text" if "text" in modalities else None,
        "reasoning_level": get(settings.get("reasoning"), "effort"),
        "prompt_name": get(prompt, "id"),
        "prompt_version": get(prompt, "version"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _config(settings: Mapping[str, Any]) -> dict[str, Any]:
    made, heard = get(settings.get("audio"), "output"), get(settings.get("audio"), "input")
    both = get(settings.get("audio"), "format")
    voice = settings.get("voice") or get(made, "voice")
    detection = settings.get("turn_detection") or get(heard, "turn_detection")
    transcription = settings.get("input_audio_transcription") or get(heard, "transcription")
    found = {
        "modalities": _modalities(settings) or None,
        "voice": voice if isinstance(voice, str) else get(voice, "id"),
        "speed": settings.get("speed") or get(made, "speed"),
        "language": get(made, "language"),
        "input_audio_format": _format(settings.get("input_audio_format") or get(heard, "format") or both),
        "output_audio_format": _format(settings.get("output_audio_format") or get(made, "format") or both),
        "turn_detection": get(detection, "type"),
        "transcription_model": get(transcription, "model"),
    }
    return {name: value for name, value in found.items() if isinstance(value, (str, int, float, tuple))}


def _modalities(settings: Mapping[str, Any]) -> tuple[str, ...]:
    given = _first(settings, "output_modalities", "modalities")
    return tuple(item for item in items(given) if isinstance(item, str))


def _first(settings: Mapping[str, Any], *names: str) -> Any:
    return next((value for name in names if (value := settings.get(name)) is not None), None)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None


def _limit(value: Any) -> Any:
    """A number, or the word for none; any other text may be anybody's."""
    return value if value == "inf" else _number(value)


def _format(given: Any) -> str | None:
    return given if isinstance(given, str) else text(get(given, "type"))


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Instructions and tools that hold for a response, and what was put in since the one before it."""
    settings = in_effect(kwargs)
    instructions, variables = settings.get("instructions"), get(settings.get("prompt"), "variables")
    asked = kwargs.get("asked") or {}
    return Prompt(
        messages=[*kwargs["inputs"].messages, *messages_of(asked.get("input"))],
        instructions=[{"type": "text", "content": instructions}] if isinstance(instructions, str) else [],
        tools=[_tool(item) for item in items(settings.get("tools"))],
        variables=dict(variables) if isinstance(variables, dict) else {},
    )


def _tool(item: Any) -> Tool:
    return {
        "type": str(get(item, "type") or "function"),
        "name": str(get(item, "name") or get(item, "server_label") or ""),
        "description": get(item, "description"),
        "parameters": get(item, "parameters"),
    }


# Responses


def fold_chunk(response: Response, event: Any) -> None:
    """Add one event of a response."""
    kind = text(get(event, "type")) or ""
    if kind in ("response.created", "response.done"):
        _read(response, get(event, "response"))
    elif kind == "error":
        fail(response, get(event, "error"))
    elif response.wants_content and (read := _PIECES.get(kind)) is not None:
        read(response.choices.setdefault(0, Choice()), event)


def _say(choice: Choice, event: Any) -> None:
    if isinstance(delta := get(event, "delta"), str):
        choice.say("text", delta)


def _argue(choice: Choice, event: Any) -> None:
    if isinstance(delta := get(event, "delta"), str):
        choice.call(text(get(event, "item_id"))).arguments.append(delta)


def _added(choice: Choice, event: Any) -> None:
    item = get(event, "item")
    if get(item, "type") == "function_call":
        call = choice.call(text(get(item, "id")))
        call.id, call.name = call_id(item), str(get(item, "name") or "")


def _sound(choice: Choice, event: Any) -> None:
    if isinstance(delta := get(event, "delta"), (str, bytes)):
        sounding(choice).add(delta)


_PIECES: dict[str, Callable[[Choice, Any], None]] = {
    "response.output_text.delta": _say,
    "response.text.delta": _say,
    "response.output_audio_transcript.delta": _say,
    "response.audio_transcript.delta": _say,
    "response.function_call_arguments.delta": _argue,
    "response.output_item.added": _added,
    "response.output_audio.delta": _sound,
    "response.audio.delta": _sound,
}


def _read(response: Response, answer: Any) -> None:
    """Ids, usage and why it ended."""
    fields = fields_of(answer)
    response.id = text(fields.get("id")) or response.id
    response.conversation = text(fields.get("conversation_id")) or response.conversation
    response.usage = read_usage(fields.get("usage")) or response.usage
    response.native = answer
    status, details = text(fields.get("status")), fields.get("status_details")
    choice = response.choices.setdefault(0, Choice())
    if status == "failed":
        fail(response, get(details, "error"))
    else:
        choice.finish_reason = _finish_reason(status, details, fields.get("output"))


def _finish_reason(status: str | None, details: Any, output: Any) -> str | None:
    """In the words of chat completions; None while it is made."""
    if status == "completed":
        calls = any(get(item, "type") == "function_call" for item in items(output))
        return "tool_calls" if calls else "stop"
    if status == "incomplete":
        reason = text(get(details, "reason"))
        return "length" if reason == "max_output_tokens" else reason
    return "cancelled" if status == "cancelled" else None


def fail(response: Response, error: Any) -> None:
    """It failed by what the provider said."""
    response.failure = answered_error(get(error, "code") or get(error, "type"), get(error, "message"))
    response.choices.setdefault(0, Choice()).finish_reason = "error"


def read_usage(usage: Any) -> Usage | None:
    """Tokens in and out, cached, and by modality; what was cached is part of what went in."""
    if usage is None:
        return None
    spent, made = get(usage, "input_token_details"), get(usage, "output_token_details")
    cached = get(spent, "cached_tokens_details")
    shares = {"input": spent, "output": made, "cache_read": cached}
    counts = {name: get(usage, name) for name in ("input_tokens", "output_tokens", "total_tokens")}
    return Usage(
        input=count(counts["input_tokens"]),
        output=count(counts["output_tokens"]),
        cache_read=count(get(spent, "cached_tokens")),
        native={name: value for name, value in counts.items() if type(value) is int},
        **{share: count(get(shares[kind], name)) for share, kind, name in _SHARES},
    )


_SHARES = tuple(
    (f"{kind}_{modality}", kind, f"{modality}_tokens")
    for kind in ("input", "output", "cache_read")
    for modality in MODALITIES
)


def settle(response: Response) -> None:
    """A response that came to its end has all its items in it, which count more than the pieces; sound has not."""
    choice = response.choices.get(0)
    if choice is None or not response.wants_content:
        return
    sounds = take_sounds(choice)
    whole = Choice()
    for item in items(get(response.native, "output")):
        _fold_item(whole, item)
    if whole.parts:
        choice.parts, choice.calls = whole.parts, whole.calls
    choice.parts.extend(sounds)


def _fold_item(choice: Choice, item: Any) -> None:
    if get(item, "type") != "message":
        fold_item(choice, item)
        return
    for part in items(get(item, "content")):
        if isinstance(said := get(part, "text") or get(part, "transcript"), str):
            choice.say("text", said)
