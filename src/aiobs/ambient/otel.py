"""The OpenTelemetry SDK side of the ambient context: the stamping span processor and the labels resource detector."""

from __future__ import annotations

import os
from random import Random

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource, ResourceDetector
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from aiobs.ambient.current import current_ambient, stamp
from aiobs.ambient.labels import environment_labels, system_labels
from aiobs.guard import guarded


class StampingProcessor(SpanProcessor):
    """Stamps session, labels and context on every span of a provider when it starts.

    What the application gave the span itself wins; ``aiobs.session.id`` is always the observer's. A processor
    that raises would keep a span of the program's own from starting, so it runs under the guard.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Find the session (context, parent span, process) and write its attributes on the span."""
        guarded(self._stamp, span, parent_context)

    @staticmethod
    def _stamp(span: Span, parent_context: Context | None) -> None:
        stamp(span, current_ambient(parent_context))

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
