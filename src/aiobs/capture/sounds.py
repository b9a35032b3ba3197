"""Sound that passes piece by piece: its size and hash and, where media are kept, its bytes until it has ended."""

from __future__ import annotations

import binascii
import hashlib
from typing import cast

from aiobs.call import Choice, Part, Said
from aiobs.semconv import blobs

LONGEST = 16_777_216
"""Bytes of one sound that are held until it ends, six minutes at 24 kHz; of a longer one there are size and hash."""


class Sound:
    """Sound that passes piece by piece: how much, its hash, and its pieces if somebody will want them."""

    __slots__ = ("_hash", "_pieces", "mime_type", "size")

    def __init__(self, mime_type: str | None) -> None:
        self.mime_type = mime_type
        self.size = 0
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] | None = None if blobs.keep is None else []

    def add(self, data: str | bytes) -> None:
        """The next piece: bytes, or base64."""
        piece = data if isinstance(data, bytes) else _decoded(data)
        self.size += len(piece)
        self._hash.update(piece)
        if self.size > LONGEST:
            self._pieces = None
        if self._pieces is not None:
            self._pieces.append(piece)

    def part(self) -> Part:
        """All of it as a message part."""
        kind = {"modality": "audio", "mime_type": self.mime_type}
        digest = self._hash.hexdigest()
        if self._pieces is not None:
            about = blobs.located(b"".join(self._pieces), self.mime_type, digest)
            if "uri" in about:
                return cast("Part", {"type": "uri", **kind, **about})
        return cast("Part", {"type": "blob", **kind, "content": "", "size": self.size, "sha256": digest})


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except ValueError:
        return text.encode("utf-8", "replace")


class Sounding(Said):
    """Sound that is still coming, among the parts of a choice."""

    def __init__(self, mime_type: str | None) -> None:
        super().__init__("sound", [])
        self.sound = Sound(mime_type)


def sounding(choice: Choice, mime_type: str | None = None) -> Sound:
    """The sound of a choice, begun if there is none yet: first, so that what is said stays one run of text."""
    known = next((part for part in choice.parts if isinstance(part, Sounding)), None)
    if known is None:
        choice.parts.insert(0, known := Sounding(mime_type))
    return known.sound


def take_sounds(choice: Choice) -> list[Part]:
    """What the sound came to, out of the choice."""
    found = [part.sound.part() for part in choice.parts if isinstance(part, Sounding)]
    choice.parts[:] = [part for part in choice.parts if not isinstance(part, Sounding)]
    return found
