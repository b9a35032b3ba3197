"""Contents, instructions and tools of a request in their neutral shape.

``contents`` can be a text, a part, a content, a file, a PIL image, or a list of any of them; parts that are not in a
content belong to one message of the user, as the SDK sends them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from aiobs.call import Message, Part, Prompt, Tool
from aiobs.instrumentation.fields import items
from aiobs.instrumentation.google_genai.fields import field, plain
from aiobs.instrumentation.media import blob_part, bytes_part, modality_of

_ROLES = {"model": "assistant", "user": "user", "function": "tool", "system": "system"}


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Messages, instructions and tools; nothing that can be read only once is read."""
    config = kwargs.get("config")
    return Prompt(
        messages=messages_of(kwargs.get("contents")),
        instructions=_instructions(field(config, "system_instruction")),
        tools=[tool for item in items(field(config, "tools")) for tool in tools_of(item)],
    )


def messages_of(contents: Any) -> list[Message]:
    """One message per content; parts that stand alone together are one of the user's."""
    messages: list[Message] = []
    alone: list[Part] = []
    for item in contents if isinstance(contents, (list, tuple)) else [contents]:
        parts = field(item, "parts")
        if isinstance(parts, (list, tuple)) or field(item, "role") is not None:
            _flush(messages, alone)
            messages.append(message_of(item))
        elif isinstance(item, (list, tuple)):
            alone.extend(map(part_of, item))
        elif item is not None:
            alone.append(part_of(item))
    _flush(messages, alone)
    return messages


def _flush(messages: list[Message], alone: list[Part]) -> None:
    if alone:
        messages.append({"role": "user", "parts": alone.copy()})
        alone.clear()


def message_of(content: Any) -> Message:
    """One content; results of functions come from the role ``tool``."""
    parts = [part_of(part) for part in items(field(content, "parts"))]
    if parts and all(part["type"] == "tool_call_response" for part in parts):
        return {"role": "tool", "parts": parts}
    role = str(field(content, "role") or "user")
    return {"role": _ROLES.get(role, role), "parts": parts}


def part_of(part: Any) -> Part:
    """One part, by the field that it has."""
    if isinstance(part, str):
        return {"type": "text", "content": part}
    if isinstance(text := field(part, "text"), str):
        return {"type": "reasoning" if field(part, "thought") else "text", "content": text}
    for name, read in _READERS.items():
        if (value := field(part, name)) is not None:
            return read(value)
    if isinstance(uri := field(part, "uri") or field(part, "file_uri"), str):
        return _uri(field(part, "mime_type"), uri)
    if any(base.__module__.partition(".")[0] == "PIL" for base in type(part).__mro__):
        return _picture(part)
    return {"type": _kind(part)}


def _kind(part: Any) -> str:
    """The field that says what a part is that we do not know."""
    named = part if isinstance(part, dict) else getattr(part, "__dict__", {})
    return next((str(key) for key, value in named.items() if value is not None), type(part).__name__)


def _inline(blob: Any) -> Part:
    mime_type, data = field(blob, "mime_type"), field(blob, "data")
    mime_type = mime_type if isinstance(mime_type, str) else None
    if isinstance(data, bytes):
        return bytes_part(modality_of(mime_type), mime_type, data)
    return blob_part(modality_of(mime_type), mime_type, data if isinstance(data, str) else "")


def _file(data: Any) -> Part:
    return _uri(field(data, "mime_type"), str(field(data, "file_uri") or ""))


def _uri(mime_type: Any, uri: str) -> Part:
    mime_type = mime_type if isinstance(mime_type, str) else None
    return {"type": "uri", "modality": modality_of(mime_type), "mime_type": mime_type, "uri": uri}


def _picture(image: Any) -> Part:
    """A PIL image is never encoded for us: its format has to do."""
    kind = getattr(image, "format", None)
    mime_type = f"image/{kind.lower()}" if isinstance(kind, str) else None
    return {"type": "blob", "modality": "image", "mime_type": mime_type, "content": ""}


def _function_call(call: Any) -> Part:
    name = str(field(call, "name") or "")
    return {"type": "tool_call", "id": field(call, "id"), "name": name, "arguments": plain(field(call, "args"))}


def _function_response(response: Any) -> Part:
    return {"type": "tool_call_response", "id": field(response, "id"), "response": plain(field(response, "response"))}


def _code(code: Any) -> Part:
    what = {"type": "code_execution", "language": plain(field(code, "language")), "code": field(code, "code")}
    return {"type": "server_tool_call", "id": field(code, "id"), "name": "code_execution", "server_tool_call": what}


def _code_result(result: Any) -> Part:
    what = {"type": "code_execution", "outcome": plain(field(result, "outcome")), "output": field(result, "output")}
    return {"type": "server_tool_call_response", "id": field(result, "id"), "server_tool_call_response": what}


def _server_tool(call: Any) -> Part:
    name = str(plain(field(call, "tool_type")) or "tool").lower()
    what = {"type": name, "arguments": plain(field(call, "args"))}
    return {"type": "server_tool_call", "id": field(call, "id"), "name": name, "server_tool_call": what}


def _server_tool_response(response: Any) -> Part:
    name = str(plain(field(response, "tool_type")) or "tool").lower()
    what = {"type": name, "response": plain(field(response, "response"))}
    return {"type": "server_tool_call_response", "id": field(response, "id"), "server_tool_call_response": what}


_READERS = {
    "function_call": _function_call,
    "function_response": _function_response,
    "inline_data": _inline,
    "file_data": _file,
    "executable_code": _code,
    "code_execution_result": _code_result,
    "tool_call": _server_tool,
    "tool_response": _server_tool_response,
}


def _instructions(given: Any) -> list[Part]:
    return [part for message in messages_of(given) for part in message["parts"]] if given is not None else []


def tools_of(tool: Any) -> Iterable[Tool]:
    """The functions that a tool declares, a function itself, or a tool of the provider's by its name."""
    if callable(tool):
        yield {"type": "function", "name": _name(tool), "description": inspect.getdoc(tool), "parameters": None}
        return
    for declared in items(field(tool, "function_declarations")):
        yield {
            "type": "function",
            "name": str(field(declared, "name") or ""),
            "description": field(declared, "description"),
            "parameters": plain(field(declared, "parameters") or field(declared, "parameters_json_schema")),
        }
    fields = tool if isinstance(tool, dict) else getattr(tool, "__dict__", {})
    for name, value in fields.items():
        if value is not None and name not in _DECLARATIONS:
            yield {"type": str(name), "name": str(name)}


_DECLARATIONS = ("function_declarations", "functionDeclarations")


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
