"""embed_content: how requests and answers are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Request, Response, Usage
from aiobs.instrumentation.fields import count, items
from aiobs.instrumentation.google_genai.fields import bare_model, field, plain
from aiobs.instrumentation.records import embeddings_record

if TYPE_CHECKING:
    from google.genai.types import EmbedContentResponse


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model and dimensions."""
    dimensions = field(kwargs.get("config"), "output_dimensionality")
    return Request(
        model=bare_model(kwargs.get("model")), params={} if dimensions is None else {"dimensions": dimensions}
    )


def read_response(result: EmbedContentResponse | Any) -> Response:
    """Usage: of the whole answer, or of each text (Vertex); the Developer API often tells neither."""
    return Response(usage=_usage(result), native=result)


def _usage(result: Any) -> Usage | None:
    whole = field(result, "usage_metadata")
    tokens = count(field(whole, "prompt_token_count"))
    if tokens is not None:
        return Usage(input=tokens, native={"prompt_token_count": tokens})
    each = [count_of(embedding) for embedding in items(field(result, "embeddings"))]
    known = [tokens for tokens in each if tokens is not None]
    return Usage(input=sum(known), native={}) if known else None


def count_of(embedding: Any) -> int | None:
    """Tokens of one text; the SDK makes them a float."""
    tokens = field(field(embedding, "statistics"), "token_count")
    return int(tokens) if isinstance(tokens, (int, float)) and tokens >= 0 and tokens == int(tokens) else None


def session_request(call: Call) -> dict[str, Any]:
    """``model, contents, config, other``: the request as it was passed."""
    given = call.request.kwargs
    config = plain(given.get("config"))
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key not in ("http_options", "httpOptions")}
    return {"model": call.request.model, "contents": plain(given.get("contents")), "config": config, "other": {}}


def session_response(call: Call) -> dict[str, Any] | None:
    """``model, usage, object, data, embedding_dimensions``, in the shape of every provider's embeddings."""
    if call.response is None:
        return None
    found = [items(field(embedding, "values")) for embedding in items(field(call.response.native, "embeddings"))]
    vectors = [list(values) for values in found]
    capture = call.captures_embeddings if call.response.wants_content else "shape"
    return embeddings_record(call.request.model, call.response.usage, vectors, capture=capture)
