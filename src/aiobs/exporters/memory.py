"""The last signals in memory, for a notebook or a test: ``configure(exporters=["memory"])``; ``memory.spans()``."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from aiobs.exporters.registry import Pipelines

LIMIT = 10_000

_spans: deque[ReadableSpan] = deque(maxlen=LIMIT)
_logs: deque[Any] = deque(maxlen=LIMIT)


def pipelines() -> Pipelines:
    """Processors that keep what ends, at once."""
    return Pipelines(span_processors=(_KeepSpans(),), log_processors=(_KeepLogs(),))


def spans() -> Sequence[ReadableSpan]:
    """The last 10,000 spans that ended, oldest first."""
    return tuple(_spans)


def logs() -> Sequence[ReadWriteLogRecord]:
    """The last 10,000 log records, oldest first."""
    return tuple(_logs)


def clear() -> None:
    """Forget them."""
    _spans.clear()
    _logs.clear()


class _KeepSpans(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        _spans.append(span)


class _KeepLogs(LogRecordProcessor):
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        _logs.append(log_record)

    def shutdown(self) -> None:
        """What is in memory stays readable."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True
