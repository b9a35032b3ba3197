"""What a simulated provider is told to do: answers, faults, raw replies, gates; and what it received."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiobs.testing.multipart import parse_form

POLL = 0.02  # seconds between two looks at whether a client that is kept waiting is still there


class Gate:
    """Holds a reply back, chunk by chunk: chunk *n* leaves only after ``release`` has let *n* through.

    A chunk is one event of a stream (``[DONE]`` is one too), or the whole body of a reply that is not streamed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._released = 0
        self._open = False
        self.passed = 0
        """How many chunks it has let out so far."""

    def release(self, chunks: int = 1) -> None:
        """Let this many more chunks out."""
        with self._changed:
            self._released += chunks
            self._changed.notify_all()

    def open(self) -> None:
        """Let everything out from now on."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def wait(self, given_up: Callable[[], bool] = lambda: False) -> bool:
        """Wait for leave to send one chunk; False if ``given_up`` says so first."""
        with self._changed:
            while not self._open and self.passed >= self._released:
                if given_up():
                    return False
                self._changed.wait(POLL)
            self.passed += 1
            return True


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one reply; every field that is left alone goes right.

    ``status``: an error answer with the provider's error body (``code``, ``message``, ``retry_after`` seconds) ·
    ``headers``: besides the right ones, with a ``status`` or without · ``silence``: seconds before anything is sent ·
    ``hang_up``: the connection closes instead of an answer · ``chunk_delay``: seconds before each chunk ·
    ``cut_after``: the connection closes after that many chunks, or in the middle of a body that is not streamed ·
    ``error_after``: an error event after that many chunks · ``malformed``: the body, or the second chunk, is no JSON ·
    ``padding``: that many characters more text · ``content_type``: instead of the right one · ``gate``: chunks wait
    for it.
    """

    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    silence: float = 0.0
    hang_up: bool = False
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

    ``tool_calls``: (name, arguments) pairs; arguments that are a string go out as they are, and a name that starts with
    ``custom:`` is a custom tool's · ``audio``: its transcript · ``usage`` overrides counts by the wire's own names,
    nested dicts merged · ``fields``, ``choice`` and ``message`` overlay the body, each choice and each message
    (``None`` values included) · ``chunks``: into how many pieces streamed text is cut · ``choices``: one Answer per
    choice; its ``usage`` and ``fields`` stay those of the outer one.
    """

    text: str | None = None
    tool_calls: Sequence[tuple[str, Any]] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    audio: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    chunks: int | None = None
    choices: Sequence[Answer] = ()
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
    """One request that came in, and what became of it.

    ``headers`` have lower-case names and are as they were sent, credentials included · ``json`` is None for a body that
    is none · ``received_at``: seconds since the epoch · ``status`` is that of the reply it was given, also when a
    fault kept it from going out · ``finished``: the reply is sent or broken off · ``disconnected``: the client went
    away while its reply was held back or on its way.
    """

    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    json: Any
    received_at: float = 0.0
    status: int | None = None
    finished: bool = False
    disconnected: bool = False

    @cached_property
    def form(self) -> dict[str, Any] | None:
        """The fields of a ``multipart/form-data`` body, text or ``Upload``; None for any other body."""
        return parse_form(self.headers.get("content-type", ""), self.body)

    @property
    def fields(self) -> Any:
        """What was asked, as JSON or as a form; a form has text where JSON has numbers."""
        return self.json if self.form is None else self.form
