"""What holds for every test: failures of ours are loud, every span ends once, nothing leaks into the next test."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from aiobs import guard
from aiobs._version import __version__
from aiobs.capture import telemetry
from aiobs.facade import observer
from aiobs.instrumentation import Instrumentor
from aiobs.semconv.registry import CURRENT, DUP, Registry
from aiobs.testing import InMemoryTelemetry, Simulator
from aiobs.testing.conformance import Finding, check


class Ledger(SpanProcessor):
    """Which spans started and which ended."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}
        self.ended: set[int] = set()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.open[span.get_span_context().span_id] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        assert span.context.span_id not in self.ended, f"{span.name} ended twice"
        self.ended.add(span.context.span_id)
        self.open.pop(span.context.span_id, None)


class Witness(SpanProcessor, LogRecordProcessor):
    """Everything that aiobs emits while a test runs, on whatever provider.

    Spans that a test makes by hand under our name have no version; they are not ours.
    """

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.logs: list[ReadableLogRecord] = []
        self.readers: list[InMemoryMetricReader] = []

    def on_end(self, span: ReadableSpan) -> None:
        if is_ours(span.instrumentation_scope):
            self.spans.append(span)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if is_ours(log_record.instrumentation_scope):
            self.logs.append(log_record)

    def new_reader(self) -> InMemoryMetricReader:
        self.readers.append(InMemoryMetricReader())
        return self.readers[-1]

    def findings(self) -> list[Finding]:
        names = DUP if os.environ.get("AIOBS_SEMCONV") == "dup" else CURRENT
        registry = Registry.load(*names)
        found = check(self.spans, None, self.logs, registry=registry)
        for reader in self.readers:
            found += check((), reader.get_metrics_data(), (), registry=registry)
        return found


def is_ours(scope: Any) -> bool:
    return scope is not None and (scope.name, scope.version) == ("aiobs", __version__)


@pytest.fixture(autouse=True)
def conforming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the test makes aiobs emit keeps to the registries, but for tests marked ``nonconforming``."""
    witness = Witness()
    attach(monkeypatch, TracerProvider, lambda provider: provider.add_span_processor(witness))
    attach(monkeypatch, LoggerProvider, lambda provider: provider.add_log_record_processor(witness))
    observe_metrics(monkeypatch, witness)
    yield
    if request.node.get_closest_marker("nonconforming") is None:
        found = witness.findings()
        assert not found, "not as the registry says:\n" + "\n".join(f"  {finding}" for finding in found)


def attach(monkeypatch: pytest.MonkeyPatch, kind: Any, to: Callable[[Any], None]) -> None:
    """Do this to every provider of a kind that is made from now on."""
    original = kind.__init__

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        to(self)

    monkeypatch.setattr(kind, "__init__", initialise)


def observe_metrics(monkeypatch: pytest.MonkeyPatch, witness: Witness) -> None:
    """Every MeterProvider that is made from now on has one reader more."""
    original: Any = MeterProvider.__init__

    def initialise(self: Any, metric_readers: Any = (), *args: Any, **kwargs: Any) -> None:
        original(self, [*metric_readers, witness.new_reader()], *args, **kwargs)

    monkeypatch.setattr(MeterProvider, "__init__", initialise)


@pytest.fixture(autouse=True)
def loud_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard raises instead of swallowing, but for tests marked ``quiet_guard`` (which break things on purpose)."""
    monkeypatch.setattr(guard, "loud", request.node.get_closest_marker("quiet_guard") is None)
    guard.errors.clear()


@pytest.fixture(autouse=True)
def clean_process(
    conforming: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    """Each test has its own working directory and environment, and leaves no session, patch, span or context behind."""
    for variable in list(os.environ):
        if variable.startswith(("AIOBS_", "OTEL_", "LLM_OBS_", "OPENAI_")) and variable != "AIOBS_CASSETTES":
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    monkeypatch.setattr(guard, "loud", False)
    observer.reset()
    telemetry.reset()
    assert trace.get_current_span(get_current()) is trace.INVALID_SPAN, "a span is still current"
    ours = [record for record in caplog.get_records("call") if record.name.startswith("opentelemetry.sdk.trace")]
    assert not ours, f"the SDK complains: {[record.getMessage() for record in ours]}"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A provider on this machine."""
    with Simulator() as running:
        yield running


@pytest.fixture
def signals() -> Iterator[InMemoryTelemetry]:
    """Providers in memory; afterwards, every span that started has ended, once."""
    with InMemoryTelemetry() as pipeline:
        ledger = Ledger()
        pipeline.tracer_provider.add_span_processor(ledger)
        yield pipeline
        guard.loud = False
        from aiobs.capture import deferred

        deferred.settle_all()
        assert not ledger.open, f"never ended: {sorted(ledger.open.values())}"


@pytest.fixture
def instrumented(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """The SDKs instrumented into ``signals``, content off."""
    logging.getLogger("aiobs").propagate = True
    Instrumentor(**signals.providers).instrument()
    return signals
