"""Spans, log records and metrics as lines of OTLP/JSON, grouped by resource and scope as OTLP wants them.

Fields that have their default are left out. A batch that would make a line longer than ``MAX_LINE_BYTES`` becomes
several: readers of line files have a limit (a collector's is 1 MiB). One item is never split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceState

from aiobs.exporters.encoding.metrics_encoder import metric_text
from aiobs.guard import guarded
from aiobs.semconv.otlp_json import attributes_text, encoded, quoted, value_text

MAX_LINE_BYTES = 768 * 1024

_IS_REMOTE_KNOWN, _IS_REMOTE = 0x100, 0x200
_KINDS = {kind: kind.value + 1 for kind in SpanKind}


class Signal(NamedTuple):
    """The three words of a signal, from the outside in."""

    resources: str
    scopes: str
    items: str


SPANS = Signal("resourceSpans", "scopeSpans", "spans")
LOGS = Signal("resourceLogs", "scopeLogs", "logRecords")
METRICS = Signal("resourceMetrics", "scopeMetrics", "metrics")


def span_lines(spans: Iterable[ReadableSpan]) -> Iterator[bytes]:
    """The spans as lines, without their newlines."""
    batch = _Batch(SPANS)
    for span in spans:
        yield from batch.add(span.resource, span.instrumentation_scope, guarded(_span, span))
    yield from batch.end()


def log_lines(records: Iterable[ReadableLogRecord]) -> Iterator[bytes]:
    """The log records as lines, without their newlines."""
    batch = _Batch(LOGS)
    for record in records:
        yield from batch.add(record.resource, record.instrumentation_scope, guarded(_log, record))
    yield from batch.end()


def metric_lines(data: MetricsData) -> Iterator[bytes]:
    """The metrics as lines, without their newlines."""
    batch = _Batch(METRICS)
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield from batch.add(resource.resource, scope.scope, guarded(metric_text, metric))
    yield from batch.end()


# Items


def _span(span: ReadableSpan) -> str:
    context, parent = span.context, span.parent
    remote = parent is not None and parent.is_remote
    above = "" if parent is None else f',"parentSpanId":"{parent.span_id:016x}"'
    return (
        f'{{{_ids(context)}{above},"flags":{_flags(context, remote)},"name":{quoted(span.name)}'
        f',"kind":{_KINDS[span.kind]}'
        f',"startTimeUnixNano":"{span.start_time or 0}","endTimeUnixNano":"{span.end_time or 0}"'
        f"{_attributes(span)}{_events(span)}{_links(span)}"
        f',"status":{_status(span.status)}}}'
    )


def _ids(context: SpanContext | None) -> str:
    if context is None:
        return '"traceId":"","spanId":""'
    state = f',"traceState":{quoted(_trace_state(context.trace_state))}' if context.trace_state else ""
    return f'"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"{state}'


def _flags(context: SpanContext | None, is_remote: bool) -> int:
    """The W3C flags, that it is known whether the parent (of a link: its span) is remote, and whether it is."""
    own = 0 if context is None else context.trace_flags & 0xFF
    return own | _IS_REMOTE_KNOWN | (_IS_REMOTE if is_remote else 0)


def _trace_state(state: TraceState) -> str:
    return ",".join(f"{key}={value}" for key, value in state.items())


def _attributes(item: Any) -> str:
    """Of a span, event or link: ``copy`` gives the plain dict behind the SDK's own mapping, which is slow to walk."""
    attributes, dropped = item.attributes, item.dropped_attributes
    text = ""
    if attributes:
        text = f',"attributes":{attributes_text(attributes.copy() if hasattr(attributes, "copy") else attributes)}'
    return f'{text},"droppedAttributesCount":{dropped}' if dropped else text


def _events(span: ReadableSpan) -> str:
    events, dropped = span.events, span.dropped_events
    text = f',"events":[{",".join([_event(event) for event in events])}]' if events else ""
    return f'{text},"droppedEventsCount":{dropped}' if dropped else text


def _event(event: Event) -> str:
    return f'{{"timeUnixNano":"{event.timestamp or 0}","name":{quoted(event.name)}{_attributes(event)}}}'


