"""However a process ends, what was recorded is there afterwards, and the end is as quiet as without us."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from aiobs.testing import OTLPSink, Simulator
from tests.processes.programs import export, models, recover, run, sent, start

FILE = Path("llm_observability.json")


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
    assert not FILE.exists()
    recover()
    assert models() == ["m"]


def test_a_killed_process_is_recovered(simulator: Simulator) -> None:
    """Promise 5: after kill -9 every call that ended is in the journal, and recover folds it."""
    done, _ = run(simulator, "observer.observe('killed')\nfor _ in range(20): call()\nos.kill(os.getpid(), 9)")
    assert done.returncode == -signal.SIGKILL
    assert not FILE.exists()
    assert "20" in recover()
    found = export()
    assert len(found["events"]) == 20
    assert found["sessions"][0]["name"] == "killed"
    assert "Nothing to recover" in recover()


def test_terminated_in_the_middle_of_a_stream(simulator: Simulator) -> None:
    """SIGTERM, which runs no exit function: the process dies at once, and what ended before is recovered."""
    simulator.reply("first")
    gate = simulator.gated("second", chunks=5)
    gate.release(2)
    program = "observer.observe()\ncall('whole')\nstream = call('streamed', stream=True)\nnext(stream)\n"
    with start(simulator, program + "print('reading', flush=True)\nlist(stream)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
    recover()
    assert models() == ["whole"]


def test_terminated_with_a_handler(simulator: Simulator) -> None:
    """A program that turns SIGTERM into an exit loses nothing, in the file or on the way to a collector."""
    program = """
observer.observe()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
call("whole")
stream = call("streamed", stream=True)
next(stream)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(20)
"""
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert (done.returncode, done.stderr) == (0, "")
        assert sent(sink) == models() == ["streamed", "whole"]


def test_leaving_without_an_exit(simulator: Simulator) -> None:
    """os._exit() after flush(): everything is where it belongs."""
    program = "observer.observe()\ncall()\nobserver.flush()\nos._exit(4)"
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert (done.returncode, done.stderr) == (4, "")
        assert sent(sink) == models() == ["m"]


def test_exit_in_a_thread(simulator: Simulator) -> None:
    """sys.exit() in a thread ends that thread; its calls and those after it are there."""
    program = """
observer.observe()
def work():
    call("thread")
    sys.exit(3)
thread = threading.Thread(target=work)
thread.start()
thread.join()
call("main")
"""
    done, _ = run(simulator, program)
    assert (done.returncode, done.stderr) == (0, "")
    assert models() == ["main", "thread"]


def test_an_error_while_the_program_is_imported(simulator: Simulator) -> None:
    """A module that calls a model and then fails to import: the program fails as ever, the call is in the file."""
    Path("broken.py").write_text("import program\nprogram.call('imported')\nraise ImportError('broken on purpose')")
    done, _ = run(simulator, "if __name__ == '__main__':\n    observer.observe()\n    import broken")
    assert done.returncode == 1
    assert done.stderr.endswith("ImportError: broken on purpose\n")
    assert models() == ["imported"]


@pytest.mark.parametrize("exports", [False, True])
def test_ctrl_c_in_an_event_loop(simulator: Simulator, exports: bool) -> None:
    """Ctrl-C while asyncio.run() waits for an answer: the process ends by SIGINT as ever, and the call was cancelled."""
    simulator.gated("never")
    program = """
observer.observe()
async def main():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        await client.chat.completions.create(model="m", messages=ask)
asyncio.run(main())
"""
    with OTLPSink() as sink:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint} if exports else {}
        with start(simulator, program, **environment) as process:
            assert simulator.wait_for(lambda server: bool(server.requests), 30)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == -signal.SIGINT
            assert process.stderr is not None
            assert process.stderr.read().rstrip().endswith("KeyboardInterrupt")
        assert sent(sink) == (["m"] if exports else [])
    (event,) = export()["events"]
    assert event["error"] == "CancelledError: "


def test_daemon_threads_in_the_middle_of_calls(simulator: Simulator) -> None:
    """Daemon threads that wait for an answer when the process exits: it exits, quietly, and writes what has ended."""
    simulator.reply("done")
    for _ in range(3):
        simulator.gated("never")
    program = """
observer.observe()
call("done")
for _ in range(3):
    threading.Thread(target=call, args=("waiting",), daemon=True).start()
sys.stdin.readline()
"""
    with start(simulator, program) as process:
        assert simulator.wait_for(lambda server: len(server.requests) == 4, 30)
        _, errors = process.communicate("go\n", timeout=30)
        assert (process.returncode, errors) == (0, "")
    assert models() == ["done"]


def test_daemon_threads_that_go_on_calling(simulator: Simulator) -> None:
    """Daemon threads that begin calls while the interpreter goes down break nothing."""
    program = """
