"""Metrics of OTLP/JSON lines as the SDK's ``MetricsData`` again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
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

from aiobs.exporters.encoding.decoder import resource_of, scope_of
from aiobs.exporters.encoding.encoder import METRICS
from aiobs.semconv.otlp_json import attributes_of

Item = Mapping[str, Any]


def metrics_of(line: Item) -> MetricsData:
    """The metrics of a parsed line. Raises ValueError for what is none."""
    try:
        return MetricsData([_resource(group) for group in line[METRICS.resources]])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no OTLP/JSON: {type(error).__name__}") from None


def _resource(group: Item) -> ResourceMetrics:
    scopes = [_scope(below) for below in group.get(METRICS.scopes) or ()]
    return ResourceMetrics(resource_of(group), scopes, group.get("schemaUrl") or "")


def _scope(group: Item) -> ScopeMetrics:
    metrics = [_metric(item) for item in group.get(METRICS.items) or ()]
    return ScopeMetrics(scope_of(group), metrics, group.get("schemaUrl") or "")


def _metric(item: Item) -> Metric:
    word = next(word for word in _KINDS if word in item)
    return Metric(
        item.get("name") or "", item.get("description") or "", item.get("unit") or "", _KINDS[word](item[word])
    )


def _gauge(data: Item) -> Gauge:
    return Gauge(_points(data, _number))


def _sum(data: Item) -> Sum:
    return Sum(_points(data, _number), _temporality(data), bool(data.get("isMonotonic")))


def _histogram(data: Item) -> Histogram:
    return Histogram(_points(data, _histogram_point), _temporality(data))


def _exponential(data: Item) -> ExponentialHistogram:
    return ExponentialHistogram(_points(data, _exponential_point), _temporality(data))


def _points(data: Item, read: Callable[[Item], Any]) -> list[Any]:
    return [read(point) for point in data.get("dataPoints") or ()]


def _temporality(data: Item) -> AggregationTemporality:
    return AggregationTemporality(data.get("aggregationTemporality") or 0)


def _number(point: Item) -> NumberDataPoint:
    return NumberDataPoint(**_common(point), value=_value(point))


def _histogram_point(point: Item) -> HistogramDataPoint:
    bounds = [float(bound) for bound in point.get("explicitBounds") or ()]
    counts = _counts(point.get("bucketCounts"))
    return HistogramDataPoint(**_common(point), **_summary(point), bucket_counts=counts, explicit_bounds=bounds)


def _exponential_point(point: Item) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        **_common(point),
        **_summary(point),
        scale=int(point.get("scale") or 0),
        zero_count=int(point.get("zeroCount") or 0),
        positive=_buckets(point.get("positive") or {}),
        negative=_buckets(point.get("negative") or {}),
        flags=int(point.get("flags") or 0),
    )


def _buckets(buckets: Item) -> Buckets:
    return Buckets(int(buckets.get("offset") or 0), _counts(buckets.get("bucketCounts")))


def _counts(counts: Any) -> list[int]:
    return [int(count) for count in counts or ()]


def _common(point: Item) -> dict[str, Any]:
    return {
        "attributes": attributes_of(point.get("attributes")),
        "start_time_unix_nano": int(point.get("startTimeUnixNano") or 0) or None,
        "time_unix_nano": int(point.get("timeUnixNano") or 0),
        "exemplars": [_exemplar(exemplar) for exemplar in point.get("exemplars") or ()],
    }


def _summary(point: Item) -> dict[str, Any]:
    numbers = {name: float(point[name]) if name in point else None for name in ("sum", "min", "max")}
    return {"count": int(point.get("count") or 0), **numbers}


def _exemplar(item: Item) -> Exemplar:
    return Exemplar(
        filtered_attributes=attributes_of(item.get("filteredAttributes")),
        value=_value(item),
        time_unix_nano=int(item.get("timeUnixNano") or 0),
        span_id=int(item["spanId"], 16) if item.get("spanId") else None,
        trace_id=int(item["traceId"], 16) if item.get("traceId") else None,
    )


def _value(item: Item) -> int | float:
    return int(item["asInt"]) if "asInt" in item else float(item.get("asDouble") or 0.0)


_KINDS: dict[str, Callable[[Item], Any]] = {
    "gauge": _gauge,
    "sum": _sum,
    "histogram": _histogram,
    "exponentialHistogram": _exponential,
}
