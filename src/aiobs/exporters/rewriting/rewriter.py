"""Signals as an exporter may have them: copies with attributes that were changed or left out on the way.

A step is given the name of an attribute and its value, and gives back a value (the same object where nothing changes)
or None, which leaves the attribute out. Steps see everything that a program can put text into: attributes of spans,
events, links, scopes, resources, log records and data points, and as ``name``, ``status.description`` and ``body``
what has no name of its own. They run in the thread that exports. One that fails costs its attribute, which then says
so: what could not be looked at does not leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status

from aiobs.guard import swallow
from aiobs.semconv import names

Step = Callable[[str, Any], Any]

FAILED = "[REDACTION FAILED]"
NAME, DESCRIPTION, BODY = "name", "status.description", "body"


class Rewriter:
    """Applies steps to signals; keeps what it made of the resource it saw last, as a program has one.

    A step that becomes another one says so by a new ``version``.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self._resources: tuple[object, list[Any], Resource] | None = None

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """The span, or a copy with what the steps changed."""
        return RewrittenSpan(
            span,
            name=self._text(NAME, span.name),
            attributes=self.attributes(span.attributes),
            resource=self.resource(span.resource),
            events=[self._event(event) for event in span.events],
            links=[Link(link.context, self.attributes(link.attributes)) for link in span.links],
            status=self._status(span),
            scope=self._scope(span.instrumentation_scope),
        )

    def log(self, readable: ReadableLogRecord) -> ReadableLogRecord:
        """A copy of the record with what the steps changed."""
        record = copy(readable.log_record)
        record.body = self.value(BODY, record.body)
        record.attributes = self.attributes(record.attributes)
        return replace(
            readable,
            log_record=record,
            resource=self.resource(readable.resource),
            instrumentation_scope=self._scope(readable.instrumentation_scope),
        )

    def metrics(self, data: MetricsData) -> MetricsData:
        """A copy with what the steps changed of resources, scopes and data points."""
        return MetricsData([
            replace(
                of_resource,
                resource=self.resource(of_resource.resource),
                scope_metrics=[
                    replace(
                        of_scope, scope=self._scope(of_scope.scope), metrics=[*map(self._metric, of_scope.metrics)]
                    )
                    for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in data.resource_metrics
        ])  # fmt: skip

    def resource(self, resource: Resource) -> Resource:
        """The resource with what the steps changed."""
        versions = [getattr(step, "version", None) for step in self._steps]
        kept, attributes = self._resources, resource.attributes  # a fork may change what the same resource says
        if kept is None or kept[0] is not attributes or kept[1] != versions:
            changed = Resource(self.attributes(attributes), resource.schema_url)
            self._resources = kept = attributes, versions, changed
        return kept[2]

    def attributes(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """The attributes that are left."""
        found = ((key, self.value(key, value)) for key, value in (given or {}).items())
        return {key: value for key, value in found if value is not None}

    def value(self, name: str, value: Any) -> Any:
        """What the steps make of one value, one after the other; None if one leaves it out."""
        for step in self._steps:
            if value is None:
                return None
            try:
                value = step(name, value)
            except Exception as error:
                swallow(step, error)
                return FAILED
        return value

    def _text(self, name: str, text: str) -> str:
        changed = self.value(name, text)
        return changed if isinstance(changed, str) else ""

    def _event(self, event: Event) -> Event:
        return Event(self._text(NAME, event.name), self.attributes(event.attributes), event.timestamp)

    def _status(self, span: ReadableSpan) -> Status:
        """A description that is left out makes room for the type of the error."""
        text = span.status.description
        changed = None if text is None else self.value(DESCRIPTION, text)
        if text is not None and changed is None:
            changed = self.value(names.ERROR_TYPE, (span.attributes or {}).get(names.ERROR_TYPE))
        return span.status if changed == text else Status(span.status.status_code, changed)

    def _scope(self, scope: Any) -> Any:
        if scope is None or not scope.attributes:
            return scope
        return InstrumentationScope(scope.name, scope.version, scope.schema_url, self.attributes(scope.attributes))

    def _metric(self, metric: Any) -> Any:
        points = [self._point(point) for point in metric.data.data_points]
        return replace(metric, data=replace(metric.data, data_points=points))

    def _point(self, point: Any) -> Any:
        exemplars = [
            replace(exemplar, filtered_attributes=self.attributes(exemplar.filtered_attributes))
            for exemplar in point.exemplars
        ]
        return replace(point, attributes=self.attributes(point.attributes), exemplars=exemplars)


class RewrittenSpan(ReadableSpan):
    """A span as an exporter may have it; what the SDK dropped of the original is still counted."""

    def __init__(self, original: ReadableSpan, *, scope: InstrumentationScope | None, **changed: Any) -> None:
        super().__init__(
            context=changed.pop("context", original.context),
            parent=original.parent,
            kind=original.kind,
            start_time=original.start_time,
            end_time=original.end_time,
            instrumentation_scope=scope,
            **changed,
        )
        self._counts = original.dropped_attributes, original.dropped_events, original.dropped_links

    @property
    def dropped_attributes(self) -> int:
        """Attributes for which the original had no room."""
        return self._counts[0]

    @property
    def dropped_events(self) -> int:
        """Events for which the original had no room."""
        return self._counts[1]

    @property
    def dropped_links(self) -> int:
        """Links for which the original had no room."""
        return self._counts[2]