observer.observe()
def loop():
    while True:
        call()
call()
for _ in range(3):
    threading.Thread(target=loop, daemon=True).start()
"""
    done, _ = run(simulator, program)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert export()["events"]


USED = """
observer.observe()
@observe
def function():
    return call("whole")
function()
list(call("read", stream=True))
kept = call("open", stream=True)
next(kept)
dropped = call("dropped", stream=True)
next(dropped)
del dropped
"""


def test_development_mode_has_nothing_to_say(simulator: Simulator) -> None:
    """-X dev -W error: no warning of ours, while it runs or at exit; one names a file of ours if there is any."""
    closing = "kept.response.close()\ngc.collect()\n"  # the program's own duty
    with OTLPSink() as sink:
        done, _ = run(simulator, USED + closing, "-X", "dev", "-W", "error::ResourceWarning",
                      OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "aiobs" not in done.stderr
    assert models() == ["dropped", "open", "read", "whole"]


def test_a_stream_that_the_interpreter_collects(simulator: Simulator) -> None:
    """A stream that lives in a module, or in a cycle, until the interpreter is torn down: told once, and no noise."""
    cycle = "class Node: pass\nnode = Node()\nnode.self, node.stream = node, call('cycle', stream=True)\n"
    done, _ = run(simulator, "gc.disable()\n" + USED + cycle + "next(node.stream)\ndel node\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert models() == ["cycle", "dropped", "open", "read", "whole"]


LATE = {
    "whole": "call('late')",
    "streamed": "list(call('late', stream=True))",
    "in a function": "observe(call)('late')",
    "in a thread": "(thread := threading.Thread(target=call, args=('late',))).start(); thread.join()",
    "flushed": "call('late'); observer.flush()",
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("registered", ["before", "after"])
def test_calls_in_exit_functions(simulator: Simulator, registered: str, late: str) -> None:
    """An exit function that was registered after observe() runs before ours, one registered before runs after it.

    The calls of both are in the file and at the collector, once.
    """
    lines = ["atexit.register(late)", "observer.observe()"]
    program = f"def late():\n    {LATE[late]}\n" + "\n".join(lines if registered == "before" else reversed(lines))
    with OTLPSink() as sink:
        done, _ = run(simulator, program + "\ncall('early')", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert (done.returncode, done.stderr) == (0, "")
        calls = [span.name.removeprefix("chat ") for span in sink.spans if span.name.startswith("chat ")]
        assert sorted(calls) == models() == ["early", *["late"] * (len(simulator.requests) - 1)]
        assert len(export()["function_events"]) == (late == "in a function")


PROVIDERS = {
    "sampled": "TracerProvider()",
    "not sampled": "TracerProvider(sampler=sampling.ALWAYS_OFF)",
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_late_calls_on_the_provider_of_the_program(simulator: Simulator, provider: str) -> None:
    """The file has the calls of exit functions that run after ours also where the spans are the program's."""
    program = f"""
from opentelemetry.sdk.trace import TracerProvider, sampling
atexit.register(lambda: call("late"))
observer.observe(tracer_provider={PROVIDERS[provider]})
call("early")
"""
    done, _ = run(simulator, program)
    assert (done.returncode, done.stderr) == (0, "")
    assert models() == ["early", "late"]


def test_late_calls_where_the_exit_writes_nothing(simulator: Simulator) -> None:
    """AIOBS_ATEXIT=0 holds for them too: they are in the journal, for aiobs recover."""
    run(simulator, "atexit.register(lambda: call('late'))\nobserver.observe()\ncall('early')", AIOBS_ATEXIT="0")
    assert not FILE.exists()
    recover()
    assert models() == ["early", "late"]


def test_a_locked_file_does_not_hold_the_exit_up(simulator: Simulator) -> None:
    """Another process holds the file's lock: the exit waits for it as long as it may, and the journal stays."""
    from filelock import FileLock

    with FileLock("llm_observability.json.lock"):
        done, took = run(simulator, "observer.observe()\ncall()", AIOBS_EXIT_TIMEOUT="0.5")
    assert "kept for the next flush" in done.stderr
    assert took < 15  # seconds; the lock is waited for 20 otherwise
    assert not FILE.exists()
    recover()
    assert models() == ["m"]


def test_a_working_directory_that_is_gone(simulator: Simulator) -> None:
    """A program whose working directory was deleted exits as ever."""
    program = "observer.observe()\nos.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\ncall()\n"
    done, _ = run(simulator, program)
    assert (done.returncode, done.stderr) == (0, "")
    assert models() == ["m"]
    assert not os.path.exists("gone")
