"""The same program twice, once without aiobs and once with it; and what of it a program, or its user, can tell apart.

A ``Sighting`` is plain data about one run. ``Bench.differences`` is what two of them do not agree on; a configuration
called "control" runs the program without aiobs a second time, which shows that nothing else makes a difference.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from opentelemetry.context import get_current

from aiobs import Instrumentor, observer
from aiobs.capture import deferred, telemetry
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.contract.drivers import Driver
from tests.contract.programs import Program, Stage, play
from tests.differential.looks import clean, look, look_at_copies, look_at_error

Sighting = dict[str, Any]
Script = Callable[[Simulator, Driver], None]

_warmed: set[str] = set()
"""What SDKs do on first use only (lazy imports and their log records) is done before anything is compared."""


@dataclass(frozen=True)
class Configuration:
    """One way in which aiobs is switched on."""

    name: str
    switch_on: Callable[[InMemoryTelemetry], object]

    def __str__(self) -> str:
        return self.name


def _spans_only(signals: InMemoryTelemetry) -> None:
    Instrumentor(tracer_provider=signals.tracer_provider).instrument()


def _everything(signals: InMemoryTelemetry) -> None:
    observer.observe("differential", tracer_provider=signals.tracer_provider, capture_content="span_and_event")
    Instrumentor(**signals.providers, capture_content="span_and_event", capture_embeddings=True).instrument()


CONTROL = Configuration("control", lambda signals: None)
NOTHING = Configuration("nothing-recorded", lambda signals: Instrumentor().instrument())
SPANS = Configuration("spans", _spans_only)
EVERYTHING = Configuration("everything", _everything)
CONFIGURATIONS = (CONTROL, NOTHING, SPANS, EVERYTHING)


@dataclass
class Bench:
    """Where programs are run and compared. ``output`` gives what was printed since it was last asked."""

    simulator: Simulator
    signals: InMemoryTelemetry
    output: Callable[[], Sequence[str]]

    def compare(self, program: Program, driver: Driver, script: Script = lambda *_: None) -> None:
        """Run one of the contract's programs in every configuration; fail if anything differs."""
        found = self.differences(program, driver, script)
        assert not found, "\n".join(found)

    def check(self, program: Callable[[Stage], Coroutine[Any, Any, None] | None]) -> None:
        """The same for a function, or a coroutine function, that makes its calls by itself."""
        found = self.apart(partial(self.alone, program))
        assert not found, "\n".join(found)

    def differences(
        self,
        program: Program,
        driver: Driver,
        script: Script = lambda *_: None,
        configurations: Iterable[Configuration] = CONFIGURATIONS,
    ) -> list[str]:
        """What a program can tell apart, one line each."""

        def run() -> Stage:
            script(self.simulator, driver)
            return play(driver, watched(program), self.simulator)

        return self.apart(run, configurations, str(driver))

    def apart(
        self,
        run: Callable[[], Stage],
        configurations: Iterable[Configuration] = CONFIGURATIONS,
        kind: str | None = None,
    ) -> list[str]:
        """What differs between a run without aiobs and those with it. The first run of a ``kind`` warms up."""
        if kind is None or kind not in _warmed:
            _warmed.add(str(kind))
            self.sight(run)
        without = self.sight(run)
        return [line for one in configurations for line in difference(without, self.sight_with(one, run), str(one))]

    def sight_with(self, configuration: Configuration, run: Callable[[], Stage]) -> Sighting:
        """Run it with aiobs, which is gone afterwards."""
        try:
            configuration.switch_on(self.signals)
            return self.sight(run)
        finally:
            switch_off()

    def alone(self, program: Callable[[Stage], Coroutine[Any, Any, None] | None]) -> Stage:
        """Run a program that makes its calls by itself."""
        stage = Stage()
        try:
            if (waiting := program(stage)) is not None:
                asyncio.run(waiting)
        except BaseException as error:
            stage.error = error
        return stage

    def sight(self, run: Callable[[], Stage]) -> Sighting:
        """Run it and look at everything."""
        self.simulator.requests.clear()
        gc.disable()  # what the last run left is not to be found in the middle of this one
        with noted_around(self.output) as around:
            stage = run()
        gc.enable()
        sighting = {
            "taken": [look(item) for item in stage.taken],
            "copies": look_at_copies(
                item
                for item in stage.taken[:1] + stage.taken[-1:]
                if not any(hasattr(item, name) for name in _UNCOPIED)
            ),
            "facts": stage.facts,
            "error": look_at_error(stage.error),
            "copies of the error": look_at_copies([stage.error] if stage.error else []),
            "current spans": [span.get_span_context().span_id for span in stage.current],
            "requests": [
                {"line": (one.method, one.path, one.query), "headers": list(one.headers.items()), "body": one.body}
                for one in self.simulator.requests
            ],
            **around,
        }
        stage.error = None
        return sighting


