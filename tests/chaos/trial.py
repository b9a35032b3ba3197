"""One trial: a program runs while something is broken. What should not be, as a list of sentences."""

from __future__ import annotations

import gc
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from aiobs import Instrumentor, guard, observer
from aiobs.ambient.sources import add_source, remove_source
from aiobs.capture import deferred, telemetry
from tests.chaos import bystanders
from tests.chaos.breakages import Breakage, broken
from tests.chaos.situations import House, Situation, seen
from tests.contract.drivers import NEEDLE

DURATIONS = ("gen_ai.client.inference.duration", "gen_ai.client.operation.duration", "gen_ai.execute_tool.duration")
_NOISE = (
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk._logs",
    "opentelemetry.sdk.metrics",
    "opentelemetry.context",
)
"""Loggers of the SDK that report what a broken exporter or context does; nothing of that is ours to say."""


class Told(logging.Handler):
    """Every log record of anybody."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class World:
    """Providers with bystanders, and a session; ``open`` and ``close`` are steps of the program."""

    def __init__(self) -> None:
        self.spans = bystanders.Ledger()
        self.logs = bystanders.LogLedger()
        self.metrics = InMemoryMetricReader()
        self.told = Told()
        self.tracer_provider = TracerProvider(
            sampler=bystanders.Sampling(), id_generator=bystanders.Ids(), shutdown_on_exit=False
        )
        for processor in (self.spans, bystanders.Processor(), SimpleSpanProcessor(bystanders.Exporter())):
            self.tracer_provider.add_span_processor(processor)
        exporting = PeriodicExportingMetricReader(bystanders.MetricExporter(), export_interval_millis=math.inf)
        self.meter_provider = MeterProvider([self.metrics, exporting], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(self.logs)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(bystanders.LogExporter()))

    def open(self) -> None:
        """Open a session and instrument the SDKs."""
        add_source(bystanders.source)
        observer.observe("chaos", tracer_provider=self.tracer_provider, capture_content="span_and_event")
        Instrumentor(
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            logger_provider=self.logger_provider,
            capture_content="span_and_event",
            hooks=[bystanders.Hook()],
        ).instrument()

    def end(self) -> None:
        """What a program does last, while things are still broken."""
        observer.add_label("team", "x")
        observer.end()
        observer.flush()

    def recorded(self) -> Counter[str]:
        """How much of everything came."""
        path = observer.flush()
        file = json.loads(Path(path).read_text()) if path and Path(path).exists() else {}
        collected = self.metrics.get_metrics_data()
        points = [
            point.count
            for resource in (collected.resource_metrics if collected else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name in DURATIONS
            for point in metric.data.data_points
        ]
        return Counter(
            spans=len(self.spans.ended),
            calls=len(file.get("events", ())),
            functions=len(file.get("function_events", ())),
            metrics=sum(points),
            logs=len(self.logs.emitted),
        )

    def shutdown(self) -> None:
        """Close the providers, whatever they say."""
        for provider in (self.tracer_provider, self.meter_provider, self.logger_provider):
            provider.shutdown()


@contextmanager
def world() -> Iterator[World]:
    """A world of its own, and nothing of it left behind."""
    gc.freeze()  # what is here already need not be looked at by the many collections of the trials
    made = World()
    root, ours = logging.getLogger(), logging.getLogger("aiobs")
    handler = bystanders.Handler()
    root.addHandler(made.told)
    ours.addHandler(handler)
    for name in _NOISE:
        logging.getLogger(name).disabled = True
    try:
        yield made
    finally:
        root.removeHandler(made.told)
        ours.removeHandler(handler)
        remove_source(bystanders.source)
        observer.reset()
        telemetry.reset()
        made.shutdown()
        for name in _NOISE:
            logging.getLogger(name).disabled = False
        guard.errors.clear()


class Trials:
    """Plays situations with and without breakages; remembers what they come to without."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._seen: dict[str, Any] = {}
        self._recorded: dict[str, Counter[str]] = {}
        self.cases = 0

    def alone(self, situation: Situation) -> tuple[Any, Counter[str]]:
        """What a program sees without aiobs, and what aiobs records of it when nothing is broken."""
        if situation.name not in self._seen:
            self._seen[situation.name] = seen(self.house, situation)
            with world() as unbroken:
                unbroken.open()
                assert seen(self.house, situation) == self._seen[situation.name]
                if "stream" in situation.name:
                    self.house.tidy()
                observer.end()
                self._recorded[situation.name] = unbroken.recorded()
                assert not guard.errors
        return self._seen[situation.name], self._recorded[situation.name]

    def problems(self, situations: Sequence[Situation], *breakages: Breakage) -> list[str]:
        """Everything that is not as it should be while these are broken."""
        expected = {situation.name: self.alone(situation) for situation in situations}
        whole: Counter[str] = Counter()
        for _, recorded in expected.values():
            whole.update(recorded)
        lost = frozenset().union(*(breakage.loses for breakage in breakages))
        found: list[str] = []
        with world() as place:
            with broken(breakages) as hits:
                found += _raised("observe()", place.open)
                for situation in situations:
                    self.cases += 1
                    now = seen(self.house, situation)
                    if now != expected[situation.name][0]:
                        found.append(f"{situation}: {now} instead of {expected[situation.name][0]}")
                self.house.tidy()
                found += _raised("flush()", place.end)
                with suppress(Exception):  # what becomes of metrics that are exported is the SDK's and the program's
                    place.meter_provider.force_flush()
                self.house.simulator._script.clear()
            found += _raised("flush() afterwards", deferred.settle_all)
            found += _not_recorded(place, whole, lost)
            found += _not_ended(place, lost)
            found += _said(place)
            found += [f"{one} was called" for one in breakages if hits[one.of.name] and not one.of.is_called]
            self.hits = hits
        return found


def _raised(name: str, step: Callable[[], Any]) -> list[str]:
    try:
        step()
    except BaseException as error:
        return [f"{name} raised {type(error).__name__}: {error}"]
    return []


def _not_recorded(place: World, whole: Counter[str], lost: frozenset[str]) -> list[str]:
    found = place.recorded()
    return [
        f"{found[kind]} {kind} instead of {whole[kind]}"
        for kind in ("spans", "calls", "functions", "metrics", "logs")
        if kind not in lost and found[kind] != whole[kind]
    ]


def _not_ended(place: World, lost: frozenset[str]) -> list[str]:
    twice = [record for record in place.told.records if "on an ended span" in record.getMessage()]
    found = ["a span was touched after its end"] if twice else []
    if "spans" not in lost and place.spans.open:
        found.append(f"{place.spans.open} spans never ended")
    return found


def _said(place: World) -> list[str]:
    """Once for each cause, and never what the program said, or what was said to it."""
    ours = [record for record in place.told.records if record.name == "aiobs"]
    texts = Counter(record.getMessage() for record in ours if "telemetry of this step is lost" in record.getMessage())
    formatter = logging.Formatter()
    found = [f"logged {times} times: {text}" for text, times in texts.items() if times > 1]
    found += [f"content in a log record: {record.msg}" for record in ours if NEEDLE in formatter.format(record)]
    if len(texts) > len(guard.errors):
        found.append(f"{len(texts)} causes are logged, {len(guard.errors)} counted")
    return found
