"""What holds for every test: failures of ours are loud, every span ends once, nothing leaks into the next test."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from aiobs import guard, losses
from aiobs.capture import telemetry
from aiobs.facade import observer
from aiobs.instrumentation import Instrumentor
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.conformance.witness import Witness
from tests.session_files import Shelf
from tests.thinning import due
from tests.versions import FILES, has, needs

OF_BOTH_SDKS = ["instrumentation/test_decisions.py", "instrumentation/openai/test_live_decisions.py"]
collect_ignore = [] if has("gemini") else ["instrumentation/google_genai", *OF_BOTH_SDKS]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Crossed cases are thinned; files that need a feature of the SDK as a whole are skipped where it is missing."""
    items[:], left = due(items)
    config.hook.pytest_deselected(items=left)
    for item in items:
        place = item.nodeid.removeprefix("/")
        for feature in (feature for beginning, feature in FILES.items() if place.startswith(beginning)):
            item.add_marker(needs(feature))
        if not has(
            "gemini clients as context managers"
        ):  # google-genai 1.5 leaves its async connections to the collector
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))


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


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> None:
    """Tests that run the collector find what is theirs, and find it quickly: not what the tests are made of."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def conforming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    """What the test makes aiobs emit keeps to the registries, but for tests marked ``nonconforming``."""
    witness = Witness()
    witness.watch(monkeypatch)
    yield witness
    if request.node.get_closest_marker("nonconforming") is None and (found := witness.findings()):
        pytest.fail("\n".join(["not as the registries say:", *map(str, found)]), pytrace=False)


@pytest.fixture(autouse=True)
def loud_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard raises instead of swallowing, but for tests marked ``quiet_guard`` (which break things on purpose)."""
    monkeypatch.setattr(guard, "loud", request.node.get_closest_marker("quiet_guard") is None)
    guard.errors.clear()
    losses.lost.clear()
    losses.told.clear()


@pytest.fixture(autouse=True)
def clean_process(
    conforming: Witness,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    """Each test has its own working directory and environment, and leaves no session, patch, span or context behind."""
    for variable in list(os.environ):
        if variable.startswith(("AIOBS_", "OTEL_", "LLM_OBS_", "OPENAI_")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    monkeypatch.setattr(guard, "loud", False)
    observer.reset()
    telemetry.reset()
    assert trace.get_current_span(get_current()) is trace.INVALID_SPAN, "a span is still current"
    ours = [record for record in caplog.get_records("call") if record.name.startswith("opentelemetry.sdk.trace")]
    assert not ours, f"the SDK complains: {[record.getMessage() for record in ours]}"


@pytest.fixture(autouse=True)
def valid_files(
    clean_process: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shelf]:
    """S1-74, S1-90: every session file that the test makes aiobs write is valid, also for viewers."""
    shelf = Shelf(tmp_path_factory.mktemp("written"), Path.cwd())
    shelf.watch(monkeypatch)
    yield shelf
    if request.node.get_closest_marker("nonconforming") is None and (found := shelf.findings()):
        pytest.fail("\n".join(["not as the format says:", *found[:20]]), pytrace=False)


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
