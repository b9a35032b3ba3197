"""Arguments and results of observed functions, reduced to small JSON-safe values.

Defaults follow the seed: text to 500 characters, 10 items, 20 keys, objects as ``<TypeName>``; what was cut off is
marked. Nothing of the program's runs: what a value is its type says (a lazy proxy stays asleep), items are read with
the methods of the built-in types, fields from where they lie, and no ``__repr__`` is called but that of a few types of
the standard library.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache, partial
from itertools import islice
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MemberDescriptorType
from typing import Any, TypeVar
from uuid import UUID

from aiobs.errors import ConfigurationError
from aiobs.semconv.credentials import REDACTED, names_a_credential

LONGEST_KEY = 100
_READINGS = 8
_T = TypeVar("_T")
_INT64 = 2**63
_BYTES = (bytes, bytearray, memoryview)
_ITEMS = (list, tuple, set, frozenset)
_SHOWN = frozenset({
    complex, date, datetime, time, timedelta, timezone, range, slice, Decimal, UUID, PosixPath, PurePosixPath,
    PureWindowsPath, WindowsPath,
})  # fmt: skip
"""Types whose ``repr`` is short, and nobody's but the standard library's."""


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """A parameter or key of that name holds a credential: what any provider calls so, and ``token``."""
    return name.lower() == "token" or names_a_credential(name)


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """How much of a value is kept.

    Characters of a text, items of a list, keys of a mapping, levels of nesting, and values altogether: a small value
    may hold itself a million times. ``models=False``: dataclasses and pydantic models are objects as any other.
    """

    max_str: int = 500
    max_items: int = 10
    max_keys: int = 20
    max_depth: int = 6
    max_values: int = 2_000
    models: bool = True

    def __post_init__(self) -> None:
        for name in ("max_str", "max_items", "max_keys", "max_depth", "max_values"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ConfigurationError(f"CapturePolicy({name}={value!r}) must be a whole number of 0 or more.")


DEFAULT_POLICY = CapturePolicy()


def checked_policy(given: Any) -> CapturePolicy | None:
    """What was given as ``capture=``; raises ConfigurationError for what is no policy."""
    if given is None or isinstance(given, CapturePolicy):
        return given
    raise ConfigurationError(f"capture={given!r} must be a CapturePolicy (aiobs.capture.reduce).")


def reduced(value: Any, policy: CapturePolicy = DEFAULT_POLICY) -> Any:
    """A JSON-safe picture of any value; cycles and deep nesting end at ``max_depth``."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= policy.max_str else value[: policy.max_str] + "..."
    if value is None or kind is bool or (kind is int and -_INT64 <= value < _INT64):
        return value
    return _Reduction(policy).value(value, 0)


class _Reduction:
    """One look at one value."""

    __slots__ = ("_policy", "_room")

    def __init__(self, policy: CapturePolicy) -> None:
        self._policy = policy
        self._room = policy.max_values

    def value(self, value: Any, depth: int) -> Any:
        """What is kept of it."""
        kind = type(value)
        if kind is str:
            most = self._policy.max_str
            return value if len(value) <= most else value[:most] + "..."
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -_INT64 <= value < _INT64 else _large(value)
        if kind is float:
            return value if math.isfinite(value) else str(value)
        try:
            if kind is dict and depth < self._policy.max_depth and self._room > 0:
                return self._mapping(value.items, len(value), depth)
            return self._object(value, kind, depth)
        except Exception:  # a buffer that is gone, a field that was never set
            return f"<{kind.__name__}>"

    def _object(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, _BYTES):
            return f"<{kind.__name__} {memoryview(value).nbytes}>"
        if kind in _SHOWN:
            return repr(value)[: self._policy.max_str]
        # An enum member or a number of numpy has a built-in type below it, and its own way to show itself.
        if depth >= self._policy.max_depth or self._room <= 0 or issubclass(kind, (str, int, float)):
            return f"<{kind.__name__}>"
        if issubclass(kind, dict):
            return self._mapping(partial(dict.items, value), dict.__len__(value), depth)
        for base in _ITEMS:
            if issubclass(kind, base):
                return self._items(partial(base.__iter__, value), base.__len__(value), depth)
        fields = _fields(value, kind) if self._policy.models else None
        return f"<{kind.__name__}>" if fields is None else self._mapping(fields.items, len(fields), depth)

    def _mapping(self, pairs: Callable[[], Iterable[tuple[Any, Any]]], count: int, depth: int) -> dict[str, Any]:
        most = self._taken(self._policy.max_keys, count)
        kept: dict[str, Any] = {}
        for key, item in _first(pairs, most):
            name = key[:LONGEST_KEY] if type(key) is str else self._key(key)
            kept[name] = REDACTED if is_secret(name) else self.value(item, depth + 1)
        if count > len(kept):
            kept["..."] = f"(+{count - len(kept)} more)"
        return kept

    def _items(self, items: Callable[[], Iterable[Any]], count: int, depth: int) -> list[Any]:
        most = self._taken(self._policy.max_items, count)
        kept = [self.value(item, depth + 1) for item in _first(items, most)]
        if count > len(kept):
            kept.append(f"... (+{count - len(kept)} more)")
        return kept

    def _taken(self, most: int, count: int) -> int:
        """So many of the ``count`` values are kept; they take their room."""
        if count > most or count > self._room:
            count = min(most, self._room)
        self._room -= count
        return count

    def _key(self, key: Any) -> str:
        return str(self.value(key, self._policy.max_depth))[:LONGEST_KEY]


def _first(items: Callable[[], Iterable[_T]], most: int) -> list[_T]:
    """The first of them, copied at once; what another thread changed meanwhile is read again."""
    left = _READINGS
    while True:
        try:
            return [*islice(items(), most)]
        except RuntimeError:  # the collector ran, and with it that thread
            if not left:
                raise
            left -= 1


def _large(value: int) -> str:
    """Python takes its time to write a number of many digits, and refuses some."""
    bits = value.bit_length()
    return str(value) if bits <= 4096 else f"<int {bits} bits>"


def _fields(value: Any, kind: Any) -> Mapping[str, Any] | None:
    """The fields of a dataclass or pydantic model, read from where they lie: no property or validator runs."""
    if issubclass(kind, type):
        return None
    if _defines(kind, "__pydantic_validator__"):
        extra = object.__getattribute__(value, "__pydantic_extra__") if _defines(kind, "__pydantic_extra__") else None
        state: dict[str, Any] = object.__getattribute__(value, "__dict__")
        return {**state, **extra} if extra else state
    if not _defines(kind, "__dataclass_fields__"):
        return None
    return {field.name: found for field in dataclasses.fields(kind) for found in _field(value, kind, field.name)}


def _field(value: Any, kind: type, name: str) -> list[Any]:
    """The field's value in a list, which is empty if it has none: it lies in the instance, or in a slot."""
    if kind.__dictoffset__ and name in (state := object.__getattribute__(value, "__dict__")):
        return [state[name]]
    slot = next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), None)
    return [slot.__get__(value, kind)] if isinstance(slot, MemberDescriptorType) else []


def _defines(kind: type, name: str) -> bool:
    return any(name in base.__dict__ for base in kind.__mro__)
