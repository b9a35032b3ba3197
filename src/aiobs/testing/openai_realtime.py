"""The server's side of OpenAI's connections: events as it sends them, and scripts that answer with them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from aiobs.testing.socket_server import Event, Script, Step

MODEL = "gpt-realtime-2026"
USAGE = {
    "input_tokens": 100,
    "output_tokens": 50,
    "total_tokens": 150,
    "input_token_details": {
        "text_tokens": 40,
        "audio_tokens": 50,
        "image_tokens": 10,
        "cached_tokens": 30,
        "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 7, "image_tokens": 3},
    },
    "output_token_details": {"text_tokens": 12, "audio_tokens": 38},
}
_numbers = count(1)


def event(type: str, **fields: Any) -> Event:
    """One event."""
    return {"event_id": f"event_{next(_numbers)}", "type": type, **fields}


def session(**fields: Any) -> Event:
    """A session as ``session.created`` has it."""
    audio = {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "turn_detection": {"type": "server_vad"},
            "transcription": {"model": "gpt-4o-transcribe"},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.5},
    }
    return {
        "id": "sess_1",
        "object": "realtime.session",
        "type": "realtime",
        "model": MODEL,
        "output_modalities": ["audio"],
        "audio": audio,
        "max_output_tokens": 4096,
        **fields,
    }


def response(id: str, status: str = "in_progress", **fields: Any) -> Event:
    """A response of Realtime."""
    return {
        "id": id,
        "object": "realtime.response",
        "status": status,
        "status_details": None,
        "conversation_id": "conv_1",
        "output": [],
        "usage": None,
        **fields,
    }


def words(text: str) -> list[str]:
    """Pieces that give the text when they are put together."""
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))]


def spoken(id: str, text: str, *, usage: Event | None = None, audio: bytes = b"\1\2\3\4", **final: Any) -> list[Step]:
    """All events of a response that is spoken."""
    where = {"response_id": id, "item_id": f"item_of_{id}", "output_index": 0, "content_index": 0}
    sound = base64.b64encode(audio).decode()
    item = {
        "id": f"item_of_{id}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_audio", "transcript": text}],
    }
    done = {"status": "completed", "output": [item], "usage": usage or USAGE, **final}
    return [
        event("response.created", response=response(id)),
        event("response.output_item.added", response_id=id, output_index=0, item={**item, "content": []}),
        *(
            piece
            for word in words(text)
            for piece in (
                event("response.output_audio_transcript.delta", delta=word, **where),
                event("response.output_audio.delta", delta=sound, **where),
            )
        ),
        event("response.output_audio.done", **where),
        event("response.output_audio_transcript.done", transcript=text, **where),
        event("response.done", response=response(id, **done)),
    ]


def called(id: str, name: str, arguments: str, call_id: str = "call_1") -> list[Step]:
    """All events of a response that calls a function."""
    where = {"response_id": id, "item_id": f"item_of_{id}", "output_index": 0}
    item = {"id": f"item_of_{id}", "type": "function_call", "name": name, "call_id": call_id, "status": "completed"}
    return [
        event("response.created", response=response(id)),
        event("response.output_item.added", response_id=id, output_index=0, item={**item, "arguments": ""}),
        event("response.function_call_arguments.delta", call_id=call_id, delta=arguments, **where),
        event("response.function_call_arguments.done", call_id=call_id, arguments=arguments, name=name, **where),
        event(
            "response.done",
            response=response(id, "completed", output=[{**item, "arguments": arguments}], usage=USAGE),
        ),
    ]


def error(code: str | None, message: str, event_id: str | None = None) -> Event:
    """An ``error`` event of Realtime."""
    told = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": event_id}
    return event("error", error=told)


def realtime(*answers: Iterable[Step], greeting: Iterable[Step] | None = None) -> Script:
    """Each ``response.create`` gets the next of these; when they are used up, a word about its number."""
    waiting: Iterator[Iterable[Step]] = iter(answers)

    def answer(asked: Event, number: int) -> Iterable[Step]:
        if asked["type"] == "session.update":
            return [event("session.updated", session=session(**asked["session"]))]
        if asked["type"] != "response.create":
            return ()
        return next(waiting, None) or spoken(f"resp_{number}", f"Answer {number}")

    return Script(answer, [event("session.created", session=session())] if greeting is None else greeting)


# The Responses API over a connection


def written(id: str, text: str, model: str = "gpt-5", lane: str | None = None, **final: Any) -> list[Step]:
    """All events of a response of the Responses API."""
    lanes = {"stream_id": lane} if lane else {}
    whole = {"id": id, "object": "response", "created_at": 1.0, "model": model, "output": [], "tools": []}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    used = {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    done = {"status": "completed", "output": [item], "usage": used, **final}
    kind = {"failed": "response.failed", "incomplete": "response.incomplete"}.get(done["status"], "response.completed")
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": 2, **lanes}
    return [
        {"type": "response.created", "sequence_number": 1, "response": {**whole, "status": "in_progress"}, **lanes},
        *({"type": "response.output_text.delta", "delta": word, "logprobs": [], **where} for word in words(text)),
        {"type": kind, "sequence_number": 9, "response": {**whole, **done}, **lanes},
    ]


def responses(*answers: Iterable[Step]) -> Script:
    """Each ``response.create`` gets the next of these."""
    waiting = iter(answers)
    return Script(lambda asked, number: next(waiting, ()) if asked["type"] == "response.create" else ())
