"""The examples run, offline, and show what they promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "quickstart.py"), *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **variables}, timeout=50,
    )  # fmt: skip


def test_the_quickstart() -> None:
    """make demo: two SDKs, a function called, a stream, a handled error, the tree, the file, and what to try next."""
    done = run()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert lines[0] == "> What is an API?"
    assert lines[-2] == "Observability written to: ./llm_observability.json"
    assert lines[-1].startswith("Next: ")
    for shown in (
        "quickstart",
        "pipeline",
        "automatic_function_calling gemini-2.5-flash",
        "execute_tool search_docs",
        "tokens",
        "first chunk",
        "✗ chat gpt-4-retired  model_not_found",
    ):
        assert shown in done.stderr
    found = json.loads(Path("llm_observability.json").read_text())
    assert [(event["provider"], event["request"]["model"]) for event in found["events"]] == [
        ("gemini", "gemini-2.5-flash"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4-retired"), ("openai", "gpt-4o-mini"),
    ]  # fmt: skip
    assert found["sessions"][0]["labels"]["team"] == "ml-platform"
    assert [node["name"] for node in found["trace_tree"]] == ["pipeline"]
    assert len({event["trace_id"] for event in found["events"] + found["function_events"]}) == 1


def test_live_needs_a_key() -> None:
    """--live without keys says what to set, and calls nobody."""
    done = run("--live")
    assert done.returncode == 1
    assert "set GEMINI_API_KEY and OPENAI_API_KEY" in done.stderr
