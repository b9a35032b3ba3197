"""What aiobs costs, against the floor: ``make bench``, or ``make bench ARGS=--quick`` for a first look.

The floor (``floor.py``) is one plain OpenTelemetry span around the SDK's method, written by hand. Every process
(``worker.py``) measures the bare SDK, the floor and aiobs in turn; the groups of scenarios take turns too, round after
round. The table has the median of the rounds and, in brackets, their quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

WORKER = Path(__file__).with_name("worker.py")
GROUPS = ("chat-off", "chat-on", "nothing", "observe", "startup")
ONCE = ("growth",)


class Scenario(NamedTuple):
    """One line of the table. ``relative``: the target is a multiple of the floor, else it is in ``unit``."""

    key: str
    title: str
    unit: str
    target: float
    relative: bool = False


# The targets are those of docs/design/016-aims.md.
SCENARIOS = (
    Scenario("off/call", "chat call, content off", "µs", 2.1, relative=True),
    Scenario("on/1kB", "chat call, 1 kB content", "µs", 2.1, relative=True),
    Scenario("on/50kB", "chat call, 50 kB content", "µs", 1.5, relative=True),
    Scenario("off/chunk", "streamed chunk, content off", "µs", 1.7),
    Scenario("on/chunk", "streamed chunk, content on", "µs", 1.7),
    Scenario("none/call", "chat call, nothing recorded", "µs", 0.6, relative=True),
    Scenario("none/chunk", "streamed chunk, nothing recorded", "µs", 0.0),
    Scenario("observe", "@observe, arguments and result", "µs", 1.65, relative=True),
    Scenario("growth", "growth per call", "B", 50.0),
    Scenario("startup", "import and instrument(), CPU", "ms", 40.0),
)
# What the difference of two streams resolves: below it, a cost per chunk is none.
RESOLUTION = 0.2


class Spread(NamedTuple):
    """Median and quartiles."""

    low: float
    median: float
    high: float

    def text(self, digits: int) -> str:
        """``1.25 (1.21-1.30)``."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


class Result(NamedTuple):
    """One scenario as measured; ``floor`` and ``ratio`` are None where there is nothing to compare with."""

    scenario: Scenario
    sdk: Spread | None
    floor: Spread | None
    aiobs: Spread
    ratio: Spread | None

    @property
    def verdict(self) -> str:
        """``ok``, ``< 2x`` (within twice the target) or ``MISSED``."""
        measured = self.ratio if self.scenario.relative and self.ratio else self.aiobs
        target = max(self.scenario.target, RESOLUTION)
        if measured.median <= target:
            return "ok"
        return "< 2x" if measured.median <= 2 * target else "MISSED"


Samples = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measure, print the table, and with ``--json`` write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three short rounds, a minute")
    parser.add_argument("--rounds", type=int, help="rounds of every group (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write medians and quartiles to FILE")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    samples = measure(rounds, scale=0.2 if arguments.quick else 1.0)
    results = [result_of(scenario, samples[scenario.key]) for scenario in SCENARIOS]
    print(table(results))
    if arguments.json:
        arguments.json.write_text(
            json.dumps([as_record(result) for result in results], indent=2, ensure_ascii=False) + "\n", "utf-8"
        )


# Measuring


def measure(rounds: int, scale: float) -> Samples:
    """The samples of every scenario, one per process."""
    samples: Samples = defaultdict(list)
    work("startup", 1.0)  # writes the bytecode, so that no round pays for it
    steps = list(schedule(rounds))
    for number, (label, group) in enumerate(steps, start=1):
        progress(f"[{number}/{len(steps)}] {label}: {group}")
        for key, sample in work(group, scale).items():
            samples[key].append(sample)
    progress("")
    return samples


def schedule(rounds: int) -> Iterator[tuple[str, str]]:
    """Round by round, each group once; what is counted rather than timed, once at the end."""
    for number in range(1, rounds + 1):
        for group in GROUPS:
            yield f"round {number} of {rounds}", group
    for group in ONCE:
        yield "once", group


def work(group: str, scale: float) -> dict[str, dict[str, float]]:
    """What a fresh process measures; its environment has no telemetry settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AIOBS_"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, str(WORKER), group, str(scale)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"The worker for {group!r} failed; see above.")
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def progress(text: str) -> None:
    """Say where we are: on one line of a terminal, else line by line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


# Reporting


def result_of(scenario: Scenario, samples: list[dict[str, float]]) -> Result:
    """Ratios are formed within a process, then summarised."""
    floors = [sample["floor"] for sample in samples if "floor" in sample]
    compares = scenario.relative and all(floor > 0 for floor in floors)
    return Result(
        scenario,
        spread([sample["sdk"] for sample in samples if "sdk" in sample]),
        spread(floors),
        spread([sample["aiobs"] for sample in samples]) or Spread(0, 0, 0),
        spread([sample["aiobs"] / sample["floor"] for sample in samples]) if compares else None,
    )


def spread(values: list[float]) -> Spread | None:
    """Median and quartiles; None of nothing."""
    if len(values) < 2:
        return Spread(*values * 3) if values else None
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high)


def table(results: list[Result]) -> str:
    """The results as aligned text."""
    rows = [("", "SDK alone", "floor adds", "aiobs adds", "aiobs / floor", "target", "")]
    rows += [row_of(result) for result in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def row_of(result: Result) -> tuple[str, ...]:
    """One line: numbers with their quartiles."""
    scenario = result.scenario
    digits = 2 if scenario.key.endswith("chunk") else 1
    sign = "x" if scenario.relative else f" {scenario.unit}"
    target = f"<= x{scenario.target}" if scenario.relative else f"<= {scenario.target:g}{sign}"
    return (
        scenario.title,
        f"{result.sdk.median:.{digits}f} {scenario.unit}" if result.sdk else "",
        f"{result.floor.text(digits)} {scenario.unit}" if result.floor else "",
        f"{result.aiobs.text(digits)} {scenario.unit}",
        f"x{result.ratio.text(2)}" if result.ratio else "",
        target,
        result.verdict,
    )


def as_record(result: Result) -> dict[str, Any]:
    """The result as JSON values."""
    columns = {"sdk": result.sdk, "floor": result.floor, "aiobs": result.aiobs, "ratio": result.ratio}
    numbers = {name: value._asdict() if value else None for name, value in columns.items()}
    return {**result.scenario._asdict(), **numbers, "verdict": result.verdict}


if __name__ == "__main__":
    main()
