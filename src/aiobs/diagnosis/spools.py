"""What lies in a spool: what waits, since when, and what cannot be sent. Only looks: nothing is locked or changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobs.diagnosis.finding import Finding, error, warning
from aiobs.exporters.encoding.decoder import logs_of, spans_of
from aiobs.exporters.replies.failures import BY_CODE
from aiobs.semconv.parsing import parsed

_SIGNALS: dict[str, Callable[[Any], list[Any]]] = {"traces": spans_of, "logs": logs_of}
_PATIENCE = 60.0  # seconds that something waits where all is well
_LARGEST = 64 * 1024 * 1024  # bytes of a segment that are looked at


@dataclass(frozen=True)
class SpoolState:
    """``waiting``: batches, of so many ``bytes``; ``oldest``: seconds since the oldest was begun; ``broken``: lines
    that cannot be read; ``refused``: lines that were set aside; ``problem``: why the folder cannot be used.
    """

    folder: str
    waiting: int
    bytes: int
    oldest: float | None
    broken: int
    refused: int
    problem: str | None

    def __str__(self) -> str:
        if self.problem:
            return f"{self.folder}: {self.problem}"
        if not self.waiting:
            return f"{self.folder}: nothing waits"
        batches = "1 batch waits" if self.waiting == 1 else f"{self.waiting} batches wait"
        return f"{self.folder}: {batches} ({self.bytes / 1e6:.1f} MB), the oldest {_ago(self.oldest)}"


def inspect_spool(folder: str | os.PathLike[str]) -> SpoolState:
    """As far as this user may look."""
    path = Path(folder)
    segments = [found for signal in _SIGNALS for found in _segments(path / signal)]
    aside = [one for one in (path / "refused").glob("*") if one.is_file()] if path.is_dir() else []
    return SpoolState(
        folder=str(folder),
        waiting=sum(segment.lines for segment in segments),
        bytes=sum(segment.bytes for segment in segments),
        oldest=max((segment.age for segment in segments if segment.lines), default=None),
        broken=sum(segment.broken for segment in segments) + _lines([one for one in aside if one.suffix == ".broken"]),
        refused=_lines([one for one in aside if one.suffix == ".jsonl"]),
        problem=problem_of(path),
    )


def check_spool(state: SpoolState) -> Iterator[Finding]:
    """A folder that cannot be used, a backlog, and what was set aside."""
    values = {"folder": state.folder, "signal": "spans or log records", "detail": state.problem,
              "path": f"{state.folder}/refused"}  # fmt: skip
    if state.problem:
        yield error("spool-unwritable", *_sentences("spool-unwritable", **values))
    if state.waiting and (state.oldest or 0.0) > _PATIENCE:
        yield warning("spool-waiting", f"{state}.", "They are sent, in their order, when a program with this spool "
                      "runs and the backend takes them.",
                      "`aiobs doctor --otlp` tells whether it does; start the program, or delete the folder if they "
                      "are not wanted.")  # fmt: skip
    if state.broken:
        what, means, do = _sentences("spool-broken", **values)
        yield warning("spool-broken", f"{what.rstrip('.')}: {state.broken}.", means, do)
    if state.refused:
        told = {**values, "detail": f"{state.refused} so far"}
        yield warning("spool-refused", *_sentences("spool-refused", **told))


def _sentences(code: str, **values: object) -> tuple[str, str, str]:
    """As the program logs them, beginning with a capital."""
    what, means, do = BY_CODE[code].sentences(**values)
    return what[:1].upper() + what[1:], means, do


def problem_of(folder: Path) -> str | None:
    """Why no file can be made in the folder, or the folder itself; only looks."""
    if folder.exists() and not folder.is_dir():
        return "it is a file, not a folder"
    there = next((one for one in (folder, *folder.absolute().parents) if one.exists()), None)
    if there is None or not there.is_dir():
        return f"it cannot be made: {there} is a file"
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} is not writable by this user"


@dataclass(frozen=True)
class _Segment:
    lines: int
    bytes: int
    age: float
    broken: int


def _segments(folder: Path) -> Iterator[_Segment]:
    for path in sorted(folder.glob("*.jsonl")):
        try:
            yield _segment(path, _SIGNALS[folder.name])
        except OSError:
            continue  # sent meanwhile, or not for this user


def _segment(path: Path, decode: Callable[[Any], list[Any]]) -> _Segment:
    with path.open("rb") as file:
        file.seek(_cursor(path))
        left = file.read(_LARGEST).split(b"\n")
    whole = [line for line in left if line.strip()]
    broken = sum(not _is_readable(line, decode) for line in whole)
    return _Segment(len(whole) - broken, sum(map(len, whole)), max(0.0, time.time() - _begun(path)), broken)


def _cursor(path: Path) -> int:
    try:
        return max(0, int(path.with_name(f"{path.name}.at").read_bytes()))
    except (OSError, ValueError):
        return 0


def _begun(path: Path) -> float:
    """By its name, which says in nanoseconds when it was made; else by its file."""
    text = path.name.partition("-")[0]
    return int(text) / 1e9 if text.isdigit() else path.stat().st_mtime


def _is_readable(line: bytes, decode: Callable[[Any], list[Any]]) -> bool:
    try:
        decode(parsed(line))
    except (ValueError, TypeError):
        return False
    return True


def _lines(files: list[Path]) -> int:
    return sum(file.read_bytes().count(b"\n") for file in files if os.access(file, os.R_OK))


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "just now"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} old"
    return f"{seconds:.0f} seconds old"
