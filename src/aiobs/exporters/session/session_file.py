"""The session file ``llm_observability.json``: written to a journal call by call, folded into one file by ``flush``.

Between flushes nothing is kept in memory but the records of the sessions that are open. A flush indexes the journal's
lines, and writes the file event by event from where they lie on disk.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from aiobs.call import Call, FunctionCall, Progress, Record
from aiobs.exporters.session import files
from aiobs.exporters.session.fold import Fold, export_text
from aiobs.exporters.session.journal import Closed, Journal, is_written, segments
from aiobs.exporters.session.progress import progress_event
from aiobs.exporters.session.record import Identity, call_event, event_line, function_event, identity, span_event
from aiobs.guard import guarded
from aiobs.semconv import blobs, names
from aiobs.semconv.serialise import to_json
from aiobs.settings import resolve, said

if TYPE_CHECKING:
    from aiobs.exporters.redaction import Redaction  # a program that redacts nothing does not pay for it

_log = logging.getLogger("aiobs")


class SessionFile(SpanProcessor):
    """Writes the spans of sessions to a journal as they end, and folds it into the session file.

    ``take`` gives the record that capture left beside a span, once; ``path`` is as in ``flush``. ``redaction``, if
    somebody asked for one, looks through every event before it is written.
    """

    def __init__(self, take: Callable[[int], Record | None] = lambda span_id: None, path: str | None = None) -> None:
        self._take = take
        self._path = path
        self._sessions: dict[str, dict[str, Any]] = {}
        self._journal: Journal | None = None
        self._directory: str | None = None
        self.after_fork()
        _files.add(self)

    def after_fork(self) -> None:
        """In a child: a thread that held a lock is not there any more."""
        self.lock_timeout = files.LOCK_TIMEOUT
        self._lock = threading.RLock()
        self._flushing = threading.RLock()

    # Writing

    def session(self, record: dict[str, Any]) -> None:
        """A session began or changed; the last record of a session wins."""
        record = self._redacted(record)
        with self._lock:
            before = next(reversed(self._sessions), None)
            self._sessions[record["id"]] = record
        self._append(to_json({"session": record}).encode())
        self._let_go_of(before, record["id"])

    def _let_go_of(self, *session_ids: str | None) -> None:
        """The journal has the sessions that ended; until a flush only the newest, which may name the file, is kept.

        A server may open one per request, and flush at its exit.
        """
        with self._lock:
            newest = next(reversed(self._sessions), None)
            for key in session_ids:
                if key is not None and key != newest and key in self._sessions and self._sessions[key]["ended_at"]:
                    del self._sessions[key]

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span is written when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Write the span's event, if it belongs to a session. Never raises: some spans that end here are not ours."""
        guarded(self.write_span, span)

    def write_span(self, span: ReadableSpan, session_id: str | None = None) -> None:
        """Write the event of a finished span; ``session_id`` is for a span that names none."""
        context = span.context
        if context is None:
            return
        named = span.attributes.get(names.SESSION_ID, session_id) if span.attributes else session_id
        if not isinstance(named, str):
            return
        record = self._take(context.span_id)
        who = identity(context.span_id, context.trace_id, span.parent.span_id if span.parent else None, named)
        if record is not None:
            self._write_record(record, who)
        elif (found := span_event(span, who)) is not None:
            kind, event = found
            self._append(event_line(kind, self._redacted(event)))
        else:
            self._link(who)

    def write(
        self, record: Record, *, span_id: int, trace_id: int, parent_span_id: int | None, session_id: str
    ) -> None:
        """Write a call whose span nobody brings here (it was not sampled)."""
        self._write_record(record, identity(span_id, trace_id, parent_span_id, session_id))

    def _write_record(self, record: Record, who: Identity) -> None:
        if isinstance(record, Call):
            self._append(event_line("event", self._redacted(call_event(record, who))))
        elif isinstance(record, FunctionCall):
            self._append(event_line("function", self._redacted(function_event(record, who))))
        elif isinstance(record, Progress):
            self._append(event_line("update", self._redacted(progress_event(record))))
        else:
            self._link(who)

    @cached_property
    def redaction(self) -> Redaction | None:
        """That of the environment, unless it was set."""
        chosen: Redaction | None = said("redact")
        return chosen

    def _redacted(self, event: dict[str, Any]) -> dict[str, Any]:
        if blobs.keep is not None:
            from aiobs.exporters.media import with_media_kept  # a program that keeps none does not pay for it

            event = with_media_kept(event)
        return event if self.redaction is None else self.redaction.event(event)

    def _link(self, who: Identity) -> None:
        """Only the place of a span between others."""
        self._append(to_json({"link": [who.span_id, who.parent_span_id]}).encode())

    def _append(self, line: bytes) -> None:
        with self._lock:
            if self._journal is None:
                name = next(iter(self._sessions), "spans")
                self._journal = Journal(files.journal_directory(self._target(self._shown(None))), name)
            self._journal.append(line)

    # Where

    def _shown(self, path: str | None) -> str:
        """The path with its placeholders filled in, from the newest session."""
        with self._lock:
            session: Mapping[str, Any] = next(reversed(self._sessions.values()), {})
        shown = files.filled_in(path or self._path or os.environ.get("LLM_OBS_OUT") or files.DEFAULT_PATH, session)
        wants_gzip = guarded(resolve, "AIOBS_JSON_GZIP") and shown != "-"
        return f"{shown}.gz" if wants_gzip and not shown.endswith(files.GZIP_SUFFIX) else shown

    def _target(self, shown: str) -> Path:
        """The file, beside which the journal lies; relative to where the program was when its first session began."""
        if self._directory is None:
            self._directory = files.working_directory()
        return Path(self._directory, files.DEFAULT_PATH if shown == "-" else shown)

    # Folding

    def flush(
        self, path: str | None = None, include_trace_tree: bool = True, persist: bool = True, mode: str = "replace"
    ) -> str | None:
        """Write everything since the last flush into one file, atomically; its path as it was given, or None.

        ``path``, else ``LLM_OBS_OUT``, else ``./llm_observability.json``; ``-`` is standard output. A file that holds
        one of these sessions already (another process of the run, a session that goes on) is added to, any other is
        replaced; with nothing new a file stays as it is. ``mode="append"`` adds a line with an export of what is new. A
        path that ends in ``.gz`` is compressed, and all are with ``AIOBS_JSON_GZIP=1``. ``persist=False`` forgets
        everything instead. What cannot be written is logged and kept.
        """
        if blobs.keep is not None and self.lock_timeout == files.LOCK_TIMEOUT:  # at exit they have a time of their own
            from aiobs.exporters import media  # a program that keeps none does not pay for it

            guarded(media.flush, self.lock_timeout)
        with self._flushing:
            taken = self._rotated()
            if not persist:
                self._forget(taken)
                return None
            shown = self._shown(path)
            target = self._target(shown) if path is None else Path(files.working_directory(), shown)
            try:
                self._fold(taken, target, "print" if shown == "-" else mode, include_trace_tree)
            except OSError as error:
                text = "aiobs: the session file %s was not written (%s); kept for the next flush"
                guarded(_log.warning, text, target, error)  # a handler of the program's may raise
                return None
            return shown if shown == "-" or Path(files.working_directory(), shown) == target else str(target)

    def deliver(self, send: Callable[[Callable[[bool], Iterator[str]]], bool]) -> None:
        """Give everything since the last flush to ``send``, as a function that makes its text, with a tree or not.

        What ``send`` does not return True for, or raises at, is kept for the next flush. No session file is written.
        """
        with self._flushing:
            taken = self._rotated()
            base = _base(taken, self._target(self._shown(None)))
            fold = Fold(taken.sessions)
            try:
                base.parent.mkdir(parents=True, exist_ok=True)
                with files.file_locks(base, timeout=self.lock_timeout):
                    done = _collect(fold, base, taken.closed)
                    if send(lambda tree: export_text(fold, include_trace_tree=tree)):
                        files.remove(done)
                        self._forget(taken)
            finally:
                fold.close()

    def _rotated(self) -> _Taken:
        with self._lock:
            journal = self._journal
            return _Taken(dict(self._sessions), journal, journal.rotate() if journal else Closed([], b"", 0))

    def _fold(self, taken: _Taken, target: Path, mode: str, include_trace_tree: bool) -> None:
        base = _base(taken, target)
        fold = Fold(taken.sessions)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with files.file_locks(target, base, timeout=self.lock_timeout):
                done = _collect(fold, base, taken.closed)
                if mode == "print":
                    files.print_text(export_text(fold, include_trace_tree=include_trace_tree))
                elif mode == "append":
                    if fold.sessions:
                        files.append_line(target, export_text(fold, include_trace_tree=include_trace_tree))
                elif fold.sessions or not target.exists():
                    # With nothing to write a file stays: another thread may just have written what we would erase.
                    fold.merge(target)
                    files.replace_atomically(target, export_text(fold, include_trace_tree=include_trace_tree))
                files.remove(done)
                self._forget(taken)
        finally:
            fold.close()

    def _forget(self, taken: _Taken) -> None:
        """What was taken is safe (or not wanted); what came meanwhile stays."""
        with self._lock:
            for key, record in taken.sessions.items():
                if self._sessions.get(key) is record:
                    del self._sessions[key]
            if taken.journal is None:
                return
            taken.journal.discard(taken.closed)
            files.remove_if_empty(taken.journal.directory)
            if taken.journal.is_empty:
                self._journal = None
            if all(record["ended_at"] is not None for record in taken.sessions.values()):
                self._directory = None

    def shutdown(self) -> None:
        """Nothing: whoever opened the sessions flushes."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered but what the disk refused."""
        with self._lock:
            if self._journal is not None:
                self._journal.retry()
        return True


class _Taken(NamedTuple):
    """What a flush writes: the sessions and the closed segments at its begin."""

    sessions: dict[str, dict[str, Any]]
    journal: Journal | None
    closed: Closed


def _base(taken: _Taken, target: Path) -> Path:
    """The file beside which the journal lies."""
    if taken.journal is not None and taken.journal.directory.is_dir():
        return files.file_of_journal(taken.journal.directory)
    return target


_files: weakref.WeakSet[SessionFile] = weakref.WeakSet()


def _after_fork() -> None:
    for file in list(_files):
        file.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _collect(fold: Fold, base: Path, closed: Closed) -> list[Path]:
    """Index what this process wrote, then what others did in the same sessions; segments of the dead that are done."""
    for segment in closed.segments:
        if segment.exists():  # unless somebody deleted it
            fold.add(segment)
    fold.add(closed.backlog)
    fold.dropped += closed.dropped
    done = []
    for segment in segments(files.journal_directory(base)):
        if segment in closed.segments:
            continue
        is_finished = not is_written(segment)  # asked before reading: its last line may come in between
        if fold.add_shared(segment) and is_finished:
            done.append(segment)
    return done
