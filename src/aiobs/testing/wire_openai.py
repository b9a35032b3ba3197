"""OpenAI's wire format: chat completions, whole and streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiobs.testing.examples_of import example_of
from aiobs.testing.script import Answer, Reply, Request
from aiobs.testing.simulator import Wire

_CHAT = re.compile(r"(/v1|/openai/v1|/openai/deployments/[^/]+)?/chat/completions")
CREATED = 1_790_000_000
FINGERPRINT = "fp_simulated"
_JSON = {"content-type": "application/json", "openai-version": "2020-10-01", "openai-processing-ms": "12"}
_SSE = {"content-type": "text/event-stream; charset=utf-8", "openai-version": "2020-10-01"}
_TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 429: "requests", 500: "server_error"}


def error_body(status: int, code: str | None, message: str | None) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}``."""
    text = message or f"The simulator was told to answer {status}."
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return json.dumps({"error": {"message": text, "type": kind, "param": None, "code": code}}).encode()


def reply(request: Request, answer: Answer) -> Reply:
    """The answer to a chat completion request, whole or streamed as it asks."""
    asked = request.json if isinstance(request.json, dict) else None
    if asked is None:
        return Reply(400, _JSON, error_body(400, None, "We could not parse the JSON body of your request."))
    missing = [name for name in ("model", "messages") if not asked.get(name)]
    if missing:
        return Reply(
            400, _JSON, error_body(400, "missing_required_parameter", f"Missing required parameter: {missing[0]!r}.")
        )
    answers = [filled_in(answer, asked) for _ in range(int(asked.get("n") or 1))]
    common = {
        "id": f"chatcmpl-simulated{request.number:06d}",
        "created": CREATED,
        "model": asked["model"],
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    if asked.get("stream"):
        return Reply(200, _SSE, [*_events(answers, asked, common)])
    return Reply(200, _JSON, json.dumps(_completion(answers, asked, common)).encode())


def _completion(answers: Sequence[Answer], asked: Mapping[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    return {
        **common,
        "object": "chat.completion",
        "choices": [
            {"index": index, "message": _message(answer), "logprobs": None, "finish_reason": answer.finish_reason}
            for index, answer in enumerate(answers)
        ],
        "usage": usage_of(answers, asked),
        **answers[0].fields,
    }


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text,
        "refusal": answer.refusal,
        "annotations": [],
    }
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(index, *call) for index, call in enumerate(answer.tool_calls)]
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.audio:
        message["audio"] = {
            "id": "audio_simulated",
            "data": "UklGRg==",
            "transcript": answer.audio,
            "expires_at": CREATED + 3600,
        }
    return {**message, **answer.message}


def _tool_call(index: int, name: str, arguments: Any) -> dict[str, Any]:
    call_id = f"call_simulated{index:02d}"
    if isinstance(arguments, str) and name.startswith("custom:"):
        return {"id": call_id, "type": "custom", "custom": {"name": name[7:], "input": arguments}}
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


# Streams


def _events(answers: Sequence[Answer], asked: Mapping[str, Any], common: dict[str, Any]) -> Iterator[bytes]:
    """Role, pieces, finish reason per choice; usage if it was asked for; ``[DONE]``."""
    wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    head = {**common, "object": "chat.completion.chunk"}

    def event(choices: list[dict[str, Any]], usage: Any = None) -> bytes:
        chunk = {**head, "choices": choices, **({"usage": usage} if wants_usage else {}), **answers[0].fields}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    for index, answer in enumerate(answers):
        for delta in _deltas(answer):
            yield event([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
        yield event([{"index": index, "delta": {}, "logprobs": None, "finish_reason": answer.finish_reason}])
    if wants_usage:
        yield event([], usage_of(answers, asked))
    yield b"data: [DONE]\n\n"


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "" if answer.text is not None else None, "refusal": None, **answer.message}
    for piece in _pieces(answer.reasoning, None):
        yield {"reasoning_content": piece}
    for piece in _pieces(answer.text, answer.chunks):
        yield {"content": piece}
    for piece in _pieces(answer.refusal, None):
        yield {"refusal": piece}
    for index, call in enumerate(answer.tool_calls or ()):
        yield from _tool_call_deltas(index, _tool_call(index, *call))


def _tool_call_deltas(index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = call["type"]
    field = "arguments" if kind == "function" else "input"
    text = call[kind][field]
    yield {"tool_calls": [{"index": index, **call, kind: {**call[kind], field: ""}}]}
    half = max(1, len(text) // 2)
    for piece in filter(None, (text[:half], text[half:])):
        yield {"tool_calls": [{"index": index, kind: {field: piece}}]}


def _pieces(text: str | None, count: int | None) -> list[str]:
    """Words with the space before them, or ``count`` pieces of about one size."""
    if not text:
        return []
    if count is None:
        return re.findall(r"\s*\S+|\s+$", text)
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]


# What it says when nobody told it what to say


def filled_in(answer: Answer, asked: Mapping[str, Any]) -> Answer:
    """The answer with what was left open made up from the request."""
    from dataclasses import replace

    said = any(part is not None for part in (answer.text, answer.tool_calls, answer.refusal, answer.audio))
    if not said:
        call = _tool_to_call(asked)
        answer = replace(answer, tool_calls=[call]) if call else replace(answer, text=_text(asked))
    if answer.fault.padding:
        answer = replace(answer, text=(answer.text or "") + " lorem" * (answer.fault.padding // 6))
    if answer.reasoning is None and asked.get("reasoning_effort"):
        answer = replace(answer, reasoning="First the question, then the facts, then the answer.")
    return replace(answer, finish_reason=answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop"))


def _tool_to_call(asked: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The tool that is forced, or the first on offer, unless its result is there already."""
    tools, choice = asked.get("tools"), asked.get("tool_choice")
    messages: list[dict[str, Any]] = asked["messages"]
    if not tools or choice == "none" or messages[-1].get("role") == "tool":
        return None
    named = choice if isinstance(choice, dict) else {}
    forced = (named.get("function") or named.get("custom") or {}).get("name")
    for tool in tools:
        described = tool.get(tool.get("type", "function"), {})
        if forced in (None, described.get("name")):
            return _call_of(tool, described, _last_prompt(asked))
    return None


def _call_of(tool: Mapping[str, Any], described: Mapping[str, Any], prompt: str) -> tuple[str, Any]:
    if tool.get("type") == "custom":
        return f"custom:{described['name']}", prompt
    return described["name"], example_of(described.get("parameters") or {"type": "object"}, prompt[:80])


def _text(asked: Mapping[str, Any]) -> str:
    wanted = asked.get("response_format") or {}
    prompt = _last_prompt(asked)
    if wanted.get("type") == "json_schema":
        return json.dumps(example_of(wanted["json_schema"].get("schema", {}), prompt[:80]))
    if wanted.get("type") == "json_object":
        return json.dumps({"answer": prompt[:80]})
    return f"Here is a simulated answer to “{prompt[:60].strip()}”: it depends on the details, and the details matter."


def _last_prompt(asked: Mapping[str, Any]) -> str:
    for message in reversed(asked["messages"]):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
            return " ".join(str(content).split())
    return "nothing"


def usage_of(answers: Sequence[Answer], asked: Mapping[str, Any]) -> dict[str, Any]:
    """A quarter of a token per character, half of a long prompt cached; what the script says wins."""
    prompt = max(1, len(json.dumps(asked["messages"])) // 4)
    reasoning = sum(len(answer.reasoning or "") // 4 for answer in answers)
    made = reasoning + sum(max(1, len(json.dumps(_message(answer))) // 4) for answer in answers)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {
            "cached_tokens": prompt // 2 if prompt >= 1024 else 0,
            "cache_write_tokens": 0,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    return _overlaid(usage, answers[0].usage or {})


def _overlaid(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _overlaid(below, value) if isinstance(value, Mapping) and isinstance(below, dict) else value
    return merged


# Clients


def _openai(origin: str, **options: Any) -> Any:
    import openai

    return openai.OpenAI(**{**_defaults(origin), **options})


def _async_openai(origin: str, **options: Any) -> Any:
    import openai

    return openai.AsyncOpenAI(**{**_defaults(origin), **options})


def _azure_openai(origin: str, **options: Any) -> Any:
    import openai

    return openai.AzureOpenAI(**{**_azure_defaults(origin), **options})


def _async_azure_openai(origin: str, **options: Any) -> Any:
    import openai

    return openai.AsyncAzureOpenAI(**{**_azure_defaults(origin), **options})


def _defaults(origin: str) -> dict[str, Any]:
    return {"base_url": f"{origin}/v1", "api_key": "sk-simulated", "max_retries": 0, "timeout": 30.0}


def _azure_defaults(origin: str) -> dict[str, Any]:
    return {
        "azure_endpoint": origin,
        "api_version": "2024-10-21",
        "api_key": "simulated",
        "max_retries": 0,
        "timeout": 30.0,
    }


WIRE = Wire(
    name="openai",
    answers=lambda request: _CHAT.fullmatch(request.path) is not None,
    reply=reply,
    error=error_body,
    clients={
        "openai": _openai,
        "async_openai": _async_openai,
        "azure_openai": _azure_openai,
        "async_azure_openai": _async_azure_openai,
    },
    environment=lambda origin: {"OPENAI_BASE_URL": f"{origin}/v1", "OPENAI_API_KEY": "sk-simulated"},
)
