"""Reading what the SDK takes as models, as dicts with snake_case keys and as dicts with camelCase keys, all alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from aiobs.semconv.blobs import described, described_base64

MAX_DEPTH = 32


def field(item: Any, name: str) -> Any:
    """One field by its snake_case name, or None."""
    if item is None:
        return None
    if isinstance(item, Mapping):
        found = item.get(name)
        return item.get(_camel(name)) if found is None else found
    return getattr(item, "__dict__", _NOTHING).get(name)


def fields_of(item: Any) -> Mapping[str, Any]:
    """The fields by their snake_case names."""
    if isinstance(item, Mapping):
        return {_snake(key): value for key, value in item.items()}
    fields: Mapping[str, Any] = getattr(item, "__dict__", _NOTHING)
    return fields


def given(item: Any) -> dict[str, Any]:
    """The fields that somebody gave, by their snake_case names; what is None is not given."""
    fields = fields_of(item)
    named = getattr(item, "__pydantic_fields_set__", fields)
    return {name: value for name in sorted(named) if (value := fields.get(name)) is not None}


_NOTHING: Mapping[str, Any] = {}


def word(value: Any) -> str | None:
    """An enum member, or the text that stands for one, in lower case; None for a member that means nothing."""
    text = value.value if isinstance(value, Enum) else value
    if not isinstance(text, str) or not text or text.endswith("_UNSPECIFIED"):
        return None
    return text.lower()


def bare_model(model: Any) -> str | None:
    """The model without ``models/``, ``publishers/google/models/`` or a project in front."""
    return _bare_model(model) if isinstance(model, str) else None


@lru_cache(maxsize=1024)
def _bare_model(model: str) -> str:
    for prefix in ("models/", "tunedModels/"):
        head, found, name = model.rpartition(prefix)
        if found and (not head or head.endswith("/")):
            return name
    return model


def plain(value: Any, depth: int = 0) -> Any:
    """For the session file: models as dicts without what is None, bytes as their number and hash, functions by name."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, bytes):
        return _binary_record(value, None)
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value] if depth < MAX_DEPTH else "<deep>"
    if isinstance(value, Mapping) or hasattr(type(value), "__pydantic_validator__"):
        return _plain_fields(value, depth)
    if callable(value):
        return f"<function {getattr(value, '__name__', type(value).__name__)}>"
    return f"<{type(value).__name__}>"


def _plain_fields(value: Any, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return "<deep>"
    fields = value if isinstance(value, Mapping) else vars(value)
    given = {str(key): item for key, item in fields.items() if item is not None}
    kind = given.get("mime_type") or given.get("mimeType")
    binary = _BYTES.intersection(given) if kind is None else {*_BYTES, "data"}.intersection(given)
    kept = {key: plain(item, depth + 1) for key, item in given.items() if key not in binary}
    for key in binary:
        kept.update(_binary_record(given[key], kind if isinstance(kind, str) else None))
    return kept


_BYTES = frozenset({"image_bytes", "imageBytes", "video_bytes", "videoBytes"})


def _binary_record(data: Any, mime_type: str | None) -> dict[str, Any]:
    """Of a picture, sound or film: bytes, or base64."""
    if isinstance(data, bytes):
        return digest_record(described(data, mime_type))
    return digest_record(described_base64(str(data), mime_type))


def digest_record(about: Mapping[str, Any]) -> dict[str, Any]:
    """Size, hash and, where media are kept, address of something binary."""
    return {"bytes": about["size"], **{key: about[key] for key in ("sha256", "uri") if key in about}}


@lru_cache(maxsize=1024)
def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@lru_cache(maxsize=1024)
def _snake(name: Any) -> str:
    return _CAPITAL.sub(r"_\1", str(name)).lower()


_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
