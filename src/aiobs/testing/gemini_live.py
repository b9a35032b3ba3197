"""The server's side of Gemini Live: messages as it sends them, and a script that answers with them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from aiobs.testing.socket_server import Event, Script, Step

USAGE = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 5,
    "responseTokenCount": 30,
    "candidatesTokenCount": 30,
    "toolUsePromptTokenCount": 3,
    "thoughtsTokenCount": 4,
    "totalTokenCount": 57,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}, {"modality": "AUDIO", "tokenCount": 12}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}],
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}],
}
"""The Developer API says ``response``, Vertex ``candidates``; the SDK reads the one that it expects."""


def content(**fields: Any) -> Event:
    """A message with content of the server's."""
    return {"serverContent": fields}


def text(said: str, **fields: Any) -> Event:
    """A piece of text."""
    return content(modelTurn={"role": "model", "parts": [{"text": said}]}, **fields)


def sound(data: bytes, mime_type: str = "audio/pcm;rate=24000") -> Event:
    """A piece of sound."""
    blob = {"mimeType": mime_type, "data": base64.b64encode(data).decode()}
    return content(modelTurn={"role": "model", "parts": [{"inlineData": blob}]})


def complete(usage: Event | None = None, **fields: Any) -> Event:
    """The turn is complete."""
    return {**content(turnComplete=True, **fields), "usageMetadata": usage or USAGE}


def call(name: str, arguments: Event, id: str = "call-1") -> Event:
    """The model calls a function."""
    return {"toolCall": {"functionCalls": [{"id": id, "name": name, "args": arguments}]}}


def live(*answers: Iterable[Step], session_id: str | None = "session-1") -> Script:
    """The setup is answered, then each message that the program sends gets the next of these."""
    setup = {"setupComplete": {"sessionId": session_id} if session_id else {}}
    waiting = iter(answers)

    def answer(message: Event, number: int) -> Iterable[Step]:
        return [setup] if "setup" in message else next(waiting, ())

    return Script(answer)


def music(*answers: Iterable[Step]) -> Script:
    """Live music: the setup is answered, then each message that the program sends gets the next of these."""
    waiting = iter(answers)
    return Script(lambda message, number: [{"setupComplete": {}}] if "setup" in message else next(waiting, ()))


def played(*pieces: bytes, mime_type: str = "audio/l16;rate=48000;channels=2") -> Event:
    """Pieces of music."""
    chunks = [{"mimeType": mime_type, "data": base64.b64encode(piece).decode()} for piece in pieces]
    return content(audioChunks=chunks)
