"""Calls that are marked for prompt analysis: an id for each, and the model calls that are made in it.

The id travels in the OpenTelemetry context; a model call that starts there carries it. What a marked call was given,
gave and asked models for is kept, bounded, only where somebody waits for it (``auto_enhance_after``).
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, create_key, set_value

from aiobs.call import Call, Choice, FunctionCall, Message, Prompt
from aiobs.semconv.content import content_of
from aiobs.semconv.metrics import INFERENCE
from aiobs.semconv.serialise import truncate
from aiobs.settings import Limits

if TYPE_CHECKING:
    from aiobs.capture.telemetry import Telemetry

MOST_CALLS = 50
"""Model calls of one marked call that are kept; the others are counted."""

LIMITS = Limits(part=8_192, call=32_768)
"""How much of what such a call said is kept, in bytes."""

_KEY = create_key("aiobs-marked")
_RECEIVER = "aiobs.prompts.enhance"
"""Who gets what is waited for. Named, not imported: it stands above us, and most programs never need it."""

has_begun = False
"""A marked call has been made in this process: until then, nobody looks for one."""


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


class Mark:
    """What lies in the context of a marked call. ``trace`` is None where nobody waits for it."""

    __slots__ = ("id", "trace")

    def __init__(self, *, is_awaited: bool) -> None:
        global has_begun
        has_begun = True
        self.id = str(uuid.uuid4())
        self.trace = PromptTrace(self.id) if is_awaited else None

    def within(self, context: Context) -> Context:
        """The context, with this mark in it."""
        return set_value(_KEY, self, context)

    def wants(self, call: Call) -> bool:
        """Somebody waits for it, and it asks a model: a fetched answer was asked for by the call that made it."""
        return self.trace is not None and call.operation in INFERENCE

    def take(self, call: Call, prompt: Prompt | None, choices: list[Choice]) -> None:
        """Keep a model call that is over and is wanted; ``prompt`` is None without content."""
        trace = self.trace
        if trace is None:
            return
        if len(trace.calls) < MOST_CALLS:
            trace.calls.append(_model_call(call, prompt, choices))
        else:
            trace.calls_left_out += 1


def mark_in(context: Context) -> Mark | None:
    """The mark of the innermost marked call that this context is in."""
    found = context.get(_KEY)
    return found if isinstance(found, Mark) else None


def deliver(mark: Mark, function: str, after: int, call: FunctionCall, ids: tuple[str, str], to: Telemetry) -> None:
    """A marked call that somebody waits for is over; ``ids`` are those of its trace and span."""
    trace = mark.trace
    if trace is None:
        return
    if call.args is not None or call.kwargs is not None:
        trace.inputs = {"args": call.args, "kwargs": call.kwargs}
    trace.result, trace.error, trace.duration_ms = call.result, call.error, round(call.duration_ns / 1e6, 3)
    trace.trace_id, trace.span_id = ids
    importlib.import_module(_RECEIVER).receive(function, after, trace, to)


def _model_call(call: Call, prompt: Prompt | None, choices: list[Choice]) -> ModelCall:
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
