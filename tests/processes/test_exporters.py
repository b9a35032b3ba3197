"""Exporters in more than one process: all that each has recorded arrives, once, in its own name; all three signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiobs.testing import Simulator
from tests.fakes.otlp_grpc import grpc_receiver
from tests.processes.arrivals import Arrived, Receiver, Sender, from_files, from_messages
from tests.processes.programs import run, start
from tests.processes.test_servers import ask_all, get, running

# Where signals go


Where = tuple[str, Callable[[], Arrived]]


@contextmanager
def over_http() -> Iterator[Where]:
    with Receiver() as sink:
        yield f"otlp?endpoint={sink.endpoint}", lambda: from_messages(sink.messages)


@contextmanager
def over_grpc() -> Iterator[Where]:
    with grpc_receiver() as (port, receiver):
        yield f"otlp?protocol=grpc&endpoint=http://127.0.0.1:{port}", lambda: from_messages(receiver.messages)


@contextmanager
def through_a_spool() -> Iterator[Where]:
    with Receiver() as sink:
        yield f"otlp?endpoint={sink.endpoint}&spool=spool", lambda: from_messages(sink.messages)


@contextmanager
def into_a_file() -> Iterator[Where]:
    yield "otlp-json?path=lines/otlp.jsonl", lambda: from_files(Path("lines/otlp.jsonl"))


PLACES: dict[str, Callable[[], AbstractContextManager[Where]]] = {
    "http": over_http,
    "grpc": over_grpc,
    "spool": through_a_spool,
    "otlp-json": into_a_file,
}


def crossed(ways: Iterable[str], forked: str) -> list[tuple[str, str]]:
    """Each way over HTTP, and the one that forks to every place; with AIOBS_EVERY_CASE all to all."""
    every = bool(os.environ.get("AIOBS_EVERY_CASE"))
    return [(way, place) for way in ways for place in PLACES if every or place == "http" or way == forked]


# Application servers


RECORDING = """
from aiobs import Instrumentor
configure()
Instrumentor().instrument()
"""

WSGI = f"""
{RECORDING}
def app(environ, start_response):
    call(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

ASGI = f"""
{RECORDING}
client = openai.AsyncOpenAI(max_retries=0)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await asyncio.to_thread(flush)  # uvicorn ends its workers by their signal: no exit function runs
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    await client.chat.completions.create(model=scope["path"].strip("/"), messages=ask)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": str(os.getpid()).encode()}})
"""

GUNICORN = ("gunicorn", "--workers", "2", "--bind", "fd://FD")
SERVERS = {
    "gunicorn": (WSGI, GUNICORN),
    "gunicorn preload": (WSGI, (*GUNICORN, "--preload")),
    "uvicorn": (ASGI, ("uvicorn", "--workers", "2", "--fd", "FD", "--log-level", "warning")),
}
ASKED = [f"r{number}" for number in range(12)]


def once(senders: Counter[Sender]) -> Arrived:
    """All three signals of these."""
    return Arrived(senders, senders, senders)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("server", "place"), crossed(SERVERS, "gunicorn preload"))
def test_workers_of_a_server(simulator: Simulator, server: str, place: str) -> None:
    """Spans, events and totals of each worker, under its own process id, whether it was forked or started."""
    app, command = SERVERS[server]
    with PLACES[place]() as (exporter, arrived):
        with running(simulator, app, {"AIOBS_EXPORTERS": exporter}, *command) as served:
            answered = ask_all(served.origin)
        assert "aiobs" not in served.errors, served.errors
        assert arrived() == once(Counter(zip(map(int, answered), ASKED, strict=True)))


@pytest.mark.timeout(90)
def test_a_worker_that_is_terminated_sends_what_it_has(simulator: Simulator) -> None:
    """SIGTERM to one worker, as on a reload: it ends by exit functions, and the server goes on."""
    with Receiver() as sink:
        environment = {"AIOBS_EXPORTERS": f"otlp?endpoint={sink.endpoint}"}
        with running(simulator, WSGI, environment, *GUNICORN, "--preload") as served:
            worker = int(get(f"{served.origin}/first"))
            os.kill(worker, signal.SIGTERM)
            assert sink.wait_for(lambda _: from_messages(sink.messages).spans[worker, "first"] == 1, 30)
            other = int(get(f"{served.origin}/second"))
        assert from_messages(sink.messages) == once(Counter([(worker, "first"), (other, "second")]))


