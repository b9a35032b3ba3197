"""What the documentation says is so: code runs, links lead somewhere, generated parts are fresh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from aiobs.testing import OTLPSink, Simulator
from aiobs.testing.otlp_sink import attributes_of

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
GUIDES = (
    "exporters.md", "media.md", "otlp-json.md", "redaction.md", "run-context.md", "session-file.md", "spool.md",
)  # fmt: skip
NOT_RUN = "<!-- not run -->"
FENCE = re.compile(rf"(?:^({re.escape(NOT_RUN)})\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)[^)]*\)")


class Block(NamedTuple):
    """A Python block, named for the heading above it."""

    heading: str
    code: str


def blocks(page: str = README) -> list[Block]:
    """Every block of a page but those marked as not run."""
    return [
        Block(re.findall(r"^## (.*)$", page[: found.start()], re.MULTILINE)[-1], found[2])
        for found in FENCE.finditer(page)
        if not found[1]
    ]


def blocks_of_guides() -> list[Block]:
    """Those of docs/*.md that are guides."""
    return [block for guide in GUIDES for block in blocks((ROOT / "docs" / guide).read_text("utf-8"))]


def run(code: str, simulator: Simulator, folder: Path, **environment: str) -> None:
    """Run a program as a reader would, with the provider on this machine."""
    run_program([sys.executable, "-W", "error", "-c", code], simulator, folder, **environment)


def run_program(program: list[str], simulator: Simulator, folder: Path, **environment: str) -> None:
    """Any program, with the provider on this machine; it has nothing to complain of."""
    around = {**os.environ, **simulator.environment(), **environment}
    done = subprocess.run(program, cwd=folder, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "aiobs" not in done.stderr, done.stderr


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.heading)
def test_every_python_block_of_the_readme_runs(block: Block, simulator: Simulator, tmp_path: Path) -> None:
    """Copied from the page, it runs, without a warning; where it sends something, somebody is there."""
    with OTLPSink() as sink:
        run(block.code, simulator, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)


WAYS = ("code", "no code")


def follow(way: str, endpoint: str, simulator: Simulator, folder: Path) -> None:
    """What "To a collector" says, either way: the program, or its last lines alone under ``opentelemetry-instrument``."""
    code = next(block.code for block in blocks() if block.heading == "To a collector")
    if way == "code":
        return run(code, simulator, folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    plain = [line for line in code.splitlines() if "aiobs" not in line and "nstrument" not in line]
    (folder / "app.py").write_text("\n".join(line for line in plain if not line.startswith("configure")), "utf-8")
    [command] = re.findall(r"^\$ OTEL_EXPORTER_OTLP_ENDPOINT=\S+ (opentelemetry-instrument .*)$", README, re.MULTILINE)
    activated = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run_program(command.split(), simulator, folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, PATH=activated)


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_has_the_call_in_a_collector(way: str, simulator: Simulator, tmp_path: Path) -> None:
    """With the lines of the page and nothing else, by code and without: one span, with its tokens."""
    with OTLPSink() as sink:
        follow(way, sink.endpoint, simulator, tmp_path)
    [span] = sink.spans
    assert span.name == "chat gpt-4o-mini"
    assert "gen_ai.usage.input_tokens" in attributes_of(span)


@pytest.mark.parametrize("block", blocks_of_guides(), ids=lambda block: block.heading)
def test_every_python_block_of_a_guide_runs(block: Block, simulator: Simulator, tmp_path: Path) -> None:
    """Copied from the page, it runs, without a warning."""
    run(block.code, simulator, tmp_path)


def test_the_first_program_writes_what_it_says(simulator: Simulator, tmp_path: Path) -> None:
    """S1-09: the ten lines leave one session with one call inside one function in ./llm_observability.json."""
    run(blocks()[0].code, simulator, tmp_path)
    written = json.loads((tmp_path / "llm_observability.json").read_text("utf-8"))
    (session,), (call,), (function,) = written["sessions"], written["events"], written["function_events"]
    assert (session["name"], session["labels"]["team"]) == ("my-pipeline", "ml-platform")
    assert (function["name"], function["args"]) == ("research", ["What is an API?"])
    assert (call["api"], call["parent_span_id"]) == ("chat.completions.create", function["span_id"])
    assert [request.path for request in simulator.requests] == ["/v1/chat/completions"]


def test_the_generated_parts_are_fresh() -> None:
    """The folder map equals the docstrings, the option table equals ``aiobs.settings.OPTIONS``."""
    check = [sys.executable, str(ROOT / "scripts" / "readme.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def documents() -> list[str]:
    """Every page that is written by hand."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "collector-config").glob("*.md")]
    return sorted(page.relative_to(ROOT).as_posix() for page in pages)


@pytest.mark.parametrize("page", documents())
def test_every_link_within_the_repository_leads_somewhere(page: str) -> None:
    """A relative link names a file or folder that is there."""
    folder = (ROOT / page).parent
    targets = LINK.findall((ROOT / page).read_text("utf-8"))
    assert [target for target in targets if not (folder / target).exists()] == []
