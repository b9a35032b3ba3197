"""What a program may have plugged in beside aiobs; everything here works until a breakage replaces a method."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter as SDKMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import RandomIdGenerator, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult

from aiobs.call import Call


class Ledger(SpanProcessor):
    """The first processor: which spans started, and which ended how often."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(id(span))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)

    @property
    def open(self) -> int:
        """Spans that have not ended."""
        return len(self.started) - len(self.ended)


class LogLedger(LogRecordProcessor):
    """The first log processor."""

    def __init__(self) -> None:
        self.emitted: list[Any] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.emitted.append(log_record.log_record)

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Processor(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None: ...

    def _on_ending(self, span: Span) -> None: ...

    def on_end(self, span: ReadableSpan) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Exporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class LogExporter(LogRecordExporter):
    def export(self, batch: Any) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class MetricExporter(SDKMetricExporter):
    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None: ...


class Sampling(Sampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return ALWAYS_ON.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        return "a bystander's"


class Ids(RandomIdGenerator):
    def generate_span_id(self) -> int:
        return super().generate_span_id()

    def generate_trace_id(self) -> int:
        return super().generate_trace_id()


class Hook:
    def before(self, call: Call) -> None:
        call.request.additions.update({})

    def finish(self, call: Call) -> dict[str, Any]:
        return {"aiobs.cost.usd": 0.25}


class Surroundings:
    """What runs the program, as an orchestrator knows it."""

    def ask(self) -> dict[str, Any]:
        return {"airflow.dag_id": "nightly", "airflow.try_number": 2}


SURROUNDINGS = Surroundings()


def source() -> Any:
    """As ``add_source`` takes it; who answers may be broken later."""
    return SURROUNDINGS.ask()


class Handler(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        return True
