"""The OpenTelemetry SDK side of the ambient context: the stamping span processor and the labels resource detector."""

from __future__ import annotations

import os
from random import Random

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource, ResourceDetector
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from aiobs.ambient.labels import environment_labels, system_labels
from aiobs.ambient.session import current_session, keep_with_span
from aiobs.guard import guarded
from aiobs.semconv.attributes import put_attributes


class StampingProcessor(SpanProcessor):
    """Stamps session and labels on every span of a provider when it starts.

    An application's own ``session.id`` on the span wins; ``aiobs.session.id`` is always the observer's. A processor
    that raises would keep a span of the program's own from starting, so it runs under the guard.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Find the session (context, parent span, process) and write its attributes on the span."""
        guarded(self._stamp, span, parent_context)

    def _stamp(self, span: Span, parent_context: Context | None) -> None:
        session = current_session(parent_context)
        if session is None:
            return
        attributes = session.attributes
        if span.attributes and "session.id" in span.attributes:
            attributes = {key: value for key, value in attributes.items() if key != "session.id"}
        put_attributes(span, attributes)
        keep_with_span(span, session)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing: everything was stamped at the start."""

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True


class LabelsResourceDetector(ResourceDetector):
    """Environment and system labels as resource attributes ``label.<key>``.

    Resource attributes are fixed for the life of a process: labels that change are span attributes. Enable it for any
    OpenTelemetry program with ``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=aiobs_labels``.
    """

    def __init__(self, raise_on_error: bool = False) -> None:
        super().__init__(raise_on_error=raise_on_error)

    def detect(self) -> Resource:
        """The labels of this process, the system's over the environment's."""
        labels = {**environment_labels(), **system_labels()}
        return Resource({f"label.{key}": value for key, value in labels.items()})


_random = Random()
os.register_at_fork(after_in_child=_random.seed)


class OwnIds(RandomIdGenerator):
    """Ids of traces and spans that leave the program's random numbers alone.

    The SDK takes them from ``random``: a program that seeds it would get other numbers with us than without.
    """

    def generate_span_id(self) -> int:
        """A number of 64 bits, not 0."""
        return _random.getrandbits(64) or self.generate_span_id()

    def generate_trace_id(self) -> int:
        """A number of 128 bits, not 0."""
        return _random.getrandbits(128) or self.generate_trace_id()
