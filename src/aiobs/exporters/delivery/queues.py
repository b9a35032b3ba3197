"""The way out for one exporter: the SDK's batch processors, with room for bursts, and a count of what was lost.

The SDK's default of 2,048 loses most of a burst of 8,000 spans, and drops the oldest without saying how many. Here the
room is 16,384 (``OTEL_BSP_MAX_QUEUE_SIZE``, ``OTEL_BLRP_MAX_QUEUE_SIZE``); what comes when it is full is counted, and
so is what the exporter could not deliver.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from aiobs.exporters.rewriting.rewriter import Rewriter
from aiobs.exporters.sampling import Sampling
from aiobs.guard import guarded
from aiobs.losses import lose

if TYPE_CHECKING:
    from aiobs.exporters.replies.answers import Verdict

CAPACITY = 16_384
PART_BYTES = 4 * 2**20
T = TypeVar("T")


class _Queue:
    """What both queues do alike: a batch processor of the SDK, the exporter behind it, and the room of both."""

    _add: Callable[[Any], None]  # to the batch processor
    _batch: Any
    _outgoing: Any
    _room: _Room

    def _queue(self, item: Any) -> None:
        """Add an item; while a flush is under way, after that.

        The SDK flushes until its queue is empty. A receiver in this very process that makes a span of each request
        would keep it busy for ever.
        """
        if not self._room.flushes:
            self._add(item)
            return
        self._room.later.append(item)
        if not self._room.flushes:  # it has ended meanwhile
            self._catch_up()

    def _catch_up(self) -> None:
        with suppress(IndexError):
            while True:
                self._add(self._room.later.popleft())

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued, and what the exporter itself keeps (a spool); its own timeout bounds it."""
        under_way = object()
        self._room.flushes.add(under_way)
        try:
            self._batch.force_flush(timeout_millis)
        finally:
            self._room.flushes.discard(under_way)
            self._catch_up()
        return self._outgoing.force_flush(timeout_millis) is not False  # the SDK's default says nothing

    def shutdown(self) -> None:
        """Export what is queued and close the exporter; what it had no time for is counted."""
        self._catch_up()
        self._batch.shutdown()
        self.give_up()

    def give_up(self) -> None:
        """Count what is queued as lost: nobody waits for it any longer."""
        self._room.close(reason_of(self._outgoing.exporter))


class SpanQueue(_Queue, SpanProcessor):
    """Ended spans on their way to an exporter: its share, as it may have them, in batches, in the background."""

    def __init__(self, name: str, exporter: SpanExporter, rewriter: Rewriter | None, sampling: Sampling) -> None:
        self._sampling = sampling
        self._room = _Room(name, "span", "OTEL_BSP_MAX_QUEUE_SIZE")
        self.span_exporter = exporter
        rewrite = rewriter.span if rewriter else None
        self._outgoing = _OutgoingSpans(exporter, _Lane(self._room, rewrite, exporter))
        self._batch = BatchSpanProcessor(self._outgoing, max_queue_size=self._room.capacity)
        self._add = self._batch.on_end

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span, unless it is not of the share or there is no room."""
        taken = self._sampling.takes(span)
        if taken is not None and self._room.enter():
            self._queue(taken)


class LogQueue(_Queue, LogRecordProcessor):
    """Log records on their way to an exporter, as spans in a ``SpanQueue``."""

    def __init__(self, name: str, exporter: LogRecordExporter, rewriter: Rewriter | None, sampling: Sampling) -> None:
        self._sampling = sampling
        self._room = _Room(name, "log", "OTEL_BLRP_MAX_QUEUE_SIZE")
        rewrite = rewriter.log if rewriter else None
        self._outgoing = _OutgoingLogs(exporter, _Lane(self._room, rewrite, exporter))
        self._batch = BatchLogRecordProcessor(self._outgoing, max_queue_size=self._room.capacity)
        self._add = self._batch.on_emit

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record, unless its trace is not of the share or there is no room."""
        if self._sampling.takes_trace(log_record.log_record.trace_id or 0) and self._room.enter():
            self._queue(log_record)


class OutgoingMetrics(MetricExporter):
    """A metric exporter that gets metrics as it may have them; a collection that it could not deliver is counted."""

    def __init__(self, name: str, exporter: MetricExporter, rewriter: Rewriter | None) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._name, self._exporter, self._rewriter = name, exporter, rewriter
        self._is_closed = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export the data, rewritten."""
        if self._is_closed:  # the SDK's reader, closed before a fork, exports once more in the child
            return MetricExportResult.FAILURE
        result = guarded(self._export, metrics_data, timeout_millis)
        if result is not MetricExportResult.SUCCESS:
            failed(self._exporter, self._name, "metric", 1, "Totals are sent again.")
        return result or MetricExportResult.FAILURE

    def _export(self, data: MetricsData, timeout_millis: float) -> MetricExportResult:
        sent = self._rewriter.metrics(data) if self._rewriter else data
        return self._exporter.export(sent, timeout_millis=timeout_millis)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """As the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """As the exporter."""
        self._is_closed = True
        self._exporter.shutdown(timeout_millis=timeout_millis, **kwargs)


