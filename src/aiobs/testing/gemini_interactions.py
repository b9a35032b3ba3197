"""Gemini's ``/interactions``: created whole, streamed or in the background, asked after by id, cancelled.

``Answer.fields`` overlay the interaction (``status``, ``continuation_token``, ``steps``), ``Answer.usage`` its counts.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from aiobs.testing.examples_of import example_of
from aiobs.testing.gemini_usage import JSON_HEADERS
from aiobs.testing.improvise import as_dict, as_dicts, overlaid, pieces, sentence, shortened, token_count
from aiobs.testing.script import Answer, Fault, Reply, Request
from aiobs.testing.stored import Store
from aiobs.testing.wire import Handler

CREATED = "2026-09-21T14:13:20Z"
_SSE_HEADERS = {"content-type": "text/event-stream"}
_SIGNATURE = b64encode(b"a simulated thought").decode()
_COUNTS = ("total_input_tokens", "total_output_tokens", "total_thought_tokens", "total_tool_use_tokens")


@dataclass
class Kept:
    """An interaction as it ends, and how many times yet it is not finished when somebody asks."""

    interaction: dict[str, Any]
    chunks: int | None
    polls: int


_store: Store[Kept] = Store()


def create(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /interactions``: the answer, its events, or the word that it is being worked on."""
    asked = request.json
    if not isinstance(asked, dict):
        return Fault(400, message="Invalid JSON payload received. Unexpected token.")
    if not (asked.get("model") or asked.get("agent")):
        return Fault(400, message="One of `model` or `agent` must be specified.")
    whole = _interaction(request, answer, asked)
    polls = 1 if asked.get("background") is True else 0
    _store.keep(request, whole["id"], Kept(whole, answer.chunks, polls))
    if asked.get("stream") is True:
        return Reply(200, _SSE_HEADERS, _events(whole, answer.chunks))
    return _whole(_unfinished(whole, "in_progress") if polls and "status" not in answer.fields else whole)


