"""An OpenTelemetry pipeline in memory: pass its providers on, look at what arrived."""

from __future__ import annotations

from typing import Any, Self

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class InMemoryTelemetry:
    """Tracer, meter and logger provider with exporters in memory; none is set global.

    ``Instrumentor(**telemetry.providers)`` records into it.
    """

    def __init__(self, **tracer_options: Any) -> None:
        self._span_exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False, **tracer_options)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._span_exporter))
        self._metric_reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._metric_reader], shutdown_on_exit=False)
        self._log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK left it untyped
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._log_exporter))

    @property
    def providers(self) -> dict[str, Any]:
        """The three providers under the keywords that aiobs takes."""
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans, in the order they ended."""
        return self._span_exporter.get_finished_spans()

    def span(self, name: str | None = None) -> ReadableSpan:
        """The only finished span (of that name); anything else is an AssertionError that lists what there is."""
        found = [span for span in self.spans if name is None or span.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans {name or ''!r}; there are {[span.name for span in self.spans]}")
        return found[0]

    @property
    def logs(self) -> tuple[ReadableLogRecord, ...]:
        """Log records, events included, in the order they were emitted."""
        return tuple(self._log_exporter.get_finished_logs())

    def events(self, name: str) -> list[Any]:
        """The log records of one event name."""
        return [log.log_record for log in self.logs if log.log_record.event_name == name]

    def metrics(self) -> dict[str, list[Any]]:
        """Data points by metric name, as collected now: sums and histograms since the pipeline was made."""
        collected = self._metric_reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in collected.resource_metrics if collected else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def clear(self) -> None:
        """Forget spans and logs; metrics count on, as OpenTelemetry's instruments do."""
        self._span_exporter.clear()
        self._log_exporter.clear()

    def shutdown(self) -> None:
        """Close the providers."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
        self.logger_provider.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