class _Room:
    """How much is between the program and an exporter; takes no lock, as spans end in finalisers too."""

    def __init__(self, exporter: str, signal: str, variable: str) -> None:
        self.exporter, self.signal, self._variable = exporter, signal, variable
        self.capacity = _whole(os.environ.get(variable)) or CAPACITY
        self._numbers = count(1)
        self._entered = self._left = 0
        self.flushes: set[object] = set()  # those that are under way
        self.later: deque[Any] = deque()  # what came meanwhile
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (found := forget()) and found())

    def enter(self) -> bool:
        """Take a place; False, and counted, if there is none."""
        if self._entered - self._left >= self.capacity:
            lose(self.exporter, self.signal, "queue_full", 1, self._advice)
            return False
        self._entered = next(self._numbers)  # may step back by those that enter at this moment, never for long
        return True

    def leave(self, number: int) -> None:
        """Called by one thread at a time, under the batch processor's lock."""
        self._left += number

    def close(self, why: Verdict | None) -> None:
        """Count what is left."""
        if (waiting := self._entered - self._left) > 0:
            advice = "there was no time left to send them. flush() waits for them, AIOBS_EXIT_TIMEOUT at the exit."
            lose(self.exporter, self.signal, "closed", waiting, f"{advice} The last answer: {why}" if why else advice)
            self._left = self._entered

    def _forget(self) -> None:
        """In the child of a fork the batch processor is empty: what was queued is the parent's to send."""
        self._left = self._entered
        self.flushes, self.later = set(), deque()

    @property
    def _advice(self) -> str:
        return (
            f"its queue of {self.capacity} is full, as it sends more slowly than they come. More room: "
            f"{self._variable}; fewer: sample=; the metric aiobs.exporter.dropped has their number."
        )


class _Lane:
    """What the outgoing exporters of spans and logs have in common."""

    def __init__(self, room: _Room, rewrite: Callable[[Any], Any] | None, exporter: object) -> None:
        self._room, self._rewrite, self._exporter = room, rewrite, exporter

    def send(self, batch: Sequence[T], export: Callable[[list[T]], object], success: object) -> bool:
        """Give the batch, rewritten, to the exporter; what it does not take is lost, and counted."""
        results = []
        try:
            results = [self._sent(part, export, success) for part in in_parts(self._rewritten(batch))]
        finally:
            self._room.leave(len(batch))
        return all(results)

    def _sent(self, part: list[T], export: Callable[[list[T]], object], success: object) -> bool:
        if guarded(export, part) is success:
            return True
        advice = "A spool keeps what a backend does not take (docs/spool.md)."
        failed(self._exporter, self._room.exporter, self._room.signal, len(part), advice)
        return False

    def _rewritten(self, batch: Iterable[T]) -> Iterable[T]:
        for item in batch:
            rewritten = item if self._rewrite is None else guarded(self._rewrite, item)
            if rewritten is None:
                self._lose("not_rewritten", 1, "what cannot be looked at does not leave.")
            else:
                yield rewritten

    def _lose(self, reason: str, number: int, message: str) -> None:
        lose(self._room.exporter, self._room.signal, reason, number, message)


class _OutgoingSpans(SpanExporter):
    def __init__(self, exporter: SpanExporter, lane: _Lane) -> None:
        self.exporter, self._lane = exporter, lane

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        is_sent = self._lane.send(spans, self.exporter.export, SpanExportResult.SUCCESS)
        return SpanExportResult.SUCCESS if is_sent else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self.exporter.shutdown()


class _OutgoingLogs(LogRecordExporter):
    def __init__(self, exporter: LogRecordExporter, lane: _Lane) -> None:
        self.exporter, self._lane = exporter, lane

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        is_sent = self._lane.send(batch, self.exporter.export, LogRecordExportResult.SUCCESS)
        return LogRecordExportResult.SUCCESS if is_sent else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        flush = getattr(self.exporter, "force_flush", None)  # not in every release of the SDK
        return flush is None or bool(flush(timeout_millis))

    def shutdown(self) -> None:
        self.exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK's own signature


def reason_of(exporter: object) -> Verdict | None:
    """Why an exporter does not work at the moment, if it can tell."""
    why = getattr(exporter, "why", None)
    return guarded(why) if why is not None else None


def failed(exporter: object, name: str, signal: str, number: int, advice: str) -> None:
    """What an exporter did not take is lost: counted, and told once for each cause."""
    why = reason_of(exporter)
    text = f"{why or 'the log of the exporter says why.'} {advice}"
    lose(name, signal, "export_failed", number, text, why.cause if why else None)


def in_parts(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists of at most about 4 MiB of text, or of one item that is larger.

    That is what gRPC takes by default. A server that refuses a request refuses all of it, so that one span of 100 MB
    would cost the 511 beside it.
    """
    part: list[T] = []
    size = 0
    for item in items:
        more = _size(item)
        if part and size + more > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += more
    if part:
        yield part


def _size(item: Any) -> int:
    """About how many bytes it takes on the wire."""
    record = getattr(item, "log_record", item)
    texts = (len(value) if isinstance(value, (str, bytes)) else 16 for value in (record.attributes or {}).values())
    return 200 + sum(texts) + (len(str(record.body)) if record is not item else 0)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdigit() else None
