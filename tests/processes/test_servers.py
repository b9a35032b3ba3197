"""Application servers: every request's call arrives, in the session file and at the collector, exactly once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from aiobs.testing import OTLPSink, Simulator
from tests.processes.programs import SETUP, export, models, sent

WSGI = """
observer.observe("web")

def app(environ, start_response):
    call(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

ASGI = """
import aiobs
observer.observe("web")
client = openai.AsyncOpenAI(max_retries=0)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        observer.flush()  # uvicorn ends its workers by their signal: no exit function runs
        await send({"type": "lifespan.shutdown.complete"})
        return
    await client.chat.completions.create(model=scope["path"].strip("/"), messages=ask)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@contextmanager
def running(
    simulator: Simulator, app: str, environment: Mapping[str, str], *command: str, timeout: float = 30
) -> Iterator[Served]:
    """The server until it was told to end and has ended. Its socket listens already, so nobody has to wait for it."""
    Path("program.py").write_text(SETUP + app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        arguments = [part.replace("FD", str(listening.fileno())) for part in command]
        with subprocess.Popen(
            [sys.executable, "-m", *arguments, "program:app"],
            env={**os.environ, **simulator.environment(), **environment},
            pass_fds=[listening.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        ) as server:
            served = Served(f"http://127.0.0.1:{listening.getsockname()[1]}")
            try:
                yield served
            finally:
                server.send_signal(signal.SIGTERM)
                try:
                    _, served.errors = server.communicate(timeout=timeout)
                except subprocess.TimeoutExpired:
                    server.kill()
                    raise
    assert "Traceback" not in served.errors, served.errors


@dataclass
class Served:
    """Where a server is, and what it said on its standard error, once it has ended."""

    origin: str
    errors: str = ""


@contextmanager
def serving(simulator: Simulator, app: str, sink: OTLPSink, *command: str) -> Iterator[str]:
    """The same, with an OTLP endpoint and a session file."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "LLM_OBS_OUT": OUT[command[0]]}
    with running(simulator, app, environment, *command) as served:
        yield served.origin


OUT = {"gunicorn": "out.json", "uvicorn": "out-{pid}.json"}  # workers that share a session, and those that do not
ASKED = [f"r{number}" for number in range(12)]


def get(url: str) -> str:
    with urlopen(url, timeout=30) as answer:
        said: bytes = answer.read()
    return said.decode()


def ask_all(origin: str) -> list[str]:
    """Every request, four at a time; which processes answered."""
    with ThreadPoolExecutor(4) as threads:
        return [*threads.map(get, [f"{origin}/{name}" for name in ASKED])]


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn_with_preload(simulator: Simulator, worker: str) -> None:
    """The pipelines are made in the master, before the workers are forked: nothing is lost, told twice or hangs."""
    command = [
        "gunicorn",
        "--preload",
        "--workers",
        "2",
        "--worker-class",
        worker,
        "--threads",
        "2",
        "--bind",
        "fd://FD",
    ]
    if worker == "sync":
        del command[-4:-2]
    with OTLPSink() as sink:
        with serving(simulator, WSGI, sink, *command) as origin:
            assert len(ask_all(origin)) == len(ASKED)
        assert sent(sink) == sorted(ASKED)
    assert models(export("out.json")) == sorted(ASKED)


def test_uvicorn_with_workers(simulator: Simulator) -> None:
    """Workers that are spawned: each its own session and file, all of it at the collector."""
    with OTLPSink() as sink:
        with serving(
            simulator, ASGI, sink, "uvicorn", "--workers", "2", "--fd", "FD", "--log-level", "warning"
        ) as origin:
            assert len(ask_all(origin)) == len(ASKED)
        assert sent(sink) == sorted(ASKED)
    assert sorted(model for path in Path().glob("out-*.json") for model in models(export(str(path)))) == sorted(ASKED)
