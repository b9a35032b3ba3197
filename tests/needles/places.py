"""Where a secret or a prompt can be: every field that the SDKs' own types name, found by walking them.

Nothing here is a list of fields: a field that an SDK adds tomorrow is a place tomorrow. ``Planter.variants`` makes
values of a type that have a needle in every text, one value for each way in which the type can be filled.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

import typing_extensions
from pydantic import BaseModel

PREFIX = "qzneedle"
MAX_DEPTH = 9
MAX_ITEMS = 60

_numbers: dict[str, int] = {}
_names: list[str] = []


def needle(place: str) -> str:
    """The one text that stands for a place: lower case, as some readers lower what they read."""
    if place not in _numbers:
        _numbers[place] = len(_names)
        _names.append(place)
    return f"{PREFIX}{_numbers[place]:06d}z"


def place_of(found: str) -> str:
    """The place of a needle."""
    return _names[int(found[len(PREFIX) : len(PREFIX) + 6])]


def places() -> Sequence[str]:
    """Every place that has been planted in this process."""
    return tuple(_names)


# What a needle is wrapped in


def _as_json(text: str) -> str:
    return json.dumps({"said": [{"deep": text}]})


def _as_url(text: str) -> str:
    return f"https://example.invalid/a%20b?q=%7B{text}%7D"


def _as_base64(text: str) -> str:
    return base64.b64encode(f"..{text}..".encode()).decode()


FORMS: Mapping[str, Callable[[str], str]] = {"plain": str, "json": _as_json, "url": _as_url, "base64": _as_base64}
_WRAPPED = ("json", "url", "base64")
ROUNDS = ("plain", "wrapped", "mistyped")
"""Forms of planting, one after the other: ``mistyped`` has a text in place of each number, date, flag and known word, and
a program's headers as a list of pairs."""


class Planter:
    """Fills types with needles; ``form`` is how they are written: a key of ``FORMS``, or one of ``ROUNDS``."""

    def __init__(self, form: str = "plain", *, by_alias: bool = False) -> None:
        self._form = form
        self._by_alias = by_alias

    def text(self, place: str) -> str:
        """The needle of the place, in this planter's form; ``wrapped`` is another one from place to place."""
        found = needle(place)
        form = _WRAPPED[_numbers[place] % len(_WRAPPED)] if self._form == "wrapped" else self._form
        return FORMS.get(form, str)(found)

    def variants(self, kind: Any, place: str, depth: int = 0, above: tuple[Any, ...] = ()) -> list[Any]:
        """Values of the type, each with a needle in every text; none for what cannot be made (a file, a client)."""
        kind = _bare(kind)
        if kind is str:
            return [self.text(place)]
        if kind is bytes:
            return [_as_base64(needle(place)) if self._by_alias else needle(place).encode()]
        if kind in _SCALARS:
            return [needle(place) if self._is_mistyped else _SCALARS[kind]]
        if kind in (Any, object):
            return [self._anything(place)]
        origin, given = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return [made for option in given for made in self.variants(option, place, depth, above)]
        if origin is typing.Literal:
            return self._literal(given, place)
        if depth >= MAX_DEPTH:
            return []
        if origin is typing.IO:
            return self.variants(bytes, place, depth, above)
        if origin is not None:
            return self._container(origin, given, place, depth, above)
        return self._record(kind, place, depth, above)

    def _anything(self, place: str) -> Any:
        key = needle(f"{place}.<key>")
        return {"said": self.text(place), key: [{"deep": self.text(f"{place}.<deep>")}]}

    def _literal(self, options: tuple[Any, ...], place: str) -> list[Any]:
        """A server may send, and a program pass, a word that is not listed; one that tells types apart mostly stays."""
        tells = place.rpartition(".")[2] in _TELLING and not self._is_mistyped
        if len(options) == 1 or not isinstance(options[0], str) or tells:
            return [options[0]]
        return [options[0], needle(place)]

    def _container(
        self, origin: Any, given: tuple[Any, ...], place: str, depth: int, above: tuple[Any, ...]
    ) -> list[Any]:
        if not isinstance(origin, type):
            return []
        if issubclass(origin, Mapping):
            values = self.variants(given[1], f"{place}.<value>", depth + 1, above)
            key = needle(f"{place}.<key>")
            as_pairs = self._is_mistyped and not self._by_alias and place.endswith("headers")
            return [[[key, value]] if as_pairs else {key: value} for value in values]
        if issubclass(origin, type) or not (hasattr(origin, "__iter__") and given):
            return []
        items = self.variants(given[0], f"{place}[]", depth + 1, above)
        return [items[start : start + MAX_ITEMS] for start in range(0, len(items), MAX_ITEMS)]

    def _record(self, kind: Any, place: str, depth: int, above: tuple[Any, ...]) -> list[Any]:
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._member(kind, place)
        if not _is_record(kind) or above.count(kind):
            return []
        place, above = f"{place}:{kind.__name__.removesuffix('Dict')}", (*above, kind)
        return self.rounds(fields_of(kind), place, depth + 1, above, lambda name: self._key(kind, name))

    def rounds(
        self,
        fields: Mapping[str, Any],
        place: str,
        depth: int = 0,
        above: tuple[Any, ...] = (),
        key: Callable[[str], str] = str,
    ) -> list[dict[str, Any]]:
        """Dicts that together have every variant of every field; what a list has once is not repeated."""
        made = {name: self.variants(kind, f"{place}.{name}", depth, above) for name, kind in fields.items()}
        filled = {key(name): variants for name, variants in made.items() if variants}
        count = max(map(len, filled.values()), default=1)
        return [{name: _turn(variants, turn) for name, variants in filled.items()} for turn in range(count)]

    def _member(self, kind: type[Enum], place: str) -> list[Any]:
        known = [member.value for member in kind if not str(member.value).endswith("UNSPECIFIED")]
        return [needle(place)] if self._is_mistyped else known[:1]

    @property
    def _is_mistyped(self) -> bool:
        return self._form == "mistyped"

    def _key(self, kind: Any, name: str) -> str:
        field = getattr(kind, "model_fields", {}).get(name)
        return (self._by_alias and field is not None and field.alias) or name


