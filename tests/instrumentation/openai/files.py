"""Files that programs upload, and what may be told of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
SIZE, HASH = len(DATA), hashlib.sha256(DATA).hexdigest()
TOLD = {"size": SIZE, "sha256": HASH}


def on_disk(name: str) -> Path:
    """A file in the test's own directory."""
    path = Path(name)
    path.write_bytes(DATA)
    return path


def opened(name: str) -> Any:
    """The same, open."""
    return on_disk(name).open("rb")


def named_memory() -> io.BytesIO:
    """A file in memory, with a name, read to its tenth byte."""
    file = io.BytesIO(DATA)
    file.name = "memory.png"
    file.seek(10)
    return file


GIVEN: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "bytes": (lambda: DATA, TOLD),
    "name and bytes": (lambda: ("a.png", DATA), {"name": "a.png", "type": "image/png", **TOLD}),
    "name, bytes and type": (lambda: ("a", DATA, "image/webp"), {"name": "a", "type": "image/webp", **TOLD}),
    "with headers": (lambda: ("a.png", DATA, "image/png", {"x": "y"}), {"name": "a.png", "type": "image/png", **TOLD}),
    "no name": (lambda: (None, DATA), TOLD),
    "path": (lambda: on_disk("b.png"), {"name": "b.png", "type": "image/png", "object": "PosixPath"}),
    "open file": (lambda: opened("c.png"), {"name": "c.png", "type": "image/png", "object": "BufferedReader"}),
    "memory": (lambda: io.BytesIO(DATA), {"object": "BytesIO"}),
    "named memory": (named_memory, {"name": "memory.png", "type": "image/png", "object": "BytesIO"}),
    "name and open file": (
        lambda: ("d.png", io.BytesIO(DATA)),
        {"name": "d.png", "type": "image/png", "object": "BytesIO"},
    ),
}
"""How a file is given → what the session file says of it."""


def blob(modality: str, mime_type: str | None) -> dict[str, Any]:
    """The data as a part of a message."""
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": "", **TOLD}
