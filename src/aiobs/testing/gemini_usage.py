"""Gemini's token counts: ``usageMetadata`` of an answer and a stream so far, ``:countTokens``, ``:computeTokens``."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from aiobs.testing.gemini_request import contents_of, field, is_vertex, offers, parts_of, refused, thinking_of
from aiobs.testing.improvise import as_count, as_dict, cached_counts, overlaid, pieces, token_count
from aiobs.testing.script import Answer, Fault, Reply, Request

JSON_HEADERS = {"content-type": "application/json; charset=UTF-8"}
_SERVER_TOOLS = ("googleSearch", "codeExecution")
_THOUGHTS = {"MINIMAL": 0, "LOW": 64, "MEDIUM": 128, "HIGH": 256}
_MEDIA = {"image": ("IMAGE", 258), "audio": ("AUDIO", 320), "video": ("VIDEO", 2630)}
_DOCUMENT = ("DOCUMENT", 258)
_TOOL_USE = 64
_CACHED_CONTENT = 2048
_SUMMANDS = ("promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount")


def count_tokens(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:countTokens``: what ``promptTokenCount`` would be; ``Answer.fields`` overlay it."""
    asked = as_dict(request.json)
    inner = field(asked, "generateContentRequest")
    if (refusal := refused(request, "contents" if inner is None else "generateContentRequest")) is not None:
        return refusal
    counts = prompt_counts(asked if inner is None else as_dict(inner))
    body = {"totalTokens": sum(counts.values()), "promptTokensDetails": details(counts)}
    return Reply(200, JSON_HEADERS, json.dumps({**body, **answer.fields}).encode())


def compute_tokens(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:computeTokens`` (Vertex AI only): the words of each content stand for its tokens."""
    if (refusal := refused(request, "contents")) is not None:
        return refusal
    infos = [_tokens_info(content) for content in contents_of(request.json)]
    return Reply(200, JSON_HEADERS, json.dumps({"tokensInfo": infos, **answer.fields}).encode())


def _tokens_info(content: Mapping[str, Any]) -> dict[str, Any]:
    words = [word for part in parts_of(content) for word in pieces(str(part.get("text") or ""))]
    ids = [str(int(hashlib.sha256(word.encode()).hexdigest()[:4], 16)) for word in words]
    tokens = [base64.b64encode(word.encode()).decode() for word in words]
    return {"role": content.get("role", "user"), "tokenIds": ids, "tokens": tokens}


def prompt_counts(asked: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of the conversation by modality: by length for text, by piece for media."""
    everything = [field(asked, "systemInstruction"), *contents_of(asked)]
    parts = [part for content in everything for part in parts_of(content)]
    counts = {"TEXT": token_count(json.dumps([_unsigned(part) for part in parts if _media(part) is None]))}
    for modality, tokens in filter(None, map(_media, parts)):
        counts[modality] = counts.get(modality, 0) + tokens
    return counts


def _media(part: Mapping[str, Any]) -> tuple[str, int] | None:
    """The modality of a part that is no text, and what it costs."""
    data = field(part, "inlineData") or field(part, "fileData")
    if not isinstance(data, Mapping):
        return None
    return _MEDIA.get(str(field(data, "mimeType")).partition("/")[0], _DOCUMENT)


def _unsigned(part: Mapping[str, Any]) -> dict[str, Any]:
    """The part without its signature, which costs nothing."""
    return {name: value for name, value in part.items() if name not in ("thoughtSignature", "thought_signature")}


def details(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Counts that are not zero in the wire's form."""
    return [{"modality": modality, "tokenCount": count} for modality, count in counts.items() if count]


def usage_metadata(
    request: Request, answers: Sequence[Answer], candidates: Sequence[Mapping[str, Any]], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The counts of a whole answer, without those that are zero; ``changes`` have the last word.

    The total is the sum of the others, changed or not, unless it is changed itself.
    """
    asked = request.json
    prompt = prompt_counts(asked)
    cached = _CACHED_CONTENT if field(asked, "cachedContent") else cached_counts(sum(prompt.values()))[0]
    prompt["TEXT"] += _CACHED_CONTENT if field(asked, "cachedContent") else 0
    said = _said_counts(candidates)
    tools = _TOOL_USE * sum(offers(asked, tool) for tool in _SERVER_TOOLS) * any(answer.text for answer in answers)
    counts = {
        "promptTokenCount": sum(prompt.values()),
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": sum(said.values()),
        "toolUsePromptTokenCount": tools,
        "thoughtsTokenCount": sum(_thoughts(answer, asked) for answer in answers),
        "totalTokenCount": 1,  # its place; the sum comes last
        "promptTokensDetails": details(prompt),
        "cacheTokensDetails": details({"TEXT": cached}),
        "candidatesTokensDetails": details(said),
        "toolUsePromptTokensDetails": details({"TEXT": tools}),
    }
    place = {"trafficType": "ON_DEMAND"} if is_vertex(request) else {"serviceTier": "standard"}
    usage = overlaid({**{name: count for name, count in counts.items() if count}, **place}, changes)
    total = sum(usage[name] for name in _SUMMANDS if isinstance(usage.get(name), int))
    return {**usage, "totalTokenCount": changes.get("totalTokenCount", total)}


def _said_counts(candidates: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Tokens of the candidates by modality, without thoughts."""
    parts = [part for candidate in candidates for part in parts_of(candidate.get("content")) if not part.get("thought")]
    audio = [part for part in parts if "inlineData" in part]
    words = [_unsigned(part) for part in parts if part not in audio]
    return {
        "TEXT": sum(token_count(json.dumps(part)) for part in words),
        "AUDIO": sum(token_count(str(part["inlineData"])) for part in audio),
    }


def _thoughts(answer: Answer, asked: Mapping[str, Any]) -> int:
    """Tokens of the thoughts that are told, or else as many as the request allows for."""
    if answer.reasoning:
        return token_count(answer.reasoning)
    thinking = thinking_of(asked)
    level = _THOUGHTS.get(str(field(thinking, "thinkingLevel")).upper(), 0)
    return level or as_count(field(thinking, "thinkingBudget"), _THOUGHTS["HIGH"])


def usage_so_far(usage: Mapping[str, Any], thought: Fraction, said: Fraction) -> dict[str, Any]:
    """The usage in a chunk of a stream, when those shares of the thoughts and of the answer are out: cumulative."""
    so_far = dict(usage)
    for name, share in (("thoughtsTokenCount", thought), ("candidatesTokenCount", said)):
        if share == 1 or not isinstance(so_far.get(name), int):
            continue
        to_come = so_far[name] - int(so_far[name] * share)
        so_far[name] -= to_come
        if isinstance(so_far.get("totalTokenCount"), int):
            so_far["totalTokenCount"] = max(0, so_far["totalTokenCount"] - to_come)
        if not so_far[name]:
            del so_far[name]
    if said < 1:
        so_far.pop("candidatesTokensDetails", None)
    return so_far
