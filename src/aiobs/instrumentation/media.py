"""Binary content as message parts: what it is, its size and hash, never the bytes."""

from __future__ import annotations

import binascii
import hashlib

from aiobs.call import Part


def blob_part(modality: str, mime_type: str | None, base64_text: str) -> Part:
    """A blob without its bytes: ``content`` is empty, ``size`` and ``sha256`` say what it was."""
    try:
        data = binascii.a2b_base64(base64_text)
    except ValueError:
        data = base64_text.encode("utf-8", "replace")
    return bytes_part(modality, mime_type, data)


def bytes_part(modality: str, mime_type: str | None, data: bytes) -> Part:
    """The same of bytes."""
    return {
        "type": "blob",
        "modality": modality,
        "mime_type": mime_type,
        "content": "",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def modality_of(mime_type: object) -> str:
    """image, audio, video or document."""
    kind = str(mime_type).partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"