def fetch(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /interactions/{id}``: one from the background is finished when it is asked for the second time."""
    kept = _find(request)
    if kept is None:
        return _unknown(request)
    query = {name: values[-1] for name, values in parse_qs(request.query).items()}
    if query.get("stream") == "true":
        seen = query.get("last_event_id", "")
        events = _events(kept.interaction, kept.chunks)
        return Reply(200, _SSE_HEADERS, events[int(seen) + 1 if seen.isdecimal() else 0 :])
    if kept.polls:
        kept.polls -= 1
        return _whole({**_unfinished(kept.interaction, "in_progress"), **answer.fields})
    return _whole({**kept.interaction, **answer.fields})


def cancel(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /interactions/{id}/cancel``: one that is finished stays as it is."""
    kept = _find(request)
    if kept is None:
        return _unknown(request)
    if kept.polls:
        kept.interaction, kept.polls = _unfinished(kept.interaction, "cancelled"), 0
    return _whole({**kept.interaction, **answer.fields})


def _find(request: Request) -> Kept | None:
    return _store.find(request, _id_in(request))


def _id_in(request: Request) -> str:
    return request.path.partition("/interactions/")[2].partition("/")[0]


def _unknown(request: Request) -> Fault:
    return Fault(404, message=f"Interaction {_id_in(request)!r} was not found.")


def _whole(body: Mapping[str, Any]) -> Reply:
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


# The interaction


def _interaction(request: Request, answer: Answer, asked: Mapping[str, Any]) -> dict[str, Any]:
    answer = _filled_in(answer, asked)
    steps = _steps(answer)
    who = {key: asked[key] for key in ("model", "agent", "previous_interaction_id") if asked.get(key)}
    return {
        "id": f"v1_simulated{request.number:06d}",
        "status": "requires_action" if answer.tool_calls else "completed",
        "created": CREATED,
        "updated": CREATED,
        "object": "interaction",
        **who,
        "steps": steps,
        "usage": _usage(asked, answer, answer.usage or {}),
        **answer.fields,
    }


def _unfinished(whole: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {key: value for key, value in whole.items() if key not in ("steps", "usage")} | {"status": status}


def _filled_in(answer: Answer, asked: Mapping[str, Any]) -> Answer:
    """The answer with what was left open made up from the request."""
    prompt = _prompt(asked)
    if answer.text is None and answer.tool_calls is None and answer.audio is None:
        functions = [tool for tool in as_dicts(asked.get("tools")) if tool.get("type") == "function"]
        if functions and not _results(asked):
            schema = functions[0].get("parameters") or {"type": "object"}
            call = str(functions[0].get("name")), example_of(schema, shortened(prompt, 80))
            answer = replace(answer, tool_calls=[call])
        else:
            answer = replace(answer, text=sentence(prompt, _results(asked)))
    if answer.fault.padding:
        answer = replace(answer, text=(answer.text or "") + "." * answer.fault.padding)
    return answer


def _prompt(asked: Mapping[str, Any]) -> str:
    """What the user said last, in words."""
    given = asked.get("input")
    texts = [given] if isinstance(given, str) else re.findall(r'"text": "((?:[^"\\]|\\.)*)"', json.dumps(given))
    return " ".join(str(texts[-1]).split()) if texts else "nothing"


def _results(asked: Mapping[str, Any]) -> list[str]:
    steps = as_dicts(asked.get("input"))
    return [json.dumps(step.get("result")) for step in steps if step.get("type") == "function_result"]


def _steps(answer: Answer) -> list[dict[str, Any]]:
    """A thought, what is said, and calls of functions."""
    steps: list[dict[str, Any]] = []
    if answer.reasoning:
        summary = [{"type": "text", "text": answer.reasoning}]
        steps.append({"type": "thought", "signature": _SIGNATURE, "summary": summary})
    content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    if answer.audio:
        sound = b64encode(answer.audio.encode(errors="replace")).decode()
        content.append({"type": "audio", "mime_type": "audio/l16", "data": sound})
    if content:
        steps.append({"type": "model_output", "content": content})
    return steps + [
        {"type": "function_call", "id": f"call_simulated{number:02d}", "name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate(answer.tool_calls or ())
    ]


def _usage(asked: Mapping[str, Any], answer: Answer, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The counts; the total is the sum of the others unless it is changed itself."""
    spent = token_count(json.dumps(asked.get("input")))
    counts = {
        "total_input_tokens": spent,
        "input_tokens_by_modality": [{"modality": "text", "tokens": spent}],
        "total_cached_tokens": 0,
        "total_output_tokens": token_count(answer.text or "") if answer.text else 8,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": token_count(answer.reasoning) if answer.reasoning else 0,
    }
    merged = overlaid(counts, changes)
    if "total_input_tokens" in changes and "input_tokens_by_modality" not in changes:
        merged["input_tokens_by_modality"] = [{"modality": "text", "tokens": changes["total_input_tokens"]}]
    total = sum(value for name in _COUNTS if isinstance(value := merged[name], int))
    return {"total_tokens": total, **merged}


# Events


def _events(whole: Mapping[str, Any], chunks: int | None) -> list[bytes]:
    """The interaction step by step, then all of it but its steps."""
    begun = {key: whole[key] for key in ("id", "object", "model", "agent") if key in whole}
    head = {key: value for key, value in whole.items() if key != "steps"}
    told: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": {**begun, "status": "in_progress"}},
        {"event_type": "interaction.status_update", "interaction_id": whole["id"], "status": "in_progress"},
    ]
    for index, step in enumerate(as_dicts(whole.get("steps"))):
        told += _events_of_step(index, step, chunks)
    told.append({"event_type": "interaction.completed", "interaction": head})
    numbered = [{**event, "event_id": str(number)} for number, event in enumerate(told)]
    return [*map(_event, numbered), b"event: done\ndata: [DONE]\n\n"]


def _event(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n".encode()


def _events_of_step(index: int, step: Mapping[str, Any], chunks: int | None) -> list[dict[str, Any]]:
    kept = {key: value for key, value in step.items() if key not in ("content", "summary", "signature", "arguments")}
    begun = {**kept, "arguments": {}} if "arguments" in step else kept
    deltas = [{"event_type": "step.delta", "index": index, "delta": delta} for delta in _deltas(step, chunks)]
    return [
        {"event_type": "step.start", "index": index, "step": begun},
        *deltas,
        {"event_type": "step.stop", "index": index},
    ]


def _deltas(step: Mapping[str, Any], chunks: int | None) -> list[dict[str, Any]]:
    if step.get("type") == "function_call":
        return [{"type": "arguments_delta", "arguments": json.dumps(step.get("arguments"))}]
    if step.get("type") == "thought":
        summary = [{"type": "thought_summary", "content": content} for content in as_dicts(step.get("summary"))]
        return [*summary, {"type": "thought_signature", "signature": step.get("signature")}]
    deltas: list[dict[str, Any]] = []
    for content in as_dicts(step.get("content")):
        texts = pieces(as_dict(content).get("text"), chunks)
        deltas += [{"type": "text", "text": text} for text in texts] if texts else [dict(content)]
    return deltas


_PLACE = r"/v1(?:alpha|beta|beta1)?(?:/projects/[^/]+/locations/[^/]+)?/interactions"
ROUTES: tuple[tuple[re.Pattern[str], Handler], ...] = (
    (re.compile(f"POST {_PLACE}"), create),
    (re.compile(f"GET {_PLACE}/[^/]+"), fetch),
    (re.compile(f"POST {_PLACE}/[^/]+/cancel"), cancel),
)
