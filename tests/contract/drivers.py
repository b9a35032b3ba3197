"""The table of what the contract is tried on: adding an operation is adding one ``Operation`` to ``OPERATIONS``.

Each makes up to four drivers: sync and async, whole and streamed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from aiobs.testing import Simulator
from tests.versions import aio_of, has, needs

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
    an end · ``features`` of ``tests/versions.py`` that the installed SDK must have.
    """

    name: str
    sdk: SDK
    operation: str
    api: str
    method: Callable[[Any], Any]
    prompt: str
    usage: Mapping[str, Any]
    tokens: tuple[int | None, int | None]
    streamed: Callable[[Any], Any] | None = None
    asks: Callable[[str], Any] = str
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"model": "m"})
    stream_arguments: Mapping[str, Any] = field(default_factory=dict)
    said: Callable[[Any], str] | None = None
    piece: Callable[[Any], str] | None = None
    reason: str | None = None
    opening: Sequence[bytes] = ()
    features: Sequence[str] = ()

    @property
    def duration(self) -> str:
        """The histogram that a call is counted in."""
        return "gen_ai.client.inference.duration" if self.said else "gen_ai.client.operation.duration"


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
    def span_name(self) -> str:
        """The name of the call's span."""
        return f"{self.of.operation} {self.of.arguments['model']}"

    def method(self, client: Any) -> Callable[..., Any]:
        """The SDK's method, bound."""
        found = self.of.streamed if self.streams else self.of.method
        assert found is not None
        bound: Callable[..., Any] = found(client)
        return bound

    def arguments(self, prompt: str = PROMPT) -> dict[str, Any]:
        """What it is called with; a new object each time."""
        extra = self.of.stream_arguments if self.streams else {}
        return {**self.of.arguments, **extra, self.of.prompt: self.of.asks(prompt)}

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


def _chat_piece(chunk: Any) -> str:
    return "".join(choice.delta.content or "" for choice in chunk.choices)


def _event(kind: str, rest: str) -> bytes:
    return f'event: {kind}\ndata: {{"type": "{kind}", {rest}}}\n\n'.encode()


_BEGUN = (
    '"response": {"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "m", '
    '"output": [], "parallel_tool_calls": true, "tool_choice": "auto", "tools": []}'
)

CHAT = Operation(
    name="openai-chat",
    sdk=OPENAI,
    operation="chat",
    api="chat.completions.create",
    method=lambda client: client.chat.completions.create,
    streamed=lambda client: client.chat.completions.create,
    prompt="messages",
    asks=lambda prompt: [{"role": "user", "content": prompt}],
    stream_arguments={"stream": True, "stream_options": {"include_usage": True}},
    said=lambda answer: answer.choices[0].message.content,
    piece=_chat_piece,
    usage={"prompt_tokens": 7, "completion_tokens": 5},
    tokens=(7, 5),
    reason="stop",
    opening=[
        b'data: {"id": "c", "model": "m", "object": "chat.completion.chunk", "created": 1, "choices": '
        b'[{"index": 0, "delta": {"role": "assistant", "content": "N33DLE"}, "finish_reason": null}]}\n\n'
    ],
)

RESPONSES = Operation(
    name="openai-responses",
    sdk=OPENAI,
    operation="chat",
    api="responses.create",
    features=("openai responses",),
    method=lambda client: client.responses.create,
    streamed=lambda client: client.responses.create,
    prompt="input",
    stream_arguments={"stream": True},
    said=lambda answer: answer.output_text,
    piece=lambda event: event.delta if event.type == "response.output_text.delta" else "",
    usage={"input_tokens": 7, "output_tokens": 5},
    tokens=(7, 5),
    reason="stop",
    opening=[
        _event("response.created", f'"sequence_number": 0, {_BEGUN}'),
        _event(
            "response.output_text.delta",
            '"sequence_number": 1, "item_id": "i", "output_index": 0, "content_index": 0, "delta": "N33DLE", '
            '"logprobs": []',
        ),
    ],
)

EMBEDDINGS = Operation(
    name="openai-embeddings",
    sdk=OPENAI,
    operation="embeddings",
    api="embeddings.create",
    method=lambda client: client.embeddings.create,
    prompt="input",
    usage={"prompt_tokens": 7},
    tokens=(7, None),
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


def _text_of(response: Any) -> str:
    parts = response.candidates[0].content.parts if response.candidates else []
    return "".join(part.text or "" for part in parts or [])


def _generate_content(name: str, sdk: SDK) -> Operation:
    return Operation(
        name=name,
        sdk=sdk,
        operation="generate_content",
        features=("gemini",),
        api="models.generate_content",
        method=lambda client: client.models.generate_content,
        streamed=lambda client: client.models.generate_content_stream,
        prompt="contents",
        said=_text_of,
        piece=_text_of,
        usage={"promptTokenCount": 7, "candidatesTokenCount": 5},
        tokens=(7, 5),
        reason="stop",
        opening=[
            b'data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "N33DLE"}]}, "index": 0}], '
            b'"modelVersion": "m"}\r\n\r\n'
        ],
    )


def _embed_content(name: str, sdk: SDK, usage: Mapping[str, Any], tokens: int | None = 7) -> Operation:
    return Operation(
        name=name,
        sdk=sdk,
        operation="embeddings",
        api="models.embed_content",
        method=lambda client: client.models.embed_content,
        prompt="contents",
        arguments={"model": "text-embedding-005"},
        usage=usage,
        tokens=(tokens, None),
        features=("gemini",),
    )


OPERATIONS = (
    CHAT,
    RESPONSES,
    EMBEDDINGS,
    _generate_content("gemini", GEMINI),
    _generate_content("vertex", VERTEX),
    _embed_content(
        "gemini-embeddings", GEMINI, {"promptTokenCount": 7}, 7 if has("gemini usage of embeddings") else None
    ),
    _embed_content("vertex-embeddings", VERTEX, {"token_count": 7}),
)

DRIVERS = tuple(
    Driver(operation, is_async, streams)
    for operation in OPERATIONS
    for is_async in (False, True)
    for streams in ((False, True) if operation.streamed else (False,))
)
WHOLE = tuple(driver for driver in DRIVERS if not driver.streams)
STREAMS = tuple(driver for driver in DRIVERS if driver.streams)


def _errors(driver: Driver, refused: bool) -> Sequence[str]:
    unread = refused and driver.is_async and driver.streams and driver.of.sdk.name == "gemini"
    return ["gemini errors of async streams"] if unread else []


def parametrize(drivers: Sequence[Driver], *, refused: bool = False) -> pytest.MarkDecorator:
    """A test of each driver, skipped where the installed SDK lacks the operation, or cannot read a refusal of it."""
    params = [pytest.param(driver, marks=needs(*driver.of.features, *_errors(driver, refused))) for driver in drivers]
    return pytest.mark.parametrize("driver", params, ids=str)
