"""Each leak that is put in on purpose is reported."""

from __future__ import annotations

import pytest

from tests.memory.bounds import exceeded
from tests.memory.conftest import Order

LEAKS = {
    "span-kept": ("openai-chat-sync-whole", "bytes"),
    "call-kept": ("openai-chat-sync-stream-read", "bytes"),
    "descriptor-kept": ("openai-chat-sync-whole", "descriptors"),
    "thread-per-call": ("openai-chat-sync-whole", "threads"),
    "task-per-call": ("openai-chat-async-whole", "tasks"),
}

HELD = {
    "shadow-left": ("openai-chat-sync-stream-read", "response after the stream"),
    "shadow-waits": ("gemini-agent-sync-stream-unread", "response after the stream"),
    "stream-tap-cycle": ("openai-chat-sync-stream-read", "stream after the stream"),
    "error-kept": ("openai-chat-sync-whole-failing", "error after the error"),
}


@pytest.mark.parametrize("breakage", LEAKS)
def test_a_leak_is_reported(order: Order, breakage: str) -> None:
    """What grows with the calls exceeds its bound."""
    kind, what = LEAKS[breakage]
    assert what in exceeded(order(kind=kind, calls=100, breakage=breakage), 100)


@pytest.mark.parametrize("breakage", HELD)
def test_a_reference_is_reported(order: Order, breakage: str) -> None:
    """What the program has let go of lives on."""
    scene, what = HELD[breakage]
    assert order(scene=scene, bare=True)[what] is False
    assert order(scene=scene, breakage=breakage)[what] is True
