"""Folding journal segments into one export: index first, then write event by event from where they lie."""

from __future__ import annotations

import gzip
import io
import json
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from aiobs.exporters.session.index import EVENT, FUNCTION, Forest, SpanIndex
from aiobs.exporters.session.journal import DROPPED, lines
from aiobs.exporters.session.progress import has_progress, updated
from aiobs.semconv.parsing import parsed

FORMAT_VERSION = 1
MAX_OPEN_FILES = 64

_KINDS = {"event": EVENT, "function": FUNCTION}
_LIST_OF = {EVENT: "events", FUNCTION: "function_events"}
_TREE_NAME = {EVENT: "provider", FUNCTION: "function"}
_UPDATE = "update"
_WITH_IDENTITY = frozenset({*_KINDS, _UPDATE})
_LISTS = ("sessions", "events", "function_events")


class Sources:
    """Files, and bytes in memory, to read pieces of; few of the files are open at a time."""

    def __init__(self) -> None:
        self._all: list[Path | bytes] = []
        self._open: OrderedDict[int, IO[bytes]] = OrderedDict()

    def add(self, source: Path | bytes) -> int:
        """The number of a new source."""
        self._all.append(source)
        return len(self._all) - 1

    def file(self, number: int) -> IO[bytes]:
        """The source, open, at any position."""
        file = self._open.pop(number, None)
        if file is None:
            source = self._all[number]
            file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            if len(self._open) >= MAX_OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open[number] = file
        return file

    def read(self, number: int, offset: int, length: int) -> Any:
        """The JSON value that lies there."""
        file = self.file(number)
        file.seek(offset)
        return parsed(file.read(length))

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            self._open.popitem()[1].close()


class Fold:
    """Sessions and their events, deduplicated by span id, from segments and from an earlier export.

    ``torn`` counts lines that could not be read, ``dropped`` those that a process had no room for.
    """

    def __init__(self, sessions: dict[str, dict[str, Any]] | None = None) -> None:
        self.sessions = dict(sessions or {})
        self.index = SpanIndex()
        self.torn = 0
        self.dropped = 0
        self._known = set(self.sessions)
        self._guessed: set[str] = set()
        self._sources = Sources()

    def add(self, segment: Path | bytes) -> None:
        """Add all of a segment (or of lines in memory)."""
        self._add(segment, lambda kind, value: True)

    def add_shared(self, segment: Path) -> bool:
        """Add what a segment of another process has of these sessions, and of those opened inside of them.

        True if that was all there is in it.
        """
        skipped = self._add(segment, self._is_ours)
        return not skipped

    def _is_ours(self, kind: str, value: Any) -> bool:
        if kind == "session":
            return value["id"] in self.sessions or value["meta"].get("parent_session_id") in self.sessions
        return kind not in _WITH_IDENTITY or value["session_id"] in self.sessions

    def _add(self, segment: Path | bytes, wanted: Callable[[str, Any], bool]) -> int:
        number, skipped = self._sources.add(segment), 0
        file = self._sources.file(number)
        for line in lines(file):
            if line.value is None:
                self.torn += 1
                continue
            for kind, value in line.value.items():
                if kind in _WITH_IDENTITY and not _is_event(value):
                    self.torn += 1
                elif not wanted(kind, value):
                    skipped += 1
                elif kind in _KINDS:
                    self._put(_KINDS[kind], value, (number, line.offset, line.length))
                elif kind == _UPDATE:
                    self._change(value, (number, line.offset, line.length))
                else:
                    self._note(kind, value)
        return skipped

    def _put(self, kind: int, event: dict[str, Any], place: tuple[int, int, int]) -> None:
        row = self.index.put(kind, event["span_id"], event["parent_span_id"], event["started_at"], place)
        if event.get("enh_prompt_id"):
            self.index.enh_prompt_ids[row] = event["enh_prompt_id"]
        self._need_session(event)

    def _change(self, update: dict[str, Any], place: tuple[int, int, int]) -> None:
        self.index.change(update["span_id"], update["parent_span_id"], update["started_at"], place)
        self._need_session(update)

    def _need_session(self, event: dict[str, Any]) -> None:
        known = event["session_id"]
        if known not in self.sessions:
            self.sessions[known] = _unknown_session(event)
            self._guessed.add(known)

    def _note(self, kind: str, value: Any) -> None:
        if kind == "link":
            self.index.link(*value)
        elif kind == DROPPED:
            self.dropped += value
        elif kind == "session" and value["id"] not in self._known:
            known = self.sessions.get(value["id"], {})
            if known.get("ended_at") is None or value["ended_at"] is not None:
                self.sessions[value["id"]] = value
                self._guessed.discard(value["id"])

    # An earlier export

    def merge(self, path: Path, *, always: bool = False) -> bool:
        """Add what an export holds, if it shares a session with this fold (or ``always``); what is here already wins.

        False: that is no export.
        """
        found = export_source(path)
        if found is None:
            return False
        number = self._sources.add(found)
        places = [*export_items(self._sources.file(number))]
        earlier = [self._sources.read(number, *where) for name, *where in places if name == "sessions"]
        if not always and not any(session.get("id") in self.sessions for session in earlier):
            return True
        for session in earlier:
            if session.keys() >= {"id", "started_at"}:
                self._merge_session(session)
        for name, offset, length in places:
            if name != "sessions":
                self._merge_event(name, number, offset, length)
        return True

    def _merge_session(self, session: dict[str, Any]) -> None:
        if session["id"] in self._guessed:
            self._guessed.remove(session["id"])
            del self.sessions[session["id"]]
        known = self.sessions.setdefault(session["id"], session)
        lost = (session.get("meta") or {}).get("dropped_events", 0)
        if known is not session and lost:
            self.sessions[session["id"]] = _with_dropped(known, lost)

    def _merge_event(self, name: str, number: int, offset: int, length: int) -> None:
        event, place = self._sources.read(number, offset, length), (number, offset, length)
        if not _is_event(event):
            return
        if event["span_id"] not in self.index:
            self._put(EVENT if name == "events" else FUNCTION, event, place)
        elif has_progress(event):  # the journal may have the call again, but not what has been folded since
            self._change(event, place)

    # Reading

    def event(self, row: int) -> dict[str, Any]:
        """One event, read from where it lies, with what was found out later."""
        event = self._event_at(self.index.source[row], self.index.offset[row], self.index.length[row])
        for place in self.index.changes(row):
            event = updated(event, self._event_at(*place))
        return event

    def _event_at(self, source: int, offset: int, length: int) -> dict[str, Any]:
        value = self._sources.read(source, offset, length)
        event: dict[str, Any] = value if "span_id" in value else next(iter(value.values()))
        return event

    def session_records(self) -> list[dict[str, Any]]:
        """The sessions, by start time, with what was dropped."""
        ordered = sorted(self.sessions.values(), key=lambda session: session["started_at"])
        return [_with_dropped(session, self.dropped) for session in ordered] if self.dropped else ordered

    def close(self) -> None:
        """Close the files."""
        self._sources.close()


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"span_id", "parent_span_id", "started_at", "session_id"}