def _links(span: ReadableSpan) -> str:
    links, dropped = span.links, span.dropped_links
    text = f',"links":[{",".join([_link(link) for link in links])}]' if links else ""
    return f'{text},"droppedLinksCount":{dropped}' if dropped else text


def _link(link: Link) -> str:
    return f'{{{_ids(link.context)}{_attributes(link)},"flags":{_flags(link.context, link.context.is_remote)}}}'


def _status(status: Status) -> str:
    message = f'"message":{quoted(status.description)},' if status.description else ""
    return f'{{{message}"code":{status.status_code.value}}}' if status.status_code.value or message else "{}"


def _log(readable: ReadableLogRecord) -> str:
    record, dropped = readable.log_record, readable.dropped_attributes
    fields: tuple[Any, ...] = (
        f'"timeUnixNano":"{record.timestamp or 0}"',
        f'"observedTimeUnixNano":"{record.observed_timestamp or 0}"',
        record.severity_number is not None and f'"severityNumber":{record.severity_number.value}',
        record.severity_text and f'"severityText":{quoted(record.severity_text)}',
        f'"body":{value_text(record.body)}',
        record.attributes and f'"attributes":{attributes_text(record.attributes)}',
        dropped and f'"droppedAttributesCount":{dropped}',
        record.trace_flags and f'"flags":{int(record.trace_flags)}',
        record.trace_id and f'"traceId":"{record.trace_id:032x}"',
        record.span_id and f'"spanId":"{record.span_id:016x}"',
        record.event_name and f'"eventName":{quoted(record.event_name)}',
    )
    return f"{{{','.join(filter(None, fields))}}}"


# Grouping


class _Batch:
    """Items by resource and scope, until they fill a line."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._resources: dict[str, dict[str, list[str]]] = {}
        self._known: dict[tuple[int, int], list[str]] = {}
        self._size = 0

    def add(self, resource: Resource | None, scope: InstrumentationScope | None, item: str | None) -> Iterator[bytes]:
        """Add an item; the line that it did not fit into any more comes first. None, what cannot be written, is not."""
        if item is None:
            return
        if self._size and self._size + len(item) > MAX_LINE_BYTES:
            yield from self.end()
        items = self._known.get((id(resource), id(scope)))  # both are alive as long as the batch is
        if items is None:
            items = self._known[id(resource), id(scope)] = self._items(resource, scope)
        items.append(item)
        self._size += len(item)

    def end(self) -> Iterator[bytes]:
        """What is left, as a line."""
        if self._size:
            resources = ",".join([self._resource(*item) for item in self._resources.items()])
            yield encoded(f'{{"{self._signal.resources}":[{resources}]}}')
        self._resources, self._known, self._size = {}, {}, 0

    def _items(self, resource: Resource | None, scope: InstrumentationScope | None) -> list[str]:
        """Equal resources are one, whichever object they are; and so are scopes."""
        scopes = self._resources.setdefault(_resource_head(resource), {})
        return scopes.setdefault(_scope_head(scope), [])

    def _resource(self, head: str, scopes: Mapping[str, list[str]]) -> str:
        found = [f'{{{scope},"{self._signal.items}":[{",".join(items)}]}}' for scope, items in scopes.items()]
        return f'{{{head},"{self._signal.scopes}":[{",".join(found)}]}}'


def _resource_head(resource: Resource | None) -> str:
    attributes = resource.attributes if resource is not None else None
    return f'"resource":{{{_named_attributes(attributes)}}}{_schema(resource)}'


def _scope_head(scope: InstrumentationScope | None) -> str:
    if scope is None:
        return '"scope":{}'
    fields = (
        scope.name and f'"name":{quoted(scope.name)}',
        scope.version and f'"version":{quoted(scope.version)}',
        _named_attributes(scope.attributes),
    )
    return f'"scope":{{{",".join(filter(None, fields))}}}{_schema(scope)}'


def _named_attributes(attributes: Mapping[str, Any] | None) -> str:
    return f'"attributes":{attributes_text(attributes)}' if attributes else ""


def _schema(item: Resource | InstrumentationScope | None) -> str:
    return f',"schemaUrl":{quoted(item.schema_url)}' if item is not None and item.schema_url else ""
