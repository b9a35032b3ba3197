"""What is kept of a marked call that somebody waits for, bounded; imported with the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiobs.call import Call, Choice, Message, Prompt
from aiobs.semconv.content import content_of
from aiobs.semconv.serialise import truncate
from aiobs.settings import Limits

LIMITS = Limits(part=8_192, call=32_768)
"""How much of what such a call said is kept, in bytes."""


@dataclass(slots=True)
class ModelCall:
    """One model call: whom it asked, what was said (role and content, other than text as ``[type]``), what it used.

    ``usage`` has ``input_tokens`` and ``output_tokens``, as far as the provider counted them. ``output_type`` is the
    form that was asked for (``json``), if one was. Without content, ``messages`` is empty and ``text`` None.
    """

    model: str | None
    messages: list[dict[str, str]] = field(default_factory=list)
    text: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    duration_ms: float = 0.0
    output_type: str | None = None


@dataclass(slots=True)
class PromptTrace:
    """One marked call: what it was given and gave, how it went, and the model calls made in it.

    ``inputs`` has ``args`` and ``kwargs``, reduced as the capture policy says; None where they are not captured. Model
    calls inside of another marked call are that one's. ``calls_left_out`` were too many.
    """

    enh_prompt_id: str
    inputs: dict[str, Any] | None = None
    result: Any = None
    error: str | None = None
    duration_ms: float = 0.0
    calls: list[ModelCall] = field(default_factory=list)
    calls_left_out: int = 0
    trace_id: str = ""
    span_id: str = ""


def model_call(call: Call, prompt: Prompt | None, choices: list[Choice]) -> ModelCall:
    """A model call that is over; ``prompt`` is None without content."""
    found = ModelCall(
        model=call.request.model,
        usage=_usage(call),
        error=call.failure.type if call.failure is not None else "cancelled" if call.cancelled else None,
        duration_ms=round(call.duration_ns / 1e6, 3),
        output_type=_text(call.request.params.get("output_type")),
    )
    if prompt is not None:
        content = content_of(prompt, (), LIMITS)
        instructions: list[Message] = [{"role": "system", "parts": list(content.instructions)}]
        given = [*(instructions if content.instructions else []), *content.input]
        found.messages = [{"role": message["role"], "content": "\n".join(_said(message))} for message in given]
        text = choices[0].said("text") if choices else None
        found.text = text and truncate(text, LIMITS.part)
    return found


def _usage(call: Call) -> dict[str, int]:
    usage = call.response.usage if call.response is not None else None
    counts = {"input_tokens": usage.input, "output_tokens": usage.output} if usage is not None else {}
    return {name: count for name, count in counts.items() if type(count) is int}


def _said(message: Message) -> Iterator[str]:
    for part in message["parts"]:
        text = part.get("content")
        yield text if part["type"] == "text" and isinstance(text, str) else f"[{part['type']}]"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
