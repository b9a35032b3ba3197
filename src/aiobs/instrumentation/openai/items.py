"""Items of the Responses API, in requests and answers alike, in their neutral shape."""

from __future__ import annotations

from typing import Any, cast

from aiobs.call import Choice, Message, Part, Prompt, Tool
from aiobs.instrumentation.fields import fields_of, get, items, text
from aiobs.instrumentation.media import blob_part
from aiobs.instrumentation.openai.media import audio_part, file_part, image_part
from aiobs.semconv.credentials import without_credentials
from aiobs.semconv.encode import output_messages
from aiobs.semconv.serialise import to_jsonable

_RESULTS = ("results", "outputs", "output", "result", "error")
"""Fields of a built-in tool's item that say what came of it."""

_ABOUT = ("id", "call_id", "type", "status")

_TOOLS = ("mcp_list_tools", "program")
"""Kinds of built-in tools' items beside those that are named ``…_call`` and ``…_output``."""

_FROM_USER = ("compaction_trigger", "item_reference", "mcp_approval_response")
"""Items of a request that the program puts there in its own name, not the model's."""


# Answers


def fold_item(choice: Choice, item: Any) -> None:
    """Add one item to what the model said and did."""
    kind = get(item, "type")
    if kind == "message":
        for part in items(get(item, "content")):
            _say(choice, "refusal" if get(part, "type") == "refusal" else "text", part)
    elif kind == "reasoning":
        for part in (*items(get(item, "summary")), *items(get(item, "content"))):
            _say(choice, "reasoning", part)
    elif kind in ("function_call", "custom_tool_call"):
        call = choice.call(text(get(item, "id")) or text(get(item, "call_id")) or len(choice.calls))
        call.id, call.name = text(get(item, "call_id")), str(get(item, "name") or "")
        call.type = "function" if kind == "function_call" else "custom"
        arguments = get(item, "arguments") if kind == "function_call" else get(item, "input")
        call.arguments = [arguments] if isinstance(arguments, str) else []
    elif isinstance(kind, str):
        choice.parts.extend(_other(kind, item))


def _say(choice: Choice, kind: str, part: Any) -> None:
    said = get(part, "refusal") if kind == "refusal" else get(part, "text")
    if isinstance(said, str):
        choice.say(kind, said)


def _other(kind: str, item: Any) -> list[Part]:
    """A built-in tool's item, or one that has no place in the message schemas and stays what it is.

    An item may list tools, and those have keys of their own.
    """
    given = {key: to_jsonable(value) for key, value in fields_of(item).items() if value is not None}
    fields = {key: without_credentials(key, value) for key, value in given.items()}
    if kind == "compaction":
        return [{"type": "compaction", "id": text(fields.get("id"))}]
    if kind.endswith(("_call", "_output")) or kind in _TOOLS:
        return _built_in_tool(kind, fields)
    return [cast("Part", {**fields, "type": kind})]


def _built_in_tool(kind: str, fields: dict[str, Any]) -> list[Part]:
    """What was asked of it, and what came of it where the item says that too."""
    call_id = text(fields.get("call_id")) or text(fields.get("id"))
    details = {key: value for key, value in fields.items() if key not in (*_ABOUT, *_RESULTS)}
    results = {key: fields[key] for key in _RESULTS if key in fields}
    if kind.endswith("_output"):
        said = {"type": kind, **details, **results}
        return [{"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": said}]
    parts: list[Part] = [
        {
            "type": "server_tool_call",
            "id": call_id,
            "name": text(details.get("name")) or kind.removesuffix("_call"),
            "server_tool_call": {"type": kind, **details},
        }
    ]
    picture = results.pop("result", None) if kind == "image_generation_call" else None
    if results:
        parts.append(
            {
                "type": "server_tool_call_response",
                "id": call_id,
                "server_tool_call_response": {"type": kind, **results},
            }
        )
    if isinstance(picture, str):
        parts.append(blob_part("image", f"image/{details.get('output_format') or 'png'}", picture))
    return parts


# Requests


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Instructions, input, tools and the variables of a prompt template; a one-shot iterator is left to the SDK."""
    instructions = kwargs.get("instructions")
    variables = get(kwargs.get("prompt"), "variables")
    return Prompt(
        messages=read_messages(kwargs.get("input")),
        instructions=[{"type": "text", "content": instructions}] if isinstance(instructions, str) else [],
        tools=[tool for item in items(kwargs.get("tools")) if (tool := _tool(item))],
        variables=dict(variables) if isinstance(variables, dict) else {},
    )


def read_messages(given: Any) -> list[Message]:
    """The input of a response, text or items, as messages."""
    if isinstance(given, str):
        return [{"role": "user", "parts": [{"type": "text", "content": given}]}]
    return [message for item in items(given) for message in _message(item)]


def _message(item: Any) -> list[Message]:
    kind, role = get(item, "type"), get(item, "role")
    if kind in (None, "message") and role is not None:
        return [{"role": str(role), "parts": content_parts(get(item, "content"))}]
    if isinstance(kind, str) and kind.endswith("_call_output"):
        answer: Part = {
            "type": "tool_call_response",
            "id": text(get(item, "call_id")),
            "response": to_jsonable(get(item, "output")),
        }
        return [{"role": "tool", "parts": [answer]}]
    choice = Choice(role="user" if kind in _FROM_USER else "assistant")
    fold_item(choice, item)
    return output_messages([choice]) if choice.parts else []


def content_parts(content: Any) -> list[Part]:
    """The content of a message, text or parts."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(part) for part in items(content)]


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return {"type": "text", "content": part}
    kind = get(part, "type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "content": str(get(part, "text") or "")}
    if kind == "refusal":
        return {"type": "text", "content": str(get(part, "refusal") or ""), "refusal": True}
    if kind == "input_image":
        if isinstance(file_id := get(part, "file_id"), str):
            return {"type": "file", "modality": "image", "mime_type": None, "file_id": file_id}
        return image_part(get(part, "image_url"))
    if kind == "input_file":
        if isinstance(url := get(part, "file_url"), str):
            return {"type": "uri", "modality": "document", "mime_type": None, "uri": url}
        return file_part(fields_of(part))
    if kind == "input_audio":
        return audio_part(get(part, "input_audio"))
    if kind == "input_json":
        return cast("Part", {"type": kind, "data": to_jsonable(get(part, "data"))})
    return {"type": str(kind)}


def _tool(item: Any) -> Tool | None:
    """Functions and custom tools by their name; a built-in tool by its type, an MCP server by its label."""
    kind = get(item, "type")
    if not isinstance(kind, str):
        return None
    name = get(item, "name") or get(item, "server_label") or kind
    tool: Tool = {"type": kind, "name": str(name)}
    if kind in ("function", "custom"):
        tool["description"], tool["parameters"] = get(item, "description"), get(item, "parameters")
    return tool
