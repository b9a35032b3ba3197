"""A collector that is dead or slow costs a bounded time, at exit and in flush()."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import pytest

from aiobs.testing import OTLPSink, Simulator
from tests.processes.programs import models, run, sent

MARGIN = 6.0
"""Seconds that a busy machine may take for what is bounded by one; unbounded, three signals take 10 each."""


@contextmanager
def collector(kind: str) -> Iterator[str]:
    """The endpoint of a collector that ``refuses`` with 503, reads and is ``silent``, ``accepts`` connections and reads
    nothing, or is not there (``nobody``)."""
    with socket.create_server(("127.0.0.1", 0)) as deaf, OTLPSink(status=503, silence=20 * (kind == "silent")) as sink:
        if kind == "nobody":
            deaf.close()
        yield sink.endpoint if kind in ("refuses", "silent") else f"http://127.0.0.1:{_port(deaf)}"


def _port(server: socket.socket) -> int:
    return 9 if server.fileno() < 0 else int(server.getsockname()[1])


OPEN_STREAMS = """
observer.observe()
call("whole")
streams = [call("open", stream=True) for _ in range(3)]
for stream in streams:
    next(stream)
begin = time.monotonic()
atexit._run_exitfuncs()
print(time.monotonic() - begin, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("kind", ["refuses", "silent", "accepts", "nobody"])
def test_the_exit_is_bounded(simulator: Simulator, kind: str) -> None:
    """Promise 5: with open streams too the exit waits at most AIOBS_EXIT_TIMEOUT; the file is written all the same.

    breaks-apps #94
    """
    with collector(kind) as endpoint:
        done, _ = run(simulator, OPEN_STREAMS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, AIOBS_EXIT_TIMEOUT="1")
    assert float(done.stdout) < 1 + MARGIN, done
    assert models() == ["open", "open", "open", "whole"]


LATE_CALLS = """
begin = []
atexit.register(lambda: print(time.monotonic() - begin[0], flush=True))
atexit.register(lambda: [call("late") for _ in range(5)])
observer.observe()
atexit.register(lambda: begin.append(time.monotonic()))
call("early")
"""


@pytest.mark.parametrize("kind", ["silent", "accepts"])
def test_late_calls_share_the_bound(simulator: Simulator, kind: str) -> None:
    """Calls in exit functions that run after ours wait no longer for a dead collector than one exit may."""
    with collector(kind) as endpoint:
        done, _ = run(simulator, LATE_CALLS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, AIOBS_EXIT_TIMEOUT="1.5")
    assert float(done.stdout) < 1.5 + MARGIN - 0.5, done  # five times that, if each call waited
    assert models() == ["early", *["late"] * 5]


@pytest.mark.parametrize("kind", ["accepts", "nobody"])
def test_a_whole_process_ends_in_time(simulator: Simulator, kind: str) -> None:
    """By the default bound of 2 seconds, from its last line to its end: exporters' threads hold nothing up either."""
    program = "observer.observe()\ncall()\nprint(time.time(), flush=True)"
    with collector(kind) as endpoint:
        done, took = run(simulator, f"begin = time.monotonic()\n{program}\nprint(time.monotonic() - begin)",
                         OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)  # fmt: skip
    assert done.returncode == 0
    assert took < 2 + 4 * MARGIN, done  # most of it is the start of the program
    assert models() == ["m"]


def test_flush_is_bounded(simulator: Simulator) -> None:
    """flush() gives up after its timeout and says so."""
    program = """
configure()
from aiobs import Instrumentor
Instrumentor().instrument()
call()
begin = time.monotonic()
print(flush(0.5), time.monotonic() - begin, flush=True)
os._exit(0)
"""
    with collector("silent") as endpoint:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    said, took = done.stdout.split()
    assert said == "False"
    assert float(took) < 0.5 + MARGIN


def test_otlp_by_the_standard_variables(simulator: Simulator) -> None:
    """observe() in a program with an OTLP endpoint in its environment: spans, metrics and events arrive, and who sends.

    S1-27, breaks-apps #95
    """
    with OTLPSink() as sink:
        done, _ = run(simulator, "observer.observe('s')\ncall()\n", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert sent(sink) == ["m"]
        assert "gen_ai.client.inference.duration" in {metric.name for metric in sink.metrics}
        assert {log.event_name for log in sink.logs} == {"gen_ai.client.inference.operation.details"}
        assert sink.resources[0]["telemetry.distro.name"] == "aiobs"
        assert sink.resources[0]["telemetry.distro.version"] == version("aiobs")
