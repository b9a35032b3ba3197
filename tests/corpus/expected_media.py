"""Pictures, speech and transcripts of OpenAI: what a span has to say of them."""

from __future__ import annotations

from typing import Any

from tests.corpus.expected import Expected, Spoken, at, double, more_than_one, tokens, without_none
from tests.corpus.recordings import Recorded

OPERATIONS = {
    "images.generate": "generate_images",
    "images.edit": "edit_image",
    "speech": "text_to_speech",
    "transcriptions": "speech_to_text",
    "translations": "speech_to_text",
}
_OUTPUTS = {"images.generate": "image", "images.edit": "image", "speech": "speech"}


def request_of(exchange: Recorded) -> dict[str, Any]:
    """Model and parameters that were asked for; the characters that were to be spoken are what speech costs."""
    body = exchange.request
    return without_none(
        {
            "gen_ai.operation.name": OPERATIONS[exchange.kind],
            "gen_ai.request.model": body.get("model"),
            "gen_ai.request.temperature": double(body.get("temperature")),
            "gen_ai.request.choice.count": more_than_one(body.get("n", 1)),
            "gen_ai.request.stream": True if body.get("stream") else None,
            "gen_ai.output.type": _OUTPUTS.get(exchange.kind),
            "aiobs.usage.characters": len(body["input"]) if exchange.kind == "speech" else None,
        }
    )


def answer_of(exchange: Recorded) -> Expected:
    """What came back, by the kind of call."""
    if exchange.kind == "speech":
        return Expected()
    return _pictures(exchange) if exchange.kind.startswith("images") else _heard(exchange)


def _pictures(exchange: Recorded) -> Expected:
    (body,) = exchange.frames
    pictures = body["data"]
    found = {**_usage(body.get("usage")), "aiobs.usage.images": len(pictures)}
    return Expected(without_none(found), [Spoken(text=picture.get("revised_prompt", "")) for picture in pictures])


def _heard(exchange: Recorded) -> Expected:
    """The last event of a stream has the whole text."""
    last = exchange.frames[-1]
    seconds = at(last, "usage", "seconds") or last.get("duration")
    found = {**_usage(last.get("usage")), "aiobs.usage.seconds": double(seconds)}
    return Expected(without_none(found), [Spoken(text=last["text"])])


def _usage(usage: Any) -> dict[str, Any]:
    details = at(usage, "input_token_details") or at(usage, "input_tokens_details")
    return {
        "gen_ai.usage.input_tokens": tokens(at(usage, "input_tokens")),
        "gen_ai.usage.output_tokens": tokens(at(usage, "output_tokens")),
        **{
            f"gen_ai.usage.{modality}.input_tokens": tokens(at(details, f"{modality}_tokens"))
            for modality in ("text", "audio", "image")
        },
    }
