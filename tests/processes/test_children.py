"""Children of a process: they never tell the parent's calls again, and lose none of their own."""

from __future__ import annotations

import pytest

from aiobs.testing import OTLPSink, Simulator
from tests.processes.programs import export, models, run, sent

CHILDREN = """
children = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        call(f"child{n}")
        sys.exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_forked_children_share_the_file(simulator: Simulator) -> None:
    """Calls of the parent, before and after, and of forked children are in one file and at the collector, each once.

    breaks-apps #92
    """
    program = f"""
observer.observe("run")
call("parent")
{CHILDREN}
call("parent after")
observer.end()
observer.flush()
"""
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert sent(sink) == models() == ["child0", "child1", "child2", "parent", "parent after"]


STREAM_IN_BOTH = """
observer.observe("run")
stream = call("both", stream=True)
next(stream)
pid = os.fork()
if pid == 0:
    {child}
    call("child")
    sys.exit(0)
os.waitpid(pid, 0)
list(stream)
observer.end()
observer.flush()
"""


@pytest.mark.parametrize("child", ["del stream; gc.collect()", "pass", "flush()", "stream.response.is_closed"])
def test_a_stream_that_is_open_across_a_fork(simulator: Simulator, child: str) -> None:
    """The parent's stream is the parent's to tell: a child that drops it, keeps it or flushes tells nothing of it."""
    with OTLPSink() as sink:
        done, _ = run(simulator, STREAM_IN_BOTH.format(child=child), OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert sent(sink) == models() == ["both", "child"]
    (parent,) = [event for event in export()["events"] if event["request"]["model"] == "both"]
    assert "incomplete" not in parent["response"]


def test_streams_of_a_child(simulator: Simulator) -> None:
    """A stream that a forked child leaves open at its exit is told by the child, once."""
    program = """
observer.observe("run")
pid = os.fork()
if pid == 0:
    stream = call("child", stream=True)
    next(stream)
    sys.exit(0)
os.waitpid(pid, 0)
observer.flush()
"""
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert sent(sink) == models() == ["child"]


def test_forked_in_the_middle_of_a_call(simulator: Simulator) -> None:
    """A process that forks while another thread waits for an answer: the call is told once, by the parent."""
    gate = simulator.gated("parent")
    program = """
observer.observe("run")
thread = threading.Thread(target=call, args=("parent",))
thread.start()
sys.stdin.readline()
pid = os.fork()
if pid == 0:
    sys.exit(0)
print(os.waitpid(pid, 0)[1], flush=True)
thread.join()
observer.flush()
"""
    from tests.processes.programs import start

    with OTLPSink() as sink:
        with start(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert simulator.wait_for(lambda server: bool(server.requests), 30)
            process.stdin.write("fork\n")
            process.stdin.flush()
            assert process.stdout.readline() == "0\n"
            gate.open()
            process.communicate(timeout=30)
        assert sent(sink) == models() == ["parent"]


INHERITING = """
if __name__ == "__main__":
    observer.observe("run")
    call("parent")
    {run}
    observer.end()
    observer.flush()
"""

OPENING = """
def work(model):
    observer.observe("run")
    return call(model).model

if __name__ == "__main__":
    {run}
"""

WAYS = {
    "Process": """
    import multiprocessing
    children = [multiprocessing.get_context("{method}").Process(target={work}, args=(name,)) for name in "ab"]
    [child.start() for child in children]
    [child.join() for child in children]""",
    "Pool": """
    import multiprocessing
    pool = multiprocessing.get_context("{method}").Pool(2)
    [pool.apply({work}, (name,)) for name in "ab"]
    pool.close()
    pool.join()""",
    "ProcessPoolExecutor": """
    import concurrent.futures, multiprocessing
    context = multiprocessing.get_context("{method}")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        [pool.submit({work}, name).result() for name in "ab"]""",
}


@pytest.mark.parametrize("way", WAYS)
def test_children_that_inherit_a_session(simulator: Simulator, way: str) -> None:
    """By fork they are in the parent's session; they leave by os._exit(), and what they queued is sent all the same."""
    work = "call" if way == "Process" else "work"
    program = "def work(model):\n    return call(model).model\n"
    program += INHERITING.format(run=WAYS[way].format(method="fork", work=work))
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert done.stderr == ""
        assert sent(sink) == models() == ["a", "b", "parent"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_that_open_a_session(simulator: Simulator, way: str, method: str) -> None:
    """By spawn and forkserver each is a program of its own: it writes a file of its own, and sends all that it has."""
    program = OPENING.format(run=WAYS[way].format(method=method, work="work"))
    with OTLPSink() as sink:
        done, _ = run(simulator, program, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, LLM_OBS_OUT="out-{pid}.json")
        assert done.stderr == ""
        assert sent(sink) == written() == ["a", "b"]


def written() -> list[str]:
    """The models in every file."""
    from pathlib import Path

    return sorted(model for path in Path().glob("out-*.json") for model in models(export(str(path))))


def test_a_pool_that_is_terminated(simulator: Simulator) -> None:
    """``with Pool()`` kills its workers: what they wrote to the journal is in the parent's file."""
    program = "import multiprocessing\ndef work(model):\n    return call(model).model\n" + INHERITING.format(
        run="with multiprocessing.get_context('fork').Pool(2) as pool:\n        pool.map(work, 'ab')"
    )
    done, _ = run(simulator, program)
    assert done.stderr == ""
    assert models() == ["a", "b", "parent"]
