"""``aiobs validate``, ``merge`` and ``show`` as a person calls them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aiobs.cli import app
from aiobs.reading.schema import published
from aiobs.reading.validation import validate
from tests.reading.conftest import an_export, event, function

OTHER = "00000000-0000-4000-8000-000000000002"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})


def write(name: str, export: dict[str, Any]) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(json.dumps(export, indent=2), encoding="utf-8")
    return name


# validate


def test_a_valid_file_is_valid() -> None:
    """S1-74: exit code 0, also for a path that is the default."""
    write("llm_observability.json", an_export())
    assert (call("validate").exit_code, call("validate").output) == (0, "./llm_observability.json: valid\n")


def test_findings_have_their_place() -> None:
    """S1-74, S1-90: the JSON path of each, the rule that says so, and exit code 1."""
    write("a.json", an_export(events=[event(2, request=None, trace_id="x")], trace_tree=None))
    result = call("validate", "a.json")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "a.json: 2 findings",
        "  format  $.events[0].trace_id: String should match pattern '^[0-9a-f]{32}$', not \"x\"",
        "  viewer  $.events[0].request: is null, and viewers want an object: write {}",
    ]
    assert (
        json.loads(call("validate", "--json", "a.json").output)["findings"]["a.json"][0]["path"]
        == "$.events[0].trace_id"
    )


def test_what_is_no_session_file_is_exit_code_2() -> None:
    """S1-74: the others are checked all the same."""
    write("a.json", an_export())
    result = call("validate", "none.json", "a.json")
    assert result.exit_code == 2
    assert "a.json: valid" in result.output
    assert "There is no file none.json" in result.output


def test_the_schema_can_be_had() -> None:
    """S1-74: as published."""
    assert json.loads(call("validate", "--schema").output) == published()


# merge


def test_files_are_merged_into_one() -> None:
    """S1-69, S1-78: each span once, sessions by id, the tree across files; the result is valid."""
    first = an_export(events=[event(2, parent=1)], trace_tree=None)
    other = {**an_export()["sessions"][0], "id": OTHER, "name": "other"}
    second = an_export(
        sessions=[other], events=[event(2, parent=1), event(3, parent=1), event(9, session_id=OTHER)],
        function_events=[], trace_tree=None,
    )  # fmt: skip
    write("a.json", first)
    write("b.json", second)
    result = call("merge", "a.json", "b.json", "-o", "out/all.json")
    assert (result.exit_code, result.output) == (
        0,
        "Merged 2 files: 2 sessions, 4 events.\nWritten to: out/all.json\n",
    )
    merged = json.loads(Path("out/all.json").read_text())
    assert validate("out/all.json") == []
    assert [node["span_id"][-1] for node in merged["trace_tree"]] == ["1", "9"]
    assert [child["span_id"][-1] for child in merged["trace_tree"][0]["children"]] == ["2", "3"]
    assert Path("out/all.json").stat().st_mode & 0o777 == 0o600


def test_the_first_file_counts() -> None:
    """S1-69: of a span that is in several files, the record in the file that is named first."""
    write("newest.json", an_export(events=[event(2, api="newest"), event(3, api="newest")], trace_tree=None))
    write("older.json", an_export(events=[event(2, api="older"), event(4, api="older")], trace_tree=None))
    assert call("merge", "newest.json", "older.json", "-o", "all.json").exit_code == 0
    merged = json.loads(Path("all.json").read_text())
    assert [(one["span_id"][-1], one["api"]) for one in merged["events"]] == [
        ("2", "newest"), ("3", "newest"), ("4", "older"),
    ]  # fmt: skip
    assert len(merged["function_events"]) == 1


def test_folders_gzip_and_one_export_a_line() -> None:
    """S1-69, S1-73: found by what is in them; journals and other JSON are passed over."""
    write("runs/a.json", an_export())
    Path("runs/b.json.gz").write_bytes(
        gzip.compress(json.dumps(an_export(events=[event(3)], trace_tree=None)).encode())
    )
    lines = [json.dumps(an_export(events=[event(number)], trace_tree=None)) for number in (4, 5)]
    write("runs/deep/c.jsonl", {})
    Path("runs/deep/c.jsonl").write_text("\n".join(lines) + "\n")
    write("runs/config.json", {"a": 1})
    write("runs/a.json.journal/s.jsonl", {"aiobs_journal": 1})
    result = call("merge", "runs", "-o", "all.json")
    assert result.output.splitlines() == [
        "Merged 3 files: 1 session, 5 events.",
        "Passed over, no session file: runs/config.json",
        "Written to: all.json",
    ]
    assert validate("all.json") == []


def test_a_file_that_cannot_be_merged_writes_nothing() -> None:
    """S1-69: a file that is cut short would lose events silently."""
    write("a.json", an_export())
    Path("b.json").write_text(Path("a.json").read_text()[:1500])
    result = call("merge", "a.json", "b.json", "-o", "all.json")
    assert result.exit_code == 2
    assert "b.json is cut short" in result.output
    assert not Path("all.json").exists()
    assert "There is no session file in" in call("merge", "/proc/self/fd", "-o", "x.json").output


# show


def shown(*arguments: str) -> list[str]:
    return [line.rstrip() for line in call("show", *arguments).output.splitlines()]


def a_run() -> str:
    failed = event(
        4, parent=3, error="RateLimitError: too many", response=None, context={"prefect.task_run.id": "t-2"},
        request={"model": "gpt-5", "messages": [{"role": "user", "content": "Critique."}], "temperature": 0.5},
        error_details={"type": "openai.RateLimitError", "code": "RATE_LIMITED", "message": "m", "retryable": True,
                       "status_code": 429, "request_id": "req_1"},
    )  # fmt: skip
    answered = event(2, parent=1, context={"prefect.task_run.id": "t-1"}, response={
        "model": "gpt-4o-mini", "text": "An answer\nin two lines", "finish_reason": "stop",
        "usage": {"prompt_tokens": 1250, "completion_tokens": 7}})  # fmt: skip
    return write(
        "run.json", an_export(events=[answered, failed], function_events=[function(1), function(3, error="E: x")])
    )


def test_a_session_is_a_tree() -> None:
    """S1-90: name, numbers, and events below their parents with tokens, errors and durations."""
    a_run()
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(0.5))
    assert shown("run.json") == [
        f"night run  {began}  open  team=x",
        "2 calls · 2 functions · 1,250 → 7 tokens · 2 failed",
        "├── ƒ research                                                        500 ms  ━━",
        "│   └── ◆ chat.completions.create  gpt-4o-mini  1,250 → 7 tokens      500 ms       ━━",
        "└── ✗ research  E: x                                                  500 ms           ━━",
        "    └── ✗ chat.completions.create  gpt-5  RateLimitError: too many    500 ms                ━━",
        "",
    ]  # fmt: skip


def test_why_a_task_failed() -> None:
    """S0-18: the error, the request and what is known of the call, of that task's calls only."""
    output = "\n".join(shown("--where", "prefect.task_run.id=t-2", a_run()))
    for said in (
        "RateLimitError: too many",
        "RATE_LIMITED",
        "429",
        "req_1",
        "user         Critique.",
        "app.py:12 in main",
    ):
        assert said in output
    assert "An answer" not in output


