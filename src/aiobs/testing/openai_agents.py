"""OpenAI's sessions of agents: opened with or without input, asked after, given events, listened to.

A turn that was begun is at work when the session is asked after for the first time, and done then. Of ``Answer``,
``text``, ``reasoning``, ``tool_calls``, ``usage``, ``chunks`` and ``fields`` (over the session) mean something here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiobs.testing.improvise import as_dict, overlaid, pieces, sentence, token_count
from aiobs.testing.openai_common import CREATED, JSON_HEADERS, PREFIX, SSE_HEADERS, bad_request, text_of
from aiobs.testing.openai_responses_stored import whole
from aiobs.testing.script import Answer, Fault, Reply, Request
from aiobs.testing.stored import Store


@dataclass
class Kept:
    """A session, and how many times yet its turn is not done when somebody asks."""

    session: dict[str, Any]
    polls: int = 0


_store: Store[Kept] = Store()


def create(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /agents/sessions``: the session, or the events of its first turn."""
    asked = request.json
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    if not (asked.get("agent_id") or as_dict(asked.get("agent")).get("model")):
        return bad_request("One of 'agent_id' and 'agent.model' is required.", "agent")
    session = _session(request, asked, answer)
    kept = Kept(session, polls=1 if asked.get("input") else 0)
    _store.keep(request, session["id"], kept)
    if asked.get("stream") is True:
        kept.polls = 0
        return Reply(200, SSE_HEADERS, _events(session, answer, _said(asked.get("input"))))
    return whole(_shown(kept))


def fetch(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /agents/sessions/{id}``."""
    kept = _store.find(request, _id_in(request))
    if kept is None:
        return _unknown(request)
    shown = {**_shown(kept), **answer.fields}
    kept.polls = max(0, kept.polls - 1)
    return whole(shown)


def submit(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /agents/sessions/{id}/events``: accepted, without a word."""
    kept = _store.find(request, _id_in(request))
    if kept is None:
        return _unknown(request)
    events = as_dict(request.json).get("events")
    if not isinstance(events, list) or not events:
        return bad_request("Missing required parameter: 'events'.", "events")
    kept.polls = 1 if any(as_dict(event).get("type") == "agent.session.input.message" for event in events) else 0
    return Reply(202, JSON_HEADERS, b"")


def listen(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /agents/sessions/{id}/events``: the events of a turn, at once."""
    kept = _store.find(request, _id_in(request))
    if kept is None:
        return _unknown(request)
    kept.polls = 0
    return Reply(200, SSE_HEADERS, _events(kept.session, answer, "it")[1:])


def _id_in(request: Request) -> str:
    return request.path.partition("/sessions/")[2].partition("/")[0]


def _unknown(request: Request) -> Fault:
    return Fault(404, message=f"Session with id '{_id_in(request)}' not found.")


def _said(given: Any) -> str:
    messages = given if isinstance(given, list) else [{"content": given}]
    return text_of(as_dict(messages[-1]).get("content")) if messages else "nothing"


def _session(request: Request, asked: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    agent = as_dict(asked.get("agent"))
    return {
        "id": f"agsess_simulated{request.number:06d}",
        "object": "agent.session",
        "agent": {
            "id": asked.get("agent_id") or "agent_simulated",
            "name": "simulated agent" if str(asked.get("agent_id")).startswith("agent_") else None,
            "model": agent.get("model") or "gpt-simulated",
            "instructions": agent.get("instructions"),
            "multi_agent": {},
            "reasoning": {},
            "service_tier": "auto",
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tools": agent.get("tools") or [],
        },
        "created_at": CREATED,
        "last_active_at": CREATED,
        "environment": asked.get("environment") or {"type": "none"},
        "error": None,
        "metadata": asked.get("metadata") or {},
        "required_actions": [],
        "status": "idle",
        "usage": _usage(answer, token_count(_said(asked.get("input")))) if asked.get("input") else None,
        "vault_ids": [],
        **answer.fields,
    }


def _shown(kept: Kept) -> dict[str, Any]:
    return {**kept.session, **({"status": "in_progress", "usage": None} if kept.polls else {})}


def _usage(answer: Answer, spent: int) -> dict[str, Any]:
    made = token_count(answer.text or "") or 8
    counts = {
        "input_tokens": spent,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    merged = overlaid(counts, answer.usage or {})
    return {"total_tokens": merged["input_tokens"] + merged["output_tokens"], **merged}


def _events(session: Mapping[str, Any], answer: Answer, prompt: str) -> list[bytes]:
    """A session that is created, one turn of it, and its rest."""
    turn: dict[str, Any] = {
        "id": "turn_simulated",
        "object": "agent.session.turn",
        "agent_id": session["agent"]["id"],
        "session_id": session["id"],
        "created_at": CREATED,
        "status": "in_progress",
        "usage": None,
    }
    text = sentence(prompt, []) if answer.text is None and answer.tool_calls is None else answer.text or ""
    used = _usage(answer, token_count(prompt))
    done = {**turn, "status": "completed", "usage": used}
    where = {"session_id": session["id"], "turn_id": turn["id"]}
    told: list[dict[str, Any]] = [
        {"type": "agent.session.created", "session": {**session, "status": "in_progress", "usage": None}},
        {"type": "agent.session.turn.created", "turn": turn, **where},
        *_reasoned(answer, where),
        *_spoken(text, answer.chunks, where),
        *_called(answer, where),
        {"type": "agent.session.turn.completed", "turn": done, "usage": used, **where},
        {"type": "agent.session.idle", "session": {**session, "status": "idle"}},
    ]
    return [_event({**event, "event_id": f"event_{number}"}) for number, event in enumerate(told)]


def _event(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _reasoned(answer: Answer, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = "agent.session.turn.reasoning_summary_text.delta"
    place = {"item_id": "item_0", "output_index": 0, "summary_index": 0, **where}
    return [{"type": kind, "delta": answer.reasoning, **place}] if answer.reasoning else []


def _spoken(text: str, chunks: int | None, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    place = {"item_id": "item_1", "output_index": 0, "content_index": 0, **where}
    kind = "agent.session.turn.output_text.delta"
    item = {
        "id": "item_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "phase": "final_answer",
        "turn_id": where["turn_id"],
        "content": [{"type": "output_text", "text": text}],
    }
    done = {"type": "agent.session.turn.item.done", "item": item, "output_index": 0, **where}
    return [*({"type": kind, "delta": piece, **place} for piece in pieces(text, chunks)), done] if text else []


def _called(answer: Answer, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": f"agent.session.turn.item.{step}", "item": item, "output_index": number, **where}
        for number, (name, arguments) in enumerate(answer.tool_calls or ())
        for item in [
            {
                "id": f"fc_{number}",
                "type": "function_call",
                "call_id": f"call_{number}",
                "name": name,
                "arguments": arguments,
                "status": "completed",
                "turn_id": where["turn_id"],
            }
        ]
        for step in ("added", "done")
    ]


_SESSIONS = f"{PREFIX}/agents/sessions"
ROUTES = (
    (re.compile(f"POST {_SESSIONS}"), create),
    (re.compile(f"GET {_SESSIONS}/[^/]+"), fetch),
    (re.compile(f"POST {_SESSIONS}/[^/]+/events"), submit),
    (re.compile(f"GET {_SESSIONS}/[^/]+/events"), listen),
)
