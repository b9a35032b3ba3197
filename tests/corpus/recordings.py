"""The recorded exchanges in the folder that ``AIOBS_CASSETTES`` names: what was asked by HTTP, and what came back."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from aiobs.testing.multipart import parse_form
from tests.versions import has

VARIABLE = "AIOBS_CASSETTES"

KINDS = {
    "chat": r"POST .*/chat/completions",
    "responses": r"POST .*/responses",
    "embeddings": r"POST .*/embeddings",
    "generate_content": r"POST .*/models/[^/]+:generateContent",
    "generate_content_stream": r"POST .*/models/[^/]+:streamGenerateContent",
    "embed_content": r"POST .*/models/[^/]+:(?:embedContent|batchEmbedContents)",
    "completions": r"POST .*/v1/completions",
    "responses.retrieve": r"GET .*/responses/[^/]+",
    "responses.delete": r"DELETE .*/responses/[^/]+",
    "responses.compact": r"POST .*/responses/compact",
    "responses.input_tokens": r"POST .*/responses/input_tokens",
    "conversations.create": r"POST .*/conversations",
    "conversations.delete": r"DELETE .*/conversations/[^/]+",
    "images.generate": r"POST .*/images/generations",
    "images.edit": r"POST .*/images/edits",
    "speech": r"POST .*/audio/speech",
    "transcriptions": r"POST .*/audio/transcriptions",
    "translations": r"POST .*/audio/translations",
    "moderations": r"POST .*/moderations",
    "batches": r"POST .*/batches",
    "batches.retrieve": r"GET .*/batches/[^/]+",
    "realtime": r"POST .*/realtime/.*",
    "assistants": r"\w+ .*/(?:assistants|threads)(?:/.*)?",
    "interactions": r"POST .*/interactions",
    "count_tokens": r"POST .*/models/[^/]+:countTokens",
    "caches.create": r"POST .*/cachedContents",
    "caches.delete": r"DELETE .*/cachedContents/[^/]+",
    "not a model call": r"\w+ .*/(?:files|vector_stores|token|telemetry/runs|organization/usage)(?:/.*)?",
}
"""What kind of call a method and path are; the first that fits."""

SUPPORTED = {
    "chat": "openai",
    "responses": "openai responses",
    "embeddings": "openai",
    "generate_content": "gemini",
    "generate_content_stream": "gemini",
    "embed_content": "gemini",
    "interactions": "gemini interactions",
    "batches": "openai",
    "batches.retrieve": "openai",
    "completions": "openai",
    "responses.retrieve": "openai responses",
    "responses.compact": "openai responses.compact",
    "responses.input_tokens": "openai counts of tokens",
    "conversations.create": "openai conversations",
    "conversations.delete": "openai conversations",
    "images.generate": "openai",
    "images.edit": "openai",
    "speech": "openai",
    "transcriptions": "openai",
    "translations": "openai",
    "moderations": "openai",
    "count_tokens": "gemini",
    "caches.create": "gemini",
}
"""The kinds that are replayed, those with a row in a provider's table of operations: what the SDK must have for it."""

UNSUPPORTED = {
    "responses.delete": "openai.resources.responses:Responses.delete",
    "realtime": "openai.resources.realtime.client_secrets:ClientSecrets.create",
    "assistants": "openai.resources.beta.threads.runs:Runs.create",
    "caches.delete": "google.genai.caches:Caches.delete",
}
"""The kinds that are recorded and not instrumented: the SDK method that would make such a call."""

