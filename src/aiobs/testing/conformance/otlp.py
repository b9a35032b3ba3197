"""What arrived over OTLP as the SDK's own objects, for the check of what another process exported."""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, Status, StatusCode

from aiobs.testing.otlp_sink import attributes_of


def spans_of(request: Any) -> list[ReadableSpan]:
    """The spans of an ExportTraceServiceRequest."""
    return [
        _span(span, _scope(scope), _resource(group))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def logs_of(request: Any) -> list[ReadableLogRecord]:
    """The log records of an ExportLogsServiceRequest."""
    return [
        ReadableLogRecord(_record(record), _resource(group), _scope(scope))
        for group in request.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


def metrics_of(request: Any) -> MetricsData:
    """The metrics of an ExportMetricsServiceRequest; sums, gauges and histograms with explicit buckets."""
    return MetricsData([_resource_metrics(group) for group in request.resource_metrics])


def _resource_metrics(group: Any) -> ResourceMetrics:
    scopes = [
        ScopeMetrics(_scope(scope), [_metric(metric) for metric in scope.metrics], scope.schema_url)
        for scope in group.scope_metrics
    ]
    return ResourceMetrics(_resource(group), scopes, group.schema_url)


def _scope(group: Any) -> InstrumentationScope:
    return InstrumentationScope(group.scope.name, group.scope.version, group.schema_url)


def _resource(group: Any) -> Resource:
    return Resource(attributes_of(group.resource), group.schema_url)


def _span(span: Any, scope: InstrumentationScope, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        attributes=attributes_of(span),
        events=[Event(event.name, attributes_of(event), event.time_unix_nano) for event in span.events],
        kind=SpanKind(span.kind - 1),  # OTLP has 0 for a kind that is not said
        status=Status(StatusCode(span.status.code), span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=scope,
        resource=resource,
    )


def _record(record: Any) -> LogRecord:
    return LogRecord(
        timestamp=record.time_unix_nano,
        severity_number=SeverityNumber(record.severity_number),
        attributes=attributes_of(record),
        event_name=record.event_name,
    )


def _metric(metric: Any) -> Metric:
    kind = metric.WhichOneof("data")
    return Metric(metric.name, metric.description, metric.unit, _DATA[kind](getattr(metric, kind)))


def _sum(data: Any) -> Sum:
    points = [_number(point) for point in data.data_points]
    return Sum(points, AggregationTemporality(data.aggregation_temporality), data.is_monotonic)


def _gauge(data: Any) -> Gauge:
    return Gauge([_number(point) for point in data.data_points])


def _histogram(data: Any) -> Histogram:
    points = [_buckets(point) for point in data.data_points]
    return Histogram(points, AggregationTemporality(data.aggregation_temporality))


_DATA: dict[str, Any] = {"sum": _sum, "gauge": _gauge, "histogram": _histogram}


def _number(point: Any) -> NumberDataPoint:
    value = getattr(point, point.WhichOneof("value"))
    return NumberDataPoint(attributes_of(point), point.start_time_unix_nano, point.time_unix_nano, value)


def _buckets(point: Any) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes_of(point),
        point.start_time_unix_nano,
        point.time_unix_nano,
        point.count,
        point.sum,
        list(point.bucket_counts),
        list(point.explicit_bounds),
        point.min,
        point.max,
    )
