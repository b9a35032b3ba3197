"""Everything that comes out of aiobs, as labelled texts: what is searched for needles."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aiobs import observer
from aiobs.exporters.console import ConsoleTree
from aiobs.exporters.delivery.processors import deliver
from aiobs.exporters.registry import Exporter
from aiobs.instrumentation import Instrumentor
from aiobs.testing import OTLPSink


class Setting(NamedTuple):
    """How a program is set up: the content gate (None: nobody says), and ``AIOBS_SEMCONV``."""

    capture: str | None
    names: str = "latest"

    def __str__(self) -> str:
        return f"{self.capture or 'unset'}-{self.names}"


SETTINGS = (
    Setting(None),
    Setting(None, "dup"),
    Setting("no_content", "dup"),
    Setting("span_only"),
    Setting("event_only", "dup"),
    Setting("span_and_event"),
)
"""Each gate; with the names of August beside today's, which write all that those write and more, where it is closed."""


class Output(NamedTuple):
    """One text that came out: ``kind`` of output, ``key`` of the attribute if it is one's value."""

    kind: str
    key: str
    text: str


class KeepingSink(OTLPSink):
    """An OTLP receiver that keeps the bytes, decompressed."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[bytes] = []

    def _keep(self, signal: str, message: Any) -> None:
        self.received.append(message.SerializeToString())
        super()._keep(signal, message)


class LogCollector(logging.Handler):
    """What we and OpenTelemetry log, with arguments and tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r}")


class Outputs:
    """A program's whole telemetry: session file, two consoles, OTLP over a socket, and signals in memory.

    As a context manager it is open for one program.
    """

    def __init__(self, setting: Setting, monkeypatch: Any) -> None:
        self._setting = setting
        self._monkeypatch = monkeypatch
        self._closing = ExitStack()
        self.logs = LogCollector()
        self.extra: list[Output] = []

    def __enter__(self) -> Self:
        self._sink = self._closing.enter_context(KeepingSink())
        self._monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", self._sink.endpoint)
        self._monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
        self._monkeypatch.setenv("AIOBS_SEMCONV", self._setting.names)
        sent = deliver(Exporter("otlp"))
        self._tree, self._console = io.StringIO(), io.StringIO()
        self._spans, self._records, self._metrics = (
            InMemorySpanExporter(),
            InMemoryLogRecordExporter(),  # type: ignore[no-untyped-call]  # the SDK left it untyped
            InMemoryMetricReader(),
        )
        self._tracers = TracerProvider(shutdown_on_exit=False)
        for processor in (
            SimpleSpanProcessor(self._spans),
            SimpleSpanProcessor(ConsoleSpanExporter(out=self._console)),
            ConsoleTree(self._tree),
            *sent.span_processors,
        ):
            self._tracers.add_span_processor(processor)
        self._meters = MeterProvider(
            [self._metrics, *sent.metric_readers], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False
        )
        self._loggers = LoggerProvider(shutdown_on_exit=False)
        for log_processor in (SimpleLogRecordProcessor(self._records), *sent.log_processors):
            self._loggers.add_log_record_processor(log_processor)
        for name in ("aiobs", "opentelemetry"):
            logging.getLogger(name).addHandler(self.logs)
            self._closing.callback(logging.getLogger(name).removeHandler, self.logs)
        Instrumentor(
            tracer_provider=self._tracers, meter_provider=self._meters, logger_provider=self._loggers
        ).instrument()
        observer.observe("needles", tracer_provider=self._tracers, capture_content=self._setting.capture)
        return self

    def __exit__(self, *exception: object) -> None:
        for provider in (self._tracers, self._meters, self._loggers):
            provider.shutdown()
        self._closing.close()

    def collect(self) -> list[Output]:
        """Everything so far; the session file is written."""
        found = list(self._files("journal"))
        metrics = list(self._points())
        for provider in (self._tracers, self._meters, self._loggers):
            provider.force_flush()
        observer.flush()
        found += [*self._files("file"), *metrics, *self.extra]
        for span in self._spans.get_finished_spans():
            found += _of_span(span)
        for log in self._records.get_finished_logs():
            record = log.log_record
            found.append(Output("log.body", "", str(record.body)))
            found += _of_attributes("log", record.attributes)
        found.append(Output("tree", "", self._tree.getvalue()))
        found.append(Output("console", "", self._console.getvalue()))
        found += [Output("otlp", "", each.decode("latin-1")) for each in self._sink.received]
        return [*found, *(Output("aiobs log", "", line) for line in self.logs.lines)]

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that ended."""
        return self._spans.get_finished_spans()

    def _files(self, kind: str) -> Iterator[Output]:
        """Every file below the working directory, the journal's segments included."""
        for folder, _, files in os.walk("."):
            for name in files:
                yield Output(kind, "", Path(folder, name).read_text("utf-8", "replace"))

    def _points(self) -> Iterator[Output]:
        collected = self._metrics.get_metrics_data()
        for resource in collected.resource_metrics if collected else ():
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.data.data_points:
                    yield from _of_attributes("metric", point.attributes)
                    for exemplar in getattr(point, "exemplars", ()):
                        yield from _of_attributes("metric", exemplar.filtered_attributes)


def _of_span(span: ReadableSpan) -> Iterator[Output]:
    yield Output("span.name", "", span.name)
    yield Output("span.status", "", span.status.description or "")
    yield Output("span.scope", "", repr(span.instrumentation_scope))
    yield from _of_attributes("span", span.attributes)
    yield from _of_attributes("resource", span.resource.attributes)
    for event in span.events:
        yield Output("span.event", "", event.name)
        yield from _of_attributes("span.event", event.attributes)
    for link in span.links:
        yield from _of_attributes("span.link", link.attributes)


def _of_attributes(kind: str, attributes: Mapping[str, Any] | None) -> Iterator[Output]:
    for key, value in (attributes or {}).items():
        yield Output(kind, key, f"{key} {json.dumps(value, default=repr)}")
