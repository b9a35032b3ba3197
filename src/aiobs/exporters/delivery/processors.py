"""From an exporter and what it may have to the processors and readers that serve it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricReader, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from aiobs.exporters.delivery.queues import LogQueue, OutgoingMetrics, SpanQueue
from aiobs.exporters.registry import Exporter
from aiobs.exporters.rewriting.policy import without_content
from aiobs.exporters.rewriting.rewriter import Rewriter, Step
from aiobs.exporters.sampling import Sampling


@dataclass(frozen=True)
class Delivery:
    """What serves one exporter."""

    span_processors: tuple[SpanProcessor, ...]
    log_processors: tuple[LogRecordProcessor, ...]
    metric_readers: tuple[MetricReader, ...]


def deliver(exporter: Exporter, steps: Sequence[Step] = ()) -> Delivery:
    """Queues for what the exporter exports; ``steps`` are for every exporter, its own policy comes before them."""
    made = exporter.pipelines()
    of_spans = _rewriter(without_content(exporter.capture_content, on_spans=True), steps)
    of_logs = _rewriter(without_content(exporter.capture_content, on_spans=False), steps)
    spans: list[SpanProcessor] = [*_filtered(made.span_processors, of_spans, exporter.sampling)]
    logs = [*made.log_processors]
    readers: list[MetricReader] = []
    of_metrics = _rewriter(None, steps)
    if made.span_exporter:
        spans.append(SpanQueue(exporter.name, made.span_exporter, of_spans, exporter.sampling))
    if made.log_exporter:
        logs.append(LogQueue(exporter.name, made.log_exporter, of_logs, exporter.sampling))
    if made.metric_exporter:
        outgoing = OutgoingMetrics(exporter.name, made.metric_exporter, of_metrics)
        readers.append(PeriodicExportingMetricReader(outgoing))
    if made.metric_reader:
        readers.append(made.metric_reader(of_metrics.metrics if of_metrics else _as_they_are))
    return Delivery(tuple(spans), tuple(logs), tuple(readers))


class FilteredSpans(SpanProcessor):
    """A processor that gets what an exporter would get: its share, as it may have it."""

    def __init__(self, processor: SpanProcessor, rewriter: Rewriter | None, sampling: Sampling) -> None:
        self._processor, self._rewriter, self._sampling = processor, rewriter, sampling

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """As it is: whether it is of the share is known at its end."""
        self._processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """The span, if it is of the share."""
        taken = self._sampling.takes(span)
        if taken is not None:
            self._processor.on_end(self._rewriter.span(taken) if self._rewriter else taken)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the processor."""
        return self._processor.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """As the processor."""
        self._processor.shutdown()


def _filtered(
    processors: Iterable[SpanProcessor], rewriter: Rewriter | None, sampling: Sampling
) -> Iterable[SpanProcessor]:
    has_filter = rewriter is not None or sampling.share < 1
    return [FilteredSpans(each, rewriter, sampling) for each in processors] if has_filter else processors


def _as_they_are(data: MetricsData) -> MetricsData:
    return data


def _rewriter(policy: Step | None, steps: Sequence[Step]) -> Rewriter | None:
    every = [policy, *steps] if policy else [*steps]
    return Rewriter(every) if every else None
