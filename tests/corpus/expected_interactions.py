"""Interactions: what a span has to say, from the recorded JSON; of a stream, event by event."""

from __future__ import annotations

import json
from typing import Any

from tests.corpus.expected import Expected, Spoken, at, double, entries, strings, text, tokens, without_none
from tests.corpus.recordings import Recorded

OPERATIONS = {"interactions": "generate_content"}
"""What it is called if no agent is asked."""

_REASONS = {"completed": "stop", "requires_action": "tool_calls", "failed": "error"}


def request_of(exchange: Recorded) -> dict[str, Any]:
    """Model or agent, and parameters that were asked for."""
    asked = exchange.request
    config = asked.get("generation_config") or {}
    agent = text(asked.get("agent"))
    return without_none(
        {
            "gen_ai.operation.name": OPERATIONS[exchange.kind] if agent is None else "invoke_agent",
            "gen_ai.request.model": text(asked.get("model")),
            "gen_ai.agent.name": agent,
            "gen_ai.agent.id": agent,
            "gen_ai.request.temperature": double(config.get("temperature")),
            "gen_ai.request.top_p": double(config.get("top_p")),
            "gen_ai.request.max_tokens": config.get("max_output_tokens"),
            "gen_ai.request.stop_sequences": strings(config.get("stop_sequences")),
            "gen_ai.request.seed": config.get("seed"),
            "gen_ai.request.reasoning.level": config.get("thinking_level"),
            "gen_ai.request.previous_response.id": text(asked.get("previous_interaction_id")),
            "gen_ai.request.stream": True if exchange.is_streamed else None,
        }
    )


def answer_of(exchange: Recorded) -> Expected:
    """What came back, whole or in events."""
    said = Spoken()
    interaction: dict[str, Any] = {}
    names: dict[int, dict[str, Any]] = {}
    for frame in exchange.frames:
        interaction.update(frame.get("interaction") or ({} if exchange.is_sse else frame))
        for step in entries(interaction.get("steps")):
            _hear(said, step)
        if frame.get("event_type") == "step.start":
            names[frame["index"]] = frame["step"]
        elif frame.get("event_type") == "step.delta":
            _hear_piece(said, names.get(frame["index"], {}), frame["delta"])
    status = interaction.get("status")
    found = {
        "gen_ai.response.id": text(interaction.get("id")),
        "gen_ai.response.model": text(interaction.get("model")),
        "gen_ai.response.finish_reasons": None if status == "in_progress" else (_REASONS.get(str(status), status),),
        **_usage(interaction.get("usage") or {}),
    }
    return Expected(without_none(found), [said])


def _hear(said: Spoken, step: dict[str, Any]) -> None:
    for content in entries(step.get("content")):
        if content["type"] == "text" and step["type"] == "model_output":
            said.text += content.get("text", "")
    for content in entries(step.get("summary")):
        said.reasoning += content.get("text", "")
    if step["type"] == "function_call":
        said.calls.append((step.get("id"), step["name"], step.get("arguments")))
    elif step["type"].endswith("_call"):
        said.others.add(step["id"])


def _hear_piece(said: Spoken, step: dict[str, Any], delta: dict[str, Any]) -> None:
    kind = delta["type"]
    if kind == "text":
        said.text += delta.get("text", "")
    elif kind == "thought_summary":
        said.reasoning += at(delta, "content", "text") or ""
    elif kind == "arguments_delta":
        said.calls.append((step.get("id"), step["name"], json.loads(delta["arguments"])))


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    thoughts = tokens(usage.get("total_thought_tokens"))
    found: dict[str, Any] = {
        "gen_ai.usage.input_tokens": _sum(usage.get("total_input_tokens"), usage.get("total_tool_use_tokens")),
        "gen_ai.usage.output_tokens": _sum(usage.get("total_output_tokens"), thoughts),
        "gen_ai.usage.reasoning.output_tokens": thoughts,
        "gen_ai.usage.cache_read.input_tokens": tokens(usage.get("total_cached_tokens")),
    }
    for name, side in (
        ("input_tokens_by_modality", "input"),
        ("tool_use_tokens_by_modality", "input"),
        ("output_tokens_by_modality", "output"),
        ("cached_tokens_by_modality", "cache_read.input"),
    ):
        for detail in entries(usage.get(name)):
            if detail["modality"] in ("text", "image", "audio"):
                key = f"gen_ai.usage.{detail['modality']}.{side}_tokens"
                found[key] = found.get(key, 0) + detail["tokens"]
    return found


def _sum(*counts: int | None) -> int | None:
    known = [value for value in counts if value is not None]
    return sum(known) if known else None
