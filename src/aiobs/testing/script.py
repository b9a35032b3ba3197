"""What a simulated provider is told to do: answers, faults, raw replies, gates; and what it received."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Gate:
    """Holds a streamed reply back, chunk by chunk: chunk *n* leaves only after ``release`` has let *n* through."""

    def __init__(self) -> None:
        self._allowed = threading.Semaphore(0)
        self._open = threading.Event()

    def release(self, chunks: int = 1) -> None:
        """Let this many more chunks out."""
        self._allowed.release(chunks)

    def open(self) -> None:
        """Let everything out from now on."""
        self._open.set()
        self._allowed.release()

    def wait(self, closing: threading.Event) -> None:
        """Wait for leave to send one chunk; returns also when the server closes."""
        while not (self._open.is_set() or closing.is_set()):
            if self._allowed.acquire(timeout=0.02):
                return


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one reply; every field that is left alone goes right.

    ``status``: an error answer with the provider's error body (``code``, ``message``, ``retry_after`` seconds) ·
    ``silence``: seconds before anything is sent · ``chunk_delay``: seconds before each chunk · ``cut_after``: the
    connection closes after that many chunks · ``error_after``: an error event after that many chunks ·
    ``malformed``: the body, or the second chunk, is no JSON · ``padding``: that many characters more text ·
    ``content_type``: instead of the right one · ``gate``: chunks wait for it.
    """

    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    silence: float = 0.0
    chunk_delay: float = 0.0
    cut_after: int | None = None
    error_after: int | None = None
    malformed: bool = False
    padding: int = 0
    content_type: str | None = None
    gate: Gate | None = None


@dataclass(frozen=True)
class Answer:
    """What the model says; None is made up from the request, the same for the same request.

    ``tool_calls``: (name, arguments) pairs · ``usage`` overrides counts by the wire's own names, nested dicts merged ·
    ``fields`` and ``message`` overlay the body and each message (``None`` values included) · ``chunks``: into how many
    pieces streamed text is cut · ``choices``: one Answer per choice instead.
    """

    text: str | None = None
    tool_calls: Sequence[tuple[str, Any]] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    audio: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    chunks: int | None = None
    fault: Fault = field(default_factory=Fault)


@dataclass(frozen=True)
class Reply:
    """Bytes to send as they are: ``body`` in one piece, or a list of chunks to stream."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    body: bytes | Sequence[bytes] = b"{}"
    fault: Fault = field(default_factory=Fault)


@dataclass
class Request:
    """One request that came in. ``json`` is None for a body that is none; credentials are kept as they were sent."""

    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    json: Any
    status: int | None = None
    disconnected: bool = False