def _turn(variants: list[Any], turn: int) -> Any:
    """The variant whose turn it is; an empty list where all have been."""
    if turn < len(variants):
        return variants[turn]
    return [] if isinstance(variants[0], list) else variants[0]


_TELLING = frozenset({"type", "event_type", "role", "object", "status"})
_SCALARS: Mapping[Any, Any] = {
    bool: True,
    int: 3,
    float: 0.5,
    datetime.datetime: "2026-01-01T00:00:00Z",
}


_ALIASES = tuple(module.TypeAliasType for module in (typing, typing_extensions) if hasattr(module, "TypeAliasType"))


def _bare(kind: Any) -> Any:
    """Without what only annotates it."""
    while True:
        if isinstance(kind, _ALIASES):
            kind = kind.__value__
        elif typing.get_origin(kind) in (typing.Annotated, typing.Required, typing.NotRequired):
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        else:
            return kind


def _is_record(kind: Any) -> bool:
    return typing_extensions.is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


@cache
def fields_of(kind: Any) -> Mapping[str, Any]:
    """The fields of a TypedDict or model with their types; names that only type checkers see are left out."""
    try:
        hints = typing.get_type_hints(kind)
    except NameError:
        hints = _one_by_one(kind)
    names = getattr(kind, "model_fields", None) or hints
    return {name: hints[name] for name in names if name in hints}


def _one_by_one(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        space = vars(__import__("sys").modules[base.__module__]) if base.__module__ != "builtins" else {}
        for name, annotation in vars(base).get("__annotations__", {}).items():
            try:
                found[name] = eval(annotation, dict(space)) if isinstance(annotation, str) else annotation
            except NameError:
                continue
    return found


# Finding them again

_PLAIN = re.compile(rf"{PREFIX}\d{{6}}", re.IGNORECASE)


def _in_base64(prefix: str) -> str:
    """What base64 makes of the prefix, wherever in the data it begins."""
    shapes = []
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + prefix.encode()).decode().rstrip("=")
        shapes.append(encoded[-(-offset * 4 // 3) if offset else 0 :][: (len(prefix) * 4 // 3) - 2].lstrip("A"))
    return "|".join(map(re.escape, shapes))


_ENCODED = re.compile(rf"[A-Za-z0-9+/_-]*(?:{_in_base64(PREFIX)})[A-Za-z0-9+/_-]*")


def found_in(text: str) -> Iterator[str]:
    """The places whose needles are in the text, in plain letters or as base64."""
    seen = {match.group().lower() for match in _PLAIN.finditer(text)}
    for match in _ENCODED.finditer(text):
        run = match.group().replace("-", "+").replace("_", "/")
        for start in range(4):
            part = run[start:]
            decoded = base64.b64decode(part[: len(part) // 4 * 4])
            seen.update(hit.group().lower() for hit in _PLAIN.finditer(decoded.decode("latin-1")))
    return (place_of(each) for each in sorted(seen))
