"""Append-only segments of JSON lines: what a process has written survives its crash.

Each process writes a segment of its own, one ``write`` a line, so that threads, forked children and a kill at any
moment leave whole lines, but for at most one at the end. What a full disk refuses is kept (to a bound) and tried again.

A segment is locked (``flock``) while its process writes it. The kernel lets go of the lock when the process dies,
however it dies; process ids, which containers reuse and cannot see across each other, are not asked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from pydantic_core import to_json

from aiobs.exporters.lines.writer import FLAGS, LineWriter, Tail, lock
from aiobs.semconv.parsing import parsed

VERSION = 1
DROPPED = "dropped"


class Closed(NamedTuple):
    """What a journal held when it was rotated: whole segments, lines that never got to the disk, lines dropped."""

    segments: list[Path]
    backlog: bytes
    dropped: int


class Journal(LineWriter):
    """The segments that this process writes in ``directory``, one at a time, opened when a line comes.

    Where the disk takes lines again, a line says how many were dropped since the last such line.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        super().__init__(f"journal {directory}")

    def _forget(self) -> None:
        super()._forget()
        self._path: Path | None = None
        self._closed: list[Path] = []
        self._dropped_written = 0

    def rotate(self) -> Closed:
        """Close the segment and say what is closed; the next line opens a new segment."""
        with self._lock:
            self._retry()
            self._close()
            backlog = b"".join(line + b"\n" for line in self._backlog)
            return Closed(list(self._closed), backlog, self._unreported)

    def discard(self, closed: Closed) -> None:
        """Forget what ``rotate`` gave: it is safe elsewhere."""
        with self._lock:
            for path in closed.segments:
                path.unlink(missing_ok=True)
                self._closed.remove(path)
            for _ in range(closed.backlog.count(b"\n")):
                self._backlog_bytes -= len(self._backlog.popleft())
            self._dropped_written += closed.dropped

    @property
    def is_empty(self) -> bool:
        """Nothing was written, kept or dropped since what was discarded."""
        with self._lock:
            return not (self._tail is not None or self._closed or self._backlog or self._unreported)

    @property
    def _unreported(self) -> int:
        return self.dropped - self._dropped_written

    def _close(self) -> None:
        if self._tail is None or self._path is None:
            return
        self._close_tail()
        self._closed.append(self._path)
        self._path = None

    def _retry(self) -> bool:
        if not super()._retry():
            return False
        lost = self._unreported
        if lost and self._write(to_json({DROPPED: lost})):
            self._dropped_written += lost
        return True

    def _open(self, coming: int) -> Tail:
        if self._tail is not None:
            if not self._tail.is_deleted():
                return self._tail
            self._close_tail()  # somebody deleted the journal: what they deleted stays deleted
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / f"{self.name}-{os.getpid()}-{time.time_ns()}.jsonl"
        self._tail = Tail(_new_segment(path))
        self._path = path
        return self._tail


def _new_segment(path: Path) -> int:
    """A segment with its lock and its whole header; none at all where the disk has no room for that."""
    descriptor = os.open(path, FLAGS | os.O_EXCL, 0o600)
    header = to_json({"aiobs_journal": VERSION, "pid": os.getpid()}) + b"\n"
    try:
        lock(descriptor)
        if os.write(descriptor, header) == len(header):
            return descriptor
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    os.close(descriptor)
    path.unlink(missing_ok=True)
    raise OSError(errno.ENOSPC, "no room for the header of a segment", str(path))


# Reading


class Line(NamedTuple):
    """One whole line: where it lies, and what it holds; ``value`` None: torn, or something else."""

    offset: int
    length: int
    value: dict[str, Any] | None


def segments(directory: Path) -> list[Path]:
    """The segments in a directory, oldest first; files that are none are left alone."""
    found = [path for path in directory.glob("*.jsonl") if _is_segment(path)]
    return sorted(found, key=lambda path: (path.stem.rpartition("-")[2].zfill(20), path.name))


def newer_segments(directory: Path) -> list[Path]:
    """Segments that a later release of aiobs has written, in a form that this one does not know."""
    versions = {path: _version(path) for path in directory.glob("*.jsonl")}
    return sorted(path for path, version in versions.items() if version is not None and version > VERSION)


def _is_segment(path: Path) -> bool:
    return _version(path) == VERSION


def _version(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            header = parsed(file.readline(1024))
    except OSError:  # removed by its owner since it was listed; a directory
        return None
    version = header.get("aiobs_journal") if isinstance(header, dict) else None
    return version if type(version) is int else None


def is_written(path: Path) -> bool:
    """Some living process writes this segment (or might: a file system without locks cannot tell)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def lines(file: IO[bytes]) -> Iterator[Line]:
    """Every line but the header. Lines end at ``\\n`` only: U+2028 and its like belong to the text."""
    offset = 0
    for raw in file:
        value = parsed(raw)
        if not isinstance(value, dict):
            if raw.strip():
                yield Line(offset, len(raw), None)
        elif "aiobs_journal" not in value:
            yield Line(offset, len(raw), value)
        offset += len(raw)
