"""Messages and tools of a chat request in their neutral shape."""

from __future__ import annotations

from typing import Any

from aiobs.call import Message, Part, Prompt, Tool
from aiobs.instrumentation.fields import get, items
from aiobs.instrumentation.openai.media import audio_part, file_part, image_part
from aiobs.semconv.encode import parsed_arguments


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Messages and tools that can be read more than once; a one-shot iterator is left to the SDK."""
    return Prompt(
        messages=[_message(message) for message in items(kwargs.get("messages"))],
        tools=[tool for item in _offered(kwargs) if (tool := _tool(item))],
    )


def _offered(kwargs: dict[str, Any]) -> list[Any]:
    """The tools, and the functions of before there were tools."""
    functions = [{"type": "function", "function": function} for function in items(kwargs.get("functions"))]
    return [*items(kwargs.get("tools")), *functions]


def _message(item: Any) -> Message:
    if type(item) is dict and len(item) == 2:
        role, content = item.get("role"), item.get("content")
        if type(content) is str and type(role) is str and role in _SPEAKERS:
            return {"role": role, "parts": [{"type": "text", "content": content}]}
    role = str(get(item, "role") or "user")
    content = get(item, "content")
    if role in ("tool", "function"):
        response = content if isinstance(content, str) else [get(part, "text") for part in items(content)]
        parts: list[Part] = [{"type": "tool_call_response", "id": get(item, "tool_call_id"), "response": response}]
    else:
        parts = _content_parts(content)
        if isinstance(refusal := get(item, "refusal"), str):
            parts.append({"type": "text", "content": refusal, "refusal": True})
        parts.extend(_tool_call_part(call) for call in items(get(item, "tool_calls")))
        if (function := get(item, "function_call")) is not None:
            parts.append(_tool_call_part({"function": function}))
    message: Message = {"role": role, "parts": parts}
    if isinstance(name := get(item, "name"), str):
        message["name"] = name
    return message


_SPEAKERS = frozenset({"system", "developer", "user", "assistant"})


def _content_parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_content_part(part) for part in items(content)]


def _content_part(part: Any) -> Part:
    if isinstance(part, str):
        return {"type": "text", "content": part}
    kind = get(part, "type")
    if kind == "text":
        return {"type": "text", "content": str(get(part, "text") or "")}
    if kind == "refusal":
        return {"type": "text", "content": str(get(part, "refusal") or ""), "refusal": True}
    read = _MEDIA.get(kind)
    return read(get(part, kind)) if read else {"type": str(kind)}


_MEDIA = {"image_url": image_part, "input_audio": audio_part, "file": file_part}


def _tool_call_part(call: Any) -> Part:
    function = get(call, "function") or get(call, "custom")
    arguments = get(function, "arguments")
    arguments = parsed_arguments(arguments) if isinstance(arguments, str) else get(function, "input")
    return {
        "type": "tool_call",
        "id": get(call, "id"),
        "name": str(get(function, "name") or ""),
        "arguments": arguments,
    }


def _tool(item: Any) -> Tool | None:
    kind = get(item, "type")
    described = get(item, kind) if isinstance(kind, str) else None
    if described is None:
        return None
    return {
        "type": str(kind),
        "name": str(get(described, "name") or ""),
        "description": get(described, "description"),
        "parameters": get(described, "parameters"),
    }
