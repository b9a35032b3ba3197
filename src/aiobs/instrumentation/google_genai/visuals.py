"""Pictures and films, asked with and made: what they are, their size and hash or where they lie, never the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from aiobs.call import Choice, Message, Part
from aiobs.instrumentation.fields import text
from aiobs.instrumentation.google_genai.fields import digest_record, field, given, plain
from aiobs.instrumentation.media import blob_part, bytes_part

FILTERED = "content_filter"
"""The finish reason of what a provider made and keeps back."""


def visual_part(visual: Any, modality: str) -> Part | None:
    """A picture (``image``) or film (``video``) as part of a message; None for what holds neither bytes nor a place."""
    mime_type = text(field(visual, "mime_type"))
    data = field(visual, f"{modality}_bytes")
    if isinstance(data, bytes) and data:
        return bytes_part(modality, mime_type, data)
    if isinstance(data, str) and data:
        return blob_part(modality, mime_type, data)
    uri = text(field(visual, "gcs_uri")) or text(field(visual, "uri"))
    return None if uri is None else {"type": "uri", "modality": modality, "mime_type": mime_type, "uri": uri}


def asked_message(prompt: Any, visuals: Iterable[tuple[Any, str]]) -> list[Message]:
    """What was asked for, in words and pictures, as one message of the user's; none for nothing."""
    parts: list[Part] = [{"type": "text", "content": prompt}] if isinstance(prompt, str) and prompt else []
    parts += [part for visual, modality in visuals if (part := visual_part(visual, modality)) is not None]
    return [{"role": "user", "parts": parts}] if parts else []


def made_choice(part: Part | None, refusal: Any = None) -> Choice:
    """One thing that was made, or why it is kept back."""
    choice = Choice(parts=[] if part is None else [part])
    if isinstance(refusal, str):
        choice.say("refusal", refusal)
        choice.finish_reason = FILTERED
    return choice


def made_record(made: Any, name: str, choice: Choice | None) -> dict[str, Any]:
    """One thing that was made for the session file; its bytes were hashed for ``choice`` already."""
    rest = {key: value for key, value in given(made).items() if key != name}
    about = {key: value for key, value in given(field(made, name)).items() if not key.endswith("_bytes")}
    known = [part for part in choice.parts if isinstance(part, dict) and "sha256" in part] if choice else []
    digest = digest_record(cast("dict[str, Any]", known[0])) if known else {}
    return {**plain(rest), name: {**plain(about), **digest}}


def config_record(config: Any) -> Any:
    """A config as it was passed, without what is about the connection."""
    record = plain(config)
    if isinstance(record, dict):
        return {key: value for key, value in record.items() if key not in _TRANSPORT}
    return record


_TRANSPORT = ("http_options", "httpOptions")


def scalars_of(config: Any, names: frozenset[str], read: Callable[[Any], Any] = plain) -> dict[str, Any]:
    """The parameters of a config that are numbers, or words of the provider's."""
    return {name: read(value) for name, value in given(config).items() if name in names}
