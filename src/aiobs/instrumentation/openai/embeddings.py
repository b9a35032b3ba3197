"""Embeddings: how requests and answers are read."""

from __future__ import annotations

import binascii
from array import array
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Request, Response, Usage
from aiobs.instrumentation.fields import count, fields_of, get, items, text, unread
from aiobs.instrumentation.openai.requests import as_sent
from aiobs.instrumentation.records import embeddings_record

if TYPE_CHECKING:
    from openai.types import CreateEmbeddingResponse

_FILE_FIELDS = ("model", "input", "encoding_format", "dimensions", "user")


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, dimensions and the encoding asked for; ``extra_body`` overrides them, as it does on the wire."""
    given = as_sent(kwargs)
    params = {
        name: value
        for key, name in (("dimensions", "dimensions"), ("encoding_format", "encoding_formats"))
        if (value := given.get(key)) is not None
    }
    return Request(model=text(given.get("model")), params=params)


def read_response(result: CreateEmbeddingResponse | Any) -> Response:
    """Model and usage."""
    fields = fields_of(result)
    tokens = count(get(fields.get("usage"), "prompt_tokens"))
    return Response(
        model=text(fields.get("model")),
        usage=None if tokens is None else Usage(input=tokens, native={"prompt_tokens": tokens}),
        request_id=text(getattr(result, "_request_id", None)),
        native=result,
    )


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, encoding_format, dimensions, user, other``: the request as it was passed."""
    given = call.request.kwargs
    texts = given.get("input")
    return {
        **{key: given.get(key) for key in _FILE_FIELDS},
        "model": call.request.model,
        "input": texts if texts is None or isinstance(texts, (str, list, tuple)) else unread(texts),
        "other": {key: value for key, value in given.items() if key not in _FILE_FIELDS},
    }


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage, object, data, embedding_dimensions``; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    entries = items(fields_of(response.native).get("data"))
    vectors = [_vector(get(entry, "embedding")) for entry in entries]
    capture = call.captures_embeddings if response.wants_content else "shape"
    return embeddings_record(response.model, response.usage, vectors, capture=capture)


def _vector(embedding: Any) -> list[float]:
    """Numbers, as the SDK gives them, or the base64 of little-endian floats, as a raw response has them."""
    if isinstance(embedding, (list, tuple)):
        return list(embedding)
    try:
        return array("f", binascii.a2b_base64(embedding)).tolist()
    except (TypeError, ValueError):
        return []
