"""generate_content and embed_content: what a span has to say, from the recorded JSON."""

from __future__ import annotations

from typing import Any

from tests.corpus.expected import (
    Expected,
    Spoken,
    at,
    double,
    entries,
    more_than_one,
    strings,
    text,
    tokens,
    without_none,
)
from tests.corpus.recordings import Recorded

OPERATIONS = {
    "generate_content": "generate_content",
    "generate_content_stream": "generate_content",
    "embed_content": "embeddings",
}
_OUTPUTS = {"IMAGE": "image", "AUDIO": "speech", "TEXT": "text"}


# Requests


def request_of(exchange: Recorded) -> dict[str, Any]:
    """Model and parameters that were asked for."""
    if exchange.kind == "embed_content":
        asked = exchange.request["requests"][0]
        found = {
            "gen_ai.operation.name": OPERATIONS[exchange.kind],
            "gen_ai.request.model": exchange.model,
            "gen_ai.embeddings.dimension.count": asked.get("outputDimensionality"),
        }
        return without_none(found)
    config = {_snake(key): value for key, value in exchange.request.get("generationConfig", {}).items()}
    thinking = {_snake(key): value for key, value in config.get("thinking_config", {}).items()}
    level = thinking.get("thinking_level")  # the SDK sends its enum's spelling
    found = {
        "gen_ai.operation.name": OPERATIONS[exchange.kind],
        "gen_ai.request.model": exchange.model,
        "gen_ai.request.temperature": double(config.get("temperature")),
        "gen_ai.request.top_p": double(config.get("top_p")),
        "gen_ai.request.top_k": config.get("top_k"),
        "gen_ai.request.max_tokens": config.get("max_output_tokens"),
        "gen_ai.request.stop_sequences": strings(config.get("stop_sequences")),
        "gen_ai.request.seed": config.get("seed"),
        "gen_ai.request.choice.count": more_than_one(config.get("candidate_count")),
        "gen_ai.request.reasoning.level": level and level.upper(),
        "gen_ai.request.stream": True if exchange.is_streamed else None,
        "gen_ai.output.type": _output(config),
    }
    return without_none(found)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _output(config: dict[str, Any]) -> str | None:
    modalities = [str(item).upper() for item in entries(config.get("response_modalities"))]
    for modality, output in _OUTPUTS.items():
        if modality in modalities:
            return output
    if config.get("response_mime_type") == "application/json" or config.get("response_schema") is not None:
        return "json"
    return None if config.get("response_mime_type") is None else "text"


# Errors


def error_of(exchange: Recorded, raised: str) -> dict[str, Any]:
    """The provider's status word, else the exception's public name."""
    body = exchange.frames[0] if exchange.frames else None
    word = at(body, "error", "status")
    return {"error.type": word or raised, "aiobs.http.status_code": exchange.status}


# Answers


def answer_of(exchange: Recorded) -> Expected:
    """What came back, by the kind of call."""
    if exchange.kind == "embed_content":
        counts = at(exchange.frames[0], "usageMetadata", "promptTokenCount")
        return Expected(without_none({"gen_ai.usage.input_tokens": tokens(counts)}))
    frames = exchange.frames
    usage: dict[str, Any] = {}
    spoken: dict[int, Spoken] = {}
    reasons: dict[int, str | None] = {}
    blocked = None
    for frame in frames:
        usage.update(without_none(frame.get("usageMetadata") or {}))
        blocked = at(frame, "promptFeedback", "blockReason") or blocked
        for place, candidate in enumerate(entries(frame.get("candidates"))):
            index = candidate.get("index", place)
            reasons[index] = _reason(candidate.get("finishReason")) or reasons.get(index)
            said = spoken.setdefault(index, Spoken())
            for part in entries(at(candidate, "content", "parts")):
                _hear(said, part)
    ended = tuple(reasons[index] or "error" for index in sorted(reasons)) or ((blocked.lower(),) if blocked else None)
    found = {
        "gen_ai.response.id": next((frame["responseId"] for frame in frames if text(frame.get("responseId"))), None),
        "gen_ai.response.model": next((frame["modelVersion"] for frame in frames if frame.get("modelVersion")), None),
        "gen_ai.response.finish_reasons": ended,
        **_usage(usage),
    }
    return Expected(without_none(found), [spoken[index] for index in sorted(spoken)])


def _reason(reason: Any) -> str | None:
    return None if reason in (None, "FINISH_REASON_UNSPECIFIED") else reason.lower()


def _hear(said: Spoken, part: dict[str, Any]) -> None:
    if "text" in part:
        if part.get("thought"):
            said.reasoning += part["text"]
        else:
            said.text += part["text"]
    elif (call := part.get("functionCall")) is not None:
        if call.get("partialArgs") is not None or call.get("willContinue"):
            said.others.add("streamed")  # its arguments come in pieces that have no JSON text
        else:
            said.calls.append((call.get("id"), call.get("name", ""), call.get("args")))


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    prompt, tools = tokens(usage.get("promptTokenCount")), tokens(usage.get("toolUsePromptTokenCount"))
    said, thoughts = tokens(usage.get("candidatesTokenCount")), tokens(usage.get("thoughtsTokenCount"))
    found: dict[str, Any] = {
        "gen_ai.usage.input_tokens": _sum(prompt, tools),
        "gen_ai.usage.output_tokens": _sum(said, thoughts),
        "gen_ai.usage.reasoning.output_tokens": thoughts,
        "gen_ai.usage.cache_read.input_tokens": tokens(usage.get("cachedContentTokenCount")),
    }
    for name, side in (
        ("promptTokensDetails", "input"),
        ("toolUsePromptTokensDetails", "input"),
        ("candidatesTokensDetails", "output"),
        ("cacheTokensDetails", "cache_read.input"),
    ):
        for detail in entries(usage.get(name)):
            modality = str(detail["modality"]).lower()
            if modality in ("text", "image", "audio"):
                key = f"gen_ai.usage.{modality}.{side}_tokens"
                found[key] = found.get(key, 0) + detail.get("tokenCount", 0)
    return found


def _sum(*counts: int | None) -> int | None:
    known = [value for value in counts if value is not None]
    return sum(known) if known else None
