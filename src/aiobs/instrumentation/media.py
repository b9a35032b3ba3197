"""Binary content as message parts: what it is, its size and hash, never the bytes."""

from __future__ import annotations

import mimetypes
from os import PathLike
from typing import Any, NamedTuple, cast

from aiobs.call import Part
from aiobs.semconv.blobs import described, described_base64


def blob_part(modality: str, mime_type: str | None, base64_text: str) -> Part:
    """A blob without its bytes: ``content`` is empty, ``size`` and ``sha256`` say what it was.

    Where media are kept, it is a ``uri`` instead, which says so too.
    """
    return _part(modality, mime_type, described_base64(base64_text, mime_type))


def bytes_part(modality: str, mime_type: str | None, data: bytes) -> Part:
    """The same of bytes."""
    return _part(modality, mime_type, described(data, mime_type))


def _part(modality: str, mime_type: str | None, described: dict[str, Any]) -> Part:
    kind = {"modality": modality, "mime_type": mime_type}
    if "uri" in described:
        return cast("Part", {"type": "uri", **kind, **described})
    return cast("Part", {"type": "blob", **kind, "content": "", **described})


def modality_of(mime_type: object) -> str:
    """image, audio, video or document."""
    kind = str(mime_type).partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


# Files that a program uploads: bytes, a path, an open file, or a tuple of name, one of these, and type


class File(NamedTuple):
    """What can be told of a file without reading it; ``data`` only if that is in memory already."""

    name: str | None
    mime_type: str | None
    data: bytes | None
    kind: str


def file_of(given: Any) -> File:
    """A file as it was given; an open one is not touched, as what is read of it the SDK cannot read any more."""
    name, content, mime_type = None, given, None
    if isinstance(given, tuple):
        name, content, mime_type = (*given, None, None, None)[:3]
    if not isinstance(name, str):
        name = _name_of(content)
    if not isinstance(mime_type, str):
        mime_type = mimetypes.guess_type(name)[0] if name else None
    data = content if isinstance(content, (bytes, bytearray)) else None
    return File(name, mime_type, None if data is None else bytes(data), type(content).__name__)


def _name_of(content: Any) -> str | None:
    name = content if isinstance(content, PathLike) else getattr(content, "name", None)
    return str(name) if isinstance(name, (str, PathLike)) else None


def file_record(given: Any) -> Any:
    """A file, or each of several, for the session file: name, type, size and hash, or of what kind of object it is."""
    if given is None:
        return None
    if isinstance(given, list):
        return [file_record(item) for item in given]
    file = file_of(given)
    found = {"name": file.name, "type": file.mime_type}
    if file.data is None:
        return {**without_none(found), "object": file.kind}
    return {**without_none(found), **described(file.data, file.mime_type)}


def file_parts(modality: str, given: Any) -> list[Part]:
    """A file, or each of several, as parts of a message, if it is in memory."""
    files = [file_of(item) for item in (given if isinstance(given, list) else [given])]
    return [bytes_part(modality, file.mime_type, file.data) for file in files if file.data is not None]


def blob_record(part: Any) -> dict[str, Any]:
    """A blob for the session file."""
    return {"type": part["mime_type"], **{key: part[key] for key in ("size", "sha256", "uri") if key in part}}


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {key: value for key, value in fields.items() if value is not None}
