"""Images, sound and files in messages as message parts: bytes become size and hash, addresses stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiobs.call import Part
from aiobs.instrumentation.media import blob_part


def image_part(image: Any) -> Part:
    """``image_url``: an address, or a data URL."""
    url = image.get("url") if isinstance(image, Mapping) else image
    if not isinstance(url, str):
        return {"type": "image_url"}
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        return blob_part("image", head[5:].partition(";")[0] or None, data)
    return {"type": "uri", "modality": "image", "mime_type": None, "uri": url}


def audio_part(audio: Any) -> Part:
    """``input_audio``: base64 data and a format (wav, mp3)."""
    given = audio if isinstance(audio, Mapping) else {}
    return blob_part("audio", f"audio/{given.get('format', 'wav')}", str(given.get("data", "")))


def file_part(file: Any) -> Part:
    """``file``: an id of an uploaded file, or base64 data."""
    given = file if isinstance(file, Mapping) else {}
    if isinstance(file_id := given.get("file_id"), str):
        return {"type": "file", "modality": "document", "mime_type": None, "file_id": file_id}
    head, _, data = str(given.get("file_data", "")).rpartition(",")
    return blob_part("document", head.removeprefix("data:").partition(";")[0] or None, data)
