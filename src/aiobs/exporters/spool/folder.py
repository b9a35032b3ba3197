"""The folder of a spool: segments of OTLP/JSON lines that processes append to and take from, oldest first.

A segment is locked (``flock``) by the process that writes or drains it; the kernel lets go of it when that process
dies, and then another one adopts it. Beside a segment lies ``<segment>.at``: how far it has been delivered.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aiobs.exporters.lines.writer import Tail, lock
from aiobs.guard import guarded
from aiobs.semconv.parsing import parsed

LARGEST_SEGMENT = 8 * 1024 * 1024
BATCH_ITEMS = 512
BATCH_BYTES = 2 * 1024 * 1024

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_BLOCK = 1024 * 1024
_numbers = itertools.count()

Decode = Callable[[Mapping[str, Any]], list[Any]]


class Batch(NamedTuple):
    """What is sent at once: items, the lines among them that are broken, and where the segment goes on."""

    segment: Segment
    start: int
    end: int
    items: list[Any]
    broken: list[bytes]


class Segment:
    """One file, locked by us: ``cursor`` is where what has not been delivered begins."""

    def __init__(self, path: Path, descriptor: int, *, is_open: bool) -> None:
        self.path = path
        self.is_open = is_open
        self.is_gone = False
        self._at = path.with_name(f"{path.name}.at")
        self._tail = Tail(descriptor)
        self._whole = 0  # up to where there are whole lines, while it is written to
        self.cursor = self._read_cursor()

    def _read_cursor(self) -> int:
        """Made with the segment, as a disk that is full later has no room for it."""
        try:
            return max(0, min(int(self._at.read_bytes()), self.size))
        except ValueError:
            return 0
        except FileNotFoundError:
            self._note(0)
            return 0

    @property
    def size(self) -> int:
        """In bytes, a torn end included."""
        return self._tail.size

    @property
    def end(self) -> int:
        """Up to where it can be read: of one that is written to, not the half of a line."""
        return self._whole if self.is_open else self.size

    @property
    def is_done(self) -> bool:
        """Nothing is left in it, and nothing will come."""
        return not self.is_open and self.cursor >= self.size

    def is_touched(self) -> bool:
        """Somebody deleted it under us, or cut it off."""
        return self._tail.is_deleted() or self._tail.is_cut()

    def write(self, line: bytes, *, fsync: bool) -> None:
        """Append a line, whole. Raises OSError."""
        self._tail.write(line)
        if fsync:
            os.fsync(self._tail.descriptor)
        self._whole = self.size

    def lines(self, start: int) -> Iterator[bytes]:
        """The lines from a place on; of one that nobody writes to any more, also the half of one at its end."""
        end, rest = self.end, b""
        while start < end and (block := os.pread(self._tail.descriptor, min(_BLOCK, end - start), start)):
            start += len(block)
            *whole, rest = (rest + block).split(b"\n")
            yield from (raw + b"\n" for raw in whole)
        if rest:
            yield rest

    def advance(self, cursor: int) -> None:
        """Note how far it has been delivered, in one small write."""
        self.cursor = cursor
        guarded(self._note, cursor)

    def _note(self, cursor: int) -> None:
        descriptor = os.open(self._at, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, b"%020d" % cursor, 0)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """It is not needed any more."""
        self.is_gone = True
        for path in (self.path, self._at):  # in this order: a cursor without its segment does no harm
            path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it, and of its lock."""
        self._tail.close()


