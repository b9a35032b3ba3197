"""The files around the code: commands, pins, the floor of the benchmark, the collector's configuration."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTOR = os.environ.get("AIOBS_OTELCOL")  # read before the fixtures clear the environment


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_make_help_describes_every_command() -> None:
    """What .PHONY lists, ``make help`` lists with a sentence."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert sorted(re.findall(r"^  make ([\w-]+) +\w", shown.stdout, re.MULTILINE)) == sorted(targets)


def test_the_top_level_is_the_design_cards() -> None:
    """SX-07: what the card names is there."""
    for name in ("pyproject.toml", "src", "tests", "examples", "collector-config", "README.md"):
        assert (ROOT / name).exists(), name


def test_constraints_are_plain_pins_of_every_dependency() -> None:
    """constraints.txt has ``name==version`` lines only, and one for each requirement of pyproject.toml."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    requirements = project["dependencies"] + [
        line for extra in project["optional-dependencies"].values() for line in extra
    ]
    needed = {canonical(re.split(r"[\[<>=!~; ]", line)[0]) for line in requirements} - {"aiobs"}
    assert needed - {canonical(line.partition("==")[0]) for line in lines} == set()


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("floor.py", "63d70c41d83127032426204a4152f0f5fd2225e8436afd4b9e28363f92a0374e"),
        ("fake.py", "86b04ad23d456014e0218e7b7fed6c2db16394de0b2e52470123ac7056c00513"),
    ],
)
def test_the_floor_stays_as_it_is(file: str, sha256: str) -> None:
    """What aiobs is measured against does not move."""
    assert hashlib.sha256((ROOT / "benchmarks" / file).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize(
    ("group", "scenarios"),
    [
        ("chat-off", {"off/call": {"sdk", "floor", "aiobs"}, "off/chunk": {"sdk", "floor", "aiobs"}}),
        ("observe", {"observe": {"sdk", "floor", "aiobs"}}),
        ("startup", {"startup": {"aiobs"}}),
    ],
)
def test_a_worker_of_the_benchmark_measures(group: str, scenarios: dict[str, set[str]]) -> None:
    """The harness runs against the SDK of today; what it measures is no test's business."""
    command = [sys.executable, str(ROOT / "benchmarks" / "worker.py"), group, "0.001"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {key: set(sample) for key, sample in json.loads(done.stdout).items()} == scenarios


@pytest.mark.skipif(not COLLECTOR, reason="needs a collector: set AIOBS_OTELCOL to an otelcol binary")
def test_a_real_collector_accepts_the_configuration() -> None:
    """SX-02: ``otelcol validate`` finds nothing wrong with collector-config/collector.yaml."""
    command = [str(COLLECTOR), "validate", "--config", str(ROOT / "collector-config" / "collector.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
