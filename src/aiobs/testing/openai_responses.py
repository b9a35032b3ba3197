"""OpenAI's responses: created whole, streamed or in the background.

Of ``Answer``, ``audio``, ``choice`` and ``choices`` mean nothing here. ``reasoning`` is the reasoning summary;
``finish_reason`` is ``stop``, ``length``, ``content_filter``, ``failed``, ``cancelled``, or ``error`` (failed, and a
stream ends with an ``error`` event); the error's code and message are those of the fault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiobs.testing.improvise import as_count, as_dict, as_dicts, cached_counts, overlaid, token_count
from aiobs.testing.openai_common import CREATED, SSE_HEADERS, bad_request, missing
from aiobs.testing.openai_responses_hosted import tool_usage
from aiobs.testing.openai_responses_output import filled_in, output_of, reasoning_tokens
from aiobs.testing.openai_responses_stored import Kept, store, whole
from aiobs.testing.openai_responses_stream import events, unfinished
from aiobs.testing.script import Answer, Fault, Reply, Request

TEMPLATE_MODEL = "gpt-4.1"  # of every prompt template
_STATUSES = {
    "length": "incomplete",
    "content_filter": "incomplete",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
}
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Mapping[str, Any] = {  # parameters that come back, with their defaults
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def create(request: Request, answer: Answer) -> Reply:
    """The answer to ``POST /responses``: whole, streamed, or queued if it asks for the background."""
    asked = request.json
    if (refusal := _refusal(asked)) is not None:
        return refusal
    response = made(request.number, asked, answer)
    background = bool(asked.get("background"))
    if background or asked.get("store") is not False:
        store.keep(request, Kept(response, answer.chunks, polls=1 if background and not asked.get("stream") else 0))
    if asked.get("stream"):
        return Reply(200, SSE_HEADERS, events(response, answer.chunks, error=answer.finish_reason == "error"))
    return whole(unfinished(response, "queued") if background else response)


def _refusal(asked: Any) -> Reply | None:
    """The 400 of a request that cannot be answered."""
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    if not asked.get("model") and not asked.get("prompt"):
        return missing("model")
    if asked.get("previous_response_id") and asked.get("conversation"):
        names = "'previous_response_id' or 'conversation'"
        message = f"Mutually exclusive parameters: Ensure you are only providing one of: {names}."
        return bad_request(message, None, "mutually_exclusive_parameters")
    if not any(asked.get(name) for name in ("input", "prompt", "previous_response_id", "conversation")):
        message = 'One of "input" or "previous_response_id" or "prompt" or "conversation" must be provided.'
        return bad_request(message, "input", "missing_required_parameter")
    for index, tool in enumerate(as_dicts(asked.get("tools"))):
        if tool.get("type") in ("function", "custom") and not tool.get("name"):
            return missing(f"tools[{index}].name")
    return None


def made(number: int, asked: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """The response as it ends."""
    answer = filled_in(answer, asked)
    status = _STATUSES.get(str(answer.finish_reason), "completed")
    reason = _REASONS.get(str(answer.finish_reason))
    output = output_of(answer, asked, number, status)
    usage = overlaid(_usage(asked, output, reasoning_tokens(answer, asked)), answer.usage or {})
    return {
        "id": f"resp_simulated{number:06d}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "completed_at": CREATED + 1 if status == "completed" else None,
        "error": _error(answer.fault) if status == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": asked.get("model") or TEMPLATE_MODEL,
        "output": output,
        **_echo(asked),
        "tool_usage": tool_usage(output),
        "usage": None if status == "failed" and not answer.usage else usage,
        **answer.fields,
    }


def _echo(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as the response repeats them."""
    echo = {name: asked[name] if asked.get(name) is not None else default for name, default in _ECHOED.items()}
    if echo["service_tier"] == "auto":
        echo["service_tier"] = "default"
    if asked.get("prompt"):
        echo["prompt"] = asked["prompt"]
    if (conversation := asked.get("conversation")) is not None:
        echo["conversation"] = {"id": conversation} if isinstance(conversation, str) else conversation
    text = {"format": {"type": "text"}, "verbosity": "medium", **as_dict(asked.get("text"))}
    return {**echo, "reasoning": {"effort": None, "summary": None, **as_dict(asked.get("reasoning"))}, "text": text}


def _error(fault: Fault) -> dict[str, Any]:
    return {"code": fault.code or "server_error", "message": fault.message or "The simulator was told to fail."}


def _usage(asked: Mapping[str, Any], output: list[dict[str, Any]], reasoning: int) -> dict[str, Any]:
    """Counted from the lengths of what was asked and what was answered, within ``max_output_tokens``."""
    prompt = token_count(json.dumps([asked.get("instructions"), asked.get("input")]))
    cached, written = cached_counts(prompt)
    made = reasoning + sum(_spoken_tokens(item) for item in output)
    made = as_count(asked.get("max_output_tokens"), made) or made
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": min(reasoning, made)},
        "total_tokens": prompt + made,
    }


def _spoken_tokens(item: Mapping[str, Any]) -> int:
    """Tokens of the text in an item: message, arguments, input, code."""
    parts = [part.get("text") or part.get("refusal") for part in as_dicts(item.get("content"))]
    spoken = [item.get("arguments"), item.get("input"), item.get("code"), *parts]
    return sum(token_count(text) for text in spoken if isinstance(text, str))
