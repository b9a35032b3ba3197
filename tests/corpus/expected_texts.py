"""What OpenAI has beside chat, responses and embeddings, as far as it is text: what a span has to say of it."""

from __future__ import annotations

from typing import Any

from tests.corpus import expected_openai
from tests.corpus.expected import (
    Expected,
    Spoken,
    at,
    double,
    entries,
    more_than_one,
    strings,
    text,
    tokens,
    without_none,
)
from tests.corpus.recordings import Recorded

OPERATIONS = {
    "completions": "text_completion",
    "responses.retrieve": "fetch_response",
    "responses.compact": "chat",
    "responses.input_tokens": "count_tokens",
    "conversations.create": "create_conversation",
    "conversations.delete": "delete_conversation",
    "moderations": "moderation",
}
_OF_RESPONSES = ("responses.retrieve", "responses.compact", "responses.input_tokens")
_OF_THE_MAKING = ("gen_ai.usage.", "gen_ai.conversation.")
"""What is said of a response when it is made, and not of one that is fetched."""


def request_of(exchange: Recorded) -> dict[str, Any]:
    """Model and parameters that were asked for, or which thing was."""
    body = exchange.request
    parameters = _completion_request(body) if exchange.kind == "completions" else {}
    return without_none(
        {
            "gen_ai.operation.name": OPERATIONS[exchange.kind],
            "gen_ai.request.model": body.get("model"),
            "openai.api.type": "responses" if exchange.kind in _OF_RESPONSES else None,
            "gen_ai.request.previous_response.id": body.get("previous_response_id"),
            "gen_ai.conversation.id": exchange.last if exchange.kind == "conversations.delete" else None,
            "gen_ai.response.id": exchange.last if exchange.kind == "responses.retrieve" else None,
            **parameters,
        }
    )


def _completion_request(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.request.temperature": double(body.get("temperature")),
        "gen_ai.request.top_p": double(body.get("top_p")),
        "gen_ai.request.max_tokens": body.get("max_tokens"),
        "gen_ai.request.frequency_penalty": double(body.get("frequency_penalty")),
        "gen_ai.request.presence_penalty": double(body.get("presence_penalty")),
        "gen_ai.request.stop_sequences": strings(body.get("stop")),
        "gen_ai.request.seed": body.get("seed"),
        "gen_ai.request.choice.count": more_than_one(body.get("n")),
        "gen_ai.request.stream": True if body.get("stream") else None,
    }


def answer_of(exchange: Recorded) -> Expected:
    """What came back, by the kind of call."""
    readers = {
        "completions": _completion,
        "responses.retrieve": _retrieved,
        "responses.compact": _compacted,
        "moderations": _moderated,
    }
    if (reader := readers.get(exchange.kind)) is not None:
        return reader(exchange)
    (body,) = exchange.frames
    is_conversation = exchange.kind.startswith("conversations")
    found = {
        "gen_ai.conversation.id": body["id"] if is_conversation else None,
        "aiobs.token_count": tokens(body.get("input_tokens")),
    }
    return Expected(without_none(found))


def _completion(exchange: Recorded) -> Expected:
    frames = [frame for frame in exchange.frames if isinstance(frame, dict)]
    usage = next((frame["usage"] for frame in reversed(frames) if frame.get("usage")), None)
    spoken: dict[int, Spoken] = {}
    reasons: dict[int, str | None] = {}
    for choice in (choice for frame in frames for choice in entries(frame.get("choices"))):
        spoken.setdefault(choice["index"], Spoken()).text += choice["text"]
        reasons[choice["index"]] = choice.get("finish_reason") or reasons.get(choice["index"])
    found = {
        "gen_ai.response.id": frames[-1]["id"],
        "gen_ai.response.model": frames[-1]["model"],
        "gen_ai.response.finish_reasons": tuple(reasons[index] or "error" for index in sorted(reasons)),
        "gen_ai.usage.input_tokens": tokens(at(usage, "prompt_tokens")),
        "gen_ai.usage.output_tokens": tokens(at(usage, "completion_tokens")),
    }
    return Expected(without_none(found), [spoken[index] for index in sorted(spoken)])


def _retrieved(exchange: Recorded) -> Expected:
    made = expected_openai.responses_of(exchange)
    kept = {key: value for key, value in made.attributes.items() if not key.startswith(_OF_THE_MAKING)}
    return Expected({**kept, "gen_ai.response.status": exchange.frames[0]["status"]}, made.spoken)


def _compacted(exchange: Recorded) -> Expected:
    """The user's messages come back as they were; what took the place of the others is the answer."""
    made = expected_openai.responses_of(exchange)
    output = exchange.frames[0]["output"]
    said = expected_openai.said_in([item for item in output if item.get("role") in (None, "assistant")])
    return Expected({**made.attributes, "gen_ai.conversation.compacted": True}, [said])


def _moderated(exchange: Recorded) -> Expected:
    (body,) = exchange.frames
    found = {
        "gen_ai.response.id": text(body["id"]),
        "gen_ai.response.model": text(body["model"]),
        "aiobs.moderation.flagged": any(result["flagged"] for result in body["results"]),
    }
    return Expected(without_none(found))
