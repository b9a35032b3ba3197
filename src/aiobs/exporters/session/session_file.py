"""The session file ``llm_observability.json``: written to a journal call by call, folded into one file by ``flush``.

Between flushes nothing is kept in memory but the records of the sessions that are open. A flush indexes the journal's
lines, and writes the file event by event from where they lie on disk.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aiobs.call import Call, FunctionCall, Progress, Record
from aiobs.exporters.session.fold import Fold, export_source, export_text
from aiobs.exporters.session.journal import Closed, Journal, is_written, segments
from aiobs.exporters.session.progress import progress_event
from aiobs.exporters.session.record import Identity, call_event, event_line, function_event, identity, span_event
from aiobs.guard import guarded
from aiobs.semconv import blobs, names
from aiobs.semconv.serialise import to_json
from aiobs.settings import resolve, said

if TYPE_CHECKING:
    from aiobs.exporters.redaction import Redaction  # a program that redacts nothing does not pay for it

DEFAULT_PATH = "./llm_observability.json"
LOCK_TIMEOUT = 20.0
GZIP_SUFFIX = ".gz"

_PLACEHOLDER = re.compile(r"\{(session_id|session_name|date|pid)\}")
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
        self.lock_timeout = LOCK_TIMEOUT
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
                self._journal = Journal(journal_directory(self._target(self._shown(None))), name)
            self._journal.append(line)

    # Where

    def _shown(self, path: str | None) -> str:
        """The path with its placeholders filled in, from the newest session."""
        with self._lock:
            session: Mapping[str, Any] = next(reversed(self._sessions.values()), {})
        shown = filled_in(path or self._path or os.environ.get("LLM_OBS_OUT") or DEFAULT_PATH, session)
        wants_gzip = guarded(resolve, "AIOBS_JSON_GZIP") and shown != "-"
        return f"{shown}.gz" if wants_gzip and not shown.endswith(GZIP_SUFFIX) else shown

    def _target(self, shown: str) -> Path:
        """The file, beside which the journal lies; relative to where the program was when its first session began."""
        if self._directory is None:
            self._directory = working_directory()
        return Path(self._directory, DEFAULT_PATH if shown == "-" else shown)

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
        if blobs.keep is not None and self.lock_timeout == LOCK_TIMEOUT:  # at exit they have a time of their own
            from aiobs.exporters import media  # a program that keeps none does not pay for it

            guarded(media.flush, self.lock_timeout)
        with self._flushing:
            taken = self._rotated()
            if not persist:
                self._forget(taken)
                return None
            shown = self._shown(path)
            target = self._target(shown) if path is None else Path(working_directory(), shown)
            try:
                self._fold(taken, target, "print" if shown == "-" else mode, include_trace_tree)
            except OSError as error:
                text = "aiobs: the session file %s was not written (%s); kept for the next flush"
                guarded(_log.warning, text, target, error)  # a handler of the program's may raise
                return None
            return shown if shown == "-" or Path(working_directory(), shown) == target else str(target)

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
                with file_locks(base, timeout=self.lock_timeout):
                    done = _collect(fold, base, taken.closed)
                    if send(lambda tree: export_text(fold, include_trace_tree=tree)):
                        remove(done)
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
            with file_locks(target, base, timeout=self.lock_timeout):
                done = _collect(fold, base, taken.closed)
                if mode == "print":
                    print_text(export_text(fold, include_trace_tree=include_trace_tree))
                elif mode == "append":
                    if fold.sessions:
                        append_line(target, export_text(fold, include_trace_tree=include_trace_tree))
                elif fold.sessions or not target.exists():
                    # With nothing to write a file stays: another thread may just have written what we would erase.
                    fold.merge(target)
                    replace_atomically(target, export_text(fold, include_trace_tree=include_trace_tree))
                remove(done)
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
            remove_if_empty(taken.journal.directory)
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
        return file_of_journal(taken.journal.directory)
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
    for segment in segments(journal_directory(base)):
        if segment in closed.segments:
            continue
        is_finished = not is_written(segment)  # asked before reading: its last line may come in between
        if fold.add_shared(segment) and is_finished:
            done.append(segment)
    return done


# Recovering


class RecoverResult(NamedTuple):
    """What ``recover`` found, and where it wrote that; ``path`` None: nothing was left behind.

    ``torn`` counts lines that could not be read: a process was killed while it wrote them.
    """

    path: str | None
    segments: int = 0
    sessions: int = 0
    events: int = 0
    torn: int = 0


def recover(path: str | None = None) -> RecoverResult:
    """Add what dead processes left in the journal beside a session file to that file; nothing in it is lost.

    A file that is no export is left alone: the export is written beside it, as ``<name>.recovered.json``.
    """
    target = Path(path or os.environ.get("LLM_OBS_OUT") or DEFAULT_PATH).absolute()
    if not journal_directory(target).is_dir():
        return RecoverResult(None)
    fold = Fold()
    try:
        with file_locks(target):
            left = [segment for segment in segments(journal_directory(target)) if not is_written(segment)]
            if not left:
                return RecoverResult(None)
            for segment in left:
                fold.add(segment)
            events, place = len(fold.index), _place_for(target)
            found = RecoverResult(str(place), len(left), len(fold.sessions), events, fold.torn)
            fold.merge(place, always=True)
            replace_atomically(place, export_text(fold, include_trace_tree=True))
            remove(left)
    finally:
        fold.close()
    remove_if_empty(journal_directory(target))
    return found


def _place_for(target: Path) -> Path:
    is_free = not target.exists() or target.stat().st_size == 0 or export_source(target) is not None
    return target if is_free else target.with_name(f"{target.stem}.recovered.json")


def left_behind(path: str | None = None) -> list[str]:
    """The session files beside which a journal lies; placeholders in the path stand for anything."""
    given = path or os.environ.get("LLM_OBS_OUT") or DEFAULT_PATH
    if given == "-":
        given = DEFAULT_PATH
    pattern = Path(_PLACEHOLDER.sub("*", given)).absolute()
    journals = Path(pattern.anchor).glob(str(journal_directory(pattern).relative_to(pattern.anchor)))
    return sorted(str(file_of_journal(journal)) for journal in journals if journal.is_dir())


# Files


def import_for_exit() -> None:
    """Import what a flush needs and programs without sessions do not (its asyncio half makes it slow).

    Not at exit: code that is compiled there makes CPython forget that it is a KeyboardInterrupt that ends the process,
    which then says 1 to its shell in place of SIGINT.
    """
    import filelock  # noqa: F401  # for its own sake


def filled_in(path: str, session: Mapping[str, Any]) -> str:
    """The path with ``{session_id} {session_name} {date} {pid}`` filled in; a name cannot lead to another directory."""
    values = {
        "session_id": str(session.get("id", "none")),
        "session_name": re.sub(r"[^\w .-]", "_", str(session.get("name", "none")))[:100],
        "date": time.strftime("%Y-%m-%d"),
        "pid": str(os.getpid()),
    }
    return _PLACEHOLDER.sub(lambda match: values[match[1]], path)


def working_directory() -> str:
    """Where relative paths start; empty where the directory was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def journal_directory(file: Path) -> Path:
    """``<file>.journal``."""
    return file.with_name(file.name + ".journal")


