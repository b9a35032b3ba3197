"""Total serialising: any value becomes JSON text, or a legal attribute, without raising and without side effects.

Plain values (dicts, lists, text, numbers) are looked over, not copied, and written by one call of
``pydantic_core.to_json``. Only what JSON has no word for is replaced: bytes, objects, cycles, NaN, integers beyond 64
bits, data URLs. Iterators are never touched: reading one would empty it.
"""

from __future__ import annotations

import binascii
import dataclasses
import datetime
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from operator import is_
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as _to_json

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

MAX_DEPTH = 64
MAX_ITEMS = 200_000
SENTINELS = frozenset({"NotGiven", "Omit"})
SHORTEST_DATA_URL = 256

_INT64 = 2**63
_ATOMS = frozenset({type(None), bool})
_MANY = 64
_WRITTEN_AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, Decimal, PurePath, UUID)
_DATA_URL = r"data:([\w.+-]+/[\w.+-]+)?[^,]{0,200};base64,"


Describe = Callable[[bytes, str | None], dict[str, Any]]


def to_json(value: Any) -> str:
    """The value as compact JSON text."""
    try:
        return _to_json(_Walk(cleans=False).value(value, 0), inf_nan_mode="strings").decode()
    except Exception:  # lone surrogates mostly; but the value is the program's, and it may be changing right now
        return _carefully(value)


def plain_to_json(value: Any) -> str:
    """The same of what is made of plain dicts, lists, text and numbers almost always: one call does it.

    What that call refuses goes the careful way.
    """
    try:
        return _to_json(value, inf_nan_mode="strings", fallback=_refuse).decode()
    except (PydanticSerializationError, TypeError, ValueError, RecursionError):
        return to_json(value)


def _refuse(value: Any) -> Any:
    raise TypeError(type(value).__name__)


def _carefully(value: Any) -> str:
    try:
        return _to_json(to_jsonable(value), inf_nan_mode="strings").decode()
    except Exception:  # nothing is left to try, not even the name of what raised is safe
        return '"<not serialisable>"'


def to_jsonable(value: Any, describe: Describe | None = None) -> Any:
    """The value as plain dicts, lists, text, numbers; parts that are plain already may be shared with it.

    ``describe`` says what there is instead of bytes of a type, else their size and hash.
    """
    return _Walk(cleans=True, describe=describe).value(value, 0)


