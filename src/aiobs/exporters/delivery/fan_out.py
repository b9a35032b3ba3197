"""One processor on a provider for all exporters of ours: they can be exchanged, and none can affect another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from aiobs.guard import guarded

P = TypeVar("P", SpanProcessor, LogRecordProcessor)


class _Several(Generic[P]):
    """Processors that are flushed and closed at the same time, each within the same bound."""

    def __init__(self) -> None:
        self.processors: tuple[P, ...] = ()
        self.is_flushed = True  # by the last flush; a spool whose backend is away is not

    def exchange(self, processors: tuple[P, ...], timeout: float) -> None:
        """From now on these; those that are not among them are flushed and closed, for at most ``timeout`` seconds."""
        old, self.processors = self.processors, processors
        together((each.shutdown for each in old if each not in processors), timeout)

    def shutdown(self) -> None:
        """Close them all, once."""
        old, self.processors = self.processors, ()
        together(each.shutdown for each in old)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush them all; False if one takes longer or fails."""
        results: list[bool] = []
        steps = [partial(_flush, each, timeout_millis, results) for each in self.processors]
        in_time = together(steps, timeout_millis / 1000)
        self.is_flushed = in_time and len(results) == len(steps) and False not in results
        return self.is_flushed


class SpanFanOut(_Several[SpanProcessor], SpanProcessor):
    """Gives ended spans to each exporter's processor."""

    def on_end(self, span: ReadableSpan) -> None:
        """To all, whatever one of them does."""
        for processor in self.processors:
            guarded(processor.on_end, span)


class LogFanOut(_Several[LogRecordProcessor], LogRecordProcessor):
    """Gives log records to each exporter's processor."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """To all, whatever one of them does."""
        for processor in self.processors:
            guarded(processor.on_emit, log_record)


def _flush(processor: Any, timeout_millis: int, results: list[bool]) -> None:
    results.append(processor.force_flush(timeout_millis))


def together(steps: Iterable[Callable[[], Any]], timeout: float = 30.0) -> bool:
    """Run the steps at the same time, each in a thread that may be left behind: not every exporter keeps to a timeout.

    True if all of them ended within ``timeout`` seconds, however.
    """
    threads: list[threading.Thread] = []
    for step in steps:
        thread = threading.Thread(target=guarded, args=[step], name="aiobs-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down: Python 3.12 starts no threads any more
            guarded(step)
        else:
            threads.append(thread)
    until = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
