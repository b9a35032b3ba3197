"""Steps of interactions, in requests and answers alike, in their neutral shape.

A step is what somebody said (``user_input``, ``model_output``, ``thought``) or did (``function_call``, a call of a tool
of the provider's, a result). Releases before 2.0 have no steps: what is in them comes bare, in a list of contents.
"""

from __future__ import annotations

from typing import Any

from aiobs.call import Choice, Message, Part, Tool, ToolCall
from aiobs.capture.watch import JsonObject
from aiobs.instrumentation.fields import fields_of, get, items
from aiobs.instrumentation.google_genai.fields import plain
from aiobs.instrumentation.media import blob_part, bytes_part
from aiobs.semconv.credentials import without_credentials
from aiobs.semconv.encode import output_messages
from aiobs.semconv.serialise import to_json

MEDIA = frozenset({"image", "audio", "video", "document"})
_ROLES = {"model": "assistant", "user": "user"}


def known(item: Any) -> Any:
    """The item; of one that the SDK has no class for, what the server sent."""
    return get(item, "raw") if get(item, "is_unknown") is True else item


def words(value: Any) -> str | None:
    """Text that says something, also in a subclass of ``str`` that the SDK has for words that are new to it."""
    return str.__str__(value) if isinstance(value, str) and value else None


def value_of(value: Any) -> Any:
    """A value as plain data."""
    return value.to_dict() if isinstance(value, JsonObject) else plain(value)


# What the model said and did


def fold_step(choice: Choice, step: Any) -> None:
    """Add one step; what the user put in is not the model's."""
    step = known(step)
    kind = words(get(step, "type")) or ""
    if kind == "model_output":
        for content in items(get(step, "content")):
            fold_content(choice, content)
    elif kind == "thought":
        for content in items(get(step, "summary")):
            choice.say("reasoning", words(get(known(content), "text")) or "")
    elif kind == "function_call":
        choice.parts.append(call := ToolCall())
        fill_call(call, step)
        choice.calls[len(choice.calls)] = call
    elif kind in _SPOKEN:
        fold_content(choice, step)
    elif kind not in ("", "user_input", "function_result"):
        choice.parts.append(tool_part(kind, step))


def fill_call(call: ToolCall, step: Any) -> None:
    """Write down a call that comes whole, or the beginning of one whose arguments follow."""
    call.id = words(get(step, "id")) or call.id
    call.name = words(get(step, "name")) or call.name
    if given := value_of(get(step, "arguments")):
        call.arguments = [given if isinstance(given, str) else to_json(given)]


def fold_content(choice: Choice, content: Any) -> None:
    """Add one content of a step."""
    content = known(content)
    if get(content, "type") == "text":
        choice.say("text", words(get(content, "text")) or "")
    else:
        choice.parts.append(content_part(content))


# Parts


def content_part(content: Any) -> Part:
    """One content: text, or a picture, sound, film or document by its size and hash, or by its address."""
    content = known(content)
    if isinstance(content, str):
        return {"type": "text", "content": content}
    kind = words(get(content, "type")) or "text"
    if kind == "text":
        return {"type": "text", "content": words(get(content, "text")) or ""}
    return _media_part(kind, content) if kind in MEDIA else {"type": kind}


def _media_part(kind: str, content: Any) -> Part:
    mime_type, data = words(get(content, "mime_type")), get(content, "data")
    if isinstance(data, bytes):
        return bytes_part(kind, mime_type, data)
    if isinstance(data, str):
        return blob_part(kind, mime_type, data)
    if (uri := words(get(content, "uri"))) is not None:
        return {"type": "uri", "modality": kind, "mime_type": mime_type, "uri": uri}
    return {"type": "blob", "modality": kind, "mime_type": mime_type, "content": ""}  # a file that is not ours to read


def tool_part(kind: str, step: Any) -> Part:
    """A call of a tool of the provider's, or what came of it; any other step stays what it is."""
    fields = {key: value_of(value) for key, value in fields_of(step).items() if key not in _ABOUT and value is not None}
    details = {"type": kind, **{key: without_credentials(key, value) for key, value in fields.items()}}
    if kind.endswith("_result"):
        call_id = words(get(step, "call_id"))
        return {"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": details}
    if kind.endswith("_call"):
        name = words(get(step, "name")) or kind.removesuffix("_call")
        return {"type": "server_tool_call", "id": words(get(step, "id")), "name": name, "server_tool_call": details}
    return {"type": kind}


_ABOUT = ("type", "id", "call_id", "signature")
_SPOKEN = frozenset({"text", *MEDIA})


# Requests


def messages_of(given: Any) -> list[Message]:
    """``input``: a text, contents, steps or turns; contents that stand alone are together one message of the user's."""
    messages: list[Message] = []
    alone: list[Part] = []
    for item in given if isinstance(given, (list, tuple)) else [given]:
        message = _message(known(item))
        if message is not None:
            _flush(messages, alone)
            messages.append(message)
        elif item is not None and _is_said(item):
            alone.append(content_part(item))
    _flush(messages, alone)
    return messages


def _is_said(item: Any) -> bool:
    """Text, a dict or an object of the SDK; an iterator is the program's to read."""
    return isinstance(item, (str, dict)) or hasattr(type(item), "__pydantic_validator__")


def _flush(messages: list[Message], alone: list[Part]) -> None:
    if alone:
        messages.append({"role": "user", "parts": alone.copy()})
        alone.clear()


def _message(item: Any) -> Message | None:
    """A turn, or a step; None for a content."""
    if (role := words(get(item, "role"))) is not None:
        content = get(item, "content")
        said = content if isinstance(content, (list, tuple)) else [content]
        return {"role": _ROLES.get(role, role), "parts": [content_part(part) for part in said if part is not None]}
    kind = words(get(item, "type"))
    if kind == "user_input":
        return {"role": "user", "parts": [content_part(part) for part in items(get(item, "content"))]}
    if kind == "function_result":
        result = value_of(get(item, "result"))
        return {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": words(get(item, "call_id")), "response": result}],
        }
    if kind is None or kind in _SPOKEN:
        return None
    fold_step(choice := Choice(), item)
    return output_messages([choice])[0] if choice.parts else None


def tool_of(tool: Any) -> Tool | None:
    """A function by its name, a tool of the provider's by its type, an MCP server by its name."""
    tool = known(tool)
    kind = words(get(tool, "type"))
    if kind is None:
        return None
    offered: Tool = {"type": kind, "name": words(get(tool, "name")) or kind}
    if kind == "function":
        offered["description"] = words(get(tool, "description"))
        offered["parameters"] = value_of(get(tool, "parameters"))
    return offered
