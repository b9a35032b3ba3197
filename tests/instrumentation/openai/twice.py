"""The same call without and with instrumentation: what a program can see of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiobs import Instrumentor, guard, observer
from aiobs.testing import InMemoryTelemetry, Simulator

READERS = ("fold_chunk", "Tap.first", "partial", "read_response", "read_choices", "read_prompt", "_failure")


def outcome_of(call: Callable[[], Any]) -> tuple[str, Any]:
    """What a program can see of a call: type and text of what it raised, or what it returned."""
    try:
        result = call()
    except Exception as error:
        return type(error).__name__, str(error)
    return type(result).__name__, repr(result)


def both_ways(
    simulator: Simulator,
    signals: InMemoryTelemetry,
    prepare: Callable[[], object],
    call: Callable[[], Any],
    may_fail: tuple[str, ...] = READERS,
) -> None:
    """The same call without and with instrumentation, content on everywhere; exactly one span.

    ``may_fail``: the readers that odd answers may make fail, one step each.
    """
    prepare()
    without = outcome_of(call)
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    prepare()
    assert outcome_of(call) == without
    assert [request.body for request in simulator.requests[:1]] == [request.body for request in simulator.requests[1:2]]
    assert len(signals.spans) == 1
    observer.end()
    export = json.loads(Path(observer.flush()).read_text())
    assert len(export["events"]) == 1
    assert all(cause.startswith(may_fail) for cause in guard.errors), guard.errors
    for span in signals.spans:
        span.to_json().encode()
