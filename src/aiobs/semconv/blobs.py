"""Where the bytes of pictures, sound and files go, if somebody wants them: nowhere, until ``keep`` is set."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from aiobs.guard import guarded

Keep = Callable[[bytes, str | None, str], str | None]
"""Bytes, their type (``image/png``) and their SHA-256 in hexadecimal → the address that they will have, None for none.

It may be called again for the same bytes, and never waits.
"""

keep: Keep | None = None


def described(data: bytes, mime_type: str | None) -> dict[str, Any]:
    """``size`` and ``sha256``, and the ``uri`` of what is kept."""
    return located(data, mime_type, hashlib.sha256(data).hexdigest())


def located(data: bytes, mime_type: str | None, digest: str) -> dict[str, Any]:
    """The same of bytes whose hash is known."""
    uri = None if keep is None or not data else guarded(keep, data, mime_type, digest)
    return {"size": len(data), "sha256": digest, **({"uri": uri} if uri is not None else {})}


def described_base64(text: str, mime_type: str | None) -> dict[str, Any]:
    """The same of base64; what is none is described as the text that it is, and not kept."""
    try:
        return described(binascii.a2b_base64(text), mime_type)
    except ValueError:
        data = text.encode("utf-8", "replace")
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
