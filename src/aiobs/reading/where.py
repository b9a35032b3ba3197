"""Choosing events by what they, their session and what surrounded them say: ``model=gpt-4*``, ``label.team=x``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from aiobs.errors import ConfigurationError

_SESSION = ("id", "name")


class Condition(NamedTuple):
    """``key=pattern``; ``*``, ``?`` and ``[...]`` in the pattern stand for anything."""

    key: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises ConfigurationError for what is no condition."""
        key, equals, pattern = text.partition("=")
        if not key.strip() or not equals:
            raise ConfigurationError(f"{text!r} is no condition; write key=value, e.g. model=gpt-4* or label.team=x.")
        return cls(key.strip(), pattern.strip())

    def holds(self, event: Mapping[str, Any], session: Mapping[str, Any]) -> bool:
        """Some value that the event has under the key is the pattern, or matches it. Null matches ``null`` only."""
        texts = [_text(value) for value in values(self.key, event, session)]
        return any(text == self.pattern or (text != "null" and fnmatchcase(text, self.pattern)) for text in texts)


def values(key: str, event: Mapping[str, Any], session: Mapping[str, Any]) -> Iterator[Any]:
    """What an event has under a key: of what surrounded it, its session, its model, or a field by its dotted path.

    ``model`` is the model that was asked for and the one that answered.
    """
    surroundings = event.get("context") or {}
    if key in surroundings:
        yield surroundings[key]
    kind, _, name = key.partition(".")
    if kind == "label" and name in (session.get("labels") or {}):
        yield session["labels"][name]
    elif kind == "session" and (name or "name") in _SESSION:
        yield session.get(name or "name")
    elif key == "model":
        yield from (value for place in ("request.model", "response.model") if (value := _at(place, event)) is not None)
    elif (found := _at(key, event, _NOTHING)) is not _NOTHING:
        yield found


_NOTHING = object()


def _at(path: str, value: Any, otherwise: Any = None) -> Any:
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return otherwise
        value = value[step]
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def keys_of(event: Mapping[str, Any], session: Mapping[str, Any]) -> set[str]:
    """The keys that a condition may name for this event, without those of requests and responses."""
    labels = {f"label.{name}" for name in session.get("labels") or {} if not name.startswith("aiobs_")}
    model = {"model"} if "request" in event else set()
    plain = {name for name, value in event.items() if not isinstance(value, (dict, list)) and not name.endswith("_at")}
    return {*(event.get("context") or {}), *labels, *model, *plain, "session.name"}
