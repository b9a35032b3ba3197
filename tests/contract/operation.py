"""What the contract is tried on: an SDK, an operation of it, and a driver that calls the operation in one way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiobs.semconv.metrics import INFERENCE
from aiobs.testing import Simulator
from tests.versions import aio_of

NEEDLE = "N33DLE"
"""In every prompt, answer and error message; ``SAID`` is what the model says, in two chunks or more."""

PROMPT = f"What is {NEEDLE}?"
SAID = f"It is {NEEDLE}, and no more."


@dataclass(frozen=True)
class SDK:
    """What the operations of one SDK have in common.

    ``name`` is what the session file says · ``server``: ``gen_ai.provider.name`` · ``clients``: the simulator's, sync
    and async · ``place`` finds in a client (async: what ``entered`` made of it) what the operations are methods of ·
    ``codes``: what ``Simulator.fail`` is told for a status · ``error_types``: the ``error.type`` that it comes to ·
    ``request_id``: the simulator's id of the first request (None: the provider has no such ids).
    """

    name: str
    server: str
    clients: tuple[str, str]
    codes: Mapping[int, str | None]
    error_types: Mapping[int, str]
    entered: Callable[[Any], Any] = lambda client: client
    request_id: str | None = None


@dataclass(frozen=True)
class Operation:
    """One operation of one SDK.

    ``method`` finds it in a client and ``streamed`` its streaming twin (None: it has none), ``arguments`` and
    ``stream_arguments`` are theirs beside the prompt, which goes to ``prompt`` as ``asks`` shapes it · ``said`` is the
    text of an answer, ``piece`` that of a chunk · ``usage`` is scripted by the wire's names, and comes to ``tokens``
    (input, output) · ``reason`` is the finish reason of a good answer · ``opening``: a stream's first events, without
    an end · ``features`` of ``tests/versions.py`` that the installed SDK must have, ``refusals`` those without which it
    does not hand on a refusal · ``target``: what the span is named after where that is not the model · ``is_text``: what it says is text, not a picture or sound · ``is_binary``: an
    answer is bytes as they come, none of which the SDK refuses · ``needles``: how often the needle is on the span when
    the gate is open, if that is not twice for inference and else never · ``objects`` makes the arguments that are objects
    of the SDK · ``hands_on_anything``: an event that is no JSON goes to the program as it is · ``body``: the type whose
    fields the method takes as ``**`` of anything.
    """

    name: str
    sdk: SDK
    operation: str
    api: str
    method: Callable[[Any], Any]
    prompt: str | None = None
    usage: Mapping[str, Any] | None = None
    tokens: tuple[int | None, int | None] = (None, None)
    streamed: Callable[[Any], Any] | None = None
    asks: Callable[[str], Any] = str
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"model": "m"})
    stream_arguments: Mapping[str, Any] = field(default_factory=dict)
    said: Callable[[Any], str] | None = None
    piece: Callable[[Any], str] | None = None
    reason: str | None = None
    opening: Sequence[bytes] = ()
    features: Sequence[str] = ()
    refusals: Sequence[str] = ()
    target: str | None = None
    needles: int | None = None
    hands_on_anything: bool = False
    body: Callable[[], Any] | None = None
    is_text: bool = True
    is_binary: bool = False
    objects: Callable[[], Mapping[str, Any]] = dict

    @property
    def in_file(self) -> str | None:
        """The text of an answer in the session file."""
        return SAID if self.said and self.is_text else None

    @property
    def on_span(self) -> int:
        """How often the needle is on the span when the gate is open."""
        return (2 if self.is_inference else 0) if self.needles is None else self.needles

    @property
    def model(self) -> str | None:
        """The model that is asked for, if one is."""
        return self.arguments.get("model")

    @property
    def has_content(self) -> bool:
        """The session file has something that was said or asked."""
        return bool(self.prompt or self.said or self.needles)

    @property
    def is_streamed_by_name(self) -> bool:
        """The conventions know that it can be streamed."""
        return self.operation != "fetch_response"

    @property
    def named_after(self) -> str | None:
        """What follows the operation in the name of the span."""
        return self.target or self.model

    @property
    def duration(self) -> str:
        """The histogram that a call is counted in."""
        return "gen_ai.client.inference.duration" if self.is_inference else "gen_ai.client.operation.duration"

    @property
    def is_inference(self) -> bool:
        """The conventions count its tokens."""
        return self.operation in INFERENCE


@dataclass(frozen=True)
class Driver:
    """One way of calling one operation."""

    of: Operation
    is_async: bool
    streams: bool

    def __str__(self) -> str:
        return "-".join([self.of.name, "async" if self.is_async else "sync", "stream" if self.streams else "whole"])

    @property
    def begins_with_reading(self) -> bool:
        """The SDK makes the request when its generator is first read."""
        return self.streams and not self.is_async and self.of.sdk.name == "gemini"

    @property
    def says_stream(self) -> bool:
        """Its span says that it was streamed."""
        return self.streams and self.of.is_streamed_by_name

    @property
    def span_name(self) -> str:
        """The name of the call's span."""
        return " ".join(filter(None, (self.of.operation, self.of.named_after)))

    def method(self, client: Any) -> Callable[..., Any]:
        """The SDK's method, bound."""
        found = self.of.streamed if self.streams else self.of.method
        assert found is not None
        bound: Callable[..., Any] = found(client)
        return bound

    def arguments(self, prompt: str = PROMPT) -> dict[str, Any]:
        """What it is called with; a new object each time."""
        extra = self.of.stream_arguments if self.streams else {}
        asked = {self.of.prompt: self.of.asks(prompt)} if self.of.prompt else {}
        return {**self.of.arguments, **self.of.objects(), **extra, **asked}

    def client(self, simulator: Simulator) -> Any:
        """A sync client."""
        return getattr(simulator, self.of.sdk.clients[0])()

    @asynccontextmanager
    async def async_client(self, simulator: Simulator) -> AsyncIterator[Any]:
        """An async client, closed afterwards."""
        async with self.of.sdk.entered(getattr(simulator, self.of.sdk.clients[1])()) as client:
            yield client

    def text(self, taken: Sequence[Any]) -> str | None:
        """What the model said, of the answer or of the chunks."""
        read = self.of.piece if self.streams else self.of.said
        return None if read is None else "".join(map(read, taken))


# OpenAI

OPENAI = SDK(
    name="openai",
    server="openai",
    clients=("openai", "async_openai"),
    codes={400: "context_length_exceeded", 429: "rate_limit_exceeded", 500: None},
    error_types={
        400: "context_length_exceeded",
        429: "rate_limit_exceeded",
        500: "openai.InternalServerError",
    },
    request_id="req_000001",
)


# Google GenAI


def _google(server: str, client: str) -> SDK:
    return SDK(
        name="gemini",
        server=server,
        clients=(client, client),
        codes={400: "FAILED_PRECONDITION", 429: None, 500: None},
        error_types={400: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"},
        entered=aio_of,
    )


GEMINI = _google("gcp.gemini", "gemini")
VERTEX = _google("gcp.vertex_ai", "vertex")
