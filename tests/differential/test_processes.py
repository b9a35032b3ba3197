"""Whole processes, with and without: what a program prints, how it ends, and what is in the process meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from aiobs.testing import OTLPSink, Simulator
from tests.differential.engine import difference

SETUP = """
import asyncio, json, logging, os, random, signal, sys, threading, warnings
import openai
from google import genai
from google.genai import types

ASK = [{"role": "user", "content": "What is an API?"}]

def switch_on(how):
    if how == "spans":
        from aiobs import Instrumentor, configure
        configure()
        Instrumentor().instrument()
    elif how == "everything":
        from aiobs import observer
        observer.observe("run", capture_content="span_and_event")
    elif how == "nothing":
        from aiobs import Instrumentor
        Instrumentor().instrument()

def calls():
    with openai.OpenAI(max_retries=0) as client:
        yield client.chat.completions.create(model="m", messages=ASK).choices[0].message.content
        yield [chunk.choices[0].delta.content for chunk in client.chat.completions.create(model="m", messages=ASK, stream=True)]
        yield len(client.embeddings.create(model="m", input="x").data)
        yield client.responses.create(model="m", input="x").output_text
    gemini = genai.Client(vertexai=False, http_options=types.HttpOptions(timeout=30000))
    models = gemini.models
    yield models.generate_content(model="m", contents="x").text
    yield [chunk.text for chunk in models.generate_content_stream(model="m", contents="x")]

async def calls_async():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        answer = await client.chat.completions.create(model="m", messages=ASK)
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)
        return [answer.choices[0].message.content, [chunk.choices[0].delta.content async for chunk in stream]]

def say(**facts):
    print(json.dumps(facts, default=repr), flush=True)

how = sys.argv[1]
"""
HOW = ("nothing", "spans", "everything")


def run(simulator: Simulator, program: str, how: str, *options: str, **environment: str) -> dict[str, Any]:
    """The program in a process of its own: what it printed, and how it ended."""
    done = subprocess.run(
        [sys.executable, *options, "-c", SETUP + program, how],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **simulator.environment(), **environment},
        timeout=50,
    )
    printed = [json.loads(line) if line.startswith("{") else line for line in done.stdout.splitlines()]
    return {"printed": printed, "errors": done.stderr, "code": done.returncode}


def compared(simulator: Simulator, program: str, *options: str, **environment: str) -> dict[str, Any]:
    """What the program does without us, which is what it does with us, whatever is recorded."""
    without = run(simulator, program, "without", *options, **environment)
    assert without["printed"], without["errors"]
    for how in HOW:
        found = list(difference(without, run(simulator, program, how, *options, **environment), how))
        assert not found, "\n".join(found)
    return without


def test_a_process_is_left_as_it_was(simulator: Simulator) -> None:
    """No warning under -W error, and environment, threads, descriptors, signals, hooks, loggers, random numbers: the same.

    breaks-apps #45, #70, #105
    """
    program = """
random.seed(7)
before = dict(os.environ)
switch_on(how)
list(calls())
open_before = len(os.listdir("/proc/self/fd")) - (how == "everything")  # the journal's segment
said = [*calls(), asyncio.run(calls_async())]
say(said=said, environ=dict(os.environ) == before, random=random.random(), cwd=os.getcwd(),
    files=len(os.listdir("/proc/self/fd")) - (how == "everything") - open_before,
    threads=[thread.name for thread in threading.enumerate()],
    signals=[str(signal.getsignal(number)) for number in (2, 15, 1, 13)],
    hooks=[sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__],
    loggers=[len(logging.root.handlers), logging.root.level, logging.getLogger("openai").level],
    trace=[sys.gettrace(), sys.getprofile()])
"""
    found = compared(simulator, program, "-W", "error")
    assert (found["errors"], found["code"]) == ("", 0)


@pytest.mark.parametrize(
    "ending", ["sys.exit(3)", "raise LookupError('unhandled')", "os.kill(os.getpid(), signal.SIGTERM)", "pass"]
)
def test_a_process_ends_as_it_did(simulator: Simulator, ending: str) -> None:
    """Exit code and what is on stderr, with a stream left open.

    breaks-apps #17, #94
    """
    program = f"""
