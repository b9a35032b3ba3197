"""What to do with what an SDK method returned: read it, or stay with it until the program has read it."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from aiobs.capture.provider import Operation, Shape
from aiobs.capture.recording import Recording
from aiobs.capture.streams import ResponseTap, StreamTap, Tap
from aiobs.guard import guarded


def watch(recording: Recording, result: Any) -> Any:
    """End the recording with an answer, or tap a stream or an unread response; what the caller gets in its place."""
    shape = recording.provider.shape_of(result)
    if shape is Shape.VALUE:
        recording.finish(result)
    elif shape is Shape.STREAM:
        recording.call.request.stream = True  # also where a server sends events that nobody asked for
        StreamTap(recording).attach(result)
    elif shape is Shape.ITERATOR:
        recording.call.request.stream = True
        return Tap(recording).over(result)
    elif shape is Shape.RAW and not recording.call.request.stream:
        finish_from_body(recording, result.http_response)
    else:
        ResponseTap(recording, finish_from_body).attach(result)
    return result


def finish_from_body(recording: Recording, http_response: Any) -> None:
    """End with the answer that lies in a body which has been read, or without one.

    Never reads: ``_content`` is there only after the program (or the SDK) has read the whole body.
    """
    answer = guarded(_answer_in, recording.operation, http_response)
    if answer is None:
        recording.finish_unread()
    else:
        recording.finish(answer)


def _answer_in(operation: Operation, http_response: Any) -> Any:
    body = getattr(http_response, "_content", None)
    if not body:
        return None
    try:
        answer = from_json(body)
    except ValueError:
        answer = None
    return JsonObject(answer) if isinstance(answer, dict) else operation.read_body(http_response)


class JsonObject:
    """A JSON object behind attributes, so that the readers of SDK objects read it too; a missing key is None."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _view(self._fields.get(name))

    def to_dict(self) -> dict[str, Any]:
        """The object as it came."""
        return self._fields


def _view(value: Any) -> Any:
    if isinstance(value, dict):
        return JsonObject(value)
    if isinstance(value, list):
        return [_view(item) for item in value]
    return value
