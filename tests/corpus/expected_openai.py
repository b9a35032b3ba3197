"""Chat, responses and embeddings: what a span has to say, from the recorded JSON."""

from __future__ import annotations

import json
from typing import Any

from tests.corpus.expected import (
    Expected,
    Spoken,
    at,
    double,
    entries,
    more_than_one,
    spelled,
    strings,
    text,
    tokens,
    without_none,
)
from tests.corpus.recordings import Recorded

OPERATIONS = {"chat": "chat", "responses": "chat", "embeddings": "embeddings"}


# Requests


def request_of(exchange: Recorded) -> dict[str, Any]:
    """Model and parameters that were asked for."""
    body = exchange.request
    tier = body.get("service_tier")
    common = {
        "gen_ai.operation.name": OPERATIONS[exchange.kind],
        "gen_ai.request.model": body.get("model"),
        "gen_ai.request.temperature": double(body.get("temperature")),
        "gen_ai.request.top_p": double(body.get("top_p")),
        "gen_ai.request.stream": True if body.get("stream") else None,
        "openai.request.service_tier": None if tier == "auto" else tier,
    }
    special = {"chat": _chat_request, "responses": _responses_request, "embeddings": _embeddings_request}
    return without_none({**common, **special[exchange.kind](body)})


def _chat_request(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "openai.api.type": "chat_completions",
        "gen_ai.request.max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "gen_ai.request.frequency_penalty": double(body.get("frequency_penalty")),
        "gen_ai.request.presence_penalty": double(body.get("presence_penalty")),
        "gen_ai.request.stop_sequences": strings(body.get("stop")),
        "gen_ai.request.seed": body.get("seed"),
        "gen_ai.request.choice.count": more_than_one(body.get("n")),
        "gen_ai.request.reasoning.level": body.get("reasoning_effort"),
        "gen_ai.output.type": _output("speech" if "audio" in entries(body.get("modalities")) else None, body),
    }


def _output(known: str | None, body: dict[str, Any]) -> str | None:
    kind = at(body, "response_format", "type")
    return known or (None if kind is None else "json" if kind.startswith("json") else "text")


def _responses_request(body: dict[str, Any]) -> dict[str, Any]:
    kind = at(body, "text", "format", "type")
    conversation = body.get("conversation")
    variables = at(body, "prompt", "variables") or {}
    return {
        "openai.api.type": "responses",
        "gen_ai.request.max_tokens": body.get("max_output_tokens"),
        "gen_ai.request.reasoning.level": at(body, "reasoning", "effort"),
        "gen_ai.request.previous_response.id": body.get("previous_response_id"),
        "gen_ai.conversation.id": conversation if isinstance(conversation, str) else at(conversation, "id"),
        "gen_ai.prompt.name": at(body, "prompt", "id"),
        "gen_ai.prompt.version": at(body, "prompt", "version"),
        **{f"{PROMPT_VARIABLE}.{name}": _variable(value) for name, value in variables.items()},
        "gen_ai.output.type": None if kind is None else "json" if kind.startswith("json") else "text",
    }


PROMPT_VARIABLE = "gen_ai.prompt.variable"


def _variable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _embeddings_request(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.embeddings.dimension.count": body.get("dimensions"),
        "gen_ai.request.encoding_formats": strings(body.get("encoding_format")),
    }


# Errors


def error_of(exchange: Recorded, raised: str) -> dict[str, Any]:
    """The provider's code if it is a word or a number, else the exception's public name."""
    body = exchange.frames[0] if exchange.frames else None
    code = at(body, "error", "code") if at(body, "error") is not None else at(body, "code")
    word = str(code) if type(code) in (str, int) and code else raised
    return {"error.type": word, "aiobs.http.status_code": exchange.status}


# Answers


def answer_of(exchange: Recorded) -> Expected:
    """What came back, by the kind of call."""
    readers = {"chat": _chat, "responses": responses_of, "embeddings": _embeddings}
    return readers[exchange.kind](exchange)


def _embeddings(exchange: Recorded) -> Expected:
    body = exchange.frames[0]
    found = {
        "gen_ai.response.model": text(body.get("model")),
        "gen_ai.usage.input_tokens": tokens(at(body, "usage", "prompt_tokens")),
    }
    return Expected(without_none(found))


def _chat(exchange: Recorded) -> Expected:
    frames = [frame for frame in exchange.frames if isinstance(frame, dict)]
    usage = next((frame["usage"] for frame in reversed(frames) if frame.get("usage")), None)
    found: dict[str, Any] = {
        "gen_ai.response.id": _last(frames, "id"),
        "gen_ai.response.model": _last(frames, "model"),
        "openai.response.service_tier": _last(frames, "service_tier"),
        "openai.response.system_fingerprint": _last(frames, "system_fingerprint"),
        **_chat_usage(usage),
    }
    spoken: dict[int, Spoken] = {}
    reasons: dict[int, str | None] = {}
    pieces: dict[tuple[int, Any], list[Any]] = {}
    for frame in frames:
        for choice in entries(frame.get("choices")):
            index = choice.get("index", 0)
            said = spoken.setdefault(index, Spoken())
            reasons[index] = choice.get("finish_reason") or reasons.get(index)
            message = choice.get("message") or choice.get("delta") or {}
            _hear(said, message)
            _collect_calls(pieces, index, message)
    for (index, _), (call_id, name, arguments) in pieces.items():
        spoken[index].calls.append((call_id, name, spelled(arguments)))
    found["gen_ai.response.finish_reasons"] = tuple(reasons[index] or "error" for index in sorted(reasons)) or None
    return Expected(without_none(found), [spoken[index] for index in sorted(spoken)])


