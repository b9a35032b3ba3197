"""Calls that are marked for prompt analysis: an id for each, and the model calls that are made in it.

The id travels in the OpenTelemetry context; a model call that starts there carries it. What a marked call was given,
gave and asked models for is kept, bounded, only where somebody waits for it (``auto_enhance_after``).
"""

from __future__ import annotations

import importlib
import uuid
from typing import TYPE_CHECKING

from opentelemetry.context import Context, create_key, set_value

from aiobs.call import Call, Choice, FunctionCall, Prompt
from aiobs.semconv.metrics import INFERENCE

if TYPE_CHECKING:
    from aiobs.capture.prompt_trace import PromptTrace
    from aiobs.capture.telemetry import Telemetry

MOST_CALLS = 50
"""Model calls of one marked call that are kept; the others are counted."""

_KEY = create_key("aiobs-marked")
_RECEIVER = "aiobs.prompts.enhance"
"""Who gets what is waited for. Named, not imported: it stands above us, and most programs never need it."""

has_begun = False
"""A marked call has been made in this process: until then, nobody looks for one."""


class Mark:
    """What lies in the context of a marked call. ``trace`` is None where nobody waits for it."""

    __slots__ = ("id", "trace")

    def __init__(self, *, is_awaited: bool) -> None:
        global has_begun
        has_begun = True
        self.id = str(uuid.uuid4())
        self.trace = _new_trace(self.id) if is_awaited else None

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
            from aiobs.capture.prompt_trace import model_call  # imported already: there is a trace

            trace.calls.append(model_call(call, prompt, choices))
        else:
            trace.calls_left_out += 1


def _new_trace(mark: str) -> PromptTrace:
    from aiobs.capture.prompt_trace import PromptTrace  # a program in which nobody waits for one does not pay for it

    return PromptTrace(mark)


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
