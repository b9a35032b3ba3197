"""Google GenAI: generate_content and embed_content, of both APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.contract.operation import GEMINI, SDK, VERTEX, Operation
from tests.versions import has


def _text_of(response: Any) -> str:
    parts = response.candidates[0].content.parts if response.candidates else []
    return "".join(part.text or "" for part in parts or [])


def _generate_content(name: str, sdk: SDK) -> Operation:
    return Operation(
        name=name,
        sdk=sdk,
        operation="generate_content",
        features=("gemini",),
        api="models.generate_content",
        method=lambda client: client.models.generate_content,
        streamed=lambda client: client.models.generate_content_stream,
        prompt="contents",
        said=_text_of,
        piece=_text_of,
        usage={"promptTokenCount": 7, "candidatesTokenCount": 5},
        tokens=(7, 5),
        reason="stop",
        opening=[
            b'data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "N33DLE"}]}, "index": 0}], '
            b'"modelVersion": "m"}\r\n\r\n'
        ],
    )


def _embed_content(name: str, sdk: SDK, usage: Mapping[str, Any], tokens: int | None = 7) -> Operation:
    return Operation(
        name=name,
        sdk=sdk,
        operation="embeddings",
        api="models.embed_content",
        method=lambda client: client.models.embed_content,
        prompt="contents",
        arguments={"model": "text-embedding-005"},
        usage=usage,
        tokens=(tokens, None),
        features=("gemini",),
    )


OPERATIONS = (
    _generate_content("gemini", GEMINI),
    _generate_content("vertex", VERTEX),
    _embed_content(
        "gemini-embeddings", GEMINI, {"promptTokenCount": 7}, 7 if has("gemini usage of embeddings") else None
    ),
    _embed_content("vertex-embeddings", VERTEX, {"token_count": 7}),
)
