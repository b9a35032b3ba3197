"""Metrics with a bound on how many values each label has: a time series database keeps a series per combination."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import Gauge, HistogramDataPoint, Metric, MetricsData, Sum

OTHER = "other"


class LabelLimit:
    """Lets the first ``limit`` values of each label through, and calls all others ``other``.

    What thereby becomes the same series is added up: counts and histograms by their sums; of a gauge the last value is
    left. Labels of exponential histograms are left as they are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, set[Any]] = {}

    def apply(self, data: MetricsData) -> MetricsData:
        """The data within the bound; itself if nothing is beyond."""
        resources = [
            replace(
                of_resource,
                scope_metrics=[
                    replace(of_scope, metrics=[self._metric(metric) for metric in of_scope.metrics])
                    for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in data.resource_metrics
        ]
        return MetricsData(resources)

    def _metric(self, metric: Metric) -> Metric:
        series: dict[frozenset[tuple[str, Any]], Any] = {}
        for point in metric.data.data_points:
            attributes = {key: self._value(key, value) for key, value in (point.attributes or {}).items()}
            key = frozenset((name, str(value)) for name, value in attributes.items())
            known = series.get(key)
            bounded = replace(point, attributes=attributes)
            series[key] = bounded if known is None else _merged(metric.data, known, bounded)
        data: Any = metric.data  # one of four classes, each with its own kind of points
        return replace(metric, data=replace(data, data_points=[*series.values()]))

    def _value(self, key: str, value: Any) -> Any:
        known = self._known.setdefault(key, set())
        text = str(value)
        if text in known:
            return value
        if len(known) >= self._limit:
            return OTHER
        known.add(text)
        return value


def _merged(data: Any, one: Any, other: Any) -> Any:
    if isinstance(data, Gauge):
        return other
    if isinstance(data, Sum):
        return replace(one, value=one.value + other.value)
    if isinstance(one, HistogramDataPoint) and one.explicit_bounds == other.explicit_bounds:
        return replace(
            one,
            count=one.count + other.count,
            sum=one.sum + other.sum,
            bucket_counts=[a + b for a, b in zip(one.bucket_counts, other.bucket_counts, strict=True)],
            min=min(one.min, other.min),
            max=max(one.max, other.max),
        )
    return one
