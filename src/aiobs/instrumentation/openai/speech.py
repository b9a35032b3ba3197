"""Speech of a text. The sound is on no signal and in no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from aiobs.call import Call, Choice, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import get, text
from aiobs.instrumentation.media import blob_record, bytes_part
from aiobs.instrumentation.openai.requests import as_sent, config_of
from aiobs.instrumentation.openai.transcriptions import usage_of
from aiobs.instrumentation.records import request_record, usage_record

if TYPE_CHECKING:
    from openai import HttpxBinaryResponseContent

_MODULE = "openai.resources.audio.speech"
_INPUT = ("input", "model", "voice")
_CONFIG = ("voice", "response_format", "speed", "stream_format")
_FILE_FIELDS = ("input", "voice", "instructions", "response_format", "speed")


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, voice and format, and the characters to speak, which the answer does not count."""
    given = as_sent(kwargs)
    said, custom = given.get("input"), text(get(given.get("voice"), "id"))
    return Request(
        model=text(given.get("model")),
        params={"output_type": "speech"},
        config={**config_of(given, _CONFIG), **({"voice": custom} if custom else {})},
        characters=len(said) if isinstance(said, str) else None,
    )


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """The text, and how it is to be spoken."""
    said, how = kwargs.get("input"), kwargs.get("instructions")
    return Prompt(
        messages=[{"role": "user", "parts": [{"type": "text", "content": said}]}] if isinstance(said, str) else [],
        instructions=[{"type": "text", "content": how}] if isinstance(how, str) else [],
    )


# Response: the SDK's object, and a raw response, are around an HTTP response. Only a body that was read is looked at,
# and not by ``content``, which would read one.


def read_response(result: HttpxBinaryResponseContent | Any) -> Response:
    """Usage, which only a stream of events has, in its last one."""
    body = _body_of(result)
    is_events = body is not None and _content_type(result) == "text/event-stream"
    return Response(usage=usage_of(_last_event(body).get("usage")) if body is not None and is_events else None)


def _http(result: Any) -> Any:
    return getattr(result, "response", result)


def _body_of(result: Any) -> bytes | None:
    body = getattr(_http(result), "_content", None)
    return body if isinstance(body, bytes) else None


def _content_type(result: Any) -> str | None:
    given = get(getattr(_http(result), "headers", None), "content-type")
    return text(given.partition(";")[0].strip()) if isinstance(given, str) else None


def _last_event(body: bytes) -> dict[str, Any]:
    """The event ``speech.audio.done``; the sound before it is not parsed."""
    for line in reversed(body[-_END:].splitlines()):
        if line.startswith(b"data:") and b"speech.audio.done" in line:
            found = from_json(line[5:])
            return found if isinstance(found, dict) else {}
    return {}


_END = 4096
"""Bytes at the end of a stream of events among which its last one is."""


def read_choices(result: HttpxBinaryResponseContent | Any) -> dict[int, Choice]:
    """The sound, if it is in memory."""
    body = _body_of(result)
    return {} if body is None else {0: Choice(parts=[bytes_part("audio", _content_type(result), body)])}


def read_body(http_response: Any) -> Any:
    """The response itself; whatever is in its body is the answer."""
    return http_response


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, voice, instructions, response_format, speed, other``."""
    return request_record(call, _FILE_FIELDS)


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage, audio``, which is its type, size and hash; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    return {
        "id": response.id,
        "model": response.model,
        "usage": usage_record(response.usage),
        "audio": next((blob_record(part) for part in response.choices.get(0, Choice()).parts), None),
    }


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="text_to_speech",
        api="audio.speech.create",
        methods=(
            Method(_MODULE, "Speech.create", requires=_INPUT),
            Method(_MODULE, "AsyncSpeech.create", is_async=True, requires=_INPUT),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        read_body=read_body,
        session_request=session_request,
        session_response=session_response,
    ),
)