switch_on(how)
client = openai.OpenAI(max_retries=0)
stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
say(first=next(stream).choices[0].delta.role)
{ending}
"""
    compared(simulator, program)


@pytest.mark.parametrize("how", HOW)
def test_no_provider_is_hijacked(simulator: Simulator, how: str) -> None:
    """The program's providers stay the global ones, whether set before or after; without them there is none.

    breaks-apps #91
    """
    program = """
from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.propagate import get_global_textmap
from opentelemetry.sdk.trace import TracerProvider
def providers():
    return [type(one()).__name__ for one in (trace.get_tracer_provider, metrics.get_meter_provider, get_logger_provider, get_global_textmap)]
before = providers()
switch_on(how)
list(calls())
say(unchanged=providers() == before)
mine = TracerProvider()
trace.set_tracer_provider(mine)
list(calls())
say(mine=trace.get_tracer_provider() is mine)
"""
    found = run(simulator, program, how)
    assert found == {"printed": [{"unchanged": True}, {"mine": True}], "errors": "", "code": 0}


def test_a_forked_worker_answers(simulator: Simulator) -> None:
    """A server that forks after it has called: parent and workers go on, and end.

    breaks-apps #92
    """
    program = """
switch_on(how)
list(calls())
for worker in range(2):
    pid = os.fork()
    if pid == 0:
        said = list(calls())
        os._exit(len(said))
    say(worker=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
say(parent=len(list(calls())))
"""
    assert compared(simulator, program)["printed"] == [{"worker": 6}, {"worker": 6}, {"parent": 6}]


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is for this test only; it has no wheel everywhere")
def test_greenlets(simulator: Simulator) -> None:
    """A patched process with an exporter: thirty greenlets call at once, none waits for ever, all is exported.

    breaks-apps #93
    """
    program = """
client = openai.OpenAI(max_retries=0)
switch_on(how)
def ask(number):
    stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
    return len(list(stream)) and client.chat.completions.create(model="m", messages=ASK).choices[0].message.content
ask(0)  # alone: with its first request the SDK forks, to ask uname which processor this is
jobs = [gevent.spawn(ask, number) for number in range(30)]
done = gevent.joinall(jobs, timeout=30)
say(done=len(done), said=sorted({job.value for job in jobs}))
"""
    patched = "import gevent.monkey\ngevent.monkey.patch_all()\nimport gevent\n"
    with OTLPSink() as sink:
        done = subprocess.run(
            [sys.executable, "-c", patched + SETUP + program, "everything"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **simulator.environment(), "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
            timeout=55,
        )
        assert (json.loads(done.stdout)["done"], done.stderr, done.returncode) == (30, "", 0)
        assert len(sink.spans) == 62


def test_logs_of_ours_never_feed_a_pipeline(simulator: Simulator) -> None:
    """Every log record of the process goes to a collector that refuses it: no recursion, no hang, the same answers.

    breaks-apps #36
    """
    program = """
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
warnings.simplefilter("ignore")
provider = LoggerProvider(shutdown_on_exit=False)
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(timeout=1)))
set_logger_provider(provider)
logging.basicConfig(level=logging.DEBUG, handlers=[LoggingHandler(logger_provider=provider)])
switch_on(how)
from aiobs import guard
guard.guarded(lambda: 1 / 0)
with openai.OpenAI(max_retries=0) as client:
    say(said=client.chat.completions.create(model="m", messages=ASK).choices[0].message.content)
os._exit(0)
"""
    with OTLPSink(status=400) as sink:
        environment = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{sink.endpoint}/v1/logs"}
        without = run(simulator, program, "without", **environment)
        for how in HOW:
            found = run(simulator, program, how, **environment)
            assert (found["printed"], found["code"]) == (without["printed"], 0)
            assert "RecursionError" not in found["errors"]


def test_a_slow_collector_stalls_nobody(simulator: Simulator) -> None:
    """The collector answers nothing: calls return all the same, as no exporter runs on the caller's thread.

    breaks-apps #96
    """
    program = """
switch_on(how)
say(said=list(calls()))
os._exit(0)
"""
    with OTLPSink(silence=300) as sink:
        without = run(simulator, program, "without")
        found = run(simulator, program, "everything", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert found == without
