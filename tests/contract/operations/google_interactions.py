"""Google GenAI: interactions of a model, of both APIs, and of an agent."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.contract.operation import GEMINI, SDK, VERTEX, Operation


def _piece(event: Any) -> str:
    is_text = event.event_type == "step.delta" and event.delta.type == "text"
    return (event.delta.text or "") if is_text else ""


def _said(interaction: Any) -> str:
    contents = [content for step in interaction.steps if step.type == "model_output" for content in step.content]
    return "".join(content.text for content in contents)


def _body(name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module("google.genai.interactions"), name)


def _interactions(name: str, sdk: SDK, **other: Any) -> Operation:
    return Operation(
        **{
            "name": name,
            "sdk": sdk,
            "operation": "generate_content",
            "api": "interactions.create",
            "method": lambda client: client.interactions.create,
            "streamed": lambda client: client.interactions.create,
            "prompt": "input",
            "stream_arguments": {"stream": True},
            "said": _said,
            "piece": _piece,
            "usage": {"total_input_tokens": 7, "total_output_tokens": 5},
            "tokens": (7, 5),
            "reason": "stop",
            "hands_on_anything": True,
            "body": _body("CreateModelInteractionParam"),
            "features": ("gemini interactions of today",),
            "refusals": ("gemini interactions that are tried once",),
            "opening": [
                b'event: interaction.created\ndata: {"event_type": "interaction.created", "interaction": '
                b'{"id": "v1_1", "status": "in_progress", "model": "m"}}\n\n',
                b'event: step.start\ndata: {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}\n\n',
                b'event: step.delta\ndata: {"event_type": "step.delta", "index": 0, "delta": '
                b'{"type": "text", "text": "N33DLE"}}\n\n',
            ],
            **other,
        }
    )


OPERATIONS = (
    _interactions("gemini-interactions", GEMINI),
    _interactions("vertex-interactions", VERTEX),
    _interactions(
        "gemini-agent",
        GEMINI,
        operation="invoke_agent",
        arguments={"agent": "a"},
        target="a",
        needles=2,
        body=_body("CreateAgentInteractionParam"),
    ),
)
