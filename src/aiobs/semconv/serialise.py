"""Total serialising: any value becomes JSON text, or a legal attribute, without raising and without side effects.

The fast way is one call of ``pydantic_core.to_json``. Only what it cannot do (lone surrogates, bytes, cycles, objects)
goes the slow way, which walks the value with bounds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from opentelemetry.util.types import AttributeValue
from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as _to_json

MAX_DEPTH = 32
SENTINELS = frozenset({"NotGiven", "Omit"})
_INT64 = 2**63


def to_json(value: Any) -> str:
    """The value as compact JSON text."""
    try:
        return _to_json(value, inf_nan_mode="strings", bytes_mode="utf8", fallback=_refuse, by_alias=False).decode()
    except (PydanticSerializationError, TypeError, ValueError, RecursionError):
        return _to_json(to_jsonable(value)).decode()


def _refuse(value: Any) -> Any:
    raise TypeError(type(value).__name__)


def to_jsonable(value: Any, depth: int = 0) -> Any:
    """The value as plain dicts, lists, strings, numbers."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return clean_text(value)
    if kind is int:
        return value if -_INT64 <= value < _INT64 else str(value)
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if depth >= MAX_DEPTH:
        return f"<{kind.__name__}>"
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return to_jsonable(value.value, depth + 1)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"type": "bytes", "size": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_jsonable(item, depth + 1) for item in value]
    fields = getattr(value, "__dict__", None)
    if isinstance(fields, dict) and (dataclasses.is_dataclass(value) or hasattr(type(value), "__pydantic_fields__")):
        return _mapping({**fields, **(getattr(value, "__pydantic_extra__", None) or {})}, depth)
    return f"<{type(value).__name__}>"


def _mapping(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    return {
        clean_text(key) if type(key) is str else str(to_jsonable(key, MAX_DEPTH)): to_jsonable(item, depth + 1)
        for key, item in value.items()
        if type(item).__name__ not in SENTINELS
    }


def clean_text(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD: one of them loses a whole OTLP batch."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def truncate(text: str, limit: int) -> str:
    """The first ``limit`` bytes of the text, and how much was cut off."""
    encoded = clean_text(text).encode()
    if len(encoded) <= limit:
        return text
    return f"{encoded[:limit].decode(errors='ignore')}… [truncated by aiobs: {len(encoded) - limit} of {len(encoded)} bytes]"


def attribute_value(value: Any) -> AttributeValue | None:
    """A legal attribute of any value; None for what is not there."""
    if value is None or type(value).__name__ in SENTINELS:
        return None
    if isinstance(value, (str, bool, int, float)):
        plain: AttributeValue = to_jsonable(value)
        return plain
    if (
        isinstance(value, Sequence)
        and value
        and len({type(item) for item in value}) == 1
        and isinstance(value[0], (str, bool, int, float))
    ):
        return tuple(to_jsonable(item) for item in value)
    return to_json(value)
