"""Programs in processes of their own, and what they left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiobs.testing import OTLPSink, Simulator

SETUP = """
import asyncio, atexit, gc, os, signal, sys, time, threading
from aiobs import configure, flush, observe, observer
import openai

ask = [{"role": "user", "content": "x"}]

def call(model="m", **options):
    client = openai.OpenAI(max_retries=0)
    return client.chat.completions.create(model=model, messages=ask, **options)
"""


def start(simulator: Simulator | None, program: str, *python: str, **environment: str) -> subprocess.Popen[str]:
    """The program, running; it is a file, because ``spawn`` imports the main module again."""
    variables = {**os.environ, **(simulator.environment() if simulator else {}), **environment}
    Path("program.py").write_text(SETUP + program)
    return subprocess.Popen(
        [sys.executable, *python, "program.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    )


def run(
    simulator: Simulator | None, program: str, *python: str, timeout: float = 50, **environment: str
) -> tuple[Any, float]:
    """The program, over: what came of it, and how long it took."""
    started = time.monotonic()
    with start(simulator, program, *python, **environment) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors), time.monotonic() - started


def recover() -> str:
    """``aiobs recover``: what it says."""
    told = subprocess.run([sys.executable, "-m", "aiobs", "recover"], check=True, capture_output=True, text=True)
    return told.stdout


def export(path: str = "llm_observability.json") -> dict[str, Any]:
    """The session file."""
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def models(found: dict[str, Any] | None = None) -> list[str]:
    """Which model each call in the session file was for, sorted: the tests tell calls apart by it."""
    return sorted(event["request"]["model"] for event in (found or export())["events"])


def sent(sink: OTLPSink) -> list[str]:
    """The same, of the spans that arrived."""
    return sorted(span.name.removeprefix("chat ") for span in sink.spans)
