"""Gemini's embeddings: ``:embedContent``, ``:batchEmbedContents``, and Vertex AI's ``:predict`` of the older models.

Vectors have length 1, are the same for the same text, and near each other for texts that share words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiobs.testing.gemini_request import field, is_vertex, model_of, refused, text_of
from aiobs.testing.gemini_usage import JSON_HEADERS, details
from aiobs.testing.improvise import as_count, as_dict, as_dicts, overlaid, token_count, unit_vector
from aiobs.testing.script import Answer, Fault, Reply, Request

_LARGEST = 3072


def embed_one(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:embedContent``."""
    if (refusal := refused(request, "content")) is not None:
        return refusal
    asked = request.json
    text = text_of(field(asked, "content"))
    embedding = {"values": _vector(text, _size(request, asked))}
    place = {"truncated": False} if is_vertex(request) else {}
    return _reply({"embedding": embedding, "usageMetadata": _usage(request, [text], answer), **place}, answer)


def embed_batch(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:batchEmbedContents``: one vector per request in it."""
    if (refusal := refused(request, "requests")) is not None:
        return refusal
    batch = as_dicts(request.json["requests"])
    texts = [text_of(field(each, "content")) for each in batch]
    sizes = [_size(request, each) for each in batch]
    embeddings = [{"values": _vector(text, size)} for text, size in zip(texts, sizes, strict=True)]
    return _reply({"embeddings": embeddings, "usageMetadata": _usage(request, texts, answer)}, answer)


def predict(request: Request, answer: Answer) -> Reply | Fault:
    """The answer to ``:predict`` with texts as instances; ``Answer.usage`` overlays each one's statistics."""
    if (refusal := refused(request, "instances")) is not None:
        return refusal
    texts = [each.get("content") for each in as_dicts(request.json["instances"])]
    if not all(isinstance(text, str) for text in texts):
        return Fault(400, message="Invalid instances: each must have a string as its content.")
    size = _size(request, as_dict(request.json.get("parameters")))
    predictions = [{"embeddings": _prediction(str(text), size, answer)} for text in texts]
    characters = sum(len("".join(str(text).split())) for text in texts)
    return _reply({"predictions": predictions, "metadata": {"billableCharacterCount": characters}}, answer)


def _prediction(text: str, size: int, answer: Answer) -> dict[str, Any]:
    statistics = {"token_count": token_count(text), "truncated": False}
    return {
        "statistics": overlaid(statistics, answer.usage or {}),
        "values": _vector(text, size),
    }


def _size(request: Request, asked: Mapping[str, Any]) -> int:
    """The dimensions asked for, or those of the model."""
    config = as_dict(field(asked, "embedContentConfig"))
    wanted = field(asked, "outputDimensionality") or field(config, "outputDimensionality")
    return as_count(wanted, _LARGEST) or (_LARGEST if "gemini" in model_of(request) else 768)


def _usage(request: Request, texts: list[str], answer: Answer) -> dict[str, Any]:
    """Tokens of the texts; the two services do not agree on the name of the details."""
    tokens = sum(token_count(text) for text in texts)
    name = "promptTokensDetails" if is_vertex(request) else "promptTokenDetails"
    return overlaid({"promptTokenCount": tokens, name: details({"TEXT": tokens})}, answer.usage or {})


def _reply(body: Mapping[str, Any], answer: Answer) -> Reply:
    return Reply(200, JSON_HEADERS, json.dumps({**body, **answer.fields}).encode())


def _vector(text: str, size: int) -> list[float]:
    return unit_vector(text.lower().split() or [""], size)
