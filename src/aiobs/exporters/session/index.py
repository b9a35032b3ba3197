"""An index of spans in columns: about 170 bytes a span, 30 more a change, so that a flush of a million calls fits."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

EVENT, FUNCTION = 1, 2
_SEEN = 0
_NONE = -1


class SpanIndex:
    """Where the events of spans lie, and which span is whose parent.

    A span has a row from the first time its id is seen, be it as somebody's parent; ``kind`` says whether it is an
    event. A span that is put again takes its place: the last record of a span wins.
    """

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self.kind = bytearray()
        self.started_at = array("d")
        self.parent = array("i")
        self.source = array("i")
        self.offset = array("q")
        self.length = array("q")
        self.enh_prompt_ids: dict[int, str] = {}
        self._changes = Changes()

    def __contains__(self, span_id: str) -> bool:
        row = self._rows.get(span_id)
        return row is not None and self.kind[row] != _SEEN

    def __len__(self) -> int:
        return len(self.kind) - self.kind.count(_SEEN)

    def put(self, kind: int, span_id: str, parent: str | None, started_at: float, place: tuple[int, int, int]) -> int:
        """Note an event that lies at ``place`` (source, offset, length); its row."""
        row = self.link(span_id, parent)
        self.kind[row], self.started_at[row] = kind, started_at
        self.source[row], self.offset[row], self.length[row] = place
        return row

    def link(self, span_id: str, parent: str | None) -> int:
        """Note the parent of a span that may be no event; the span's row."""
        row = self._row(span_id)
        self.parent[row] = _NONE if parent is None else self._row(parent)
        return row

    def _row(self, span_id: str) -> int:
        row = self._rows.get(span_id)
        if row is None:
            row = self._rows[span_id] = len(self.kind)
            self.kind.append(_SEEN)
            for column, empty in ((self.parent, _NONE), (self.source, 0), (self.offset, 0), (self.length, 0)):
                column.append(empty)
            self.started_at.append(0.0)
        return row

    def change(self, span_id: str, parent: str | None, at: float, place: tuple[int, int, int]) -> None:
        """Note a change of an event, which may be put later, or never."""
        row = self._row(span_id)
        if self.kind[row] == _SEEN and self.parent[row] == _NONE:
            self.link(span_id, parent)
        self._changes.add(row, at, place)

    def changes(self, row: int) -> list[tuple[int, int, int]]:
        """Where the changes of an event lie, in the order of time."""
        return [place for _, place in self._changes.of(row)]

    def adopt(self) -> None:
        """Changes whose event is nowhere: the first one stands for it."""
        for row in self._changes.rows():
            if self.kind[row] == _SEEN:
                at, place = self._changes.of(row)[0]
                self.kind[row], self.started_at[row] = EVENT, at
                self.source[row], self.offset[row], self.length[row] = place

    def by_start(self) -> array[int]:
        """The rows of all events by start time."""
        events = (row for row, kind in enumerate(self.kind) if kind != _SEEN)
        return array("i", sorted(events, key=self.started_at.__getitem__))

    def nearest_event_above(self, row: int) -> int | None:
        """The parent, or the nearest ancestor that is an event; None for a root (and for a circle of ancestors)."""
        above, steps = self.parent[row], 0
        while above != _NONE and self.kind[above] == _SEEN and steps < len(self.kind):
            above, steps = self.parent[above], steps + 1
        return None if above in (_NONE, row) or self.kind[above] == _SEEN else above


class Changes:
    """Changes of events: when they were made and where they lie, each with the one of the same row before it."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._before = array("i")
        self._at = array("d")
        self._source = array("i")
        self._offset = array("q")
        self._length = array("q")

    def add(self, row: int, at: float, place: tuple[int, int, int]) -> None:
        """Note one."""
        self._before.append(self._newest.get(row, _NONE))
        self._newest[row] = len(self._at)
        self._at.append(at)
        for column, value in zip((self._source, self._offset, self._length), place, strict=True):
            column.append(value)

    def of(self, row: int) -> list[tuple[float, tuple[int, int, int]]]:
        """Those of a row by time: when, and where."""
        found, number = [], self._newest.get(row, _NONE)
        while number != _NONE:
            place = self._source[number], self._offset[number], self._length[number]
            found.append((self._at[number], place))
            number = self._before[number]
        return sorted(found)

    def rows(self) -> Iterator[int]:
        """The rows that have some."""
        return iter(self._newest)


class Forest:
    """The events of an index as trees; siblings by start time."""

    def __init__(self, index: SpanIndex, order: array[int]) -> None:
        self._first_child = array("i", [_NONE]) * len(index.kind)
        self._next = array("i", [_NONE]) * len(index.kind)
        self._first_root = _NONE
        for row in reversed(order):
            above = index.nearest_event_above(row)
            if above is None:
                self._next[row], self._first_root = self._first_root, row
            else:
                self._next[row], self._first_child[above] = self._first_child[above], row

    def children(self, row: int | None) -> Iterator[int]:
        """The rows below a row; below None: the roots."""
        below = self._first_root if row is None else self._first_child[row]
        while below != _NONE:
            yield below
            below = self._next[below]

    def depth_first(self) -> Iterator[int]:
        """Every row, parents before their children."""
        stack = [self.children(None)]
        while stack:
            row = next(stack[-1], None)
            if row is None:
                stack.pop()
            else:
                yield row
                stack.append(self.children(row))
