"""What methods are called with: by the name of the parameter, and for single methods."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
_WAV = b"RIFF" + bytes(40)
_IMAGE = {"image_bytes": _PNG, "mime_type": "image/png"}
_ASKED = [{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}]
_JSONL = b'{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "Hello"}}\n'


def _picture() -> Any:
    return ("cat.png", io.BytesIO(_PNG), "image/png")


def _sound() -> Any:
    return ("cat.wav", io.BytesIO(_WAV), "audio/wav")


def _reference() -> Any:
    from google.genai.types import Image, RawReferenceImage

    return [RawReferenceImage(reference_id=1, reference_image=Image(**_IMAGE))]


VALUES: dict[str, Any] = {
    "completion_window": "24h",
    "contents": "Hello",
    "agent_id": "agent_1",
    "endpoint": "/v1/responses",
    "environment": {"type": "none"},
    "file": _sound,
    "input": "Hello",
    "messages": [{"role": "user", "content": "Hello"}],
    "metadata": {"team": "x"},
    "model": "gpt-4o-mini",
    "prompt": "A cat",
    "query": "a cat",
    "events": [{"type": "user_message", "content": [{"type": "input_text", "text": "Hello"}]}],
    "src": _ASKED,
    "upscale_factor": "x2",
    "vector_store_id": "vs_1",
    "voice": "alloy",
}
"""Parameter → value; a function makes a new one for each call."""

_OPENAI_ASKS = [{"type": "predicate", "instructions": "Is it so?", "name": "so"}]

MADE_FIRST: dict[str, Callable[[Any], Any]] = {
    "batch_id": lambda openai: (
        openai.batches.create(input_file_id=_file(openai), endpoint="/v1/responses", completion_window="24h").id
    ),
    "completion_id": lambda openai: (
        openai.chat.completions.create(model="gpt-4o-mini", messages=VALUES["messages"], store=True).id
    ),
    "conversation_id": lambda openai: openai.conversations.create().id,
    "id": lambda google: google.interactions.create(model="gemini-2.5-flash", input="Hello", background=True).id,
    "input_file_id": lambda openai: _file(openai),
    "name": lambda google: google.batches.create(model="gemini-2.5-flash", src=_ASKED).name,
    "operation": lambda google: google.models.generate_videos(model="veo-3", source={"prompt": "A cat"}),
    "questions": lambda client: (
        _OPENAI_ASKS if hasattr(client, "chat") else {"so": {"type": "noul", "instructions": "?"}}
    ),
    "session_id": lambda openai: openai.beta.agents.sessions.create(agent_id="a", environment={"type": "none"}).id,
    "response_id": lambda openai: openai.responses.create(model="gpt-4.1", input="Hello", background=True).id,
}
"""Parameter → what another call makes, or what depends on the SDK; the function gets a sync client."""


def _file(openai: Any) -> Any:
    return openai.files.create(file=("asked.jsonl", _JSONL), purpose="batch").id


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

FIXED: dict[str, dict[str, Any]] = {
    "batches.create_embeddings": {"src": {"inlined_requests": {"contents": ["Hello"]}}},
    "decisions.create": {"model": "m", "input": "Hello", "questions": MADE_FIRST["questions"]},
    "images.create_variation": {"image": _picture},
    "images.edit": {"image": _picture},
    "interactions.create": {"model": "gemini-2.5-flash", "input": "Hello"},
    "models.edit_image": {"reference_images": _reference},
    "models.generate_videos": {"source": {"prompt": "A cat"}},
    "models.recontext_image": {"source": {"prompt": "A cat", "product_images": [{"product_image": _IMAGE}]}},
    "models.segment_image": {"source": {"prompt": "A cat", "image": _IMAGE}},
    "models.upscale_image": {"image": _IMAGE},
}
"""Single methods whose parameters need more than a name, or have none."""

STREAMED: tuple[str, ...] = ("interactions.create",)
"""Methods whose ``stream=`` is not in their signature."""

RECORDED_AS: dict[str, str] = {
    "chat.completions.parse": "chat.completions.create",
    "chat.completions.stream": "chat.completions.create",
    "models.generate_content_stream": "models.generate_content",
    "responses.parse": "responses.create",
    "responses.stream": "responses.create",
}
"""Methods that are another one with more comfort → that one."""

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