def switch_off() -> None:
    """As if aiobs had not been there."""
    deferred.settle_all()
    observer.reset()
    Instrumentor().uninstrument()
    telemetry.reset()


@contextmanager
def noted_around(output: Callable[[], Sequence[str]]) -> Iterator[Sighting]:
    """What a run says, and what it changes in the process."""
    found: Sighting = {}
    before = process_state()
    output()
    with warnings.catch_warnings(record=True) as caught, log_records() as records:
        warnings.simplefilter("always")
        yield found
    found["warnings"] = [f"{one.category.__name__}: {clean(str(one.message))}" for one in caught]
    found["log"] = sorted(record for record in records if not record[2].startswith(_RACING))  # closing is a race
    found["printed"] = list(output())
    after = process_state()
    found["process"] = {key: after[key] for key in after if after[key] != before[key]}


@contextmanager
def log_records() -> Iterator[list[tuple[str, str, str]]]:
    """Every log record of every logger: name, level, message before its arguments are filled in (times, ports)."""
    found: list[tuple[str, str, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append((record.name, record.levelname, clean(str(record.msg))))  # type: ignore[method-assign]  # a handler of one function
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield found
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def process_state() -> dict[str, Any]:
    """What belongs to the process and is the program's to change."""
    return {
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
        "threads": sorted(thread.name for thread in threading.enumerate() if "loopback" not in thread.name),
        "context": sorted([*(variable.name for variable in contextvars.copy_context()), *map(str, get_current())]),
        "loggers": [(name, logging.getLogger(name).level, logging.getLogger(name).handlers) for name in _LOGGERS],
        "filters": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
        "hooks": [sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook],
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks)],
        "recursion": sys.getrecursionlimit(),
        "path": [list(sys.path), len(sys.meta_path), len(sys.path_hooks)],
        "streams": [id(sys.stdout), id(sys.stderr), id(sys.stdin)],
    }


_UNCOPIED = ("_iterator", "iter_pages")
"""Attributes of streams and of pages, which hold a client: the copies that the SDK makes of that fail when they die."""
_RACING = "an error occurred during closing of asynchronous generator"
_LOGGERS = ("", "openai", "httpx2", "httpcore2", "google_genai", "google_genai.models", "asyncio")


def watched(program: Program) -> Program:
    """The program, and beside its own facts those about its arguments and its tasks."""

    def sync(stage: Stage) -> None:
        with arguments_noted(stage):
            program.sync(stage)

    async def awaited(stage: Stage) -> None:
        with arguments_noted(stage):
            try:
                await program.awaited(stage)
            finally:
                stage.facts.append(
                    ("tasks", sorted(clean(task.get_coro().__qualname__) for task in asyncio.all_tasks()))
                )  # type: ignore[union-attr]  # tasks of coroutines

    return replace(program, sync=sync, awaited=awaited)


@contextmanager
def arguments_noted(stage: Stage) -> Iterator[None]:
    """What became of the objects that the program passed: the same ones, with the same in them."""
    arguments = getattr(stage.ask, "keywords", {})
    parts = list(parts_of(arguments))
    before = clean(repr(arguments))
    try:
        yield
    finally:
        unmoved = [id(one) for one in parts] == [id(one) for one in parts_of(arguments)]
        stage.facts.append(("arguments", before, clean(repr(arguments)), unmoved))


def parts_of(value: Any) -> Iterator[Any]:
    """Every object inside dictionaries and lists."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inside:
        yield from parts_of(part)


def difference(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """Where two sightings part, one line each."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            yield from difference(left.get(key, "nothing"), right.get(key, "nothing"), f"{place}/{key}")
    elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from difference(one, other, f"{place}/{number}")
    elif left != right and not (left != left and right != right):  # NaN is like NaN
        yield f"{place}: {short(left, right)} without, {short(right, left)} with"


def short(one: Any, other: Any) -> str:
    """A value in few words: of a long list what the other one has not."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return f"{len(one)} items, of which the other has not {[item for item in one if item not in other]!r:.500}"
    return f"{one!r:.500}"
