"""Sees everything that aiobs emits while a test runs, and checks it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from aiobs._version import __version__
from aiobs.semconv.registry import CURRENT, DUP, Registry
from aiobs.testing import OTLPSink
from aiobs.testing.conformance import Finding, check, otlp


class Witness(SpanProcessor, LogRecordProcessor):
    """Everything that aiobs emits while a test runs, on whatever provider.

    What another process exports is seen when an OTLPSink receives it. Spans that a test makes by hand under our name
    have no version; they are not ours.
    """

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.metrics: list[MetricsData] = []
        self.logs: list[ReadableLogRecord] = []
        self.readers: list[InMemoryMetricReader] = []

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be with every provider and sink that is made from now on."""
        after(monkeypatch, TracerProvider, "__init__", lambda provider, *_: provider.add_span_processor(self))
        after(monkeypatch, LoggerProvider, "__init__", lambda provider, *_: provider.add_log_record_processor(self))
        after(monkeypatch, OTLPSink, "_keep", lambda _, *received: self.received(*received))
        observe_metrics(monkeypatch, self)

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.logs.append(log_record)

    def new_reader(self) -> InMemoryMetricReader:
        self.readers.append(InMemoryMetricReader())
        return self.readers[-1]

    def received(self, signal: str, request: Any) -> None:
        if signal == "traces":
            self.spans += otlp.spans_of(request)
        elif signal == "logs":
            self.logs += otlp.logs_of(request)
        else:
            self.metrics.append(otlp.metrics_of(request))

    def findings(self) -> list[Finding]:
        names = DUP if os.environ.get("AIOBS_SEMCONV") == "dup" else CURRENT
        registry = Registry.load(*names)
        spans = [span for span in self.spans if is_ours(span.instrumentation_scope)]
        logs = [log for log in self.logs if is_ours(log.instrumentation_scope)]
        collected = [*self.metrics, *(reader.get_metrics_data() for reader in self.readers)]
        found = {finding for data in collected for finding in check(metrics=data, registry=registry)}
        return sorted({*check(spans, None, logs, registry=registry), *found})


def is_ours(scope: Any) -> bool:
    return scope is not None and (scope.name, scope.version) == ("aiobs", __version__)


def after(monkeypatch: pytest.MonkeyPatch, kind: Any, method: str, then: Callable[..., None]) -> None:
    """From now on every call of the method does this too, with the same arguments."""
    original = getattr(kind, method)

    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        original(self, *args, **kwargs)
        then(self, *args)

    monkeypatch.setattr(kind, method, both)


def observe_metrics(monkeypatch: pytest.MonkeyPatch, witness: Witness) -> None:
    """Every MeterProvider that is made from now on has one reader more."""
    original: Any = MeterProvider.__init__

    def initialise(self: Any, metric_readers: Any = (), *args: Any, **kwargs: Any) -> None:
        original(self, [*metric_readers, witness.new_reader()], *args, **kwargs)

    monkeypatch.setattr(MeterProvider, "__init__", initialise)
