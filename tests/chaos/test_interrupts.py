"""Ctrl-C and ``sys.exit()`` that hit inside a collaborator are the program's: they pass through, once."""

from __future__ import annotations

import pytest

from aiobs import observer
from tests.chaos.breakages import COLLABORATORS, Breakage, broken
from tests.chaos.situations import SITUATIONS, Situation, seen
from tests.chaos.trial import Trials, world

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("steps that are interrupted are missing from the signals"),
]

HIT = (
    "read_request", "read_response", "read_prompt", "fold_chunk", "session_request", "failure_of", "capture.recording.end_attributes",
    "set_status", "emit", "record", "hook-before", "hook-finish", "span-exporter", "on_end", "serialiser",
    "journal-write",
)  # fmt: skip
"""Collaborators that a call may be inside of when it happens."""

PLACES = (
    "openai-chat-sync-whole-answered", "openai-chat-sync-whole-refused", "openai-chat-sync-stream-answered",
    "openai-chat-async-whole-answered", "openai-chat-async-stream-answered", "gemini-sync-whole-answered",
    "gemini-sync-stream-answered", "function", "function-raising", "generator", "async-generator", "block", "functions",
)  # fmt: skip

BREAKAGES = [
    Breakage(collaborator, mode)
    for collaborator in COLLABORATORS
    if collaborator.name in HIT
    for mode in ("interrupts", "exits")
]


def chosen() -> list[Situation]:
    return [situation for situation in SITUATIONS if situation.name in PLACES]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=str)
def test_it_passes_through_once(trials: Trials, breakage: Breakage) -> None:
    """The program gets it where it hit; its next call is as it was, no span stays open, no context stays attached."""
    raised = KeyboardInterrupt if breakage.mode == "interrupts" else SystemExit
    met, found = 0, []
    for situation in chosen():
        expected, _ = trials.alone(situation)
        with world() as place:
            place.open()
            with broken([breakage]) as hits:
                first = seen(trials.house, situation)
                trials.house.simulator._script.clear()
                again = seen(trials.house, situation)
            was_hit = first[:2] == ("raised", raised)
            met += was_hit
            if was_hit and first[-1]:
                found.append(f"{situation}: {first[-1]}")
            if not was_hit and (first != expected or hits[breakage.of.name] == 1):
                found.append(f"{situation}: {first} after {hits} instead of {expected}")
            if again != expected:
                found.append(f"{situation}, again: {again} instead of {expected}")
            trials.house.tidy()
            observer.flush()
            if place.spans.open:
                found.append(f"{situation}: {place.spans.open} spans never ended")
            trials.cases += 1
    assert found == []
    assert met
