"""Exit, kill, fork and a dead collector: what was recorded is not lost, and nothing waits long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aiobs.testing import OTLPSink, Simulator

SETUP = """
import os, sys, time, threading
from aiobs import observe, observer, configure
import openai

def call(model="m", **options):
    client = openai.OpenAI(max_retries=0)
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}], **options)
"""


def run(simulator: Simulator | None, program: str, timeout: float = 30, **environment: str) -> tuple[Any, float]:
    """The program in a process of its own: what came of it, and how long it took."""
    variables = {**os.environ, **(simulator.environment() if simulator else {}), **environment}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SETUP + program],
        capture_output=True,
        text=True,
        check=False,
        env=variables,
        timeout=timeout,
    )
    return done, time.monotonic() - started


def export(path: str = "llm_observability.json") -> dict[str, Any]:
    return json.loads(Path(path).read_text())


@pytest.mark.parametrize("how", ["", "raise SystemExit(3)", "raise ValueError('unhandled')"])
def test_the_exit_writes_the_file(simulator: Simulator, how: str) -> None:
    """S1-87: a session that is still open is written at exit, also after an unhandled error."""
    run(simulator, f"observer.observe()\ncall()\nstream = call(stream=True)\nnext(stream)\n{how}")
    found = export()
    assert len(found["events"]) == 2
    assert found["events"][1]["response"]["incomplete"] is True


def test_the_exit_leaves_it_when_told(simulator: Simulator) -> None:
    """S1-87: AIOBS_ATEXIT=0; the journal stays for aiobs recover."""
    run(simulator, "observer.observe()\ncall()", AIOBS_ATEXIT="0")
    assert not Path("llm_observability.json").exists()
    subprocess.run([sys.executable, "-m", "aiobs", "recover"], check=True, capture_output=True)
    assert len(export()["events"]) == 1


def test_a_killed_process_is_recovered(simulator: Simulator) -> None:
    """Promise 5: after kill -9 every call that ended is in the journal, and recover folds it."""
    done, _ = run(simulator, "observer.observe('killed')\nfor _ in range(20): call()\nos.kill(os.getpid(), 9)")
    assert done.returncode == -signal.SIGKILL
    assert not Path("llm_observability.json").exists()
    told = subprocess.run([sys.executable, "-m", "aiobs", "recover"], check=True, capture_output=True, text=True)
    assert "20" in told.stdout
    found = export()
    assert len(found["events"]) == 20
    assert found["sessions"][0]["name"] == "killed"
    again = subprocess.run([sys.executable, "-m", "aiobs", "recover"], check=True, capture_output=True, text=True)
    assert "Nothing to recover" in again.stdout


def test_forked_workers_share_the_file(simulator: Simulator) -> None:
    """Calls of the parent and of forked children are in one file, each once.

    breaks-apps #92
    """
    program = """
observer.observe("run")
call("parent")
children = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        call(f"child{n}")
        sys.exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
call("parent after")
observer.end()
print(observer.flush())
"""
    done, _ = run(simulator, program)
    assert done.stderr == ""
    models = sorted(event["request"]["model"] for event in export()["events"])
    assert models == ["child0", "child1", "child2", "parent", "parent after"]
    assert not Path("llm_observability.json.journal").exists()


def test_children_of_multiprocessing(simulator: Simulator) -> None:
    """They leave by os._exit(), without atexit: what they queued is sent and what they wrote is folded all the same."""
    program = """
import multiprocessing
observer.observe("run")
call("parent")
process = multiprocessing.get_context("fork").Process(target=call, args=("child",))
process.start()
process.join()
observer.end()
observer.flush()
"""
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert sorted(span.name for span in sink.spans) == ["chat child", "chat parent"]
    assert sorted(event["request"]["model"] for event in export()["events"]) == ["child", "parent"]


def test_a_stream_used_after_a_fork_ends_once(simulator: Simulator) -> None:
    """The parent's stream is the parent's: a child that lets it go ends nothing."""
    program = """
observer.observe("run")
stream = call(stream=True)
next(stream)
pid = os.fork()
if pid == 0:
    del stream
    import gc; gc.collect()
    call("child")
    sys.exit(0)
