"""Traces, logs and metrics as OTLP/JSON, one object a line, in a file that a collector reads, and ``aiobs.reading``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aiobs.errors import ConfigurationError
from aiobs.exporters.encoding.encoder import log_lines, metric_lines, span_lines
from aiobs.exporters.lines.line_file import FSYNC, LineFile
from aiobs.exporters.registry import Pipelines
from aiobs.guard import guarded
from aiobs.settings import as_bytes, as_seconds, as_switch

DEFAULT_PATH = "otlp.jsonl"

_log = logging.getLogger("aiobs")


def pipelines(
    *,
    path: str | PathLike[str] = DEFAULT_PATH,
    rotate_bytes: int | str | None = None,
    rotate_seconds: float | str | None = None,
    gzip: bool | str = True,
    fsync: str = "never",
) -> Pipelines:
    """All three signals to one file; the options are those of ``line_file``."""
    file = line_file(path, rotate_bytes=rotate_bytes, rotate_seconds=rotate_seconds, gzip=gzip, fsync=fsync)
    return Pipelines(
        span_exporter=OTLPJSONSpanExporter(file),
        log_exporter=OTLPJSONLogExporter(file),
        metric_exporter=OTLPJSONMetricExporter(file),
    )


def line_file(
    path: str | PathLike[str] = DEFAULT_PATH,
    *,
    rotate_bytes: int | str | None = None,
    rotate_seconds: float | str | None = None,
    gzip: bool | str = True,
    fsync: str = "never",
) -> LineFile:
    """The file, by options that may be text. Raises ConfigurationError for what cannot work.

    ``rotate_bytes``, ``rotate_seconds``: a new file beyond that size or age (unset: never). ``gzip``: compress what
    rotation closes. ``fsync``: ``never``, ``close`` (before a file is closed) or ``batch`` (after every batch).
    """
    if fsync not in FSYNC:
        raise ConfigurationError(f"fsync={fsync!r} is not {', '.join(FSYNC[:-1])} or {FSYNC[-1]}.")
    seconds = None if rotate_seconds is None else as_seconds(rotate_seconds)
    if seconds == 0:
        raise ConfigurationError(
            "rotate_seconds=0 would make a file of every line; leave it out to rotate by size only."
        )
    file = LineFile(
        Path(path),
        rotate_bytes=None if rotate_bytes is None else as_bytes(rotate_bytes),
        rotate_seconds=seconds,
        compress=as_switch(gzip),
        fsync=fsync,
    )
    file.check()
    return file


class _Exporter:
    """What the three have in common; they share the file, and the last one that is shut down closes it."""

    def __init__(self, file: LineFile | str | PathLike[str] = DEFAULT_PATH) -> None:
        self._file = file if isinstance(file, LineFile) else line_file(file)
        self._is_shut = False

    def _written(self, lines: Iterable[bytes]) -> bool:
        """Write a batch; False if some of it was dropped, which is told the first time."""
        if self._is_shut:
            return False
        before = self._file.dropped
        taken = [self._file.append(line) for line in lines]
        guarded(self._file.end_batch)
        if self._file.dropped and not before:
            text = "aiobs: %s has no room on its disk and the backlog is full: what comes is dropped and counted"
            guarded(_log.warning, text, self._file.path)  # a handler of the program's may raise
        return all(taken)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the file; what another exporter writes to it later opens it again."""
        if not self._is_shut:
            self._is_shut = True
            guarded(self._file.close, timeout_millis / 1000)

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Write what waits for room on the disk; False if there is still none."""
        self._file.retry()
        return bool(guarded(self._file.end_batch))


class OTLPJSONSpanExporter(_Exporter, SpanExporter):
    """Spans as lines; ``file`` is a path, or what ``line_file`` gives."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch."""
        return SpanExportResult.SUCCESS if self._written(span_lines(spans)) else SpanExportResult.FAILURE


class OTLPJSONLogExporter(_Exporter, LogRecordExporter):
    """Log records as lines."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Write a batch."""
        return LogRecordExportResult.SUCCESS if self._written(log_lines(batch)) else LogRecordExportResult.FAILURE


class OTLPJSONMetricExporter(_Exporter, MetricExporter):
    """Metrics as lines."""

    def __init__(self, file: LineFile | str | PathLike[str] = DEFAULT_PATH, **options: Any) -> None:
        """``options`` are those of every MetricExporter: preferred temporality and aggregation."""
        MetricExporter.__init__(self, **options)
        _Exporter.__init__(self, file)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Write a batch."""
        return MetricExportResult.SUCCESS if self._written(metric_lines(metrics_data)) else MetricExportResult.FAILURE
