"""Append-only segments of JSON lines: what a process has written survives its crash.

Each process writes a segment of its own, one ``write`` a line, so that threads, forked children and a kill at any
moment leave whole lines, but for at most one at the end. What a full disk refuses is kept (to a bound) and tried again.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

VERSION = 1
BACKLOG_BYTES = 1_048_576

_log = logging.getLogger("aiobs")


class Segment(NamedTuple):
    """One segment on disk, as its header describes it."""

    path: Path
    pid: int
    process_start: int | None

    def is_owned_by_the_living(self) -> bool:
        """The process that writes it exists (and is not a later one with the same id)."""
        start = process_start(self.pid)
        return start is not None and self.process_start in (None, start)


class Line(NamedTuple):
    """One whole line: where it lies, and what it holds."""

    segment: Segment
    offset: int
    length: int
    value: dict[str, Any]


class Journal:
    """The segment of this process in ``directory``; opened when the first line comes."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self.dropped = 0
        self.path: Path | None = None
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._torn = False
        self.path = None

    def append(self, line: bytes) -> None:
        """Write one line (without its newline). Never raises: what cannot be written is kept, or counted as dropped."""
        if os.getpid() != self._pid:
            self._begin()  # a forked child: the lock and the segment are the parent's
        with self._lock:
            if not (self._retry() and self._write(line)):
                self._keep(line)

    def retry(self) -> None:
        """Try what was kept once more."""
        with self._lock:
            self._retry()

    def close(self) -> None:
        """Close the segment; the next line opens a new one."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = self.path = None

    def _retry(self) -> bool:
        while self._backlog:
            if not self._write(self._backlog[0]):
                return False
            self._backlog_bytes -= len(self._backlog.popleft())
        return True

    def _keep(self, line: bytes) -> None:
        if self._backlog_bytes + len(line) > BACKLOG_BYTES:
            self.dropped += 1
            return
        self._backlog.append(line)
        self._backlog_bytes += len(line)

    def _write(self, line: bytes) -> bool:
        """One ``write``; after a short one the torn line is ended by a newline and written again as a whole."""
        data = b"\n" + line + b"\n" if self._torn else line + b"\n"
        try:
            written = os.write(self._open(), data)
        except OSError as error:
            if not self._backlog and not self.dropped:
                _log.warning("aiobs: the journal %s cannot be written (%s); kept in memory", self.directory, error)
            return False
        self._torn = written < len(data)
        return not self._torn

    def _open(self) -> int:
        if self._descriptor is None or (self.path is not None and not self.path.parent.exists()):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path = self.directory / f"{self.name}-{self._pid}-{time.time_ns()}.jsonl"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o600)
            header = {"aiobs_journal": VERSION, "pid": self._pid, "process_start": process_start(self._pid)}
            os.write(self._descriptor, to_json(header) + b"\n")
        return self._descriptor


def segments(directory: Path) -> list[Segment]:
    """The segments in a directory, oldest first; files that are none are left alone."""
    found = []
    for path in directory.glob("*.jsonl"):
        header = next(_values(path), None)
        if header is not None and header[2].get("aiobs_journal") == VERSION:
            found.append(Segment(path, int(header[2].get("pid", 0)), header[2].get("process_start")))
    return sorted(found, key=lambda segment: int(segment.path.stem.rpartition("-")[2] or 0))


def lines(segment: Segment) -> Iterator[Line]:
    """Every whole line but the header; torn and foreign ones are passed over."""
    for offset, length, value in _values(segment.path):
        if "aiobs_journal" not in value:
            yield Line(segment, offset, length, value)


def _values(path: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Lines end at ``\\n`` only: U+2028 and its like belong to the text."""
    offset = 0
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                value = parsed(raw)
                if isinstance(value, dict):
                    yield offset, len(raw), value
            offset += len(raw)


def parsed(raw: bytes) -> Any:
    """A line as a value, None for what is no JSON; the fast parser gives up on deep nesting, the other one does not."""
    try:
        return from_json(raw)
    except ValueError:
        pass
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def process_start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (/proc); None if there is none, 0 where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0 if not Path("/proc/self/stat").exists() and _exists(pid) else None
    return int(stat.rpartition(b")")[2].split()[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
