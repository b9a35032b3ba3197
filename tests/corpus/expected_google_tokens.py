"""count_tokens and caches.create of Google: what a span has to say, from the recorded JSON."""

from __future__ import annotations

from typing import Any

from tests.corpus.expected import Expected, at, text, tokens, without_none
from tests.corpus.recordings import Recorded

OPERATIONS = {"count_tokens": "count_tokens", "caches.create": "create_cache"}


def request_of(exchange: Recorded) -> dict[str, Any]:
    """The model."""
    model = exchange.model if exchange.kind == "count_tokens" else _bare(exchange.request["model"])
    return {"gen_ai.operation.name": OPERATIONS[exchange.kind], "gen_ai.request.model": model}


def answer_of(exchange: Recorded) -> Expected:
    """How many tokens it is, and of a cache which one."""
    (body,) = exchange.frames
    found = {
        "gen_ai.response.id": text(body.get("name")),
        "gen_ai.response.model": text(_bare(body.get("model") or "")),
        "aiobs.token_count": tokens(body.get("totalTokens") or at(body, "usageMetadata", "totalTokenCount")),
    }
    return Expected(without_none(found))


def _bare(model: str) -> str:
    return model.removeprefix("models/")