def _last(frames: list[dict[str, Any]], name: str) -> str | None:
    return next((frame[name] for frame in reversed(frames) if text(frame.get(name))), None)


def _chat_usage(usage: Any) -> dict[str, Any]:
    prompt, completion = at(usage, "prompt_tokens_details"), at(usage, "completion_tokens_details")
    split = {
        f"gen_ai.usage.{modality}.{side}_tokens": tokens(at(details, f"{modality}_tokens"))
        for modality in ("text", "image", "audio")
        for side, details in (("input", prompt), ("output", completion))
    }
    return {
        "gen_ai.usage.input_tokens": tokens(at(usage, "prompt_tokens")),
        "gen_ai.usage.output_tokens": tokens(at(usage, "completion_tokens")),
        "gen_ai.usage.cache_read.input_tokens": tokens(at(prompt, "cached_tokens")),
        "gen_ai.usage.cache_write.input_tokens": tokens(at(prompt, "cache_write_tokens")),
        "gen_ai.usage.reasoning.output_tokens": tokens(at(completion, "reasoning_tokens")),
        **split,
    }


def _hear(said: Spoken, message: dict[str, Any]) -> None:
    said.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
    content = message.get("content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            said.text += part
        elif at(part, "type") == "text":
            said.text += part["text"]
        elif at(part, "type") == "thinking":
            said.reasoning += "".join(piece.get("text", "") for piece in part["thinking"])
    said.text += at(message, "audio", "transcript") or ""
    said.refusal += message.get("refusal") or ""


def _collect_calls(pieces: dict[tuple[int, Any], list[Any]], index: int, message: dict[str, Any]) -> None:
    legacy = message.get("function_call")
    calls = entries(message.get("tool_calls"))
    if legacy is not None:
        calls = [*calls, {"index": "legacy", "function": legacy}]
    for place, call in enumerate(calls):
        piece = pieces.setdefault((index, call.get("index", place)), [None, "", ""])
        function = call.get("function") or call.get("custom") or {}
        piece[0] = call.get("id") or piece[0]
        piece[1] = function.get("name") or piece[1]
        piece[2] += function.get("arguments") or function.get("input") or ""


# Responses


def responses_of(exchange: Recorded) -> Expected:
    """A response, whole or in events."""
    answers = [exchange.frames[0]] if not exchange.is_sse else [at(frame, "response") for frame in exchange.frames]
    answers = [answer for answer in answers if isinstance(answer, dict)]
    last: dict[str, Any] = answers[-1] if answers else {}
    usage = next((answer["usage"] for answer in reversed(answers) if answer.get("usage")), None)
    output = entries(last.get("output"))
    found = {
        "gen_ai.response.id": _last(answers, "id"),
        "gen_ai.response.model": _last(answers, "model"),
        "openai.response.service_tier": _last(answers, "service_tier"),
        "gen_ai.conversation.id": at(last, "conversation", "id"),
        "gen_ai.conversation.compacted": any(at(item, "type") == "compaction" for item in output) or None,
        "gen_ai.usage.input_tokens": tokens(at(usage, "input_tokens")),
        "gen_ai.usage.output_tokens": tokens(at(usage, "output_tokens")),
        "gen_ai.usage.cache_read.input_tokens": tokens(at(usage, "input_tokens_details", "cached_tokens")),
        "gen_ai.usage.cache_write.input_tokens": tokens(at(usage, "input_tokens_details", "cache_write_tokens")),
        "gen_ai.usage.reasoning.output_tokens": tokens(at(usage, "output_tokens_details", "reasoning_tokens")),
        "gen_ai.response.finish_reasons": _finish(last, exchange),
    }
    if last.get("status") == "failed":
        found["error.type"] = text(at(last, "error", "code")) or "error"
    said = said_in(output) if output else _pieces(exchange)
    return Expected(without_none(found), [said])


def _finish(last: dict[str, Any], exchange: Recorded) -> tuple[str, ...] | None:
    status, output = last.get("status"), entries(last.get("output"))
    if status == "completed":
        calls = any(at(item, "type") in ("function_call", "custom_tool_call") for item in output)
        return ("tool_calls",) if calls else ("stop",)
    if status == "incomplete":
        reason = at(last, "incomplete_details", "reason")
        return ("length",) if reason == "max_output_tokens" else (reason,)
    if status == "failed" or (status != "cancelled" and exchange.is_sse):
        return ("error",)
    return ("cancelled",) if status == "cancelled" else None


def said_in(output: list[Any]) -> Spoken:
    """What the items of a response say."""
    said = Spoken()
    for item in output:
        kind = item["type"]
        if kind == "message":
            for part in entries(item.get("content")):
                said.text += part.get("text") or ""
                said.refusal += part.get("refusal") or ""
        elif kind == "reasoning":
            for part in (*entries(item.get("summary")), *entries(item.get("content"))):
                said.reasoning += part.get("text") or ""
        elif kind == "function_call":
            said.calls.append((item["call_id"], item["name"], spelled(item["arguments"])))
        elif kind == "custom_tool_call":
            said.calls.append((item["call_id"], item["name"], spelled(item["input"])))
        else:
            said.others.add(item.get("call_id") or item["id"])
    return said


def _pieces(exchange: Recorded) -> Spoken:
    """Of a stream that stops before its end only the pieces are known."""
    said = Spoken()
    for frame in exchange.frames:
        kind, delta = at(frame, "type"), at(frame, "delta")
        if kind == "response.output_text.delta":
            said.text += delta
        elif kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
            said.reasoning += delta
        elif kind == "response.refusal.delta":
            said.refusal += delta
    return said