class SpoolFolder:
    """The segments of one signal that are ours: those that this process writes, and those of dead ones.

    Larger than ``max_bytes``, it drops its oldest segment; ``on_drop`` is told how many items that were.
    """

    def __init__(
        self, folder: Path, decode: Decode, *, max_bytes: int, fsync: bool, on_drop: Callable[[int], None]
    ) -> None:
        self.folder = folder.absolute()  # a program may change its directory
        self._decode = decode
        self._max_bytes = max_bytes
        self._segment_bytes = min(LARGEST_SEGMENT, max(1, max_bytes // 8))
        self._fsync = fsync
        self._on_drop = on_drop
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._segments: deque[Segment] = deque()
        self._active: Segment | None = None

    def after_fork(self) -> None:
        """In a child: the segments are the parent's."""
        inherited = self._segments
        self._forget()
        for segment in inherited:
            segment.close()

    # Writing

    def append(self, line: bytes) -> None:
        """Write one line, whole. Raises OSError."""
        with self._lock:
            self._open(len(line) + 1).write(line, fsync=self._fsync)

    def _open(self, coming: int) -> Segment:
        active = self._active
        full = active is not None and active.size and active.size + coming > self._segment_bytes
        if active is not None and (full or active.is_touched()):
            active.is_open = False
            active = self._active = None
        if active is None:
            self._make_room(coming)
            active = self._active = self._new()
        return active

    def _new(self) -> Segment:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}.jsonl"
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            if lock(descriptor) is not False:
                break
            os.close(descriptor)  # another process adopted it before we had locked it, and will remove it
        segment = _segment(path, descriptor, is_open=True)
        self._segments.append(segment)
        return segment

    def _make_room(self, coming: int) -> None:
        """Drop our oldest segments until a new one fits; what other processes hold is theirs to drop."""
        room = max(coming, self._segment_bytes)
        while self._segments and self._size() + room > self._max_bytes:
            oldest = self._segments.popleft()
            self._on_drop(sum(len(self._items(raw) or ()) for raw in oldest.lines(oldest.cursor)))
            oldest.remove()

    def _size(self) -> int:
        """Of all segments in the folder, whoever's."""
        return sum(path.stat().st_size for path in self.folder.glob("*.jsonl") if path.exists())

    # Taking

    @property
    def is_empty(self) -> bool:
        """Everything that is ours has been delivered."""
        with self._lock:
            return all(segment.cursor >= segment.end for segment in self._segments)

    def batch(self, after: Batch | None = None) -> Batch | None:
        """What is to be delivered next, or after another batch; None if nothing waits."""
        with self._lock:
            self._clear()
            segments = iter(self._segments)
            if after is not None:
                passed = any(segment is after.segment for segment in segments)  # and goes on after it
                if passed and (found := self._read(after.segment, after.end)) is not None:
                    return found
            found_in = (self._read(segment, segment.cursor) for segment in segments)
            return next((found for found in found_in if found is not None), None)

    def _read(self, segment: Segment, start: int) -> Batch | None:
        items: list[Any] = []
        broken, end = [], start
        for raw in segment.lines(start):
            found = self._items(raw)
            if found is None:
                broken.append(raw)
            else:
                items += found
            end += len(raw)
            if len(items) >= BATCH_ITEMS or end - start >= BATCH_BYTES:
                break
        if end == start < segment.end and start == segment.cursor:
            segment.advance(segment.end)  # somebody cut it off: there is nothing to wait for
        return Batch(segment, start, end, items, broken) if end > start else None

    def _items(self, raw: bytes) -> list[Any] | None:
        """Those of a line; None for one that is broken."""
        value = parsed(raw)
        if value is None and not raw.strip():
            return []
        try:
            return self._decode(value)
        except (ValueError, TypeError):
            return None

    def done(self, batch: Batch) -> None:
        """A batch has been delivered, or set aside."""
        with self._lock:
            if not batch.segment.is_gone:
                batch.segment.advance(batch.end)
                self._clear()

    def _clear(self) -> None:
        """Remove the segments at the front that are done."""
        while self._segments and self._segments[0].is_done:
            self._segments.popleft().remove()

    # Adopting

    def adopt(self) -> None:
        """Take over the segments of processes that have died."""
        with self._lock:
            ours = {segment.path for segment in self._segments}
            others = sorted(path for path in self.folder.glob("*.jsonl") if path not in ours)
            found = [segment for path in others if (segment := _taken(path)) is not None]
            self._segments.extendleft(reversed(found))
            self._clear()
            for left in self.folder.glob("*.at"):
                if not left.with_suffix("").exists():
                    left.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of everything; what has not been delivered stays for whoever comes."""
        with self._lock:
            if self._active is not None:
                self._active.is_open = False
            self._clear()
            for segment in self._segments:
                segment.close()
            self._segments, self._active = deque(), None


def _taken(path: Path) -> Segment | None:
    """A segment that nobody holds, locked; None for any other, and where there are no locks."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    if lock(descriptor) and os.fstat(descriptor).st_nlink:
        return guarded(_segment, path, descriptor)
    os.close(descriptor)
    return None


def _segment(path: Path, descriptor: int, is_open: bool = False) -> Segment:
    try:
        return Segment(path, descriptor, is_open=is_open)
    except OSError:
        os.close(descriptor)
        raise
