"""One metric as OTLP/JSON: gauges, sums, histograms and exponential histograms with their points and exemplars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import ExponentialHistogram, Gauge, Histogram, Metric, NumberDataPoint, Sum

from aiobs.semconv.otlp_json import attributes_text, double_text, quoted

_INT64 = 2**63


def metric_text(metric: Metric) -> str:
    """Raises KeyError for a kind of data that OTLP had no word for when this was written."""
    data: Any = metric.data
    word, point = _KINDS[type(data)]
    about = {"name": metric.name, "description": metric.description, "unit": metric.unit}
    fields = (
        *(f'"{name}":{quoted(text)}' for name, text in about.items() if text),
        f'"{word}":{_record(_data(data, point))}',
    )
    return _record(fields)


def _data(data: Any, point: Callable[[Any], Iterable[str]]) -> Iterator[str]:
    yield f'"dataPoints":[{",".join(_record(point(item)) for item in data.data_points)}]'
    if (temporality := getattr(data, "aggregation_temporality", None)) is not None:
        yield f'"aggregationTemporality":{temporality.value}'
    if getattr(data, "is_monotonic", False):
        yield '"isMonotonic":true'


def _record(fields: Iterable[str]) -> str:
    return f"{{{','.join(fields)}}}"


def _number(point: NumberDataPoint) -> Iterator[str]:
    yield from _common(point)
    yield _value(point.value)


def _histogram(point: Any) -> Iterator[str]:
    yield from _common(point)
    yield from _summary(point)
    yield f'"bucketCounts":{_counts(point.bucket_counts)}'
    yield f'"explicitBounds":[{",".join(double_text(float(bound)) for bound in point.explicit_bounds)}]'


def _exponential(point: Any) -> Iterator[str]:
    yield from _common(point)
    yield from _summary(point)
    yield f'"scale":{point.scale},"zeroCount":"{point.zero_count}","flags":{point.flags}'
    for name in ("positive", "negative"):
        buckets = getattr(point, name)
        yield f'"{name}":{{"offset":{buckets.offset},"bucketCounts":{_counts(buckets.bucket_counts)}}}'


def _counts(counts: Iterable[int]) -> str:
    quotes = [f'"{count}"' for count in counts]
    return f"[{','.join(quotes)}]"


def _common(point: Any) -> Iterator[str]:
    if point.attributes:
        yield f'"attributes":{attributes_text(point.attributes)}'
    if point.start_time_unix_nano:
        yield f'"startTimeUnixNano":"{point.start_time_unix_nano}"'
    yield f'"timeUnixNano":"{point.time_unix_nano}"'
    if point.exemplars:
        yield f'"exemplars":[{",".join(_record(_exemplar(exemplar)) for exemplar in point.exemplars)}]'


def _summary(point: Any) -> Iterator[str]:
    yield f'"count":"{point.count}"'
    for name in ("sum", "min", "max"):
        if (value := getattr(point, name)) is not None:
            yield f'"{name}":{double_text(float(value))}'


def _exemplar(exemplar: Exemplar) -> Iterator[str]:
    yield f'"timeUnixNano":"{exemplar.time_unix_nano}"'
    yield _value(exemplar.value)
    if exemplar.filtered_attributes:
        yield f'"filteredAttributes":{attributes_text(exemplar.filtered_attributes)}'
    if exemplar.span_id is not None and exemplar.trace_id is not None:
        yield f'"spanId":"{exemplar.span_id:016x}","traceId":"{exemplar.trace_id:032x}"'


def _value(value: int | float) -> str:
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return f'"asInt":"{int(value)}"'
    return f'"asDouble":{double_text(float(value))}'


_KINDS: dict[type, tuple[str, Callable[[Any], Iterable[str]]]] = {
    Gauge: ("gauge", _number),
    Sum: ("sum", _number),
    Histogram: ("histogram", _histogram),
    ExponentialHistogram: ("exponentialHistogram", _exponential),
}