class _Walk:
    """One look over one value: returns what is plain as it is, and a copy of what is not, replaced where it has to be.

    Bounds: ``MAX_DEPTH`` levels and ``MAX_ITEMS`` items, as a small value can refer to itself a million times.
    """

    __slots__ = ("_above", "_cleans", "_describe", "_room")

    def __init__(self, *, cleans: bool, describe: Describe | None = None) -> None:
        self._cleans = cleans
        self._describe = describe or _digest
        self._above: set[int] = set()
        self._room = MAX_ITEMS

    def value(self, value: Any, depth: int) -> Any:
        """The value, made plain."""
        kind = type(value)
        if kind is dict or kind is list or kind is tuple:
            return self._container(value, depth)
        if kind is str:
            return self._text(value)
        if kind in _ATOMS:
            return value
        if kind is int:
            return value if -_INT64 <= value < _INT64 else str_of_int(value)
        if kind is float:
            return value if math.isfinite(value) else _nonfinite(value)
        try:
            return self._object(value, depth)
        except Exception:  # the program's own code: a property, an ``items()``, a buffer that is gone
            return f"<{kind.__name__}>"

    def _text(self, text: str) -> str:
        if len(text) >= SHORTEST_DATA_URL and text.startswith("data:"):
            text = without_data(text, self._describe)
        return clean_text(text) if self._cleans else text

    def _container(self, value: Any, depth: int) -> Any:
        key, above = id(value), self._above
        if depth >= MAX_DEPTH or self._room < 0:
            return f"<{type(value).__name__}>"
        if key in above:
            return "<cycle>"
        above.add(key)
        try:
            if type(value) is dict and not self._cleans:
                return self._fast_mapping(value, depth + 1)
            if issubclass(type(value), Mapping):
                return self._mapping(value, depth + 1)
            return self._items(value, depth + 1)
        finally:
            above.discard(key)

    def _fast_mapping(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        """The mapping itself as long as nothing in it has to be replaced, else a copy."""
        self._room -= len(value)
        kept = None
        for key, item in value.items():
            if type(key) is not str:
                return self._mapping(value, depth)
            kind = type(item)
            if kind in _ATOMS or (kind is str and not item.startswith("data:")):
                continue
            plain = self.value(item, depth)
            if plain is item:
                continue
            kept = value.copy() if kept is None else kept
            if kind.__name__ in SENTINELS:
                del kept[key]
            else:
                kept[key] = plain
        return value if kept is None else kept

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        self._room -= len(value)
        return {
            self._key(key): self.value(item, depth)
            for key, item in list(value.items())
            if type(item).__name__ not in SENTINELS
        }

    def _key(self, key: Any) -> str:
        if type(key) is str:
            return clean_text(key) if self._cleans else key
        plain = _Walk(cleans=True).value(key, MAX_DEPTH - 1)
        return plain if isinstance(plain, str) else _to_json(plain).decode()

    def _items(self, items: Iterable[Any], depth: int) -> Any:
        given = items if isinstance(items, (list, tuple)) else list(items)
        if len(given) > _MANY and set(map(type, given)) == {float}:
            return given if all(map(math.isfinite, given)) else [_finite(item) for item in given]
        self._room -= len(given)
        if not self._cleans and set(map(type, given)) == {str} and not any(item.startswith("data:") for item in given):
            return given
        kept = [self.value(item, depth) for item in given]
        return given if all(map(is_, kept, given)) else kept

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.value(value.value, depth)
        kind = type(value)
        if issubclass(kind, (bytes, bytearray, memoryview)):
            return {"type": "bytes", **self._describe(value, None)}
        if issubclass(kind, (str, int, float)):
            return self.value(_without_subclass(value), depth)
        if issubclass(kind, (Mapping, list, tuple, set, frozenset)):
            return self._container(value, depth)
        if issubclass(kind, _WRITTEN_AS_TEXT):
            return self._text(str(value))
        if issubclass(kind, type):
            return f"<{value.__name__}>"
        fields = _fields(value)
        return f"<{kind.__name__}>" if fields is None else self._fields(value, fields, depth)

    def _fields(self, value: Any, fields: dict[str, Any], depth: int) -> Any:
        key = id(value)
        if key in self._above:
            return "<cycle>"
        self._above.add(key)
        try:
            return self._container(fields, depth)
        finally:
            self._above.discard(key)


def _digest(data: Any, mime_type: str | None) -> dict[str, Any]:
    return {"size": memoryview(data).nbytes, "sha256": hashlib.sha256(data).hexdigest()}


def str_of_int(value: int) -> str:
    """Decimal digits; hexadecimal beyond the size that Python writes in decimal."""
    try:
        return str(value)
    except ValueError:  # sys.set_int_max_str_digits
        return hex(value)


def _nonfinite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else _nonfinite(value)


def _without_subclass(value: Any) -> str | int | float:
    """The built-in value under a subclass, without the subclass's own methods."""
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass or pydantic model, read from where they lie: no property or serialiser runs."""
    if hasattr(type(value), "__pydantic_validator__"):  # which every pydantic 2 has; __pydantic_fields__ is of 2.10
        return {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def without_data(text: str, describe: Describe = _digest) -> str:
    """What a base64 data URL holds (type, size, hash) instead of the data; any other text as it is."""
    match = re.match(_DATA_URL, text)
    if match is None:
        return text
    payload = text[match.end() :]
    try:
        data = binascii.a2b_base64(payload)
    except ValueError:
        data = payload.encode("utf-8", "replace")
    kind = match[1] or "text/plain"
    about = describe(data, kind)
    where = f", kept as {about['uri']}" if "uri" in about else ""
    return f"[data URL left out by aiobs: {kind}, {len(data)} bytes, sha256 {about['sha256']}{where}]"


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
    """The first ``limit`` bytes of the text (in UTF-8), and how much of it that is; shorter text as it is."""
    text = clean_text(text)
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    kept = encoded[: max(0, limit)].decode(errors="ignore")
    return f"{kept}… [truncated by aiobs: {len(kept.encode())} of {len(encoded)} bytes kept]"


def attribute_value(value: Any) -> AttributeValue | None:
    """A legal attribute of any value: a scalar, a homogeneous sequence of them, else JSON text; None for nothing."""
    if value is None or type(value).__name__ in SENTINELS:
        return None
    plain = to_jsonable(value)
    if isinstance(plain, (str, bool, int, float)):
        return plain
    if isinstance(plain, (list, tuple)) and _is_homogeneous(plain):
        return tuple(plain)
    return None if plain is None else to_json(plain)


def _is_homogeneous(items: list[Any] | tuple[Any, ...]) -> bool:
    kinds = set(map(type, items))
    return len(kinds) <= 1 and kinds <= {str, bool, int, float}
