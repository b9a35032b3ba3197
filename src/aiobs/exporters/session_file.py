"""The session file ``llm_observability.json``: written to a journal call by call, folded into one file by ``flush``.

Between flushes nothing is kept in memory but the records of the sessions. A flush indexes the journal's lines, and
writes the file event by event from where they lie on disk.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aiobs.call import Call, FunctionCall
from aiobs.exporters.fold import Fold, write_export
from aiobs.exporters.journal import Journal, Segment, segments
from aiobs.exporters.session_record import Identity, call_event, function_event, identity, span_event
from aiobs.semconv import names
from aiobs.semconv.serialise import to_json

DEFAULT_PATH = "./llm_observability.json"
LOCK_TIMEOUT = 20.0
_log = logging.getLogger("aiobs")

Record = Call | FunctionCall


class SessionFile(SpanProcessor):
    """Writes the spans of sessions to a journal as they end, and folds it into the session file.

    ``take`` gives the record that capture left beside a span, once; ``path`` is as in ``flush``.
    """

    def __init__(self, take: Callable[[int], Record | None] = lambda span_id: None, path: str | None = None) -> None:
        self._take = take
        self._path = path
        self._sessions: dict[str, dict[str, Any]] = {}
        self._journal: Journal | None = None
        self._base: Path | None = None
        self._lock = threading.Lock()
        self._failed = False

    # Writing

    def session(self, record: dict[str, Any]) -> None:
        """A session began or changed; the last record of a session wins."""
        self._sessions[record["id"]] = record
        self._append({"session": record})

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span is written when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Write the span's event, if it belongs to a session. Never raises: some spans that end here are not ours."""
        try:
            self.write_span(span)
        except Exception as error:  # the boundary to spans of the program's own, which the guard does not see
            if not self._failed:
                self._failed = True
                _log.warning("aiobs: a span could not be written to the session file (%s)", type(error).__name__)

    def write_span(self, span: ReadableSpan, session_id: str | None = None) -> None:
        """Write the event of a finished span; ``session_id`` is for a span that names none."""
        context = span.context
        record = self._take(context.span_id) if context else None
        session_id = (span.attributes or {}).get(names.SESSION_ID, session_id)  # type: ignore[assignment]  # checked below
        if context is None or not isinstance(session_id, str):
            return
        who = identity(context.span_id, context.trace_id, span.parent.span_id if span.parent else None, session_id)
        if record is not None:
            self._write_record(record, who)
        elif (found := span_event(span, who)) is not None:
            self._append({found[0]: found[1]})
        else:
            self._append({"link": [who.span_id, who.parent_span_id]})

    def write(
        self, record: Record, *, span_id: int, trace_id: int, parent_span_id: int | None, session_id: str
    ) -> None:
        """Write a call whose span nobody brings here (it was not sampled)."""
        self._write_record(record, identity(span_id, trace_id, parent_span_id, session_id))

    def _write_record(self, record: Record, who: Identity) -> None:
        if isinstance(record, Call):
            self._append({"event": call_event(record, who)})
        else:
            self._append({"function": function_event(record, who)})

    def _append(self, line: dict[str, Any]) -> None:
        if self._journal is None:
            self._base = self._target(None)
            name = next(iter(self._sessions), "spans")
            self._journal = Journal(journal_directory(self._base), name)
        self._journal.append(to_json(line).encode())

    # Folding

    def flush(self, path: str | None = None, include_trace_tree: bool = True, persist: bool = True) -> str | None:
        """Write everything since the last flush into one file, atomically; its path as it was given, or None.

        ``path``, else ``LLM_OBS_OUT``, else ``./llm_observability.json``; ``-`` is standard output. A file that holds
        one of these sessions already (another process of the run, a session that goes on) is added to, any other is
        replaced. What cannot be written is logged and kept.
        """
        with self._lock:
            journal = self._journal
            if journal is not None:
                journal.retry()
            mine = self._segments()
            if not persist:
                self._clear(mine)
                return None
            try:
                shown = self._fold(path, mine, include_trace_tree)
            except OSError as error:
                _log.warning("aiobs: the session file was not written (%s); kept for the next flush", error)
                return None
            self._clear(mine)
            return shown

    def _fold(self, path: str | None, found: list[Segment], include_trace_tree: bool) -> str:
        shown = self._shown(path)
        fold = Fold(self._records(), found)
        if shown == "-":
            write_export(sys.stdout, fold, include_trace_tree)
            return shown
        target = Path(shown).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(target):
            fold.merge_file(target)
            replace_atomically(target, lambda file: write_export(file, fold, include_trace_tree))
        return shown

    def _records(self) -> dict[str, dict[str, Any]]:
        dropped = self._journal.dropped if self._journal else 0
        if not dropped:
            return dict(self._sessions)
        return {
            key: {**record, "meta": {**record["meta"], "dropped_events": dropped}}
            for key, record in self._sessions.items()
        }

    def _segments(self) -> list[Segment]:
        """The segments of this run: ours, and those of other processes that share one of our sessions."""
        if self._base is None:
            return []
        return [
            segment
            for segment in segments(journal_directory(self._base))
            if segment.pid == os.getpid() or any(session in segment.path.name for session in self._sessions)
        ]

    def _clear(self, folded: list[Segment]) -> None:
        """Forget what was written; a segment that another living process writes stays."""
        if self._journal is not None:
            self._journal.close()
        for segment in folded:
            if segment.pid == os.getpid() or not segment.is_owned_by_the_living():
                segment.path.unlink(missing_ok=True)
        if self._base is not None:
            remove_if_empty(journal_directory(self._base))
        self._sessions.clear()
        self._journal = self._base = None

    def _shown(self, path: str | None) -> str:
        """The path with its placeholders filled in, from the newest session."""
        text = path or self._path or os.environ.get("LLM_OBS_OUT") or DEFAULT_PATH
        session = next(reversed(self._sessions.values()), None) or {}
        for name, value in {
            "session_id": session.get("id", ""),
            "session_name": str(session.get("name", "")).replace(os.sep, "_"),
            "date": time.strftime("%Y-%m-%d"),
            "pid": str(os.getpid()),
        }.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _target(self, path: str | None) -> Path:
        shown = self._shown(path)
        return Path(DEFAULT_PATH if shown == "-" else shown).absolute()

    def shutdown(self) -> None:
        """Nothing: whoever opened the sessions flushes."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered but what the disk refused."""
        if self._journal is not None:
            self._journal.retry()
        return True