@pytest.mark.timeout(90)
@pytest.mark.parametrize("server", ["gunicorn", "gunicorn preload"])
def test_a_dead_collector_holds_no_server_up(simulator: Simulator, server: str) -> None:
    """One that accepts connections and never answers: each worker ends within its bound, and says what it lost."""
    app, command = SERVERS[server]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        exporter = f"otlp?endpoint=http://127.0.0.1:{deaf.getsockname()[1]}"
        environment = {"AIOBS_EXPORTERS": exporter, "AIOBS_EXIT_TIMEOUT": "0.5"}
        # gunicorn kills what does not end within 30 seconds: it has not come to that.
        with running(simulator, app, environment, *command, timeout=20) as served:
            ask_all(served.origin)
    assert "SIGKILL" not in served.errors
    lost = map(int, re.findall(r"lost (\d+) span\(s\): there was no time left", served.errors))
    assert sum(lost) == len(ASKED)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.timeout(90)
def test_workers_share_one_port_for_prometheus(simulator: Simulator) -> None:
    """The first gets it and serves its own; the others say what to do, and all of them go on and export elsewhere."""
    port = free_port()
    with Receiver() as sink:
        exporters = f"prometheus?host=127.0.0.1&port={port},otlp?endpoint={sink.endpoint}"
        with running(simulator, WSGI, {"AIOBS_EXPORTERS": exporters}, *GUNICORN) as served:
            answered = ask_all(served.origin)
            scraped = get(f"http://127.0.0.1:{port}/metrics")
        assert from_messages(sink.messages).spans == Counter(zip(map(int, answered), ASKED, strict=True))
    told = re.findall(r"aiobs: the exporter prometheus could not be started.*", served.errors)
    assert len(told) == 1
    assert f"127.0.0.1:{port} cannot be listened on (Address already in use)" in told[0]
    assert "send OTLP to a collector" in told[0]
    served_pid = re.search(r'process_pid="(\d+)"', scraped)
    assert served_pid is not None
    models = set(re.findall(r'gen_ai_request_model="(r\d+)"', scraped))
    assert models == {name for pid, name in zip(answered, ASKED, strict=True) if pid == served_pid[1]}


# Children


def families(method: str) -> str:
    """A program that makes calls before its children, and whose children make some; it prints who they are."""
    return f"""
{RECORDING}
def work(model):
    call(model)
    return os.getpid()

if __name__ == "__main__":
    import multiprocessing
    call("before")
    flush()
    call("queued")
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        print(os.getpid(), *[pool.apply(work, (name,)) for name in "abcd"])
        pool.close()
        pool.join()
    call("after")
"""


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("method", "place"), crossed(["fork", "spawn", "forkserver"], "fork"))
def test_children_of_multiprocessing(simulator: Simulator, method: str, place: str) -> None:
    """What the parent sent and what it has queued is not told again, nor counted again, by any child."""
    with PLACES[place]() as (exporter, arrived):
        done, _ = run(simulator, families(method), AIOBS_EXPORTERS=exporter)
        assert done.stderr == ""
        parent, *children = map(int, done.stdout.split())
        own = [(parent, name) for name in ("before", "queued", "after")]
        assert arrived() == once(Counter([*own, *zip(children, "abcd", strict=True)]))


class Slow(Receiver):
    """Holds every request until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def respond(self, exchange: Any, body: bytes) -> None:
        self.begun.set()
        self.go_on.wait(30)
        super().respond(exchange, body)


FORKED_MEANWHILE = f"""
{RECORDING}
call("before")
sender = threading.Thread(target=flush)
sender.start()
sys.stdin.readline()
pid = os.fork()
if pid == 0:
    call("child")
    sys.exit(0)
print(pid, flush=True)
call("parent")
sender.join()
os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("spool", ["", "&spool=spool"], ids=["queue", "spool"])
def test_a_fork_in_the_middle_of_an_export(simulator: Simulator, spool: str) -> None:
    """The request under way is the parent's, with the locks and the connection that it holds."""
    with Slow() as sink:
        environment = {"AIOBS_EXPORTERS": f"otlp?endpoint={sink.endpoint}{spool}", "AIOBS_EXIT_TIMEOUT": "10"}
        with start(simulator, FORKED_MEANWHILE, **environment) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert sink.begun.wait(30)
            process.stdin.write("fork\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            sink.go_on.set()
            _, errors = process.communicate(timeout=40)
        assert errors == ""
        senders = Counter([(process.pid, "before"), (process.pid, "parent"), (child, "child")])
        assert from_messages(sink.messages) == once(senders)


SPAN_ACROSS = f"""
{RECORDING}
import aiobs

@observe
def function(steps):
    with aiobs.span("inner"):
        pid = os.fork()
        call("child" if pid == 0 else "parent")
        if pid == 0:
            sys.exit(0)
        os.waitpid(pid, 0)

function(1)
"""


def test_spans_that_are_open_across_a_fork(simulator: Simulator) -> None:
    """They are the parent's to end: the child's way out through them tells nothing of them."""
    with Receiver() as sink:
        done, _ = run(simulator, SPAN_ACROSS, AIOBS_EXPORTERS=f"otlp?endpoint={sink.endpoint}")
        assert done.stderr == ""
        assert sorted(span.name for span in sink.spans) == ["chat child", "chat parent", "function", "inner"]
