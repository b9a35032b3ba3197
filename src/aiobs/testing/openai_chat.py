"""OpenAI's chat completions, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiobs.testing.improvise import as_count, as_dict, as_dicts, cached_counts, overlaid, pieces, sentence, token_count
from aiobs.testing.openai_common import (
    CREATED,
    JSON_HEADERS,
    REASONING_TOKENS,
    SSE_HEADERS,
    call_of,
    json_answer,
    text_of,
    token_logprobs,
)
from aiobs.testing.script import Answer, Fault, Reply, Request

FINGERPRINT = "fp_simulated"


def reply(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to a chat completion request, whole or streamed as it asks; a 400 without model or messages."""
    asked = request.json
    if (complaint := _complaint(asked)) is not None:
        return complaint
    answers = [filled_in(each, asked) for each in answer.choices or [answer] * (as_count(asked.get("n"), 128) or 1)]
    common = {
        "id": f"chatcmpl-simulated{request.number:06d}",
        "created": CREATED,
        "model": asked["model"],
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }
    usage = overlaid(_usage(answers, asked), answer.usage or {})
    if asked.get("stream"):
        return Reply(200, SSE_HEADERS, [*_events(answers, asked, common, usage, answer.fields)])
    choices = [_choice(index, each, asked) for index, each in enumerate(answers)]
    body = {**common, "object": "chat.completion", "choices": choices, "usage": usage, **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


def _complaint(asked: Any) -> Fault | None:
    """What is wrong with a request that cannot be answered."""
    if not isinstance(asked, dict):
        return Fault(400, message="We could not parse the JSON body of your request.")
    for name in ("model", "messages"):
        if not asked.get(name):
            return Fault(400, "missing_required_parameter", f"Missing required parameter: {name!r}.")
    return None


def _choice(index: int, answer: Answer, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "index": index,
        "message": _message(answer, asked),
        "logprobs": _logprobs(pieces(answer.text), asked),
        "finish_reason": answer.finish_reason,
        **answer.choice,
    }


def _message(answer: Answer, asked: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text,
        "refusal": answer.refusal,
        "annotations": [],
    }
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(answer, asked)
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.audio:
        message["audio"] = {**_AUDIO, "transcript": answer.audio}
    return {**message, **answer.message}


_AUDIO = {"id": "audio_simulated", "data": "UklGRg==", "expires_at": CREATED + 3600}


def _tool_calls(answer: Answer, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Their ids count on from those that the conversation has already."""
    before = [call for message in _messages(asked) for call in as_dicts(message.get("tool_calls"))]
    ours = sum(str(call.get("id")).startswith("call_simulated") for call in before)
    calls = enumerate(answer.tool_calls or (), start=ours)
    return [_tool_call(f"call_simulated{number:02d}", *call) for number, call in calls]


def _tool_call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    if name.startswith("custom:"):
        return {"id": call_id, "type": "custom", "custom": {"name": name.removeprefix("custom:"), "input": text}}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def _logprobs(tokens: Sequence[str], asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What ``logprobs`` asks for."""
    if not asked.get("logprobs"):
        return None
    return {"content": token_logprobs(tokens, as_count(asked.get("top_logprobs"), 20)), "refusal": None}


# Streams


def _events(
    answers: Sequence[Answer],
    asked: Mapping[str, Any],
    common: Mapping[str, Any],
    usage: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> Iterator[bytes]:
    """Role, pieces, finish reason per choice; usage if it was asked for; ``[DONE]``."""
    wants_usage = bool(as_dict(asked.get("stream_options")).get("include_usage"))

    def event(choices: list[dict[str, Any]], usage: Mapping[str, Any] | None = None) -> bytes:
        counted = {"usage": usage} if wants_usage else {}
        chunk = {**common, "object": "chat.completion.chunk", "choices": choices, **counted, **fields}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    for index, answer in enumerate(answers):
        for delta in _deltas(answer, asked):
            logprobs = _logprobs([delta["content"]], asked) if delta.get("content") else None
            yield event([{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}])
        end = {"index": index, "delta": {}, "logprobs": None, "finish_reason": answer.finish_reason}
        yield event([{**end, **answer.choice}])
    if wants_usage:
        yield event([], usage)
    yield b"data: [DONE]\n\n"


def _deltas(answer: Answer, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "" if answer.text is not None else None, "refusal": None, **answer.message}
    for piece in pieces(answer.reasoning):
        yield {"reasoning_content": piece}
    for piece in pieces(answer.text, answer.chunks):
        yield {"content": piece}
    for piece in pieces(answer.refusal):
        yield {"refusal": piece}
    for index, call in enumerate(_tool_calls(answer, asked)):
        yield from _tool_call_deltas(index, call)
    if answer.audio:
        yield from _audio_deltas(answer.audio)


def _tool_call_deltas(index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = call["type"]
    field = "arguments" if kind == "function" else "input"
    text = call[kind][field]
    yield {"tool_calls": [{"index": index, **call, kind: {**call[kind], field: ""}}]}
    for piece in pieces(text, 2):
        yield {"tool_calls": [{"index": index, kind: {field: piece}}]}


def _audio_deltas(transcript: str) -> Iterator[dict[str, Any]]:
    yield {"audio": {"id": _AUDIO["id"], "transcript": ""}}
    for piece in pieces(transcript):
        yield {"audio": {"transcript": piece}}
    yield {"audio": {"data": _AUDIO["data"]}}
    yield {"audio": {"expires_at": _AUDIO["expires_at"]}}


# What it says when nobody told it what to say


def filled_in(answer: Answer, asked: Mapping[str, Any]) -> Answer:
    """The answer with what was left open made up from the request."""
    said = any(part is not None for part in (answer.text, answer.tool_calls, answer.refusal, answer.audio))
    if not said:
        call = _tool_to_call(asked)
        answer = replace(answer, tool_calls=[call]) if call else replace(answer, text=_text(asked))
    if answer.fault.padding:
        answer = replace(answer, text=(answer.text or "") + "." * answer.fault.padding)
    return replace(answer, finish_reason=answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop"))


def _tool_to_call(asked: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The tool that is forced, or the first on offer, unless tools have been called for the last user message."""
    if asked.get("tool_choice") == "none" or _tool_results(asked):
        return None
    forced = _forced(asked.get("tool_choice"))
    for tool in as_dicts(asked.get("tools")):
        kind = "custom" if tool.get("type") == "custom" else "function"
        described = as_dict(tool.get(kind))
        if "name" in described and forced in (None, described["name"]):
            return call_of(described, kind == "custom", _last_prompt(asked))
    return None


def _forced(choice: Any) -> Any:
    """The name that a ``tool_choice`` asks for, if it does."""
    allowed = as_dicts(as_dict(as_dict(choice).get("allowed_tools")).get("tools"))
    first = allowed[0] if allowed else as_dict(choice)
    return (as_dict(first.get("function")) or as_dict(first.get("custom"))).get("name")


def _text(asked: Mapping[str, Any]) -> str:
    wanted = as_dict(asked.get("response_format"))
    schema = as_dict(wanted.get("json_schema")).get("schema")
    prompt = _last_prompt(asked)
    return json_answer(wanted, schema, prompt) or sentence(prompt, _tool_results(asked))


# Usage


def _usage(answers: Sequence[Answer], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Counted from the lengths of what was asked and what was answered."""
    prompt = token_count(json.dumps(asked["messages"]))
    cached, written = cached_counts(prompt)
    effort = REASONING_TOKENS.get(str(asked.get("reasoning_effort")), 0)
    reasoning = sum(token_count(answer.reasoning) if answer.reasoning else effort for answer in answers)
    made = reasoning + sum(token_count(json.dumps(_message(answer, asked))) for answer in answers)
    spoken = sum(token_count(answer.audio) for answer in answers if answer.audio)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": _heard(_messages(asked)),
        },
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": spoken,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _heard(messages: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of the audio in the messages."""
    parts = [part for message in messages for part in as_dicts(message.get("content"))]
    sounds = [as_dict(part.get("input_audio")).get("data") for part in parts if part.get("type") == "input_audio"]
    return sum(token_count(str(sound)) for sound in sounds)


# Reading the request


def _messages(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return as_dicts(asked["messages"])


def _last_prompt(asked: Mapping[str, Any]) -> str:
    said = [text_of(message.get("content")) for message in _messages(asked) if message.get("role") == "user"]
    return said[-1] if said else "nothing"


def _tool_results(asked: Mapping[str, Any]) -> list[str]:
    """What tools have answered since the last user message."""
    results: list[str] = []
    for message in _messages(asked):
        if message.get("role") == "user":
            results.clear()
        elif message.get("role") == "tool":
            results.append(text_of(message.get("content")))
    return results