def test_what_the_model_returned() -> None:
    """S0-18: the recorded text of the response, every line of it."""
    output = shown("--where", "prefect.task_run.id=t-1", a_run())
    response = output.index("  Response")
    assert output[response : response + 4] == [
        "  Response",
        "    An answer",
        "    in two lines",
        "    finish_reason  stop",
    ]
    assert "  Request" in output
    assert not any("Critique" in line for line in output)


@pytest.mark.parametrize(
    ("condition", "spans"),
    [
        ("model=gpt-4*", "2"), ("model=gpt-5", "4"), ("provider=openai", "24"), ("error=*", "34"), ("error=null", "12"),
        ("label.team=x", "1234"), ("label.team=y", ""), ("api=chat.*", "24"), ("session.name=night run", "1234"),
        ("name=research", "13"), ("error_details.code=RATE_LIMITED", "4"), ("response.finish_reason=stop", "2"),
        ("request.temperature=0.5", "4"), ("prefect.task_run.id=t-*", "24"), ("nonsense=1", ""),
    ],
)  # fmt: skip
def test_conditions_choose(condition: str, spans: str) -> None:
    """S0-18: fields, labels, models, what surrounded the call."""
    found = json.loads(call("show", "--json", a_run(), "-w", condition).stdout)
    assert (
        "".join(sorted(item["span_id"][-1] for name in ("events", "function_events") for item in found[name])) == spans
    )


def test_all_conditions_must_hold() -> None:
    """S0-18: several are and."""
    found = json.loads(call("show", "--json", "-w", "provider=openai", "-w", "error=*", a_run()).stdout)
    assert [item["span_id"][-1] for item in found["events"]] == ["4"]


def test_nothing_found_says_what_could_be() -> None:
    """S0-18: the keys that there are, and exit code 1."""
    result = call("show", "-w", "prefect.task_run=t-1", a_run())
    assert result.exit_code == 1
    assert "No event has prefect.task_run=t-1." in result.output
    assert "prefect.task_run.id" in result.output
    assert call("show", "-w", "nonsense", a_run()).exit_code == 2


def test_long_texts_are_cut_and_control_characters_too() -> None:
    """S1-90: --full shows all; what a model says cannot change the terminal."""
    said = "\x1b[31m" + "x" * 3000
    path = write("run.json", an_export(events=[event(2, response={"text": said, "model": "m"})]))
    assert "(1,005 characters more;" in "".join(shown("-w", "model=m", path))
    assert "".join(shown("-w", "model=m", "--full", path)).count("x" * 100) >= 1
    assert "\x1b" not in call("show", "-w", "model=m", path).output


def test_a_limit_is_said() -> None:
    """S1-90: what is not shown is counted."""
    assert "… 3 more events; --limit 0 shows all." in shown("--limit", "1", a_run())


def test_a_terminal_of_ascii() -> None:
    """S1-90: marks and lines become what the encoding knows."""
    a_run()
    program = [sys.executable, "-m", "aiobs", "show", "run.json"]
    done = subprocess.run(program, capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii", "PATH": ""})
    assert done.returncode == 0, done.stderr
    assert b"|   `-- * chat.completions.create  gpt-4o-mini  1,250 -> 7 tokens" in done.stdout


def test_what_cannot_be_read_is_said() -> None:
    """S1-93: without a traceback."""
    result = call("show")
    assert (result.exit_code, "There is no file llm_observability.json" in result.output) == (2, True)


@pytest.mark.parametrize("command", ["validate", "merge", "show"])
def test_help_has_an_example(command: str) -> None:
    """S1-90: each command says how it is called."""
    assert f"Example: aiobs {command}" in call(command, "--help").output
