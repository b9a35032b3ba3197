"""Realtime: what the events of its connections tell, those that are sent and those that come.

Beta and today's interface differ in names only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiobs.call import Message, Part
from aiobs.capture.provider import NOTHING, Ending, Sign, Step
from aiobs.capture.sounds import Sound
from aiobs.instrumentation.fields import fields_of, get, items, text
from aiobs.instrumentation.openai.media import image_part
from aiobs.semconv.encode import parsed_arguments

Reader = Callable[[Any], Sign]


def read_ending(error: BaseException) -> Ending | None:
    """What the websockets library raises for a connection that is no more; by name, as it need not be installed."""
    names = {base.__name__ for base in type(error).__mro__}
    if "ConnectionClosedOK" in names:
        return Ending.CLOSED
    return Ending.BROKEN if "ConnectionClosed" in names else None


def initial(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The model, where the address names it."""
    model = text(kwargs.get("model"))
    return {"model": model} if model else {}


# What the program sends


def read_sent(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], wants_content: bool) -> Sign:
    """Of what one client event tells."""
    event = args[0] if args else kwargs.get("event")
    read = _SENT.get(text(get(event, "type")) or "")
    if read is None:
        return NOTHING
    return read(event) if wants_content or read not in _OF_CONTENT else NOTHING


def _asked(event: Any) -> Sign:
    given = get(event, "response")
    asked = {key: value for key, value in fields_of(given).items() if value is not None}
    return Sign(Step.ASKED, text(get(event, "event_id")), asked=asked)


def _update(event: Any) -> Sign:
    return Sign(settings=fields_of(get(event, "session")))


def _item(event: Any) -> Sign:
    return Sign(messages=tuple(messages_of([get(event, "item")])))


def _append(event: Any) -> Sign:
    audio = get(event, "audio")
    return Sign(sound=(None, audio)) if isinstance(audio, (str, bytes)) else NOTHING


def _clear(event: Any) -> Sign:
    return Sign(clears=True)


def _told(event: Any) -> Sign:
    content = get(event, "content")
    part: Part = {"type": "text", "content": content}
    return Sign(messages=({"role": "developer", "parts": [part]},)) if isinstance(content, str) else NOTHING


_SENT: dict[str, Reader] = {
    "response.create": _asked,
    "session.start": _update,
    "session.update": _update,
    "conversation.item.create": _item,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.clear": _clear,
    "session.input_audio_buffer.append": _append,
    "session.instructions.append": _told,
    "session.thinking.append": _told,
    "session.commentary.append": _told,
}
_OF_CONTENT = (_item, _append, _clear, _told)


def messages_of(given: Any) -> list[Message]:
    """Items of a conversation as messages."""
    return [message for item in items(given) for message in _messages(item)]


def _messages(item: Any) -> list[Message]:
    kind = get(item, "type")
    if kind == "message":
        parts = [part for each in items(get(item, "content")) if (part := _part(each)) is not None]
        return [{"role": str(get(item, "role") or "user"), "parts": parts}]
    if kind == "function_call_output":
        output = get(item, "output")
        answer = parsed_arguments(output) if isinstance(output, str) else output
        return [{"role": "tool", "parts": [{"type": "tool_call_response", "id": call_id(item), "response": answer}]}]
    if kind == "function_call":
        return [{"role": "assistant", "parts": [_call_part(item)]}]
    return [{"role": "user", "parts": [{"type": str(kind)}]}] if isinstance(kind, str) else []


def call_id(item: Any) -> str | None:
    """What a call of a function, or what it gave, is called."""
    return text(get(item, "call_id"))


def _call_part(item: Any) -> Part:
    arguments = get(item, "arguments")
    return {
        "type": "tool_call",
        "id": call_id(item),
        "name": str(get(item, "name") or ""),
        "arguments": parsed_arguments(arguments) if isinstance(arguments, str) else None,
    }


def _part(part: Any) -> Part | None:
    kind = get(part, "type")
    if kind == "input_image":
        return image_part(get(part, "image_url"))
    if isinstance(said := get(part, "text") or get(part, "transcript"), str):
        return {"type": "text", "content": said}
    if isinstance(audio := get(part, "audio"), (str, bytes)):
        sound = Sound(None)
        sound.add(audio)
        return sound.part()
    return {"type": str(kind)} if isinstance(kind, str) else None


# What the program receives


def read_received(event: Any, wants_content: bool) -> Sign:
    """Of what one server event tells."""
    kind = text(get(event, "type")) or ""
    read = _RECEIVED.get(kind)
    if read is not None:
        return read(event)
    return Sign(Step.GOES_ON, text(get(event, "response_id"))) if kind.startswith("response.") else NOTHING


def _created(event: Any) -> Sign:
    return Sign(Step.CREATED, text(get(get(event, "response"), "id")))


def _done(event: Any) -> Sign:
    response = get(event, "response")
    is_cut = get(response, "status") == "cancelled"
    return Sign(Step.BREAKS_OFF if is_cut else Step.ENDS, text(get(response, "id")))


def about_settings(event: Any) -> Sign:
    """What holds for the session from now on."""
    return Sign(Step.SESSION, settings=fields_of(get(event, "session")))


def about_session(event: Any) -> Sign:
    """What is counted or said for the session as a whole."""
    return Sign(Step.SESSION)


def _committed(event: Any) -> Sign:
    return Sign(item=text(get(event, "item_id")))


def _transcribed(event: Any) -> Sign:
    return Sign(Step.SESSION, item=text(get(event, "item_id")), transcript=text(get(event, "transcript")))


def trouble(event: Any) -> Sign:
    """An error, and the event of the program's that it names; Live calls that by another name."""
    error = get(event, "error")
    named = (get(error, "event_id"), get(error, "client_event_id"), get(event, "client_event_id"))
    return Sign(Step.TROUBLE, next(filter(None, map(text, named)), None))


_RECEIVED: dict[str, Reader] = {
    "session.created": about_settings,
    "session.updated": about_settings,
    "conversation.created": about_session,
    "input_audio_buffer.committed": _committed,
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "response.created": _created,
    "response.done": _done,
    "error": trouble,
}
