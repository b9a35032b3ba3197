"""OpenAI's embeddings: unit vectors, the same for the same text, near each other for texts that share words."""

from __future__ import annotations

import json
import re
import struct
from base64 import b64encode
from typing import Any

from aiobs.testing.improvise import overlaid, token_count, unit_vector
from aiobs.testing.openai_common import JSON_HEADERS, bad_request, missing
from aiobs.testing.script import Answer, Reply, Request

_SIZES = {"text-embedding-3-large": 3072}  # and 1536 for all others
_MOST_INPUTS = 2048
_PLACES_PER_WORD = 64


def reply(request: Request, answer: Answer) -> Reply:
    """The answer to ``POST /embeddings``: one vector per input; ``Answer.usage`` and ``fields`` overlay it."""
    asked = request.json
    if (refusal := _refusal(asked)) is not None:
        return refusal
    inputs = _inputs(asked["input"])
    size = asked.get("dimensions") or _size(asked)
    vectors = [unit_vector(_words(words), size) for words in inputs]
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, asked)}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(_tokens(words) for words in inputs)
    usage = overlaid({"prompt_tokens": tokens, "total_tokens": tokens}, answer.usage or {})
    body = {"object": "list", "data": data, "model": asked["model"], "usage": usage, **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


def _refusal(asked: Any) -> Reply | None:
    """The 400 of a request that cannot be answered."""
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    for name in ("model", "input"):
        if asked.get(name) is None:
            return missing(name)
    encoding = asked.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        message = f"Invalid value: '{encoding}'. Supported values are: 'float' and 'base64'."
        return bad_request(message, "encoding_format", "invalid_value")
    return _refused_input(asked["input"]) or _refused_size(asked.get("dimensions"), _size(asked))


def _refused_input(said: Any) -> Reply | None:
    """Strings, token lists, one or many; none of them empty."""
    many = _inputs(said)
    if said == []:
        message = "Invalid 'input': empty array. Expected an array with minimum length 1."
        return bad_request(message, "input", "empty_array")
    if not all(isinstance(each, str) or _are_tokens(each) for each in many):
        message = "Invalid type for 'input': expected one of a string, array of strings, or array of token arrays."
        return bad_request(message, "input", "invalid_type")
    if not all(many):
        return bad_request("Invalid 'input': input cannot be an empty string.", "input", "invalid_value")
    if len(many) > _MOST_INPUTS:
        message = f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}."
        return bad_request(message, "input", "array_above_max_length")
    return None


def _refused_size(size: Any, largest: int) -> Reply | None:
    if size is None or (isinstance(size, int) and 0 < size <= largest):
        return None
    message = f"Invalid value for 'dimensions': {size}. Expected a number from 1 to {largest}."
    return bad_request(message, "dimensions", "invalid_value")


def _are_tokens(said: Any) -> bool:
    return isinstance(said, list) and all(isinstance(each, int) for each in said)


def _inputs(said: Any) -> list[str | list[int]]:
    return said if isinstance(said, list) and not _are_tokens(said) else [said]


def _tokens(said: str | list[int]) -> int:
    return token_count(said) if isinstance(said, str) else len(said)


# Vectors


def _size(asked: dict[str, Any]) -> int:
    return _SIZES.get(str(asked["model"]), 1536)


def _words(said: str | list[int]) -> list[object]:
    return [*(re.findall(r"\w+", said.lower()) or [said])] if isinstance(said, str) else [*said]


def _encoded(vector: list[float], asked: dict[str, Any]) -> list[float] | str:
    """Numbers, or the base64 of little-endian 32-bit floats."""
    if asked.get("encoding_format") != "base64":
        return vector
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