_HOP_BY_HOP = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Recorded:
    """One recorded exchange; ``name`` is its file and its place in there."""

    name: str
    kind: str
    url: str
    asked: bytes
    status: int
    headers: dict[str, str]
    body: bytes

    @cached_property
    def request(self) -> Any:
        """The JSON that was sent, or the fields of the form; nothing is an empty object."""
        if not self.is_form:
            return json.loads(self.asked or b"{}")
        boundary = self.asked.partition(b"\r\n")[0].removeprefix(b"--").decode()
        return parse_form(f"multipart/form-data; boundary={boundary}", self.asked)

    @property
    def is_form(self) -> bool:
        """A form was sent, not JSON."""
        return self.asked.startswith(b"--")

    @property
    def model(self) -> str:
        """The model that Google's URLs name."""
        found = re.search(r"/models/([^/:]+):", unquote(urlsplit(self.url).path))
        assert found
        return found[1]

    @property
    def last(self) -> str:
        """What the URL ends with: often an id."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def host(self) -> str:
        """Who answered."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_streamed(self) -> bool:
        """A stream was asked for."""
        return self.kind.endswith("_stream") or bool(self.kind != "embed_content" and self.request.get("stream"))

    @cached_property
    def frames(self) -> list[Any]:
        """The JSON that came back: one value, or one per event of a stream; none for what is no JSON."""
        if not self.is_sse:
            parsed = _json(self.body)
            return [] if parsed is None else [parsed]
        return [parsed for event in events(self.body) if (parsed := _json(data_of(event))) is not None]

    @property
    def is_sse(self) -> bool:
        """The body is a stream of events."""
        return self.body.lstrip().startswith((b"data:", b"event:", b":", b"id:"))


def events(body: bytes) -> list[bytes]:
    """The events of a stream, each with the blank line after it."""
    return [event for event in re.findall(rb".+?(?:\r?\n\r?\n|\Z)", body, re.DOTALL) if event.strip()]


def data_of(event: bytes) -> bytes:
    """What an event's ``data`` lines say together."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def kind_of(method: str, url: str) -> str:
    """What kind of call this is; a KeyError-like AssertionError for one that no row of ``KINDS`` knows."""
    line = f"{method} {urlsplit(url).path}"
    found = [kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, line)]
    assert found, f"no kind for {line}; add a row to KINDS"
    return found[0]


_named = os.environ.get(VARIABLE)  # read now: tests run without the variables of whoever runs them


def folder() -> Path | None:
    """Where the recordings are, None if nobody said so."""
    return Path(_named) if _named else None


@cache
def load() -> tuple[Recorded, ...]:
    """Every recorded exchange, in the order of the file names; none without the folder."""
    root = folder()
    if root is None:
        return ()
    paths = sorted(root.rglob("*.json"), key=lambda path: path.relative_to(root).as_posix())
    return tuple(exchange for path in paths for exchange in _exchanges(path, path.relative_to(root).as_posix()))


def supported() -> list[Recorded]:
    """The exchanges that are replayed.

    Some clients asked Gemini for a stream that is one JSON array; the SDK asks for events. Such an exchange is replayed
    as it was, which the SDK refuses, and once more as the events that the SDK would have got.
    """
    replayed = [exchange for exchange in load() if exchange.kind in SUPPORTED and has(SUPPORTED[exchange.kind])]
    return [variant for exchange in replayed for variant in (exchange, *_as_events(exchange))]


def _as_events(exchange: Recorded) -> list[Recorded]:
    if exchange.kind != "generate_content_stream" or not exchange.body.lstrip().startswith(b"["):
        return []
    body = b"".join(b"data: %s\r\n\r\n" % json.dumps(frame).encode() for frame in exchange.frames[0])
    headers = {**exchange.headers, "content-type": "text/event-stream"}
    return [replace(exchange, name=f"{exchange.name}~events", body=body, headers=headers)]


def _exchanges(path: Path, name: str) -> list[Recorded]:
    interactions = json.loads(path.read_text(encoding="utf-8"))["interactions"]
    return [_exchange(f"{name}#{place}", interaction) for place, interaction in enumerate(interactions)]


def _exchange(name: str, interaction: dict[str, Any]) -> Recorded:
    request, response = interaction["request"], interaction["response"]
    headers = {key: value for key, value in response["headers"].items() if key not in _HOP_BY_HOP}
    return Recorded(
        name=name,
        kind=kind_of(request["method"], request["uri"]),
        url=request["uri"],
        asked=_bytes(request),
        status=response["status"],
        headers={"x-request-id": "req_recorded", **headers},
        body=_bytes(response),
    )


def _bytes(message: dict[str, Any]) -> bytes:
    if message.get("body_b64") is not None:
        return base64.b64decode(message["body_b64"])
    return (message["body"] or "").encode("utf-8", "surrogatepass")
