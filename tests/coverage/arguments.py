"""What methods are called with: by the name of the parameter, and for single methods."""

from __future__ import annotations

import io
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
_WAV = b"RIFF" + bytes(40)


def _picture() -> Any:
    return ("cat.png", io.BytesIO(_PNG), "image/png")


def _sound() -> Any:
    return ("cat.wav", io.BytesIO(_WAV), "audio/wav")


VALUES: dict[str, Any] = {
    "batch_id": "batch_1",
    "completion_id": "chatcmpl-1",
    "completion_window": "24h",
    "contents": "Hello",
    "conversation_id": "conv_1",
    "agent_id": "agent_1",
    "endpoint": "/v1/chat/completions",
    "environment": {"type": "none"},
    "file": _sound,
    "image": _picture,
    "input": "Hello",
    "input_file_id": "file-1",
    "messages": [{"role": "user", "content": "Hello"}],
    "metadata": {"team": "x"},
    "model": "gpt-4o-mini",
    "name": "batches/1",
    "prompt": "A cat",
    "query": "a cat",
    "questions": {"so": {"type": "noul", "instructions": "Is it so?"}},
    "response_id": "resp_1",
    "session_id": "sess_1",
    "vector_store_id": "vs_1",
    "voice": "alloy",
}
"""Parameter → value; a function makes a new one for each call."""

OPTIONAL: dict[str, tuple[str, ...]] = {
    "responses.create": ("model", "input"),
    "responses.parse": ("model", "input"),
    "responses.stream": ("model", "input"),
    "responses.input_tokens.count": ("model", "input"),
    "beta.agents.sessions.create": ("agent_id", "input"),
    "beta.responses.create": ("model", "input"),
    "beta.responses.input_tokens.count": ("model", "input"),
    "responses.compact": ("input",),
    "beta.responses.compact": ("input",),
}
"""Parameters with a default that the provider asks for all the same."""

FIXED: dict[str, dict[str, Any]] = {}
"""Single methods whose parameters need more than a name."""

VERTEX: tuple[str, ...] = (
    "models.generate_images",
    "models.edit_image",
    "models.upscale_image",
    "models.recontext_image",
    "models.segment_image",
    "models.generate_videos",
    "models.compute_tokens",
    "operations.get",
)
"""Methods that the Developer API does not have."""

CONNECTIONS: dict[str, dict[str, Any]] = {
    "aio.live.connect": {"model": "m"},
    "aio.live.music.connect": {"model": "m"},
    "beta.realtime.connect": {"model": "m"},
    "beta.responses.connect": {},
    "live.connect": {},
    "live.forks.connect": {"session_id": "live_1"},
    "live.sideband.connect": {"session_id": "live_1"},
    "realtime.connect": {"model": "m"},
    "realtime.translations.connect": {"model": "m"},
    "responses.connect": {},
}
"""Methods that dial a socket → what they are called with."""

UNREACHABLE: dict[str, str] = dict.fromkeys(
    (
        "audio.transcriptions.create",
        "audio.translations.create",
        "batches.cancel",
        "batches.create",
        "batches.create_embeddings",
        "batches.get",
        "batches.retrieve",
        "beta.agents.sessions.events.create",
        "beta.agents.sessions.events.stream",
        "beta.agents.sessions.retrieve",
        "beta.responses.cancel",
        "beta.responses.retrieve",
        "completions.create",
        "decisions.create",
        "images.create_variation",
        "images.edit",
        "images.generate",
        "interactions.cancel",
        "interactions.create",
        "interactions.get",
        "models.edit_image",
        "models.generate_images",
        "models.generate_videos",
        "models.recontext_image",
        "models.segment_image",
        "models.upscale_image",
        "operations.get",
        "responses.cancel",
        "responses.retrieve",
    ),
    "needs something that was made before, or an object of the SDK; called in the tests of its family",
)
"""Methods that are not called here → why."""
