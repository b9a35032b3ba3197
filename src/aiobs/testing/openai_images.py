"""OpenAI's pictures: made from a prompt, edited, varied; the same picture for the same prompt."""

from __future__ import annotations

import json
import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from aiobs.testing.improvise import as_count, overlaid, token_count
from aiobs.testing.openai_common import CREATED, JSON_HEADERS, PREFIX, SSE_HEADERS, missing
from aiobs.testing.script import Answer, Reply, Request

_TOKENS = {"low": 272, "medium": 1056, "high": 4160}
_TOKENS_OF_GIVEN = 323


def generate(request: Request, answer: Answer) -> Reply:
    """``POST /images/generations``; ``Answer.text`` is what the picture's bytes say."""
    return _reply("image_generation", request, answer, ("prompt",))


def edit(request: Request, answer: Answer) -> Reply:
    """``POST /images/edits``."""
    return _reply("image_edit", request, answer, ("image", "prompt"))


def vary(request: Request, answer: Answer) -> Reply:
    """``POST /images/variations``."""
    return _reply("", request, answer, ("image",))


def _reply(event: str, request: Request, answer: Answer, needed: tuple[str, ...]) -> Reply:
    asked: Mapping[str, Any] = request.fields if isinstance(request.fields, dict) else {}
    for name in needed:
        if not asked.get(name):
            return missing(name)
    said = str(asked.get("prompt") or "")
    data = picture(said) if answer.text is None else answer.text.encode("utf-8", "surrogatepass")
    about = {name: asked.get(name) or default for name, default in _DEFAULTS.items()}
    usage = overlaid(_usage(asked, said, about), answer.usage or {})
    if str(asked.get("stream")).lower() == "true":
        return Reply(200, SSE_HEADERS, [*_events(event, asked, data, {**about, "usage": usage, **answer.fields})])
    made = [_made(data, said, asked) for _ in range(_number(asked.get("n")) or 1)]
    tokens = {} if _is_old(asked) else {**about, "usage": usage}
    body = {"created": CREATED, "data": made, **tokens, **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


_DEFAULTS = {"size": "1024x1024", "quality": "medium", "background": "opaque", "output_format": "png"}


def _is_old(asked: Mapping[str, Any]) -> bool:
    """Models that count no tokens, and change the prompt."""
    return str(asked.get("model")).startswith("dall-e")


def _number(given: Any) -> int:
    return as_count(int(given) if isinstance(given, str) and given.isdecimal() else given, 10)


def _made(data: bytes, said: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    revised = {"revised_prompt": f"A picture: {said}"} if _is_old(asked) else {}
    if asked.get("response_format") == "url":
        name = sha256(data).hexdigest()[:16]
        return {"url": f"https://pictures.invalid/{name}.png?sig=simulated-signature", **revised}
    return {"b64_json": b64encode(data).decode(), **revised}


def _usage(asked: Mapping[str, Any], said: str, about: Mapping[str, Any]) -> dict[str, Any]:
    given = asked.get("image")
    words, pictures = token_count(said), _TOKENS_OF_GIVEN * (len(given) if isinstance(given, list) else bool(given))
    made = _TOKENS.get(str(about["quality"]), _TOKENS["medium"]) * (_number(asked.get("n")) or 1)
    return {
        "input_tokens": words + pictures,
        "input_tokens_details": {"text_tokens": words, "image_tokens": pictures},
        "output_tokens": made,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": made},
        "total_tokens": words + pictures + made,
    }


def _events(event: str, asked: Mapping[str, Any], data: bytes, body: Mapping[str, Any]) -> Iterator[bytes]:
    """As many sketches as were asked for, each more of the picture, then the picture."""
    sketches = _number(asked.get("partial_images"))
    about = {"created_at": CREATED, **{name: body[name] for name in _DEFAULTS}}
    for number in range(sketches):
        sketch = b64encode(data[: len(data) * (number + 1) // (sketches + 1)]).decode()
        kind = f"{event}.partial_image"
        yield _sent({"type": kind, "b64_json": sketch, "partial_image_index": number, **about})
    yield _sent({"type": f"{event}.completed", "b64_json": b64encode(data).decode(), "created_at": CREATED, **body})


def _sent(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def picture(said: str) -> bytes:
    """A PNG of eight by eight grey squares."""
    grey = sha256(said.encode("utf-8", "replace")).digest() * 2
    rows = b"".join(b"\0" + grey[8 * row : 8 * row + 8] for row in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ROUTES = (
    (re.compile(f"POST {PREFIX}/images/generations"), generate),
    (re.compile(f"POST {PREFIX}/images/edits"), edit),
    (re.compile(f"POST {PREFIX}/images/variations"), vary),
)
