"""The simulator's pictures, sounds, searches and forms, as the SDK sees them."""

from __future__ import annotations

import io
import os
import wave
from base64 import b64decode
from typing import Any

import openai
import pytest

from aiobs.testing import Simulator
from aiobs.testing.multipart import Upload, parse_form
from aiobs.testing.openai_images import picture
from tests.versions import needs

SOUND = ("a.wav", b"RIFF", "audio/wav")


def test_pictures_are_the_same_for_the_same_prompt(simulator: Simulator) -> None:
    """A PNG, another one for another prompt."""
    images = simulator.openai().images
    first, again, other = (
        b64decode((images.generate(prompt=prompt).data or [])[0].b64_json or "") for prompt in ("a", "a", "b")
    )
    assert first == again == picture("a")
    assert first.startswith(b"\x89PNG")
    assert other != first


def test_old_models_give_addresses_and_change_the_prompt(simulator: Simulator) -> None:
    """No usage, one entry a picture."""
    answer: Any = simulator.openai().images.generate(prompt="a", model="dall-e-3", n=2, response_format="url")
    assert [(item.revised_prompt, "sig=" in item.url) for item in answer.data] == [("A picture: a", True)] * 2
    assert getattr(answer, "usage", None) is None


@pytest.mark.parametrize(
    ("method", "given"), [("generate", {"prompt": ""}), ("edit", {"image": b"x", "prompt": ""})], ids=["prompt", "edit"]
)
def test_what_is_missing_is_refused(simulator: Simulator, method: str, given: dict[str, Any]) -> None:
    """With the name of the parameter."""
    with pytest.raises(openai.BadRequestError, match="prompt"):
        getattr(simulator.openai().images, method)(**given)


@needs("openai streams of pictures and transcripts")
def test_a_streamed_picture_grows(simulator: Simulator) -> None:
    """Each sketch is the beginning of the picture."""
    events: Any = simulator.openai().images.generate(prompt="a", stream=True, partial_images=2)
    sizes = [len(b64decode(event.b64_json)) for event in events]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(picture("a"))


def test_speech_is_a_sound(simulator: Simulator) -> None:
    """A WAV file of an eighth of a second."""
    answer = simulator.openai().audio.speech.create(model="m", voice="alloy", input="Hello", response_format="wav")
    with wave.open(io.BytesIO(answer.content)) as file:
        assert file.getnframes() / file.getframerate() == 0.125


@pytest.mark.parametrize(
    ("kind", "expected"), [("text", "Hello\n"), ("srt", "1\n00:00:00"), ("vtt", "WEBVTT\n"), ("json", "")]
)
def test_transcripts_have_the_format_that_was_asked_for(simulator: Simulator, kind: Any, expected: str) -> None:
    """Text where it is text."""
    simulator.reply("Hello")
    answer: Any = simulator.openai().audio.transcriptions.create(model="m", file=SOUND, response_format=kind)
    assert answer.startswith(expected) if expected else answer.text == "Hello"


@needs("openai responses")
def test_a_search_finds_as_much_as_was_asked_for(simulator: Simulator) -> None:
    """Two by default, fifty at most, the best one first."""
    search = simulator.openai().vector_stores.search
    assert len(search("vs", query="a").data) == 2
    scores = [item.score for item in search("vs", query="a", max_num_results=5)]
    assert (len(scores), scores) == (5, sorted(scores, reverse=True))
    with pytest.raises(openai.BadRequestError, match="max_num_results"):
        search("vs", query="a", max_num_results=51)


@needs("openai streams of pictures and transcripts")
def test_forms_are_read_byte_by_byte(simulator: Simulator) -> None:
    """Files as they were, whatever is in them; lists as lists; text as text."""
    data = os.urandom(5_000) + b"\r\n--\r\n\r\n--boundary--\r\n"
    simulator.openai().images.edit(prompt="ä\r\nb", image=[("a.png", data), ("b", b"", "image/x")], n=2)
    (request,) = simulator.requests
    assert request.json is None
    assert request.form == {
        "prompt": "ä\r\nb",
        "n": "2",
        "image": [Upload("a.png", "image/png", data), Upload("b", "image/x", b"")],
    }


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "text/plain; boundary=x"])
def test_what_is_no_form(kind: str) -> None:
    """Is none."""
    assert parse_form(kind, b"--x\r\n\r\n--x--") is None
