"""Metrics: instrument, unit, buckets and the attributes of every data point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics.export import Gauge, Metric, Sum

from aiobs.semconv import names
from aiobs.semconv.registry import MetricDefinition, Registry
from aiobs.testing.conformance.attributes import Attributes, Flaw, attribute_flaws, missing_flaws

_INFERENCE = "gen_ai.client.inference"


def metric_flaws(metric: Metric, registry: Registry) -> Iterator[Flaw]:
    """What is wrong with one metric."""
    for point in metric.data.data_points:
        attributes: Attributes = point.attributes or {}
        definitions = registry.metrics_of(metric.name, attributes.get(names.PROVIDER))
        if not definitions:
            yield _unknown(metric.name, registry)
            return
        for definition in definitions:
            yield from _instrument_flaws(metric, definition)
            yield from _bucket_flaws(point, definition)
            yield from missing_flaws(definition.name, attributes, definition.attributes, registry)
        yield from attribute_flaws(attributes, registry, {name for each in definitions for name in each.attributes})
        yield from _operation_flaws(metric.name, attributes, registry)
        if _lowest(point) < 0:
            yield "metric-value", f"a value of {_lowest(point)}; there is nothing below 0"


def _unknown(name: str, registry: Registry) -> Flaw:
    if name in registry.renamed_metrics:
        return "metric-renamed", f"the metric is now {' and '.join(registry.renamed_metrics[name])}"
    return "metric-unknown", "no registry has a metric of that name"


def _instrument_flaws(metric: Metric, definition: MetricDefinition) -> Iterator[Flaw]:
    actual, expected = _instrument(metric.data), definition.instrument.removeprefix("observable_")
    if actual != expected:
        yield "metric-instrument", f"the instrument is a {actual}; the registry says {expected}"
    if metric.unit != definition.unit:
        yield "metric-unit", f"the unit is {metric.unit!r}; the registry says {definition.unit!r}"


def _instrument(data: Any) -> str:
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "updowncounter"
    return "gauge" if isinstance(data, Gauge) else "histogram"


def _bucket_flaws(point: Any, definition: MetricDefinition) -> Iterator[Flaw]:
    bounds = getattr(point, "explicit_bounds", None)
    if bounds is not None and definition.buckets and tuple(bounds) != definition.buckets:
        yield "metric-buckets", f"the bucket boundaries are {list(bounds)}; the registry says {definition.buckets}"


def _operation_flaws(name: str, attributes: Attributes, registry: Registry) -> Iterator[Flaw]:
    """Inference has metrics of its own: other operations are not on them, and it is on no other operation's."""
    operation = attributes.get(names.OPERATION)
    is_inference = operation in registry.spans[_INFERENCE].operations
    if name.startswith(f"{_INFERENCE}.") and not is_inference:
        yield "metric-operation", f"the operation {operation!r} is no inference"
    elif is_inference and name in registry.renamed_metrics:
        yield _unknown(name, registry)


def _lowest(point: Any) -> float:
    """The smallest value that a point tells of; an empty histogram has no minimum."""
    value = getattr(point, "value", None)
    value = getattr(point, "min", 0) if value is None else value
    return float(0 if value is None else value)
