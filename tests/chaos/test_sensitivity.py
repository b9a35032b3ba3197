"""The trials would notice: with the guard taken out of one module they report it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.breakages import SINGLES
from tests.chaos.situations import CONNECTIONS, OTHERS, SITUATIONS, situations_of
from tests.chaos.trial import Trials
from tests.versions import has

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("steps that fail are missing from the signals"),
]

PLACES = (
    "openai-chat-sync-whole-answered", "openai-chat-sync-stream-answered", "openai-chat-async-whole-refused",
    "gemini-sync-stream-answered", "function", "async-generator", "block", "functions", "realtime-answered-sync",
)  # fmt: skip

UNGUARDED = {
    "aiobs.capture.drivers": "context-attach-raises",
    "aiobs.capture.recording": "set_attributes-raises",
    "aiobs.capture.streams": "fold_chunk-raises",
    "aiobs.capture.wrappers": "context-attach-raises",
    "aiobs.capture.handoff": "end-raises",
    "aiobs.capture.telemetry": "get_tracer-raises",
    "aiobs.capture.function": "capture.function.reduced-raises",
    "aiobs.capture.helper": "capture.helper.merged-raises",
    "aiobs.capture.sockets": "socket-read_received-raises",
    "aiobs.ambient.current": "context-attach-raises",
    "aiobs.ambient.sources": "run-context-raises",
    "aiobs.ambient.otel": "set_attributes-raises",
    "aiobs.runtime": "journal-write-raises",
    "aiobs.clock": "monotonic-clock-raises",
    "aiobs.instrumentation.openai.transport": "context-get_current-raises",
    "aiobs.instrumentation.google_genai.transport": "context-get_current-raises",
}
"""A module, and what breaks in a way that only its guard keeps from being noticed."""


def unguarded(function: Callable[..., Any], *args: Any) -> Any:
    """As the guard, without the guard."""
    return function(*args)


def loudly(function: Callable[..., Any], error: Exception) -> None:
    """The same of what the guard does with a failure."""
    raise error


@pytest.mark.parametrize("module", UNGUARDED)
def test_a_guard_that_is_missing(trials: Trials, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """What is reported with the guard gone is not reported with it."""
    (breakage,) = [single for single in SINGLES if str(single) == UNGUARDED[module]]
    situations = [situation for situation in (*SITUATIONS, *CONNECTIONS) if situation.name in PLACES]
    assert trials.problems(situations, breakage) == []
    monkeypatch.setattr(importlib.import_module(module), "guarded", unguarded)
    monkeypatch.setattr(importlib.import_module(module), "swallow", loudly, raising=False)
    assert trials.problems(situations, breakage) != []


def test_a_guard_that_is_missing_under_any_operation(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operations that have a share of the trials only are all tried."""
    (breakage,) = [single for single in SINGLES if str(single) == "set_attributes-raises"]
    monkeypatch.setattr(importlib.import_module("aiobs.capture.recording"), "guarded", unguarded)
    missed = [
        one.name for one in OTHERS if all(map(has, one.features)) and not trials.problems(situations_of(one), breakage)
    ]
    assert missed == []


def test_a_guard_that_logs_what_it_swallows(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of an exception in a log record is reported."""
    monkeypatch.setattr("aiobs.guard._where", str)
    (breakage,) = [single for single in SINGLES if str(single) == "read_response-raises"]
    assert any("content in a log record" in problem for problem in trials.problems(SITUATIONS[:2], breakage))
