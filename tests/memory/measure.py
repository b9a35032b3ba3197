"""Measures what calls leave behind: a process that has both SDKs loaded, and forks a child for each measurement.

    PYTHONMALLOC=malloc python -m tests.memory.measure

reads orders from standard input, one JSON object a line, and writes one line for each: ``{"kind": NAME, "calls": N}``
says what that many calls leave behind, ``{"scene": NAME, "bare": false}`` which objects of the program are alive
(``bare``: without aiobs). ``"breakage": NAME`` breaks aiobs before. With PYTHONMALLOC=malloc everything that Python and the native extensions allocate is one
number of the C library, exact and free of cost; ``tracemalloc`` would not see what pydantic and the parsers hold.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
import tempfile
import threading
import traceback
from typing import Any, NamedTuple

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from aiobs import Instrumentor, guard, observer
from aiobs.capture import deferred
from tests.memory.breakages import BREAKAGES
from tests.memory.kinds import KINDS, Kind, Lab
from tests.memory.references import SCENES, alive

SETTLING = 50
"""Calls between the warm-up and the first look: the first measurement itself allocates."""


class Counts(NamedTuple):
    """What there is at one moment."""

    allocated: int
    descriptors: int
    threads: int
    tasks: int
    objects: int


class Counter(SpanProcessor, LogRecordProcessor):
    """Counts the spans that end, and keeps none."""

    def __init__(self) -> None:
        self.spans = 0

    def on_end(self, span: ReadableSpan) -> None:
        self.spans += 1

    def on_emit(self, log_record: Any) -> None:
        """Let it go."""


def serve() -> None:
    """Take orders until standard input ends."""
    lab = Lab()  # the clients of Google take their time: made once, for every child
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_in_child(lab, order)), flush=True)


def _in_child(lab: Lab, order: dict[str, Any]) -> dict[str, Any]:
    """The measurement, made by a child that is gone afterwards."""
    readable, writable = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(readable)
        with os.fdopen(writable, "w") as answer:
            json.dump(_tried(lab, order), answer)
        os._exit(0)  # threads of a breakage do not hold it up
    os.close(writable)
    with os.fdopen(readable) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    found: dict[str, Any] = json.loads(text or '{"error": "the child died"}')
    return found


def _tried(lab: Lab, order: dict[str, Any]) -> dict[str, Any]:
    try:
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            return _carried_out(lab, **order)
    except BaseException:
        return {"error": traceback.format_exc()}


def _carried_out(
    lab: Lab,
    kind: str = "",
    calls: int = 0,
    scene: str = "",
    bare: bool = False,
    breakage: str | None = None,
) -> dict[str, Any]:
    counter = Counter()
    if not bare:
        _prepare(counter)
    if breakage is not None:
        BREAKAGES[breakage]()
    return dict(alive(SCENES[scene], lab)) if scene else measured(lab, KINDS[kind], calls, counter)


def measured(lab: Lab, kind: Kind, calls: int, counter: Counter) -> dict[str, Any]:
    """What ``calls`` calls of a kind leave behind, with everything switched on: spans, metrics, events, session file."""
    lab.wired.fails, lab.wired.holds = kind.fails, kind.holds
    for _ in range(min(max(calls // 4, SETTLING), 1000)):
        kind.step(lab)
    _look(lab)
    for _ in range(SETTLING):
        kind.step(lab)
    before, spans = _look(lab), counter.spans
    for _ in range(calls):
        kind.step(lab)
    after = _look(lab)
    grown = {name: getattr(after, name) - getattr(before, name) for name in Counts._fields}
    return {**grown, "bytes": grown["allocated"] / calls, "spans": (counter.spans - spans) / calls}


def _prepare(counter: Counter) -> None:
    guard.loud = True
    tracer_provider, logger_provider = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(counter)
    logger_provider.add_log_record_processor(counter)
    observer.observe("memory", tracer_provider=tracer_provider, capture_content=True)
    Instrumentor(
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
        meter_provider=MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False),
    ).instrument()


def _look(lab: Lab) -> Counts:
    gc.collect()
    lab.run(asyncio.sleep(0))  # async generators that were collected are closed by the loop
    deferred.drain()
    gc.collect()
    sys._clear_type_cache()  # it keeps attribute names that C code makes anew for each lookup: noise, up to 225 kB
    objects = len(gc.get_objects())
    return Counts(
        allocated=_allocated(),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=max(threading.active_count(), len(os.listdir("/proc/self/task"))),
        tasks=len(asyncio.all_tasks(lab.loop)),
        objects=objects,
    )


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _allocated() -> int:
    """Bytes that are allocated in this process, by whatever language."""
    library: Any = ctypes.CDLL(None)
    library.mallinfo2.restype = _Mallinfo
    info = library.mallinfo2()
    return int(info.uordblks + info.hblkhd)


if __name__ == "__main__":
    serve()
