"""Taking out what should not leave: by the key that it is under, by a pattern, by what it looks like."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

from aiobs.exporters.redaction.broken import members, strings
from aiobs.exporters.redaction.detectors import DETECTORS, detector, is_card
from aiobs.exporters.redaction.rules import Rule, checked_action, joined
from aiobs.guard import guarded
from aiobs.semconv.credentials import names_a_credential
from aiobs.semconv.serialise import clean_text, to_jsonable
from aiobs.settings import as_names

__all__ = ["ALL", "FAILED", "Redaction", "Rule", "as_redaction"]

ALL = ("email", "phone", "card", "iban", "key", "jwt")
"""The detectors of ``Redaction()``; ``ssn``, ``ip`` and ``phone:DE`` are on request."""

FAILED = "[REDACTION FAILED]"
"""In the place of what could not be looked through."""

DROPPED = "[DROPPED]"
"""In the place of a text of the session file that an action drops and that a reader wants."""

HASH_KEY = "AIOBS_REDACT_HASH_KEY"

_MOST_NESTED = 24
"""JSON texts inside of JSON texts that are read. Each level doubles the backslashes, so no real text has as many."""

_DEEPEST = 64
_LONGEST_PATH = 4_000
_SHORT = 64
_LIKE_JSON = re.compile(r'\s*+[\[{"]')
_DROPPED = object()


class _Found(NamedTuple):
    """A part of a text that goes; of parts that overlap, the one of the lowest ``rank`` says what was there."""

    start: int
    end: int
    rank: int
    label: str
    action: str
    quote: str = ""
    instead: str | None = None


class Redaction:
    """A step for the exporters: the name of an attribute and its value → the value without what was found in it.

    ``detectors`` are names of ``ALL`` (and ``phone:DE`` …), ``rules`` are looked at before them. ``action`` is what
    happens: ``replace`` writes what was there (``[EMAIL]``), ``hash`` adds a keyed hash, the same for the same text
    (``[EMAIL:9f86d081884c7d65]``), ``drop`` removes the text, list item, key or attribute that it was in.
    ``hash_key`` is the key of the hash, else ``AIOBS_REDACT_HASH_KEY``, else a random one of this process.

    The value itself comes back if nothing was found, None for an attribute that is dropped. JSON in texts stays JSON.
    Raises for what cannot be looked through (too deep, of an unknown type): who calls it writes ``FAILED`` then.
    """

    def __init__(
        self,
        detectors: Iterable[str] = ALL,
        rules: Iterable[Rule] = (),
        action: str = "replace",
        hash_key: str | bytes | None = None,
    ) -> None:
        chosen = {name: detector(name) for name in (as_names(detectors) or ())}
        order = list(DETECTORS)
        self.detectors = tuple(sorted(chosen.values(), key=lambda found: order.index(found.name.partition(":")[0])))
        self.rules = tuple(rules)
        self.action = checked_action(action)
        self._by_key = tuple(rule for rule in self.rules if rule.regex is None)
        self._by_pattern = tuple(rule for rule in self.rules if rule.regex is not None)
        self._needs_path = any(rule.key is not None for rule in self.rules)
        self._knows_secrets = "key" in chosen
        self._hash_key = _key(hash_key)
        self._remembers = not any(rule.key is not None for rule in self._by_pattern)
        self._is_clean = lru_cache(maxsize=4096)(self._has_nothing)
        self._is_clean_name = lru_cache(maxsize=4096)(self._detects_nothing)
        self._rule_for = lru_cache(maxsize=4096)(self._first_rule)

    def __call__(self, name: str, value: Any) -> Any:
        """The value of the attribute of that name without what was found; None if the attribute is dropped."""
        if not self._is_clean_name(name):
            return None  # there is nowhere else to put its value
        is_secret = self._knows_secrets and names_a_credential(name.rpartition(".")[2])
        kept = self._value(value, joined("", name), is_secret, 0, 0)
        return None if kept is _DROPPED else kept

    # One value of any kind. ``depth`` counts levels, ``nested`` counts JSON texts inside of each other.

    def _value(self, value: Any, path: str, is_secret: bool, depth: int, nested: int) -> Any:
        rule = self._rule_for(path)
        if rule is not None:
            return self._instead_of(value, rule.label, rule.action or self.action)
        if isinstance(value, str):
            return self._text(value, path, is_secret, nested)
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            return self._number(value)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(value, path, is_secret, nested)
        if depth >= _DEEPEST:
            return self._too_deep(value, path, nested)
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth + 1, nested)
        if isinstance(value, Sequence):
            return self._items(value, path, is_secret, depth + 1, nested)
        raise TypeError(f"{type(value).__name__} is no value of an attribute")

    def _first_rule(self, path: str) -> Rule | None:
        if len(path) > _LONGEST_PATH:
            raise ValueError("the path of keys is too long")
        return next((rule for rule in self._by_key if rule.fits(path)), None)

    def _mapping(self, value: Mapping[Any, Any], path: str, depth: int, nested: int) -> Any:
        kept: dict[Any, Any] = {}
        is_same = True
        for key, item in value.items():
            name = key if isinstance(key, str) else str(key)
            below = joined(path, name) if self._needs_path else ""
            is_secret = self._knows_secrets and names_a_credential(name)
            new_key: Any = key if self._is_clean(name) else self._plain(name, below)
            new = self._value(item, below, is_secret, depth, nested)
            is_same = is_same and new is item and new_key is key
            if new is not _DROPPED and new_key is not _DROPPED:
                kept[_unused(new_key, kept)] = new
        return value if is_same else kept

    def _items(self, items: Sequence[Any], path: str, is_secret: bool, depth: int, nested: int) -> Any:
        if len(items) > 64 and set(map(type, items)) <= {float, bool}:
            return items
        kept = [self._value(item, path, is_secret, depth, nested) for item in items]
        if all(new is item for new, item in zip(kept, items, strict=True)):
            return items
        left = [new for new in kept if new is not _DROPPED]
        left = left if {type(new) for new in left} != {int, str} or isinstance(items, list) else list(map(str, left))
        return tuple(left) if isinstance(items, tuple) else left

    def _number(self, value: int) -> Any:
        """A number of a card may come as a number."""
        if 10**12 <= value < 10**19 and any(each.name == "card" for each in self.detectors) and is_card(str(value)):
            return self._instead_of(value, "CARD", self.action)
        return value

    def _bytes(self, value: bytes | bytearray, path: str, is_secret: bool, nested: int) -> Any:
        text = value.decode("utf-8", "surrogateescape")
        kept = self._text(text, path, is_secret, nested)
        return value if kept is text else kept if kept is _DROPPED else kept.encode("utf-8", "surrogateescape")

    def _too_deep(self, value: Any, path: str, nested: int) -> Any:
        text = json.dumps(value)
        kept = self._broken(text, path, nested)
        return value if kept is text else kept

    # Text

    def _text(self, text: str, path: str, is_secret: bool, nested: int) -> Any:
        if is_secret and text:
            return self._instead_of(text, "KEY", self.action)
        if _LIKE_JSON.match(text) is None:
            return self._plain(text, path)
        if nested >= _MOST_NESTED:
            raise ValueError("too many JSON texts inside of each other")
        try:
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return self._broken(text, path, nested)
        kept = self._value(value, path, False, 0, nested + 1)
        if kept is value or kept is _DROPPED:
            return text if kept is value else kept
        return _written(kept)

    def _plain(self, text: str, path: str, more: Sequence[_Found] = ()) -> Any:
        if len(text) <= _SHORT and not more and self._remembers and self._is_clean(text):
            return text
        found = _merged([*more, *self._look(text, path)])
        if not found:
            return text
        if any(part.action == "drop" for part in found):
            return _DROPPED
        kept: list[str] = []
        at = 0
        for part in found:
            said = part.instead or self._said(text[part.start : part.end], part.label, part.action)
            kept += (text[at : part.start], part.quote, said, part.quote)
            at = part.end
        return "".join((*kept, text[at:]))

    def _look(self, text: str, path: str) -> list[_Found]:
        found = [
            _Found(*match.span(), rank, rule.label, rule.action or self.action)
            for rank, rule in enumerate(self._by_pattern)
            if rule.regex is not None and rule.fits(path)
            for match in rule.regex.finditer(text)
            if match.end() > match.start()
        ]
        for rank, each in enumerate(self.detectors, len(self._by_pattern)):
            found += [_Found(*span, rank, each.label, self.action) for span in each.find(text)]
        return found

    def _broken(self, text: str, path: str, nested: int) -> Any:
        """Text that looks like JSON and is none: values are found by their keys, strings are read without escapes, and
        all of it is looked through.
        """
        found = self._by_members(text, path) if self._by_key or self._knows_secrets else []
        for start, end, string in strings(text):
            kept = self._text(string, path, False, nested + 1)
            if kept is _DROPPED:
                return _DROPPED
            if kept is not string:
                found.append(_Found(start, end, -1, "", "replace", "", json.dumps(kept, ensure_ascii=False)))
        return self._plain(text, path, found)

    def _by_members(self, text: str, path: str) -> list[_Found]:
        found: list[_Found] = []
        for member in members(text, path):
            rule = self._rule_for(member.path)
            if rule is not None:
                found.append(_Found(member.start, member.end, -3, rule.label, rule.action or self.action, '"'))
            elif self._knows_secrets and member.is_text and names_a_credential(member.key):
                found.append(_Found(member.start, member.end, -2, "KEY", self.action, '"'))
        return found

    def _has_nothing(self, key: str) -> bool:
        """Nothing is found in a key, or a short text: a program says the same few again and again."""
        return not self._look(key, "")

    def _detects_nothing(self, name: str) -> bool:
        """The name of an attribute is the program's own word: what a rule says of texts is not meant for it."""
        return not any(True for each in self.detectors for _ in each.find(name))

    # What is there instead

    def _instead_of(self, value: Any, label: str, action: str) -> Any:
        if action == "drop":
            return _DROPPED
        text = value if isinstance(value, str) else json.dumps(value, default=repr, sort_keys=True)
        return self._said(text, label, action)

    def _said(self, text: str, label: str, action: str) -> str:
        """Equal values stay equal, however they are spaced."""
        if action != "hash":
            return f"[{label}]"
        plain = _SPACING.sub("", text).casefold()
        digest = hmac.new(self._hash_key, f"{label}:{plain}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"[{label}:{digest.hexdigest()[:16]}]"

    # For the session file, whose readers want the fields that it has

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event or a session of the file, looked through field by field; of one that fails ``FAILED`` is left."""
        plain = to_jsonable(dict(event))
        return {key: value if key in _STRUCTURE else self._field(key, value) for key, value in plain.items()}

    def _field(self, key: str, value: Any) -> Any:
        if not isinstance(value, dict):
            kept = self._closed(key, value)
            return DROPPED if kept is None and isinstance(value, str) else kept
        if self._rule_for(joined("", key)) is not None:
            return {"redacted": self._closed(key, value)}
        checked = {name: self._closed(f"{key}.{name}", item) for name, item in value.items()}
        return {name: item for name, item in checked.items() if item is not None or value[name] is None}

    def _closed(self, name: str, value: Any) -> Any:
        done: list[Any] = []
        guarded(lambda: done.append(self(name, value)))
        return done[0] if done else FAILED

    def __repr__(self) -> str:
        names = ",".join(each.name for each in self.detectors)
        return f"Redaction({names!r}, rules={len(self.rules)}, action={self.action!r})"

    def __deepcopy__(self, memo: Any) -> Self:
        return self


_SPACING = re.compile(r"[\s-]")

_STRUCTURE = frozenset({
    "duration_ms", "ended_at", "evaluations", "id", "parent_span_id", "provider", "session_id", "span_id", "started_at",
    "trace_id",
})  # fmt: skip
"""What an event is found by: the file's own numbers and ids, no content."""


def _key(given: str | bytes | None) -> bytes:
    key = given or os.environ.get(HASH_KEY) or secrets.token_bytes(32)
    return key.encode() if isinstance(key, str) else key


def _merged(found: list[_Found]) -> list[_Found]:
    """In order, what overlaps made one."""
    merged: list[_Found] = []
    for part in sorted(found):
        last = merged[-1] if merged else None
        if last is None or part.start >= last.end:
            merged.append(part)
            continue
        first = min(last, part, key=lambda each: each.rank)
        action = "drop" if "drop" in (last.action, part.action) else first.action
        merged[-1] = first._replace(start=last.start, end=max(last.end, part.end), action=action)
    return merged


def _unused(key: Any, taken: Mapping[Any, Any]) -> Any:
    """Two keys that look the same now stay two."""
    number, free = 2, key
    while free in taken:
        free, number = f"{key}_{number}", number + 1
    return free


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _written(value: Any) -> str:
    return clean_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def as_redaction(value: Any) -> Redaction | None:
    """A Redaction, names of detectors (``email,phone``), ``all``; None, "", ``none`` and False mean nobody redacts."""
    if isinstance(value, Redaction):
        return value
    if value is True or value == "all":
        return _of_names(ALL)
    if value is None or value is False or value in ("", "none"):
        return None
    return _of_names(as_names(value) or ())


@lru_cache(maxsize=16)
def _of_names(names: tuple[str, ...]) -> Redaction:
    """The same one for the same names: exporters are not made anew for what has not changed."""
    return Redaction(detectors=names)
