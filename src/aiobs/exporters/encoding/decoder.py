"""Lines of OTLP/JSON as objects of the OpenTelemetry SDK again, for exporters that take nothing else.

Whatever is no OTLP raises ``ValueError``. Fields that are left out have their default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from aiobs.exporters.encoding.encoder import LOGS, SPANS, Signal
from aiobs.semconv.otlp_json import attributes_of, value_of

_IS_REMOTE = 0x200
_KINDS = {kind.value + 1: kind for kind in SpanKind}
_NO_SPAN = set_span_in_context(INVALID_SPAN, Context())
_T = TypeVar("_T")


def spans_of(line: Mapping[str, Any]) -> list[ReadableSpan]:
    """The spans of a parsed line. Raises ValueError for what is none."""
    return _checked(line, SPANS, _span)


def logs_of(line: Mapping[str, Any]) -> list[ReadableLogRecord]:
    """The log records of a parsed line. Raises ValueError for what is none."""
    return _checked(line, LOGS, _log)


def _checked(line: Mapping[str, Any], signal: Signal, read: Callable[[Any, Any, Any], _T]) -> list[_T]:
    try:
        return list(_items(line, signal, read))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"no OTLP/JSON: {type(error).__name__}") from None


def _items(line: Mapping[str, Any], signal: Signal, read: Callable[[Any, Any, Any], _T]) -> Iterator[_T]:
    for group in line[signal.resources]:
        resource = resource_of(group)
        for below in group.get(signal.scopes) or ():
            scope = scope_of(below)
            for item in below.get(signal.items) or ():
                yield read(item, resource, scope)


def resource_of(group: Mapping[str, Any]) -> Resource:
    """Of a group of a line."""
    attributes = (group.get("resource") or {}).get("attributes")
    return Resource(attributes_of(attributes), _text(group.get("schemaUrl")))


def scope_of(group: Mapping[str, Any]) -> InstrumentationScope:
    """Of a group of a resource."""
    scope = group.get("scope") or {}
    version, attributes = scope.get("version"), attributes_of(scope.get("attributes"))
    version = None if version is None else _text(version)
    return InstrumentationScope(_text(scope.get("name")), version, _text(group.get("schemaUrl")), attributes)


def _span(item: Mapping[str, Any], resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    context, parent = _context(item), item.get("parentSpanId")
    return ReadableSpan(
        name=_text(item.get("name")),
        context=context,
        parent=SpanContext(context.trace_id, _id(parent, 64), bool(_flags(item) & _IS_REMOTE)) if parent else None,
        resource=resource,
        attributes=_attributes(item),
        events=_list([_event(event) for event in item.get("events") or ()], item.get("droppedEventsCount")),
        links=_list([_link(link) for link in item.get("links") or ()], item.get("droppedLinksCount")),
        kind=_KINDS.get(item.get("kind") or 0, SpanKind.INTERNAL),
        status=_status(item.get("status") or {}),
        start_time=_time(item.get("startTimeUnixNano")),
        end_time=_time(item.get("endTimeUnixNano")),
        instrumentation_scope=scope,
    )


def _context(item: Mapping[str, Any], *, is_remote: bool = False) -> SpanContext:
    flags = TraceFlags(_flags(item) & 0xFF)
    state = TraceState.from_header([item["traceState"]]) if item.get("traceState") else None
    return SpanContext(_id(item.get("traceId"), 128), _id(item.get("spanId"), 64), is_remote, flags, state)


def _flags(item: Mapping[str, Any]) -> int:
    return _whole(item.get("flags"), 32)


def _time(value: Any) -> int:
    return _whole(value, 64)


def _id(text: Any, bits: int) -> int:
    return _in_range(int(text or "0", 16), bits)


def _whole(value: Any, bits: int) -> int:
    return _in_range(int(value or 0), bits)


def _in_range(number: int, bits: int) -> int:
    """What protobuf has room for: what an exporter cannot encode would stand in a spool's way."""
    if not 0 <= number < 2**bits:
        raise ValueError("out of range")
    return number


def _text(value: Any) -> str:
    """Raises ValueError, also for lone surrogates, which cannot be sent."""
    if value is not None and not isinstance(value, str):
        raise ValueError("no text")
    if value and not value.isascii():
        value.encode()
    return value or ""


def _attributes(item: Mapping[str, Any]) -> Any:
    """A plain dict; the SDK's own mapping only where it has to carry how many were dropped."""
    attributes: dict[str, Any] = attributes_of(item.get("attributes"))
    dropped = item.get("droppedAttributesCount")
    if not dropped:
        return attributes
    bounded = BoundedAttributes(attributes=attributes, immutable=False)
    bounded.dropped = _whole(dropped, 32)
    return bounded


def _list(items: Sequence[_T], dropped: Any) -> Sequence[_T]:
    if not dropped:
        return items
    bounded: Any = BoundedList.from_seq(len(items), items)
    bounded.dropped = _whole(dropped, 32)
    return bounded  # type: ignore[no-any-return]  # the same


def _event(item: Mapping[str, Any]) -> Event:
    return Event(_text(item.get("name")), _attributes(item), _time(item.get("timeUnixNano")))


def _link(item: Mapping[str, Any]) -> Link:
    return Link(_context(item, is_remote=bool(_flags(item) & _IS_REMOTE)), _attributes(item))


def _status(item: Mapping[str, Any]) -> Status:
    code = StatusCode(item.get("code") or 0)
    return Status(code, _text(item.get("message")) or None) if code is StatusCode.ERROR else Status(code)


def _log(item: Mapping[str, Any], resource: Resource, scope: InstrumentationScope) -> ReadableLogRecord:
    number = item.get("severityNumber")
    record = LogRecord(
        timestamp=_time(item.get("timeUnixNano")) or None,
        observed_timestamp=_time(item.get("observedTimeUnixNano")),
        context=_NO_SPAN,
        severity_text=item.get("severityText"),
        severity_number=None if number is None else SeverityNumber(number),
        body=value_of(item.get("body") or {}),
        attributes=_attributes(item),
        event_name=item.get("eventName"),
    )
    record.trace_id = _id(item.get("traceId"), 128)
    record.span_id = _id(item.get("spanId"), 64)
    record.trace_flags = TraceFlags(_flags(item) & 0xFF)
    return ReadableLogRecord(record, resource, scope, LogRecordLimits())
