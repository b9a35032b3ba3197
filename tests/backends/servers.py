"""Real servers on this machine for as long as a test needs them: ports of their own, folders of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from backends import BACKENDS

T = TypeVar("T")
HOST = "127.0.0.1"
EVERY = 0.05  # seconds between two looks at a server, which cannot tell by itself
PATHS = {name: backend.path for name, backend in BACKENDS.items()}
"""Read before the fixtures clear the environment."""


def program(name: str) -> str:
    """The path of a backend; the test is skipped, with the reason, if it could not be obtained."""
    path = PATHS[name]
    if path is None:
        pytest.skip(BACKENDS[name].reason)
    return str(path)


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def get(url: str, **query: Any) -> Any:
    """The JSON that a server answers with."""
    with urlopen(f"{url}?{urlencode(query)}" if query else url, timeout=30) as answer:
        return json.load(answer)


def answers(address: str) -> bool:
    """Whether a server answers at the URL, or takes connections at ``host:port``."""
    try:
        if "/" not in address:
            host, _, port = address.partition(":")
            socket.create_connection((host, int(port)), 5).close()
            return True
        with urlopen(address, timeout=5):
            return True
    except HTTPError as error:
        error.close()
        return error.code < 500
    except (URLError, ConnectionError, TimeoutError):
        return False


def until(look: Callable[[], T], seconds: float, what: str, every: float = EVERY) -> T:
    """What ``look`` finds as soon as that is true; an AssertionError with the last look after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}; last seen: {found!r}"
        time.sleep(every)
    return found


def until_equal(look: Callable[[], T], expected: T, seconds: float) -> None:
    """Wait for ``look`` to find this; what it found last is compared."""
    end = time.monotonic() + seconds
    while (found := look()) != expected and time.monotonic() < end:
        time.sleep(EVERY)
    assert found == expected


@contextmanager
def running(
    command: Sequence[str],
    ready: str,
    folder: Path,
    *,
    seconds: float = 60,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process group of its own, from when it answers at ``ready``; its log is in the folder."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until(lambda: answers(ready) or _alive(process, log), seconds, f"{ready}, see {log}")
        yield process
    finally:
        stop(process)


def _alive(process: subprocess.Popen[bytes], log: Path) -> bool:
    """False while it runs; a failure with the end of its log when it has ended."""
    if process.poll() is not None:
        pytest.fail(f"{process.args!r} ended with {process.returncode}:\n{log.read_text('utf-8', 'replace')[-3000:]}")
    return False


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End the group, in ten seconds at most."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# The servers


@dataclass
class Collector:
    """A configuration of the collector's core that writes what arrives, and two ports that stay."""

    folder: Path
    http: str
    grpc: str

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Up; may be called again after it ended."""
        with running(
            [program("otelcol"), "--config", str(self.folder / "collector.json")], f"http://{self.http}/", self.folder
        ) as process:
            yield process

    @property
    def endpoint(self) -> str:
        """For OTLP over HTTP."""
        return f"http://{self.http}"

    def lines(self, signal: str) -> list[dict[str, Any]]:
        """What it has written of a signal, one request of OTLP/JSON a line; a line may have U+2028 in it."""
        path = self.folder / f"{signal}.jsonl"
        text = path.read_text("utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def spans(self) -> list[dict[str, Any]]:
        """Those that it has written, as OTLP/JSON has them, each with ``resource`` and ``scope``."""
        return [
            {**span, "resource": group["resource"], "scope": scope["scope"]}
            for line in self.lines("traces")
            for group in line["resourceSpans"]
            for scope in group["scopeSpans"]
            for span in scope["spans"]
        ]


def collector(folder: Path, **more: Any) -> Collector:
    """A collector whose ``traces.jsonl``, ``metrics.jsonl`` and ``logs.jsonl`` are in the folder.

    ``more``: exporters by name and their settings, for metrics.
    """
    made = Collector(folder, f"{HOST}:{free_port()}", f"{HOST}:{free_port()}")
    pipelines = {
        signal: {"receivers": ["otlp"], "processors": ["batch"], "exporters": [f"jsonl/{signal}"]}
        for signal in ("traces", "metrics", "logs")
    }
    pipelines["metrics"]["exporters"] += [*more]
    settings = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": made.grpc}, "http": {"endpoint": made.http}}}},
        "processors": {"batch": {"timeout": "100ms"}},
        "exporters": {**{f"jsonl/{signal}": {"path": str(folder / f"{signal}.jsonl")} for signal in pipelines}, **more},
        "service": {"telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}}, "pipelines": pipelines},
    }
    (folder / "collector.json").write_text(json.dumps(settings), "utf-8")
    return made


@contextmanager
def prometheus(folder: Path, target: str, rules: Path | None = None) -> Iterator[str]:
    """Prometheus that scrapes this address each second; its own address."""
    address = f"{HOST}:{free_port()}"
    jobs = [{"job_name": "aiobs", "static_configs": [{"targets": [target]}]}]
    times = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    settings = {"global": times, "scrape_configs": jobs, "rule_files": [str(rules)] if rules else []}
    (folder / "prometheus.yml").write_text(json.dumps(settings), "utf-8")
    command = [
        *(program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
        f"--web.listen-address={address}",
    ]
    with running(command, f"http://{address}/-/ready", folder):
        yield f"http://{address}"


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    """VictoriaMetrics, which takes OTLP metrics below ``/opentelemetry``; its address."""
    address = f"{HOST}:{free_port()}"
    command = [
        *(program("victoria-metrics"), f"-storageDataPath={folder}/data", f"-httpListenAddr={address}"),
        *("-opentelemetry.usePrometheusNaming", "-search.latencyOffset=0s", "-loggerLevel=ERROR"),
    ]
    with running(command, f"http://{address}/health", folder):
        yield f"http://{address}"


@contextmanager
def phoenix(folder: Path) -> Iterator[str]:
    """Phoenix with a database in memory; its address. It needs half a minute and more to start."""
    port = free_port()
    environment = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": HOST,
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:",
    }
    with running(
        [program("phoenix"), "serve"], f"http://{HOST}:{port}/healthz", folder, seconds=180, environment=environment
    ):
        yield f"http://{HOST}:{port}"