class Recovered(NamedTuple):
    """What ``recover`` found."""

    path: str | None
    segments: int
    sessions: int
    events: int


def recover(path: str | None = None) -> Recovered:
    """Fold what dead processes left in the journal beside a session file into that file."""
    target = Path(path or os.environ.get("LLM_OBS_OUT") or DEFAULT_PATH).absolute()
    left = [segment for segment in segments(journal_directory(target)) if not segment.is_owned_by_the_living()]
    if not left:
        return Recovered(None, 0, 0, 0)
    fold = Fold({}, left)
    with file_lock(target):
        fold.merge_file(target)
        replace_atomically(target, lambda file: write_export(file, fold, include_trace_tree=True))
    for segment in left:
        segment.path.unlink(missing_ok=True)
    remove_if_empty(journal_directory(target))
    return Recovered(str(target), len(left), len(fold.sessions), fold.count)


def journal_directory(file: Path) -> Path:
    """``<file>.journal``."""
    return file.with_name(file.name + ".journal")


@contextmanager
def file_lock(target: Path) -> Iterator[None]:
    """One flush at a time per file, across processes; the lock of a process that dies is free at once."""
    from filelock import FileLock  # its asyncio half makes the import too slow for programs that never flush

    with FileLock(f"{target}.lock", timeout=LOCK_TIMEOUT, mode=0o600):
        yield


def replace_atomically(target: Path, write: Callable[[IO[str]], None]) -> None:
    """Write beside the target, sync, rename: there is the old file or the new one, never half of one."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_if_empty(directory: Path) -> None:
    """Remove a directory that nobody needs any more."""
    try:
        directory.rmdir()
    except OSError:
        return


class SessionFileExporter(SpanExporter):
    """The session file as a plain OpenTelemetry exporter (``OTEL_TRACES_EXPORTER=aiobs_json``).

    It sees spans only, so an event has the content that its span has. Spans of no session go to one of the process.
    """

    def __init__(self, path: str | None = None) -> None:
        self._file = SessionFile(path=path)
        session_id = str(uuid.uuid4())
        self._session: dict[str, Any] = {
            "id": session_id,
            "name": session_id,
            "started_at": time.time(),
            "ended_at": None,
            "meta": {"pid": os.getpid(), "cwd": str(Path.cwd())},
            "labels": {},
        }
        self._announced = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans to the journal."""
        if spans and not self._announced:
            self._announced = True
            self._file.session(self._session)
        for span in spans:
            self._file.write_span(span, self._session["id"])
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered but what the disk refused."""
        return self._file.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Write the file."""
        if self._announced:
            self._announced = False
            self._file.session({**self._session, "ended_at": time.time()})
            self._file.flush()
