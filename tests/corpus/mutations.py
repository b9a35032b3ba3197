"""Recorded answers that went wrong: one or more changes at random places, the same for the same random source."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.corpus.recordings import Recorded, data_of, events

MAX_EVENTS = 24
"""Longer streams lose events from their middle first: a mutation of the hundredth piece of text teaches nothing."""

LARGE = 100_000

_WORDS = ("", "NaN", "Infinity", "-1", "null", "unknown_value", "\ud800", "a\udfffb", "\x00", "é🙂", "data:,x", "[]")
_NUMBERS = (0, -1, -7, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**70, -(2**63) - 1, 0.5, -0.0, 1e300)
_ODD = (float("nan"), float("inf"), float("-inf"), 10**400)
_SHAPES: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], {"": None}, [{}], {"type": "surprise"}, ["a", 1])


@dataclass
class Mutant:
    """An answer as bytes, and what was done to it."""

    exchange: Recorded
    status: int
    headers: dict[str, str]
    body: bytes
    done: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.exchange.name}: {' · '.join(self.done)}"


@dataclass
class Event:
    """One event of a stream: the line before its data, and the data, as JSON if it is some."""

    head: bytes
    data: Any
    is_json: bool

    def to_bytes(self) -> bytes:
        """As it goes out."""
        return self.head + b"data: " + (_written(self.data) if self.is_json else self.data) + b"\n\n"


def mutant(exchange: Recorded, random: Random) -> Mutant:
    """The exchange's answer with one to three changes."""
    changed = Mutant(exchange, exchange.status, exchange.headers, exchange.body)
    if random.random() < 0.06 or not exchange.frames:  # sound has no fields
        random.choice(_ON_BYTES)(changed, random)
        return changed
    stream = _stream(exchange) if exchange.is_sse else None
    root: Any = stream if stream is not None else (copy.deepcopy(exchange.frames[0]) if exchange.frames else {})
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if stream is not None and random.random() < 0.3:
            changed.done.append(random.choice(_ON_STREAMS)(stream, random))
        else:
            root = _on_json(root, random, changed.done)
    if stream is not None:
        changed.body = b"".join(event.to_bytes() for event in stream)
    else:
        changed.body = _written(root)
    return changed


def _stream(exchange: Recorded) -> list[Event]:
    given = events(exchange.body)
    half = MAX_EVENTS // 2
    given = given if len(given) <= MAX_EVENTS else [*given[:half], *given[-half:]]
    return [_event(event) for event in given]


def _event(raw: bytes) -> Event:
    head = b"".join(line + b"\n" for line in raw.splitlines() if line and not line.startswith(b"data:"))
    data = data_of(raw)
    try:
        return Event(head, json.loads(data), True)
    except ValueError:
        return Event(head, data, False)


def _written(value: Any) -> bytes:
    """JSON as lax servers write it: NaN and lone surrogates included."""
    return json.dumps(value).encode()


# At a place in JSON


def _on_json(root: Any, random: Random, done: list[str]) -> Any:
    """Change one place; the root may be a list of events, which itself is left alone."""
    if isinstance(root, list) and root and isinstance(root[0], Event):
        chosen = [place for place, event in enumerate(root) if event.is_json]
        if not chosen:
            done.append("nothing")
            return root
        place = random.choice(chosen)
        about: list[str] = []
        root[place].data = _on_json(root[place].data, random, about)
        done.append(f"event {place} {about[0]}")
        return root
    holder: dict[str, Any] = {"$": root}
    parent, key, path = _descend(holder, random)
    kind, new = random.choice(_CHANGES)(parent[key], random)
    done.append(f"{path} {kind}")
    if kind == "drop" and key != "$":
        del parent[key]
    elif kind != "drop":
        parent[key] = new
    return holder["$"]


def _descend(holder: dict[str, Any], random: Random) -> tuple[Any, Any, str]:
    """A place: at each level down one more step, or stay, so that what lies high is met as often as what lies deep."""
    parent, key, path = holder, "$", "$"
    while True:
        node: Any = parent[key]
        if not isinstance(node, (dict, list)) or not node or (path != "$" and random.random() < 0.2):
            return parent, key, path
        if path == "$" and random.random() < 0.01:
            return parent, key, path
        step: Any = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
        parent, key = node, step
        path += f"[{step!r}]"


Change = tuple[str, Any]


def _drop(value: Any, random: Random) -> Change:
    return "drop", None


def _null(value: Any, random: Random) -> Change:
    return "= null", None


def _retype(value: Any, random: Random) -> Change:
    options = (str(value)[:200], [value], {"value": value}, 1, 1.5, True, "NaN")
    new = random.choice(options)
    return f"= {type(new).__name__} of it", new


def _reshape(value: Any, random: Random) -> Change:
    new = copy.deepcopy(random.choice(_SHAPES))
    return f"= {new!r}", new


def _word(value: Any, random: Random) -> Change:
    new = random.choice(_WORDS)
    return f"= {new!r}", new


def _number(value: Any, random: Random) -> Change:
    new = random.choice(_NUMBERS)
    return f"= {new!r}", new


