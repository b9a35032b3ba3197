"""Reading fields of SDK objects, of plain dicts and of JSON that a server sent, all alike."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache, reduce
from operator import or_
from types import NoneType
from typing import Any, cast


def fields_of(item: Any) -> Mapping[str, Any]:
    """The fields of a pydantic model (unknown ones included), a mapping or a ``JsonObject``; else none."""
    if item is None:
        return {}
    try:
        fields: Mapping[str, Any] = item.__dict__
        extra = item.__pydantic_extra__
    except AttributeError:
        return _fields_of_other(item)
    return {**fields, **extra} if extra else fields


def _fields_of_other(item: Any) -> Mapping[str, Any]:
    if isinstance(item, dict):
        return item
    to_dict = getattr(item, "to_dict", None)
    return to_dict() if to_dict is not None else getattr(item, "__dict__", {})


def get(item: Any, name: str) -> Any:
    """One field, or None."""
    if item is None:
        return None
    if type(item) is dict:
        return item.get(name)
    is_mapping = _is_mapping(type(item))  # type: ignore[arg-type]  # mypy takes type.__hash__ for that of instances
    return item.get(name) if is_mapping else getattr(item, name, None)


@lru_cache(maxsize=1024)
def _is_mapping(kind: Hashable) -> bool:
    """Remembered: asking the abstract class takes as long as ten fields."""
    return issubclass(cast("type", kind), Mapping)


def items(value: Any) -> Iterable[Any]:
    """The items of a list or tuple; anything else, a one-shot iterator above all, has none for us."""
    return value if isinstance(value, (list, tuple)) else ()


def count(value: Any) -> int | None:
    """A number of tokens; anything else (a string, a negative number, one that JSON cannot hold exactly) is None."""
    return value if type(value) is int and not value >> _COUNT_BITS else None


def counts(*values: Any) -> tuple[int | None, ...]:
    """These numbers of tokens, None where there is none; they are looked at together, and one by one if one is odd."""
    is_plain = _NUMBERS.issuperset(map(type, values)) and not reduce(or_, filter(None, values), 0) >> _COUNT_BITS
    return values if is_plain else tuple(map(count, values))


_NUMBERS = frozenset({int, NoneType})
_COUNT_BITS = 53  # so that no sum of counts leaves the 64 bits of an attribute


def text(value: Any) -> str | None:
    """A text that says something; anything else is None."""
    return value if type(value) is str and value else None


def texts(*values: Any) -> tuple[str | None, ...]:
    """These texts, None where there is none; they are looked at together, and one by one if one is odd."""
    return values if _TEXTS.issuperset(map(type, values)) and "" not in values else tuple(map(text, values))


_TEXTS = frozenset({str, NoneType})


def unread(value: Any) -> str:
    """What the session file says of an iterator."""
    return f"<{type(value).__name__}: not recorded, reading it would have emptied it>"
