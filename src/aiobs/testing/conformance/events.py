"""Log records: events that the registry has, at its severity."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.sdk._logs import ReadableLogRecord

from aiobs.semconv.registry import Registry
from aiobs.testing.conformance.attributes import Flaw, attribute_flaws, missing_flaws, sum_flaws
from aiobs.testing.conformance.content import content_flaws


def event_flaws(log: ReadableLogRecord, registry: Registry) -> Iterator[Flaw]:
    """What is wrong with one log record."""
    record = log.log_record
    definition = registry.events.get(record.event_name or "")
    if definition is None:
        yield "event-unknown", "no registry has an event of that name"
        return
    severity = record.severity_number.value if record.severity_number else None
    if definition.severity not in (None, severity):
        yield "event-severity", f"the severity number is {severity}; the registry says {definition.severity}"
    attributes = record.attributes or {}
    yield from attribute_flaws(attributes, registry, {*definition.attributes, *registry.everywhere})
    yield from missing_flaws(definition.name, attributes, definition.attributes, registry)
    yield from sum_flaws(attributes, registry)
    yield from content_flaws(attributes, registry, is_text=False)
