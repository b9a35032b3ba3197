"""A spool on disk in front of an exporter: what it was given survives a dead backend, a kill and a restart.

``export`` appends the batch to a segment and returns; a thread sends it. Delivered at least once: after a kill the
batch that was under way is sent again.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aiobs.exporters.encoding.decoder import logs_of, spans_of
from aiobs.exporters.encoding.encoder import log_lines, span_lines
from aiobs.exporters.lines.writer import FLAGS, Tail
from aiobs.exporters.replies.answers import Verdict
from aiobs.exporters.replies.failures import BY_CODE
from aiobs.exporters.spool.drainer import Drainer
from aiobs.exporters.spool.folder import SpoolFolder
from aiobs.guard import guarded
from aiobs.losses import is_news
from aiobs.semconv.parsing import parsed

MAX_BYTES = 512 * 1024 * 1024
SHUTDOWN_SECONDS = 5.0

_log = logging.getLogger("aiobs")


class _Spooling:
    """What both have in common.

    ``folder``: made if need be, mode 0700, shared by processes. ``max_bytes``: the oldest is dropped beyond it, and
    counted in ``dropped``. ``status``: what the backend answered last (``AnsweringSession.status``); without it a batch
    that is refused for good is told from a dead backend by the one after it, and set aside as a whole. ``fsync``: what
    was given survives a crash of the machine, too. ``on_loss`` is told the reason (``spool_full``; ``refused``, of what
    cannot be set aside) and how many. ``why`` tells why the backend takes nothing, ``retry_after`` in how many seconds
    it asks to come again; both are of the exporters by name.
    """

    _signal = ""
    _lines: Callable[[Iterable[Any]], Iterable[bytes]]
    _items: Callable[[Any], list[Any]]

    def __init__(
        self,
        inner: Any,
        folder: str | PathLike[str],
        *,
        max_bytes: int = MAX_BYTES,
        status: Callable[[], int | None] | None = None,
        fsync: bool = False,
        backoff: tuple[float, float] = (0.5, 30.0),
        on_loss: Callable[[str, int], None] | None = None,
        why: Callable[[], Verdict | None] | None = None,
        retry_after: Callable[[], float | None] | None = None,
    ) -> None:
        self.inner = inner
        self.folder = Path(folder).absolute()
        self.dropped = 0
        self.refused = 0
        self._on_loss = on_loss
        self.why = why
        self._is_shut = False
        self._spool = SpoolFolder(
            self.folder / self._signal, type(self)._items, max_bytes=max_bytes, fsync=fsync, on_drop=self._on_drop
        )
        self._drainer = Drainer(
            self._spool,
            inner.export,
            self._set_aside,
            on_wait=self._is_waiting,
            status=status,
            retry_after=retry_after,
            backoff=backoff,
            name=f"aiobs-spool-{self._signal}",
        )
        _spools.add(self)
        self._drainer.start()

    def after_fork(self) -> None:
        """In a child: a segment and a thread of its own, with the first batch."""
        self._spool.after_fork()
        self._drainer.after_fork()

    def _taken(self, items: Sequence[Any]) -> bool:
        """On disk; what does not get there is sent at once."""
        left = [line for line in type(self)._lines(items) if not self._spooled(line)]
        if not self._is_shut:
            self._drainer.start()
        results = [self._sent(line) for line in left]  # all of them, whatever became of the first
        return all(results)

    def _spooled(self, line: bytes) -> bool:
        try:
            self._spool.append(line)
        except OSError as error:
            self._tell("spool-unwritable", detail=error.strerror or error)
            return False
        return True

    def _sent(self, line: bytes) -> bool:
        """Without the spool, which cannot be written."""
        items = type(self)._items(parsed(line))
        return getattr(guarded(self.inner.export, items), "name", None) == "SUCCESS"

    def _is_waiting(self, waits: bool) -> None:
        """Tell what keeps the backend from taking anything, and that it does again."""
        if not waits:
            guarded(_log.info, "aiobs: the backend takes what the spool %s has kept for it", self.folder)
            return
        why = guarded(self.why) if self.why is not None else None
        if is_news(str(self.folder), *(why.cause if why else ("unknown",))):
            text = "aiobs: the backend takes nothing, and the spool %s keeps what comes until it does: %s"
            guarded(_log.warning, text, self.folder, why or "the log of the exporter says why.")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what waits; False if that takes longer, or the backend does not take it. Nothing is lost by that."""
        return self._drainer.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Deliver what can be within 5 seconds; the rest is for the next process."""
        if self._is_shut:
            return
        self._is_shut = True
        if not self._drainer.is_failing:
            self._drainer.flush(min(timeout_millis / 1000, SHUTDOWN_SECONDS))
        ended = self._drainer.stop(0.0)
        guarded(self.inner.shutdown)  # an exporter that waits for its next try gives up
        if ended or self._drainer.stop(1.0):
            self._spool.close()

    # What is not sent

    def _on_drop(self, count: int) -> None:
        self._lose("spool_full", count)
        self._tell("spool-full")

    def _lose(self, reason: str, count: int) -> None:
        self.dropped += count
        if self._on_loss is not None:
            guarded(self._on_loss, reason, count)

    def _set_aside(self, items: Sequence[Any], broken: Sequence[bytes], status: int | None) -> None:
        """Keep what is refused, or what cannot be read, where it stands in nobody's way."""
        self.refused += len(items) + len(broken)
        path = self.folder / "refused" / f"{self._signal}.jsonl"
        if items:
            why = guarded(self.why) if self.why is not None else None
            answer = why.what.rstrip(".") if why else f"HTTP {status}" if status else "no reason known"
            self._tell("spool-refused", detail=answer, path=path)
            if not guarded(_append, path, [*type(self)._lines(items)]):
                self._lose("refused", len(items))
        if broken:
            self._tell("spool-broken", path=path.with_suffix(".broken"))
            guarded(_append, path.with_suffix(".broken"), [raw.removesuffix(b"\n") for raw in broken])

    def _tell(self, code: str, **values: object) -> None:
        """A row of the table of failures, once."""
        if is_news(str(self.folder), self._signal, code):
            text = BY_CODE[code].sentences(folder=self.folder, signal=self._signal, **values)
            guarded(_log.warning, "aiobs: %s %s %s", *text)  # a handler of the program's may raise


def _append(path: Path, lines: Iterable[bytes]) -> bool:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    tail = Tail(os.open(path, FLAGS, 0o600))
    try:
        for line in lines:
            tail.write(line)
    finally:
        tail.close()
    return True


class SpoolingSpanExporter(_Spooling, SpanExporter):
    """Spans through a spool to any exporter of spans."""

    _signal = "traces"
    _lines = staticmethod(span_lines)
    _items = staticmethod(spans_of)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch to the spool."""
        return SpanExportResult.SUCCESS if self._taken(spans) else SpanExportResult.FAILURE


class SpoolingLogExporter(_Spooling, LogRecordExporter):
    """Log records through a spool to any exporter of log records."""

    _signal = "logs"
    _lines = staticmethod(log_lines)
    _items = staticmethod(logs_of)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Write a batch to the spool."""
        return LogRecordExportResult.SUCCESS if self._taken(batch) else LogRecordExportResult.FAILURE


_spools: weakref.WeakSet[_Spooling] = weakref.WeakSet()


def _after_fork() -> None:
    for spool in list(_spools):
        spool.after_fork()


os.register_at_fork(after_in_child=_after_fork)
