"""OpenAI's responses by id: retrieved, cancelled and deleted after they were created.

The only state of the simulated service: the last responses of each simulator in this process.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from aiobs.testing.openai_common import JSON_HEADERS, SSE_HEADERS, bad_request
from aiobs.testing.openai_responses_stream import events, unfinished
from aiobs.testing.script import Answer, Fault, Reply, Request


@dataclass
class Kept:
    """A response as it ends, and how many times yet it is not finished when somebody asks."""

    response: dict[str, Any]
    chunks: int | None
    polls: int


class Store:
    """The last ``limit`` responses, by simulator and id."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str | None, str], Kept] = OrderedDict()

    def keep(self, request: Request, kept: Kept) -> None:
        """Keep what answers this request."""
        name = request.headers.get("host"), str(kept.response["id"])
        with self._lock:
            self._kept[name] = kept
            self._kept.move_to_end(name)  # a later simulator may have the port of an earlier one
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def find(self, request: Request) -> Kept | None:
        """What this request asks for."""
        with self._lock:
            return self._kept.get(_asked_for(request))

    def delete(self, request: Request) -> Kept | None:
        """Forget what this request asks for; returns it."""
        with self._lock:
            return self._kept.pop(_asked_for(request), None)


def _asked_for(request: Request) -> tuple[str | None, str]:
    return request.headers.get("host"), _id_in(request)


def _id_in(request: Request) -> str:
    return request.path.partition("/responses/")[2].partition("/")[0]


store = Store()


def retrieve(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /responses/{id}``: a response from the background is finished when it is asked for the second time."""
    kept = store.find(request)
    if kept is None:
        return _unknown(request)
    query = {name: values[-1] for name, values in parse_qs(request.query).items()}
    if query.get("stream") == "true":
        seen = query.get("starting_after", "")
        return Reply(200, SSE_HEADERS, events(kept.response, kept.chunks)[int(seen) + 1 if seen.isdecimal() else 0 :])
    if kept.polls:
        kept.polls -= 1
        return whole({**unfinished(kept.response, "in_progress"), **answer.fields})
    return whole({**kept.response, **answer.fields})


def cancel(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /responses/{id}/cancel``: only a response from the background can be cancelled."""
    kept = store.find(request)
    if kept is None:
        return _unknown(request)
    if not kept.response["background"]:
        return bad_request("Cannot cancel a synchronous response.")
    if kept.polls:
        kept.response, kept.polls = unfinished(kept.response, "cancelled"), 0
    return whole({**kept.response, **answer.fields})


def delete(request: Request, answer: Answer) -> Reply | Fault:
    """``DELETE /responses/{id}``."""
    if store.delete(request) is None:
        return _unknown(request)
    return whole({"id": _id_in(request), "object": "response.deleted", "deleted": True})


def _unknown(request: Request) -> Fault:
    return Fault(404, message=f"Response with id '{_id_in(request)}' not found.")


def whole(body: Mapping[str, Any]) -> Reply:
    """An object as a reply."""
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())
