"""The examples run, offline, and show what they promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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


def example(*command: str) -> tuple[str, dict[str, Any]]:
    """Run an example where it finds itself; what it prints, and the file that it writes."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True, text=True, check=False, timeout=50, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.strip().splitlines()[-1] == "Observability written to: ./llm_observability.json"
    return done.stdout, json.loads(Path("llm_observability.json").read_text())


@pytest.mark.parametrize("option", [[], ["--fake"]], ids=["default", "fake"])
@pytest.mark.parametrize(
    ("file", "provider", "api"),
    [
        ("simple-chat-completion/chat.py", "openai", "chat.completions.create"),
        ("gemini/main.py", "gemini", "models.generate_content"),
    ],
)
def test_the_examples_that_the_seed_names(file: str, provider: str, api: str, option: list[str]) -> None:
    """S1-92: they print the reply and write the file, offline."""
    said, found = example(str(ROOT / "examples" / file), *option)
    (event,) = found["events"]
    assert (event["provider"], event["api"]) == (provider, api)
    assert event["response"]["text"] in said


@pytest.mark.parametrize("option", [[], ["--fake"]], ids=["default", "fake"])
def test_the_pipeline(option: list[str]) -> None:
    """S1-70, S1-92: offline, one session and one trace: a root with three steps, and a chat in each."""
    said, found = example("-m", "examples.pipeline.main", "What is a socket?", *option)
    assert "Who keeps the contract." in said
    assert [session["name"] for session in found["sessions"]] == ["pipeline-example"]
    assert {event["session_id"] for event in found["events"]} == {found["sessions"][0]["id"]}
    (root,) = found["trace_tree"]
    assert root["name"] == "pipeline"
    assert [step["name"] for step in root["children"]] == ["research", "summarize", "critique"]
    assert [[call["api"] for call in step["children"]] for step in root["children"]] == [
        ["chat.completions.create"]
    ] * 3
    critique = root["children"][-1]
    assert (critique["enh_prompt"], critique["auto_enhance_after"]) == (True, 10)
    assert found["enh_prompt_traces"] == [critique["enh_prompt_id"]]