os.waitpid(pid, 0)
list(stream)
observer.end()
observer.flush()
"""
    done, _ = run(simulator, program)
    assert done.stderr == ""
    found = export()
    assert sorted(event["request"]["model"] for event in found["events"]) == ["child", "m"]
    (parent,) = [event for event in found["events"] if event["request"]["model"] == "m"]
    assert "incomplete" not in parent["response"]


@pytest.mark.parametrize("collector", ["refuses", "silent", "nobody"])
def test_a_dead_collector_does_not_hold_the_exit_up(simulator: Simulator, collector: str) -> None:
    """Promise 5: the exit waits at most AIOBS_EXIT_TIMEOUT for exporters; the file is written all the same.

    breaks-apps #94
    """
    sink = OTLPSink(status=503 if collector == "refuses" else 200, silence=20 if collector == "silent" else 0)
    with sink:
        endpoint = "http://127.0.0.1:9" if collector == "nobody" else sink.endpoint
        program = "observer.observe()\ncall()\nstarted = time.monotonic()\nimport atexit\n"
        program += "atexit._run_exitfuncs()\nprint(time.monotonic() - started, flush=True)\nos._exit(0)"
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, AIOBS_EXIT_TIMEOUT="1")
    assert float(done.stdout) < 2.5, done
    assert len(export()["events"]) == 1


def test_a_locked_file_does_not_hold_the_exit_up(simulator: Simulator) -> None:
    """Another process holds the file's lock: the exit waits for it as long as it may, and the journal stays."""
    from filelock import FileLock

    with FileLock("llm_observability.json.lock"):
        done, took = run(simulator, "observer.observe()\ncall()", AIOBS_EXIT_TIMEOUT="0.5")
    assert "kept for the next flush" in done.stderr
    assert took < 10
    assert not Path("llm_observability.json").exists()
    subprocess.run([sys.executable, "-m", "aiobs", "recover"], check=True, capture_output=True)
    assert len(export()["events"]) == 1


def test_flush_is_bounded(simulator: Simulator) -> None:
    """flush() gives up after its timeout and says so."""
    with OTLPSink(silence=20) as sink:
        program = """
configure()
from aiobs import Instrumentor, flush
Instrumentor().instrument()
call()
started = time.monotonic()
print(flush(0.5), time.monotonic() - started < 3)
sys.stdout.flush()
os._exit(0)
"""
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
    assert done.stdout == "False True\n"


def test_otlp_by_the_standard_variables(simulator: Simulator) -> None:
    """observe() in a program with an OTLP endpoint in its environment: spans, metrics and events arrive.

    breaks-apps #95
    """
    with OTLPSink() as sink:
        done, _ = run(simulator, "observer.observe('s')\ncall()\n", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert [span.name for span in sink.spans] == ["chat m"]
        assert "gen_ai.client.inference.duration" in {metric.name for metric in sink.metrics}
        assert {log.event_name for log in sink.logs} == {"gen_ai.client.inference.operation.details"}
        assert sink.resources[0]["telemetry.distro.name"] == "aiobs"


def test_daemon_threads_at_exit(simulator: Simulator) -> None:
    """A daemon thread that is calling when the process exits breaks nothing."""
    program = """
observer.observe()
def loop():
    while True:
        call()
for _ in range(3):
    threading.Thread(target=loop, daemon=True).start()
time.sleep(0.5)
"""
    done, took = run(simulator, program)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert took < 15
    assert export()["events"]


def test_growth_per_call(simulator: Simulator) -> None:
    """Growth ≤ 50 B per call: what is allocated after many calls of each kind is what it was before them.

    breaks-apps #97
    """
    program = """
import gc, tracemalloc
import httpx2
from aiobs import Instrumentor
from opentelemetry.sdk.trace import TracerProvider
body = b'{"id":"x","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
events = b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}\\n\\n' * 3 + b'data: [DONE]\\n\\n'
class Transport(httpx2.BaseTransport):
    def handle_request(self, request):
        streamed = b'"stream":true' in request.content.replace(b" ", b"")
        kind = "text/event-stream" if streamed else "application/json"
        return httpx2.Response(200, headers={"content-type": kind}, content=events if streamed else body)
client = openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=Transport()))
Instrumentor(tracer_provider=TracerProvider(shutdown_on_exit=False), capture_content=True).instrument()
ask = [{"role": "user", "content": "x"}]
def calls(n):
    for i in range(n):
        client.chat.completions.create(model="m", messages=ask)
        stream = client.chat.completions.create(model="m", messages=ask, stream=True)
        if i % 2: next(stream)
        else: list(stream)
        del stream
    gc.collect()
calls(300)
tracemalloc.start()
calls(100); gc.collect()
before = tracemalloc.get_traced_memory()[0]
calls(1500); gc.collect()
print((tracemalloc.get_traced_memory()[0] - before) / 3000)
"""
    done, _ = run(None, program, timeout=55)
    assert float(done.stdout) <= 50, done
