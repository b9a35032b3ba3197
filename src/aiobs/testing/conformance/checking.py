"""The check of everything that was emitted, signal by signal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from aiobs.semconv import names
from aiobs.semconv.registry import Registry
from aiobs.testing.conformance.attributes import Flaw, named
from aiobs.testing.conformance.events import event_flaws
from aiobs.testing.conformance.finding import Finding
from aiobs.testing.conformance.metrics import metric_flaws
from aiobs.testing.conformance.spans import span_flaws


def check(
    spans: Iterable[ReadableSpan] = (),
    metrics: MetricsData | None = None,
    logs: Iterable[ReadableLogRecord] = (),
    *,
    registry: Registry | None = None,
) -> list[Finding]:
    """What breaks a rule among the signals of the scope ``aiobs``, each finding once, sorted.

    ``registry``: ``Registry.load()``, or ``Registry.load(*DUP)`` for what ``AIOBS_SEMCONV=dup`` emits.
    """
    against = registry or Registry.load()
    found = {*_of_spans(spans, against), *_of_metrics(metrics, against), *_of_logs(logs, against)}
    return sorted(found)


def _of_spans(spans: Iterable[ReadableSpan], registry: Registry) -> Iterator[Finding]:
    for span in spans:
        if _is_ours(span.instrumentation_scope):
            yield from named("span", span.name, scope_flaws(span.instrumentation_scope))
            yield from named("span", span.name, span_flaws(span, registry))
            yield from _of_resource(span.resource, registry)


def _of_metrics(data: MetricsData | None, registry: Registry) -> Iterator[Finding]:
    for group in data.resource_metrics if data else ():
        for scope in group.scope_metrics:
            if _is_ours(scope.scope):
                yield from _of_resource(group.resource, registry)
                for metric in scope.metrics:
                    yield from named("metric", metric.name, scope_flaws(scope.scope))
                    yield from named("metric", metric.name, metric_flaws(metric, registry))


def _of_logs(logs: Iterable[ReadableLogRecord], registry: Registry) -> Iterator[Finding]:
    for log in logs:
        if _is_ours(log.instrumentation_scope):
            name = log.log_record.event_name or ""
            yield from named("event", name, scope_flaws(log.instrumentation_scope))
            yield from named("event", name, event_flaws(log, registry))
            yield from _of_resource(log.resource, registry)


def _is_ours(scope: Any) -> bool:
    return scope is not None and scope.name == names.SCOPE


def scope_flaws(scope: Any) -> Iterator[Flaw]:
    """The scope says which conventions hold."""
    if scope.schema_url != names.SCHEMA_URL:
        yield "schema-url", f"the schema URL of the scope is {scope.schema_url!r}; it is {names.SCHEMA_URL!r}"


def _of_resource(resource: Resource, registry: Registry) -> Iterator[Finding]:
    for name in resource.attributes:
        if not any(name.startswith(f"{namespace}.") for namespace in registry.resource):
            message = f"{name!r} is in none of the namespaces {', '.join(registry.resource)}"
            yield Finding("resource", "", "resource-attribute", message)