def file_of_journal(directory: Path) -> Path:
    """The file that ``journal_directory`` belongs to."""
    return directory.with_name(directory.name.removesuffix(".journal"))


@contextmanager
def file_locks(*targets: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """One flush at a time per file, across processes; the lock of a process that dies is free at once.

    Raises TimeoutError (an OSError) when another process holds one for longer than ``timeout`` seconds.
    """
    from filelock import FileLock  # see import_for_exit

    with ExitStack() as locks:
        for target in sorted(set(targets)):
            locks.enter_context(FileLock(f"{target}.lock", timeout=timeout, mode=0o600))
        yield


def replace_atomically(target: Path, pieces: Iterable[str]) -> None:
    """Write beside the target, sync, rename: there is the old file or the new one, never half of one."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            with _text_into(file, target) as text:
                text.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _text_into(file: IO[bytes], target: Path) -> Iterator[IO[str]]:
    """UTF-8, compressed where the target's name says so; the file stays open."""
    packed = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if target.name.endswith(GZIP_SUFFIX) else None
    text = io.TextIOWrapper(cast(IO[bytes], packed or file), encoding="utf-8", errors="replace")
    try:
        yield text
    finally:
        text.flush()
        text.detach()
        if packed is not None:
            packed.close()


def append_line(target: Path, pieces: Iterable[str]) -> None:
    """Add an export as one line; what the disk has no room for leaves the file as it was."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab") as file:
        before = os.fstat(descriptor).st_size
        is_torn = before and target.suffix != GZIP_SUFFIX and os.pread(descriptor, 1, before - 1) != b"\n"
        try:
            with _text_into(file, target) as text:
                text.write("\n" if is_torn else "")
                text.writelines(_LINE_BREAK.sub("", piece) for piece in pieces)
                text.write("\n")
            file.flush()
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise


_LINE_BREAK = re.compile(r"\n *")  # JSON has none inside of texts


def print_text(pieces: Iterable[str]) -> None:
    """Write to standard output in UTF-8, whatever the terminal's encoding, where it takes bytes."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    for piece in pieces:
        if binary is None:
            sys.stdout.write(piece)
        else:
            binary.write(piece.encode("utf-8", "replace"))
    sys.stdout.flush()


def remove(paths: Iterable[Path]) -> None:
    """Remove files, those that are gone already included."""
    for path in paths:
        path.unlink(missing_ok=True)


def remove_if_empty(directory: Path) -> None:
    """Remove a directory that nobody needs any more."""
    try:
        directory.rmdir()
    except OSError:
        return


class SessionFileExporter(SpanExporter):
    """The session file as a plain OpenTelemetry exporter (``OTEL_TRACES_EXPORTER=aiobs_json``).

    It sees spans only, so an event has the content that its span has. Spans of no session go to one of the process.
    The file is written by ``force_flush`` and ``shutdown``.
    """

    def __init__(self, path: str | None = None) -> None:
        self._file = SessionFile(path=path)
        session_id = str(uuid.uuid4())
        self._session: dict[str, Any] = {
            "id": session_id,
            "name": session_id,
            "started_at": time.time(),
            "ended_at": None,
            "meta": {"pid": os.getpid(), "cwd": working_directory()},
            "labels": {},
        }
        self._is_announced = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans to the journal."""
        if spans and not self._is_announced:
            self._is_announced = True
            self._file.session(self._session)
        for span in spans:
            self._file.write_span(span, self._session["id"])
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write the file; the session goes on."""
        if not self._is_announced:
            return True
        self._is_announced = False
        return self._file.flush() is not None

    def shutdown(self) -> None:
        """End the session and write the file."""
        if self._is_announced:
            self._file.session({**self._session, "ended_at": time.time()})
            self.force_flush()