def _odd_number(value: Any, random: Random) -> Change:
    new = random.choice(_ODD)
    return f"= {new!r:.20}", new


def _enlarge(value: Any, random: Random) -> Change:
    if random.random() < 0.8:  # they are slow, and few are enough
        return _word(value, random)
    unit = value if isinstance(value, str) and value else "x"
    return "enlarged", (unit * (LARGE // len(unit) + 1))[:LARGE]


def _repeat(value: Any, random: Random) -> Change:
    if isinstance(value, list) and value:
        place = random.randrange(len(value))
        return f"item {place} twice", [*value[: place + 1], copy.deepcopy(value[place]), *value[place + 1 :]]
    return "three times in a list", [value, value, value]


def _shuffle(value: Any, random: Random) -> Change:
    if isinstance(value, list) and value:
        return "reordered", random.sample(value, len(value))
    return _reshape(value, random)


def _nest(value: Any, random: Random) -> Change:
    deep: Any = value
    for _ in range(random.choice((3, 40))):
        deep = {"content": deep} if random.random() < 0.5 else [deep]
    return "nested deep", deep


_CHANGES: tuple[Callable[[Any, Random], Change], ...] = (
    _drop, _drop, _null, _null, _retype, _retype, _reshape, _reshape, _word, _word, _number, _number, _odd_number,
    _enlarge, _repeat, _shuffle, _nest,
)  # fmt: skip


# Of a stream


def _twice(stream: list[Event], random: Random) -> str:
    if not stream:
        return "nothing"
    place = random.randrange(len(stream))
    stream.insert(place, copy.deepcopy(stream[place]))
    return f"event {place} twice"


def _missing(stream: list[Event], random: Random) -> str:
    if not stream:
        return "nothing"
    place = random.randrange(len(stream))
    del stream[place]
    return f"event {place} missing"


def _reordered(stream: list[Event], random: Random) -> str:
    stream[:] = random.sample(stream, len(stream))
    return "events reordered"


def _cut(stream: list[Event], random: Random) -> str:
    place = random.randrange(len(stream) + 1)
    del stream[place:]
    return f"cut before event {place}"


def _wrong_index(stream: list[Event], random: Random) -> str:
    """Another index of a choice, an output item or a tool call."""
    found = [holder for event in stream if event.is_json for holder in _with_index(event.data)]
    if not found:
        return "nothing"
    holder, name = random.choice(found)
    holder[name] = random.choice((1, 7, -1, 2**40, "0", None, 0.0, 2**70))
    return f"{name} = {holder[name]!r}"


def _with_index(value: Any) -> list[tuple[dict[str, Any], str]]:
    if isinstance(value, list):
        return [found for item in value for found in _with_index(item)]
    if not isinstance(value, dict):
        return []
    own = [(value, name) for name in ("index", "output_index", "content_index", "sequence_number") if name in value]
    return own + [found for item in value.values() for found in _with_index(item)]


def _unknown_event(stream: list[Event], random: Random) -> str:
    data = random.choice(({"type": "response.surprise"}, {}, [], None, {"error": {"message": "no"}}, {"choices": None}))
    place = random.randrange(len(stream) + 1)
    stream.insert(place, Event(random.choice((b"", b"event: surprise\n", b"event: error\n")), data, True))
    return f"unknown event before {place}: {data!r}"


_ON_STREAMS: tuple[Callable[[list[Event], Random], str], ...] = (
    _twice, _missing, _reordered, _cut, _wrong_index, _wrong_index, _unknown_event,
)  # fmt: skip


# Of the bytes


def _short(changed: Mutant, random: Random) -> None:
    place = random.randrange(len(changed.body) + 1)
    changed.body = changed.body[:place]
    changed.done.append(f"body cut after byte {place}")


def _garbled(changed: Mutant, random: Random) -> None:
    place = random.randrange(len(changed.body) + 1)
    junk = random.choice((b"\xff\xfe", b"}", b"\x00", b"\n\n", b"data: ", b'"'))
    changed.body = changed.body[:place] + junk + changed.body[place:]
    changed.done.append(f"{junk!r} at byte {place}")


def _other_type(changed: Mutant, random: Random) -> None:
    kind = random.choice(("text/html", "text/event-stream", "application/json", "", "application/octet-stream"))
    changed.headers = {**changed.headers, "content-type": kind}
    changed.done.append(f"content-type {kind!r}")


def _other_status(changed: Mutant, random: Random) -> None:
    changed.status = random.choice((200, 201, 204, 400, 401, 403, 404, 409, 422, 429, 500, 503))
    changed.done.append(f"status {changed.status}")


_ON_BYTES: tuple[Callable[[Mutant, Random], None], ...] = (_short, _garbled, _other_type, _other_status)


def seeded(exchanges: list[Recorded], seed: int, number: int) -> Mutant:
    """Case ``number`` of a seed: the exchanges in turn, each with changes of its own."""
    random = Random(f"{seed}:{number}")
    found = mutant(exchanges[number % len(exchanges)], random)
    return replace(found, done=[f"seed {seed}, case {number}", *found.done])
