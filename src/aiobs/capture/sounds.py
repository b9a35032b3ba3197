"""Sound that passes piece by piece, of which only size and hash are kept."""

from __future__ import annotations

import binascii
import hashlib

from aiobs.call import Choice, Part, Said


class Sound:
    """Sound that passes piece by piece: how much, and its hash."""

    __slots__ = ("_hash", "mime_type", "size")

    def __init__(self, mime_type: str | None) -> None:
        self.mime_type = mime_type
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, data: str | bytes) -> None:
        """The next piece: bytes, or base64."""
        piece = data if isinstance(data, bytes) else _decoded(data)
        self.size += len(piece)
        self._hash.update(piece)

    def part(self) -> Part:
        """All of it as a message part."""
        return {
            "type": "blob",
            "modality": "audio",
            "mime_type": self.mime_type,
            "content": "",
            "size": self.size,
            "sha256": self._hash.hexdigest(),
        }


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
