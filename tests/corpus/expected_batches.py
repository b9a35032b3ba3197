"""Batches: what a span has to say, from the recorded JSON; no exchange that is recorded so far was refused."""

from __future__ import annotations

from typing import Any

from tests.corpus.expected import at, text, without_none
from tests.corpus.recordings import Recorded

_OPERATIONS = {"batches": "create_batch", "batches.retrieve": "fetch_batch"}


def attributes_of(exchange: Recorded) -> dict[str, Any]:
    """Which batch, and how far it is."""
    batch = exchange.frames[0]
    return without_none(
        {
            "gen_ai.operation.name": _OPERATIONS[exchange.kind],
            "gen_ai.response.id": text(at(batch, "id")),
            "gen_ai.response.model": text(at(batch, "model")),
            "gen_ai.response.status": text(at(batch, "status")),
        }
    )
