"""A bound in bytes for each attribute: long JSON loses the ends of its longest texts and stays JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiobs.errors import ConfigurationError
from aiobs.semconv.serialise import clean_text, truncate

SMALLEST = 128
_MARK = 64
"""Bytes that ``truncate`` adds to what it keeps, about."""

_ROUNDS = 12
_DEEPEST = 64


class AttributeBudget:
    """A step for the exporters: the name of an attribute and its value → a value of at most ``limit`` bytes.

    Text is cut at its end and says so, as message parts are. In JSON, lists and mappings the longest texts are cut
    first, all to the same length; where that is not enough, the middle of long lists is left out. A character is never
    cut, nor an escape. Numbers and short values come back as they are.
    """

    def __init__(self, limit: int) -> None:
        if limit < SMALLEST:
            raise ConfigurationError(f"A budget of {limit} bytes has no room for what it says; use {SMALLEST} or more.")
        self.limit = limit

    def __call__(self, name: str, value: Any) -> Any:
        """The value, or as much of it as there is room for."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (bytes, bytearray)):
            return value if len(value) <= self.limit else bytes(value[: self.limit])
        return self._structure(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AttributeBudget) and other.limit == self.limit

    def __hash__(self) -> int:
        return hash(self.limit)

    def _text(self, text: str) -> str:
        if len(text) * 4 <= self.limit or _size(text) <= self.limit:
            return text
        if text.lstrip()[:1] in ("{", "["):
            try:
                return self._json(json.loads(text))
            except (ValueError, RecursionError):
                pass  # it only looked like JSON
        return truncate(text, self.limit - _MARK)

    def _structure(self, value: Any) -> Any:
        if _size(_written(value)) <= self.limit:
            return value
        kept = json.loads(self._json(value))
        if not isinstance(value, tuple):
            return kept
        return tuple(kept) if isinstance(kept, list) and len({type(item) for item in kept}) < 2 else _written(kept)

    def _json(self, value: Any) -> str:
        for shorter in _shorter(value, self.limit):
            text = _written(shorter)
            if _size(text) <= self.limit:
                return text
        return _written(truncate(_written(value), 0)[: self.limit - 2])


def _shorter(value: Any, limit: int) -> Iterator[Any]:
    """The value with less and less in it."""
    value = _cut(value, lambda text: _beginning(text, limit))  # once, so that the rest is about as much as is kept
    for room in (None, 256, 32, 4):
        value = value if room is None else _middle_left_out(value, room)
        longest = _longest_that_fits(value, limit)
        for _ in range(_ROUNDS):
            yield _cut(value, lambda text, longest=longest: _shortened(text, longest))  # type: ignore[misc]  # a default
            if longest == 0:
                break
            longest = longest * 3 // 4


class _Beginning(str):
    """The beginning of a text that had ``total`` bytes."""

    __slots__ = ("total",)
    total: int


def _beginning(text: str, limit: int) -> str:
    text = clean_text(text)
    if len(text) * 4 <= limit or _size(text) <= limit:
        return text
    kept = _Beginning(text[:limit].encode()[:limit].decode(errors="ignore"))
    kept.total = _size(text)
    return kept


def _shortened(text: str, limit: int) -> str:
    """As ``truncate``, also of what has been cut already."""
    if not isinstance(text, _Beginning):
        return truncate(text, limit)
    kept = text.encode()[:limit].decode(errors="ignore")
    return f"{kept}… [truncated by aiobs: {len(kept.encode())} of {text.total} bytes kept]"


def _longest_that_fits(value: Any, limit: int) -> int:
    """To which length all longer texts are cut, so that what is left is no more than the limit, escapes included."""
    sizes = sorted(_sizes(value))
    room = limit - (_size(_written(value)) - sum(sizes))
    for number, size in enumerate(sizes):
        left = len(sizes) - number
        if room < size * left:
            return max(0, room // left - _MARK)
        room -= size
    return limit


def _sizes(value: Any) -> Iterator[int]:
    """What each text takes when it is written."""
    if isinstance(value, str):
        yield _size(_written(value)) - 2
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _sizes(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _sizes(item)


def _cut(value: Any, cut: Callable[[str], str], depth: int = 0) -> Any:
    if isinstance(value, str):
        return cut(value)
    if depth >= _DEEPEST:
        return cut(_written(value))
    if isinstance(value, Mapping):
        return {key: _cut(item, cut, depth + 1) for key, item in value.items()}
    return [_cut(item, cut, depth + 1) for item in value] if isinstance(value, (list, tuple)) else value


def _middle_left_out(value: Any, room: int, depth: int = 0) -> Any:
    """Lists and mappings with their first and last items, and a text or key that says how many there were."""
    if depth >= _DEEPEST:
        return value
    if isinstance(value, Mapping):
        items = [(key, _middle_left_out(item, room, depth + 1)) for key, item in value.items()]
        note = f"… [{len(items) - room} keys left out by aiobs]"
        return dict(items if len(items) <= room else [*items[: room // 2], (note, None), *items[-(room // 2) :]])
    if not isinstance(value, list):
        return value
    kept = [_middle_left_out(item, room, depth + 1) for item in value]
    note = f"… [{len(kept) - room} items left out by aiobs]"
    return kept if len(kept) <= room else [*kept[: room // 2], note, *kept[-(room // 2) :]]


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
