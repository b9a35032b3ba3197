"""Folding journal segments into one export: index first, then write event by event from disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

from aiobs.exporters.journal import Segment, lines, parsed

FORMAT_VERSION = 1
_PLACES = {"event": "events", "function": "function_events"}


class Entry(NamedTuple):
    """Where one event lies: a line of a segment, or (``length`` 0) item ``offset`` of the file that is added to."""

    kind: str
    started_at: float
    parent: str | None
    enh_prompt_id: str | None
    source: Path | None
    offset: int
    length: int


class Fold:
    """The events of some segments, deduplicated by span id, and their sessions."""

    def __init__(self, sessions: dict[str, dict[str, Any]], found: list[Segment]) -> None:
        self.sessions = sessions
        self._entries: dict[str, Entry] = {}
        self._links: dict[str, str | None] = {}
        self._earlier: list[dict[str, Any]] = []
        self._files = ExitStack()
        self._open: dict[Path, IO[bytes]] = {}
        known = dict(sessions)
        for segment in found:
            for line in lines(segment):
                for kind, value in line.value.items():
                    self._index(kind, value, segment.path, line.offset, line.length)
        self.sessions.update(known)

    @property
    def count(self) -> int:
        """How many events there are."""
        return len(self._entries)

    def _index(self, kind: str, value: Any, source: Path | None, offset: int, length: int) -> None:
        if kind == "session":
            known = self.sessions.get(value["id"])
            if known is None or known["ended_at"] is None:
                self.sessions[value["id"]] = value
        elif kind == "link":
            self._links[value[0]] = value[1]
        elif kind in _PLACES:
            self._entries[value["span_id"]] = Entry(
                kind, value["started_at"], value["parent_span_id"], value.get("enh_prompt_id"), source, offset, length
            )

    def merge_file(self, path: Path) -> None:
        """Add what a file holds of the same sessions; a file of other sessions, or of something else, adds nothing."""
        try:
            export = json.loads(path.read_bytes())
            same = {session["id"] for session in export["sessions"]} & self.sessions.keys()
            if not same:
                return
            earlier = [("event", event) for event in export["events"]]
            earlier += [("function", event) for event in export["function_events"]]
        except (OSError, ValueError, KeyError, TypeError):
            return
        for session in export["sessions"]:
            self.sessions.setdefault(session["id"], session)
        for kind, event in earlier:
            if event["span_id"] not in self._entries:
                self._index(kind, event, None, len(self._earlier), 0)
                self._earlier.append(event)

    def spans(self, kind: str) -> list[str]:
        """Span ids of one kind of event by start time."""
        chosen = [(entry.started_at, span_id) for span_id, entry in self._entries.items() if entry.kind == kind]
        return [span_id for _, span_id in sorted(chosen)]

    def event(self, span_id: str) -> dict[str, Any]:
        """One event, read from where it lies."""
        entry = self._entries[span_id]
        if entry.source is None:
            return self._earlier[entry.offset]
        file = self._open.get(entry.source)
        if file is None:
            file = self._open[entry.source] = self._files.enter_context(entry.source.open("rb"))
        file.seek(entry.offset)
        value: dict[str, Any] = parsed(file.read(entry.length))[entry.kind]
        return value

    def close(self) -> None:
        """Close the segments."""
        self._files.close()
        self._open.clear()

    def forest(self) -> tuple[list[str], dict[str, list[str]]]:
        """Roots and children, siblings by start time; spans that are no events are seen through."""
        children: dict[str, list[str]] = {}
        roots = []
        for span_id, _entry in sorted(self._entries.items(), key=lambda item: (item[1].started_at, item[0])):
            parent = self._nearest(span_id)
            if parent is None:
                roots.append(span_id)
            else:
                children.setdefault(parent, []).append(span_id)
        return roots, children

    def _nearest(self, span_id: str) -> str | None:
        parent = self._entries[span_id].parent
        seen = {span_id}
        while parent is not None and parent not in self._entries:
            if parent in seen:
                return None
            seen.add(parent)
            parent = self._links.get(parent)
        return None if parent in seen else parent

    def enhanced(self, order: Iterator[str]) -> list[str]:
        """The ids of calls that are marked for prompt analysis, in the order given."""
        return [found for span_id in order if (found := self._entries[span_id].enh_prompt_id)]

    def kind_of(self, span_id: str) -> str:
        """``provider`` or ``function``, as the tree calls it."""
        return "provider" if self._entries[span_id].kind == "event" else "function"


def write_export(file: IO[str], fold: Fold, include_trace_tree: bool) -> None:
    """Write the export as ``json.dump(..., ensure_ascii=False, indent=2)`` would, one event at a time."""
    roots, children = fold.forest()
    try:
        file.write("{\n")
        _write_list(file, "sessions", list(fold.sessions), lambda key: fold.sessions[key])
        for kind, place in _PLACES.items():
            _write_list(file, place, fold.spans(kind), fold.event)
        if include_trace_tree:
            _write_tree(file, fold, roots, children)
        else:
            file.write('  "trace_tree": null,\n')
        enhanced = fold.enhanced(_depth_first(roots, children)) or None
        file.write(f'  "enh_prompt_traces": {_indented(enhanced, 2)},\n')
        file.write(f'  "generated_at": {time.time()!r},\n  "version": {FORMAT_VERSION}\n}}\n')
    finally:
        fold.close()


def _write_list(file: IO[str], name: str, keys: list[str], value_of: Callable[[str], Any]) -> None:
    if not keys:
        file.write(f'  "{name}": [],\n')
        return
    file.write(f'  "{name}": [\n')
    for position, key in enumerate(keys):
        comma = "," if position + 1 < len(keys) else ""
        file.write(f"    {_indented(value_of(key), 4)}{comma}\n")
    file.write("  ],\n")


def _indented(value: Any, spaces: int) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n" + " " * spaces)


def _write_tree(file: IO[str], fold: Fold, roots: list[str], children: dict[str, list[str]]) -> None:
    """Without recursion: a chain of spans may be deeper than Python's stack."""
    file.write('  "trace_tree": [' if roots else '  "trace_tree": []')
    stack = [(iter(roots), 4, len(roots))]
    while stack and roots:
        siblings, indent, left = stack[-1]
        span_id = next(siblings, None)
        pad = " " * indent
        if span_id is None:
            stack.pop()
            file.write("\n" + " " * (indent - 2) + "]")
            if stack:
                _, outer, remaining = stack[-1]
                file.write("\n" + " " * outer + "}" + ("," if remaining else ""))
            continue
        stack[-1] = (siblings, indent, left - 1)
        node = _indented({"event_type": fold.kind_of(span_id), **fold.event(span_id)}, indent)
        below = children.get(span_id, [])
        body = node.rpartition("\n")[0]
        if below:
            file.write(f'\n{pad}{body},\n{pad}  "children": [')
            stack.append((iter(below), indent + 4, len(below)))
        else:
            file.write(f'\n{pad}{body},\n{pad}  "children": []\n{pad}}}' + ("," if left > 1 else ""))
    file.write(",\n")


def _depth_first(roots: list[str], children: dict[str, list[str]]) -> Iterator[str]:
    stack = list(reversed(roots))
    while stack:
        span_id = stack.pop()
        yield span_id
        stack.extend(reversed(children.get(span_id, ())))
