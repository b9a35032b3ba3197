"""Many spans, many processes, many kills: nothing that was written is lost.

``AIOBS_ENDURANCE_SPANS`` is how many spans one session gets (20,000; ``make soak``: 1,000,000).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROCESSES, SPANS = 8, 10_000
KILLS = 100
IN_ONE_SESSION = int(os.environ.get("AIOBS_ENDURANCE_SPANS", "20000"))


def run(program: str, *arguments: object, timeout: float = 300) -> list[str]:
    """The lines that a program prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


MANY = """
import os, sys
from aiobs import observe, observer

@observe
def work(process, number): return number

processes, spans = map(int, sys.argv[1:])
observer.observe("many")
children = []
for process in range(processes):
    if (child := os.fork()) == 0:
        for number in range(spans):
            work(process, number)
        os._exit(0)
    children.append(child)
assert {os.waitpid(child, 0)[1] for child in children} == {0}
from pathlib import Path
lines = [line for file in Path("llm_observability.json.journal").glob("*.jsonl") for line in file.read_bytes().split(b"\\n")]
print(sum(line.startswith(b'{"function"') for line in lines))
print(observer.flush(end=True))
"""


def test_many_processes_write_every_line() -> None:
    """Promise 5: 8 processes with 10,000 spans each are 80,000 whole lines, and 80,000 events in one file."""
    lines, path = run(MANY, PROCESSES, SPANS)
    assert int(lines) == PROCESSES * SPANS
    found = json.loads(Path(path).read_text())
    assert sorted(tuple(event["args"]) for event in found["function_events"]) == [
        (process, number) for process in range(PROCESSES) for number in range(SPANS)
    ]
    assert not Path("llm_observability.json.journal").exists()


KILLED = """
import os, random, select, signal, sys, time
from pathlib import Path
from aiobs import observe, observer
from aiobs.exporters.session.recovery import recover
import json

@observe
def work(number, size): return "x" * size

def child(told):
    observer.observe("killed")
    number = 0
    while True:
        work(number, random.randrange(2_000))
        os.write(told, number.to_bytes(4, "big"))  # its line is written
        number += 1

rng = random.Random(int(sys.argv[2]))
for attempt in range(int(sys.argv[1])):
    folder = Path(str(attempt)); folder.mkdir(); os.chdir(folder)
    heard, told = os.pipe()
    if (process := os.fork()) == 0:
        child(told)
    os.close(told)
    select.select([heard], [], [])
    end, written = time.monotonic() + rng.uniform(0, 0.1), b""
    while (left := end - time.monotonic()) > 0:
        if select.select([heard], [], [], left)[0]:
            written += os.read(heard, 65_536)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    while more := os.read(heard, 65_536):
        written += more
    os.close(heard)
    done = len(written) // 4
    found = recover()
    events = json.loads(Path(found.path).read_text())["function_events"]
    kept = [event["args"][0] for event in events]
    assert kept[:done] == list(range(done)) and len(kept) <= done + 1, (done, len(kept))
    assert not Path("llm_observability.json.journal").exists()
    os.chdir("..")
    print(done, found.torn)
"""


def test_killed_at_any_moment() -> None:
    """Promise 5: after kill -9 at a random moment, 100 times, every span whose write was over is recovered."""
    killed = [tuple(map(int, line.split())) for line in run(KILLED, KILLS, 6)]
    assert len(killed) == KILLS
    assert sum(done for done, _ in killed) > KILLS  # they were killed in the middle of work, not before it


LONG = """
import resource, sys
from aiobs import observe, observer

@observe
def work(number): return {"number": number, "text": "x" * 100}

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

observer.observe("long")
for number in range(1_000): work(number)
before = peak()
for number in range(1_000, int(sys.argv[1])): work(number)
recording = peak()
print((recording - before) * 1024)
path = observer.flush(end=True, include_trace_tree=True)
print((peak() - recording) * 1024)
print(path)
"""


@pytest.mark.timeout(7200)
def test_one_long_session() -> None:
    """Memory does not grow with the calls of a session, and a flush takes at most its index, not the events."""
    recording, flushing, path = run(LONG, IN_ONE_SESSION, timeout=7000)
    assert int(recording) < 8_000_000
    assert int(flushing) < 30_000_000 + 1_000 * IN_ONE_SESSION
    with Path(path).open("rb") as file:
        events = sum(b'"provider": "function"' in line for line in file)
    assert events == 2 * IN_ONE_SESSION  # in the list, and in the tree
