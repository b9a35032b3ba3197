"""Spans: the definition that a span falls under, and whether it keeps to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from aiobs.semconv import names
from aiobs.semconv.registry import Registry, SpanDefinition
from aiobs.testing.conformance.attributes import Attributes, Flaw, attribute_flaws, missing_flaws, sum_flaws
from aiobs.testing.conformance.content import content_flaws

_PLACEHOLDER = re.compile(r"\{([^}]*)\}")


def span_flaws(span: ReadableSpan, registry: Registry) -> Iterator[Flaw]:
    """What is wrong with one span."""
    attributes = span.attributes or {}
    definitions = _definitions(span, registry)
    yield from _kind_flaws(span, attributes, definitions)
    fitting = [each for each in definitions if each.kind == _kind(span)] or definitions
    is_open = any(each.is_open for each in fitting)
    allowed = {name for each in fitting for name in each.attributes} if fitting else registry.attributes.keys()
    yield from attribute_flaws(attributes, registry, {*allowed, *registry.everywhere}, is_open=is_open)
    for definition in fitting:
        yield from missing_flaws(definition.name, attributes, definition.attributes, registry)
        yield from _name_flaws(span.name, attributes, definition, registry)
    yield from sum_flaws(attributes, registry)
    yield from _status_flaws(span, attributes)
    yield from content_flaws(attributes, registry, is_text=True)
    if not is_open:
        yield from _event_flaws(span)


def _definitions(span: ReadableSpan, registry: Registry) -> list[SpanDefinition]:
    """Those of its operation; without one, the type that the name begins with, else the type of any name."""
    attributes: Attributes = span.attributes or {}
    operation = attributes.get(names.OPERATION)
    candidates = registry.spans_of(operation, attributes.get(names.PROVIDER))
    if operation:
        return candidates
    word = span.name.partition(" ")[0]
    return [each for each in candidates if each.name_pattern.partition(" ")[0] == word] or [
        each for each in candidates if each.is_open
    ]


def _kind(span: ReadableSpan) -> str:
    return span.kind.name.lower()


def _kind_flaws(span: ReadableSpan, attributes: Attributes, definitions: Sequence[SpanDefinition]) -> Iterator[Flaw]:
    if not definitions:
        yield "span-operation", f"no span is defined for the operation {attributes.get(names.OPERATION)!r}"
        return
    kinds = sorted({each.kind for each in definitions})
    if _kind(span) not in kinds:
        yield "span-kind", f"the kind is {_kind(span)}; the registry says {' or '.join(kinds)}"


def _name_flaws(name: str, attributes: Attributes, definition: SpanDefinition, registry: Registry) -> Iterator[Flaw]:
    expected = _name_pattern(definition.name_pattern, attributes, registry)
    if not re.fullmatch(expected, name, re.DOTALL):
        yield "span-name", f"the registry says {definition.name_pattern!r} with the span's own attributes"


def _name_pattern(pattern: str, attributes: Attributes, registry: Registry) -> str:
    """The pattern with the attributes filled in; a part whose attribute is not there falls away with its space."""
    words = []
    for word in pattern.split(" "):
        placeholder = _PLACEHOLDER.fullmatch(word)
        if placeholder is None:
            words.append(re.escape(word))
        elif registry.attribute(placeholder[1]) is None:
            words.append(".+")
        elif placeholder[1] in attributes:
            words.append(re.escape(str(attributes[placeholder[1]])))
    return " ".join(words)


def _status_flaws(span: ReadableSpan, attributes: Attributes) -> Iterator[Flaw]:
    status = span.status.status_code
    if status is StatusCode.OK:
        yield "span-status", "the status is OK; it is left unset"
    elif status is StatusCode.ERROR and names.ERROR_TYPE not in attributes:
        yield "span-status", "the status is ERROR; 'error.type' is required then"
    elif status is not StatusCode.ERROR and names.ERROR_TYPE in attributes:
        yield "span-status", "there is an 'error.type'; the status is ERROR then"


def _event_flaws(span: ReadableSpan) -> Iterator[Flaw]:
    for event in span.events:
        yield "span-event", f"the span event {event.name!r}: events are log records"
