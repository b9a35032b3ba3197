"""OpenAI's sound: speech of a text, the text of speech."""

from __future__ import annotations

import io
import json
import re
import wave
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from aiobs.testing.improvise import as_dict, overlaid, pieces, token_count
from aiobs.testing.multipart import Upload
from aiobs.testing.openai_common import JSON_HEADERS, PREFIX, SSE_HEADERS, missing
from aiobs.testing.script import Answer, Reply, Request

_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac"}
_RATE = 8192
_BYTES_A_SECOND = 32_000  # of sound that nobody has looked into


# Speech


def speak(request: Request, answer: Answer) -> Reply:
    """``POST /audio/speech``: a short sound; ``Answer.text`` is what its bytes say, ``usage`` is told by events."""
    asked: Mapping[str, Any] = request.json if isinstance(request.json, dict) else {}
    for name in ("model", "input", "voice"):
        if not asked.get(name):
            return missing(name)
    said = str(asked["input"])
    data = sound(said) if answer.text is None else answer.text.encode("utf-8", "surrogatepass")
    if asked.get("stream_format") == "sse":
        return Reply(200, SSE_HEADERS, [*_spoken(data, said, answer)])
    kind = _TYPES.get(str(asked.get("response_format") or "mp3"), "application/octet-stream")
    return Reply(200, {"content-type": kind}, data)


def _spoken(data: bytes, said: str, answer: Answer) -> Iterator[bytes]:
    middle = len(data) // 2
    for part in (data[:middle], data[middle:]):
        yield _sent({"type": "speech.audio.delta", "audio": b64encode(part).decode()})
    spent, made = token_count(said), 20 * token_count(said)
    usage = {"input_tokens": spent, "output_tokens": made, "total_tokens": spent + made}
    yield _sent({"type": "speech.audio.done", "usage": overlaid(usage, answer.usage or {}), **answer.fields})


def sound(said: str) -> bytes:
    """A WAV file of an eighth of a second of noise, the same for the same text."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(_RATE)
        file.writeframes(sha256(said.encode("utf-8", "replace")).digest() * (_RATE // 8 // 32))
    return written.getvalue()


# Text


def transcribe(request: Request, answer: Answer) -> Reply:
    """``POST /audio/transcriptions``: in the format that was asked for, or as events."""
    return _heard("transcribe", request, answer)


def translate(request: Request, answer: Answer) -> Reply:
    """``POST /audio/translations``."""
    return _heard("translate", request, answer)


def _heard(task: str, request: Request, answer: Answer) -> Reply:
    asked = request.form or {}
    for name in ("file", "model"):
        if not asked.get(name):
            return missing(name)
    text = f"A simulated transcript of {_length(asked):g} seconds." if answer.text is None else answer.text
    if str(asked.get("stream")).lower() == "true" and not _counts_seconds(asked):
        return Reply(200, SSE_HEADERS, [*_events(asked, text, answer)])
    kind = str(asked.get("response_format") or "json")
    if kind in _AS_TEXT:
        return Reply(200, {"content-type": "text/plain; charset=utf-8"}, _AS_TEXT[kind].format(text).encode())
    usage = {} if task == "translate" else {"usage": _usage(asked, text, answer)}
    body = {"text": text, **_more(kind, task, asked, text), **usage, **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


_AS_TEXT = {
    "text": "{}\n",
    "srt": "1\n00:00:00,000 --> 00:00:01,000\n{}\n\n",
    "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{}\n\n",
}


def _counts_seconds(asked: Mapping[str, Any]) -> bool:
    """What it counts by, and that it cannot stream."""
    return str(asked["model"]).startswith("whisper")


def _length(asked: Mapping[str, Any]) -> float:
    """Seconds of sound."""
    file = asked.get("file")
    return max(1, len(file.content) // _BYTES_A_SECOND) if isinstance(file, Upload) else 1.0


def _more(kind: str, task: str, asked: Mapping[str, Any], text: str) -> dict[str, Any]:
    length = _length(asked)
    if kind == "verbose_json":
        return {"task": task, "language": asked.get("language") or "english", "duration": length, "segments": []}
    if kind == "diarized_json":
        return {"task": task, "duration": length, "segments": [_segment(text, length)]}
    return {}


def _segment(text: str, length: float) -> dict[str, Any]:
    return {
        "type": "transcript.text.segment", "id": "seg_0", "speaker": "A", "start": 0.0, "end": length, "text": text,
    }  # fmt: skip


def _usage(asked: Mapping[str, Any], text: str, answer: Answer) -> dict[str, Any]:
    if _counts_seconds(asked):
        return overlaid({"type": "duration", "seconds": _length(asked)}, answer.usage or {})
    guide, sound_tokens, made = len(str(asked.get("prompt") or "")) // 4, 10 * int(_length(asked)), token_count(text)
    usage = {
        "type": "tokens",
        "input_tokens": guide + sound_tokens,
        "input_token_details": {"text_tokens": guide, "audio_tokens": sound_tokens},
        "output_tokens": made,
        "total_tokens": guide + sound_tokens + made,
    }
    return overlaid(usage, answer.usage or {})


def _events(asked: Mapping[str, Any], text: str, answer: Answer) -> Iterator[bytes]:
    for delta in pieces(text, answer.chunks):
        yield _sent({"type": "transcript.text.delta", "delta": delta})
    if asked.get("response_format") == "diarized_json":
        yield _sent(_segment(text, _length(asked)))
    usage = _usage(asked, text, answer)
    yield _sent({"type": "transcript.text.done", "text": text, "usage": usage, **as_dict(answer.fields)})


def _sent(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


ROUTES = (
    (re.compile(f"POST {PREFIX}/audio/speech"), speak),
    (re.compile(f"POST {PREFIX}/audio/transcriptions"), transcribe),
    (re.compile(f"POST {PREFIX}/audio/translations"), translate),
)
