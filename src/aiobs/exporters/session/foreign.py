"""Spans of other instrumentations in the names of the GenAI conventions, so that they become events like ours.

Understood are the conventions as they were before (``gen_ai.system``, ``gen_ai.prompt.0.content``, which OpenLLMetry
writes) and OpenInference (``llm.model_name``, ``llm.input_messages.0.message.content``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from aiobs.semconv import names
from aiobs.semconv.serialise import to_json

Attributes = Mapping[str, Any]

_RENAMED = {
    "gen_ai.system": names.PROVIDER,
    "gen_ai.usage.prompt_tokens": names.INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": names.OUTPUT_TOKENS,
    "llm.request.model": names.REQUEST_MODEL,
    "llm.model_name": names.REQUEST_MODEL,
    "llm.request.model_name": names.REQUEST_MODEL,
    "llm.response.model_name": names.RESPONSE_MODEL,
    "embedding.model_name": names.REQUEST_MODEL,
    "llm.provider": names.PROVIDER,
    "llm.system": names.PROVIDER,
    "llm.token_count.prompt": names.INPUT_TOKENS,
    "llm.token_count.completion": names.OUTPUT_TOKENS,
    "tool.name": names.TOOL_NAME,
    "input.value": names.TOOL_ARGUMENTS,
    "output.value": names.TOOL_RESULT,
    "traceloop.entity.name": names.TOOL_NAME,
    "traceloop.entity.input": names.TOOL_ARGUMENTS,
    "traceloop.entity.output": names.TOOL_RESULT,
}
_PARAMETERS = {"temperature": "gen_ai.request.temperature", "max_tokens": "gen_ai.request.max_tokens"}
_OPERATION_OF = {
    "openinference.span.kind": {
        "LLM": "chat", "EMBEDDING": "embeddings", "TOOL": "execute_tool", "AGENT": "invoke_agent",
        "CHAIN": "invoke_workflow", "RETRIEVER": "retrieval",
    },
    "llm.request.type": {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"},
    "traceloop.span.kind": {
        "tool": "execute_tool", "agent": "invoke_agent", "workflow": "invoke_workflow", "task": "invoke_workflow",
    },
}  # fmt: skip
_LISTS = (
    (names.INPUT_MESSAGES, re.compile(r"gen_ai\.prompt\.(\d+)\.(.+)|llm\.input_messages\.(\d+)\.message\.(.+)")),
    (names.OUTPUT_MESSAGES, re.compile(r"gen_ai\.completion\.(\d+)\.(.+)|llm\.output_messages\.(\d+)\.message\.(.+)")),
)
_PLAIN = ((names.INPUT_MESSAGES, "input.value", "user"), (names.OUTPUT_MESSAGES, "output.value", "assistant"))


def in_our_names(attributes: Attributes) -> Attributes:
    """The attributes with what they say under the conventions' names added; themselves where they say nothing more."""
    operation = attributes.get(names.OPERATION) or _operation(attributes)
    if operation is None:
        return attributes
    added = {names.OPERATION: operation, **dict(_renamed(attributes)), **_messages(attributes), **_others(attributes)}
    return {**added, **attributes} if added.keys() - attributes.keys() else attributes


def _operation(attributes: Attributes) -> str | None:
    for key, meanings in _OPERATION_OF.items():
        if (found := meanings.get(str(attributes.get(key)))) is not None:
            return found
    return None


def _renamed(attributes: Attributes) -> Iterator[tuple[str, Any]]:
    for key, name in _RENAMED.items():
        if key in attributes:
            value = attributes[key]
            yield name, str(value).lower() if name == names.PROVIDER else value


def _others(attributes: Attributes) -> dict[str, Any]:
    """Parameters that OpenInference has as one JSON text; the reason that the old conventions have with a choice."""
    given = _parsed(attributes.get("llm.invocation_parameters"))
    found = {name: given[key] for key, name in _PARAMETERS.items() if isinstance(given, dict) and key in given}
    reason = attributes.get("gen_ai.completion.0.finish_reason") or attributes.get("llm.finish_reason")
    return {**found, **({names.FINISH_REASONS: (str(reason),)} if reason else {})}


def _messages(attributes: Attributes) -> dict[str, str]:
    """Messages that are spread over numbered attributes, as the conventions' JSON; else input and output as texts."""
    found = {}
    for name, pattern in _LISTS:
        fields: dict[int, dict[str, Any]] = {}
        for key, value in attributes.items():
            if match := pattern.fullmatch(key):
                number, field = (part for part in match.groups() if part is not None)
                fields.setdefault(int(number), {})[field] = value
        if fields:
            found[name] = to_json([_message(fields[number], name) for number in sorted(fields)])
    for name, key, role in _PLAIN:
        if name not in found and isinstance(text := attributes.get(key), str):
            found[name] = to_json([{"role": role, "parts": [{"type": "text", "content": text}]}])
    return found


def _message(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    role = fields.get("role") or ("assistant" if name == names.OUTPUT_MESSAGES else "user")
    return {"role": role, "parts": [*_texts(fields), *_tool_calls(fields)]}


def _texts(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    numbered = [key for key in fields if re.fullmatch(r"contents\.\d+\.message_content\.text", key)]
    texts = [fields.get("content"), *(fields[key] for key in sorted(numbered, key=_number))]
    return [{"type": "text", "content": text} for text in texts if isinstance(text, str)]


def _number(key: str) -> int:
    return int(key.split(".")[1])


_CALL = re.compile(r"tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)")


def _tool_calls(fields: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for key, value in fields.items():
        if match := _CALL.fullmatch(key):
            calls.setdefault(int(match[1]), {})[match[2]] = _parsed(value) if match[2] == "arguments" else value
    return [{"type": "tool_call", **calls[number]} for number in sorted(calls)]


def _parsed(value: Any) -> Any:
    try:
        return from_json(value) if isinstance(value, str) else value
    except ValueError:
        return value
