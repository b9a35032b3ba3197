"""OpenAI: pictures, speech, transcripts, searches of a vector store."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from tests.contract.operation import OPENAI, Operation
from tests.versions import has

SOUND = ("said.wav", b"RIFF----WAVE", "audio/wav")
PICTURE = ("given.png", b"\x89PNG----", "image/png")
_STREAMS = has("openai streams of pictures and transcripts")


def _event(kind: str, rest: str) -> bytes:
    return f'event: {kind}\ndata: {{"type": "{kind}", {rest}}}\n\n'.encode()


# Pictures: what the simulator's picture says is its bytes


def _picture(answer: Any) -> str:
    return b64decode(answer.data[0].b64_json).decode()


def _completed(event: Any) -> str:
    return b64decode(event.b64_json).decode() if event.type.endswith(".completed") else ""


def _images(name: str, operation: str, method: str, event: str | None, prompt: str, given: bool) -> Operation:
    return Operation(
        name=name,
        sdk=OPENAI,
        operation=operation,
        api=f"images.{method}",
        method=lambda client: getattr(client.images, method),
        streamed=(lambda client: getattr(client.images, method)) if event and _STREAMS else None,
        prompt=prompt,
        arguments={"model": "m", **({"image": PICTURE} if given else {})},
        stream_arguments={"stream": True, "partial_images": 1},
        said=_picture,
        piece=_completed,
        is_text=False,
        usage={"input_tokens": 7, "output_tokens": 5},
        tokens=(7, 5),
        opening=[_event(f"{event}.partial_image", '"b64_json": "TjMz", "partial_image_index": 0')],
        needles=1 if prompt == "prompt" else 0,
    )


# Sound


SPEECH = Operation(
    name="openai-speech",
    sdk=OPENAI,
    operation="text_to_speech",
    api="audio.speech.create",
    method=lambda client: client.audio.speech.create,
    prompt="input",
    arguments={"model": "m", "voice": "alloy"},
    said=lambda answer: answer.content.decode(),
    is_text=False,
    is_binary=True,
    needles=1,
)

TRANSCRIPTIONS = Operation(
    name="openai-transcriptions",
    sdk=OPENAI,
    operation="speech_to_text",
    api="audio.transcriptions.create",
    method=lambda client: client.audio.transcriptions.create,
    streamed=(lambda client: client.audio.transcriptions.create) if _STREAMS else None,
    prompt="prompt",
    arguments={"model": "m", "file": SOUND},
    stream_arguments={"stream": True},
    said=lambda answer: answer.text,
    piece=lambda event: event.delta if event.type == "transcript.text.delta" else "",
    usage={"input_tokens": 7, "output_tokens": 5},
    tokens=(7, 5),
    opening=[_event("transcript.text.delta", '"delta": "N33DLE"')],
    needles=2,
)

TRANSLATIONS = Operation(
    name="openai-translations",
    sdk=OPENAI,
    operation="speech_to_text",
    api="audio.translations.create",
    method=lambda client: client.audio.translations.create,
    prompt="prompt",
    arguments={"model": "m", "file": SOUND},
    said=lambda answer: answer.text,
    needles=2,
)


# Searches

SEARCH = Operation(
    name="openai-search",
    sdk=OPENAI,
    operation="retrieval",
    api="vector_stores.search",
    features=("openai responses",),
    method=lambda client: client.vector_stores.search,
    prompt="query",
    arguments={"vector_store_id": "vs_1", "max_num_results": 1},
    said=lambda page: page.data[0].content[0].text,
    is_text=False,
    target="vs_1",
    needles=2,
)

OPERATIONS = (
    _images("openai-images", "generate_images", "generate", "image_generation", "prompt", given=False),
    _images("openai-image-edits", "edit_image", "edit", "image_edit", "prompt", given=True),
    _images("openai-image-variations", "create_image_variation", "create_variation", None, "user", given=True),
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    SEARCH,
)
