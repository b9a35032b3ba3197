"""A span exporter whose backend has names of its own: they are added at export, and are nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aiobs.exporters.rewriting.rewriter import RewrittenSpan

Translation = Callable[[ReadableSpan], Mapping[str, Any]]


class TranslatingExporter(SpanExporter):
    """Adds what ``translate`` finds in a span to its attributes, or puts it in the place of what is there.

    ``resource``: attributes to add to the resource.
    """

    def __init__(
        self, exporter: SpanExporter, translate: Translation, resource: Mapping[str, str] | None = None
    ) -> None:
        self._exporter, self._translate = exporter, translate
        self._resource = Resource(dict(resource or {}))
        self.why = getattr(exporter, "why", None)  # why it does not work, if it can tell

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export copies with both vocabularies."""
        return self._exporter.export([self._translated(span) for span in spans])

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """As the exporter."""
        self._exporter.shutdown()

    def _translated(self, span: ReadableSpan) -> ReadableSpan:
        return RewrittenSpan(
            span,
            name=span.name,
            attributes={**(span.attributes or {}), **self._translate(span)},
            resource=span.resource.merge(self._resource),
            events=span.events,
            links=span.links,
            status=span.status,
            scope=span.instrumentation_scope,
        )