def _with_dropped(session: dict[str, Any], lost: int) -> dict[str, Any]:
    meta = session.get("meta") or {}
    return {**session, "meta": {**meta, "dropped_events": meta.get("dropped_events", 0) + lost}}


def _unknown_session(event: dict[str, Any]) -> dict[str, Any]:
    """For events of a session whose own record is in another file: a viewer wants one for each id."""
    known = event["session_id"]
    return {
        "id": known,
        "name": known,
        "started_at": event["started_at"],
        "ended_at": None,
        "meta": {"pid": 0, "cwd": ""},
        "labels": {},
    }


def export_source(path: Path) -> Path | bytes | None:
    """An export to read items from: the file, or its text laid out as ours; None for what is no export.

    A gzip file, an export of another layout, and a file with one export a line are in memory for that.
    """
    try:
        with path.open("rb") as file:
            if next(export_items(file), None) is not None:
                return path
        text = path.read_bytes()
        exports = _exports(gzip.decompress(text) if text.startswith(_GZIP) else text)
        found = {name: [item for export in exports for item in export[name]] for name in _LISTS}
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zlib.error):
        return None
    return json.dumps({name: _last_of_each(items) for name, items in found.items()}, indent=2).encode()


_GZIP = b"\x1f\x8b"


def _exports(text: bytes) -> list[dict[str, Any]]:
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.split(b"\n") if line.strip()]


def _last_of_each(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record of each session and span, the last."""
    return [*{item.get("span_id") or item.get("id") or number: item for number, item in enumerate(items)}.values()]


def export_items(file: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """List, offset and length of each session and event in an export as we write it (``indent=2``), without loading it.

    JSON text has no raw newlines, so an item's braces are the only ones that stand alone at its indentation.
    """
    name, start, offset = "", None, 0
    for raw in file:
        if raw.startswith(b'  "'):
            name = raw[3 : raw.find(b'"', 3)].decode("ascii", "replace")
        elif name in _LISTS and raw == b"    {\n":
            start = offset
        elif start is not None and raw.rstrip(b",\n") == b"    }":
            yield name, start, offset + 5 - start
            start = None
        offset += len(raw)


# Writing


def export_text(fold: Fold, *, include_trace_tree: bool) -> Iterator[str]:
    """The export as ``json.dump(..., ensure_ascii=False, indent=2)`` would write it, one event at a time."""
    index = fold.index
    index.adopt()
    order = index.by_start()
    forest = Forest(index, order)
    yield "{\n"
    yield from _list("sessions", fold.session_records())
    for kind, name in _LIST_OF.items():
        yield from _list(name, (fold.event(row) for row in order if index.kind[row] == kind))
    if include_trace_tree:
        yield '  "trace_tree": '
        yield from _tree(fold, forest)
        yield ",\n"
    else:
        yield '  "trace_tree": null,\n'
    enhanced = [index.enh_prompt_ids[row] for row in forest.depth_first() if row in index.enh_prompt_ids]
    yield f'  "enh_prompt_traces": {_indented(enhanced or None, 2)},\n'
    yield f'  "generated_at": {time.time()!r},\n  "version": {FORMAT_VERSION}\n}}\n'


def _list(name: str, values: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f'  "{name}": ['
    separator = "\n"
    for value in values:
        yield f"{separator}    {_indented(value, 4)}"
        separator = ",\n"
    yield "],\n" if separator == "\n" else "\n  ],\n"


def _indented(value: Any, spaces: int) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n" + " " * spaces)


def _tree(fold: Fold, forest: Forest) -> Iterator[str]:
    """Without recursion: a chain of spans may be deeper than Python's stack."""
    yield "["
    levels = [(forest.children(None), False)]
    while levels:
        siblings, has_items = levels.pop()
        pad = "    " * (len(levels) + 1)
        row = next(siblings, None)
        if row is None:
            closing = f"\n{pad[2:]}]" if has_items else "]"
            yield closing + (f"\n{pad[4:]}}}" if levels else "")
            continue
        levels.append((siblings, True))
        node = _indented({"event_type": _TREE_NAME[fold.index.kind[row]], **fold.event(row)}, len(pad))
        body = node.rpartition("\n")[0]
        yield f'{"," if has_items else ""}\n{pad}{body},\n{pad}  "children": ['
        levels.append((forest.children(row), False))
