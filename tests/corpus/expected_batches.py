"""Batches: what a span has to say, from the recorded JSON."""

from __future__ import annotations

from typing import Any

from tests.corpus.expected import Expected, at, text, without_none
from tests.corpus.recordings import Recorded

OPERATIONS = {"batches": "create_batch", "batches.retrieve": "fetch_batch"}


def request_of(exchange: Recorded) -> dict[str, Any]:
    """What is asked of a batch."""
    return {"gen_ai.operation.name": OPERATIONS[exchange.kind]}


def answer_of(exchange: Recorded) -> Expected:
    """Which batch, and how far it is."""
    batch = exchange.frames[0]
    found = {
        "gen_ai.response.id": text(at(batch, "id")),
        "gen_ai.response.model": text(at(batch, "model")),
        "gen_ai.response.status": text(at(batch, "status")),
    }
    return Expected(without_none(found))
