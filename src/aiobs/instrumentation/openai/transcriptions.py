"""The text of speech, transcribed or translated; whole and streamed. The sound is on no signal and in no file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Part, Prompt, Request, Response, Usage
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import count, fields_of, get, text
from aiobs.instrumentation.media import file_parts, file_record, without_none
from aiobs.instrumentation.openai.requests import as_sent, config_of
from aiobs.instrumentation.records import request_record, usage_record, with_extras

if TYPE_CHECKING:
    from openai.types.audio import Transcription, TranscriptionStreamEvent, Translation

_AUDIO = "openai.resources.audio"
_INPUT = ("file", "model")
_CONFIG = ("language", "languages", "response_format", "chunking_strategy", "include", "timestamp_granularities")
_FILE_FIELDS = ("language", "prompt", "response_format", "temperature")
_TOLD = ("task", "language", "languages", "duration", "segments", "words")
"""Fields of an answer beside the text and its usage."""


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, temperature, language and format; ``extra_body`` overrides them, as it does on the wire."""
    given = as_sent(kwargs)
    temperature = given.get("temperature")
    return Request(
        model=text(given.get("model")),
        params={} if temperature is None else {"temperature": temperature},
        stream=bool(given.get("stream")),
        config=config_of(given, _CONFIG),
    )


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """One message: the text that guides the model, and the sound if it is in memory."""
    guide = kwargs.get("prompt")
    parts: list[Part] = [{"type": "text", "content": guide}] if isinstance(guide, str) else []
    parts.extend(file_parts("audio", kwargs.get("file")))
    return Prompt([{"role": "user", "parts": parts}] if parts else [])


# Response: an object, or for the formats ``text``, ``srt`` and ``vtt`` the text itself


def read_response(result: Transcription | Translation | str | Any) -> Response:
    """Usage in tokens or in seconds, as the provider counts."""
    fields = fields_of(result)
    return Response(
        usage=usage_of(fields.get("usage"), fields.get("duration")),
        request_id=text(getattr(result, "_request_id", None)),
        native=result,
    )


def usage_of(usage: Any, duration: Any = None) -> Usage | None:
    """Tokens, with their shares, or seconds; those of ``duration`` where the usage has none."""
    details = get(usage, "input_token_details")
    counts = {name: get(usage, name) for name in ("input_tokens", "output_tokens", "total_tokens")}
    told = get(usage, "seconds")
    seconds = _seconds(duration if told is None else told)
    found = Usage(
        native={name: value for name, value in counts.items() if type(value) is int},
        input=count(counts["input_tokens"]),
        output=count(counts["output_tokens"]),
        input_text=count(get(details, "text_tokens")),
        input_audio=count(get(details, "audio_tokens")),
        seconds=seconds,
    )
    return None if found.input is found.output is found.seconds is None else found


def _seconds(value: Any) -> float | None:
    """A length of time; the SDKs of 2024 have it as text."""
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < math.inf else None


def read_choices(result: Transcription | Translation | str | Any) -> dict[int, Choice]:
    """What was heard."""
    heard = result if isinstance(result, str) else fields_of(result).get("text")
    choice = Choice()
    if isinstance(heard, str):
        choice.say("text", heard)
    return {0: choice} if choice.parts else {}


def read_body(http_response: Any) -> str:
    """The text of a raw response, as the SDK would give it."""
    return bytes(http_response._content).decode("utf-8", "replace")


# Stream


def fold_chunk(response: Response, chunk: TranscriptionStreamEvent | Any) -> None:
    """Add one event; the last one has the whole text, which counts more than its pieces."""
    kind, choice = get(chunk, "type"), response.choices.get(0)
    if kind == "transcript.text.delta":
        if response.wants_content and isinstance(delta := get(chunk, "delta"), str):
            (choice or response.choices.setdefault(0, Choice())).say("text", delta)
    elif kind == "transcript.text.done":
        response.is_whole = True
        response.usage = usage_of(get(chunk, "usage"))
        if response.wants_content:
            response.choices.update(read_choices(chunk))


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, file, language, prompt, response_format, temperature, other``; the sound as type, size and hash."""
    given = call.request.kwargs
    return request_record(call, _FILE_FIELDS, file=file_record(given.get("file")))


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, text, usage`` and what else the answer told; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    fields = fields_of(response.native) if response.wants_content else {}
    record = {
        "id": response.id,
        "model": response.model,
        "text": response.choices.get(0, Choice()).said("text"),
        "usage": usage_record(response.usage),
        **without_none({key: fields.get(key) for key in _TOLD}),
    }
    return with_extras(record, call)


def _operation(place: str, name: str) -> Operation:
    return Operation(
        name="speech_to_text",
        api=f"audio.{place}.create",
        methods=(
            Method(f"{_AUDIO}.{place}", f"{name}.create", requires=_INPUT),
            Method(f"{_AUDIO}.{place}", f"Async{name}.create", is_async=True, requires=_INPUT),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        read_body=read_body,
        fold_chunk=fold_chunk,
        session_request=session_request,
        session_response=session_response,
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation("transcriptions", "Transcriptions"),
    _operation("translations", "Translations"),
)
