"""``aiobs recover`` as a person calls it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiobs.call import FunctionCall
from aiobs.cli import app
from aiobs.exporters.session.journal import Journal
from aiobs.exporters.session.session_file import SessionFile


def leave_a_journal(path: str) -> None:
    """As a process does that is killed: a closed segment that nobody folds."""
    file = SessionFile(path=path)
    record = {"id": "s", "name": "s", "started_at": 1.0, "ended_at": None, "meta": {"pid": 1, "cwd": "/"}, "labels": {}}
    file.session(record)
    call = FunctionCall("f", "m.f", "m", [], {})
    file.write(call, span_id=1, trace_id=2, parent_span_id=None, session_id="s")
    journal = file._journal
    assert isinstance(journal, Journal)
    journal.rotate()


def recovered(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["recover", *arguments])
    return result.exit_code, re.sub(r"\s+", " ", result.output)


def test_it_says_what_it_found_and_where_it_wrote() -> None:
    """Promise 5: what a killed process left is folded into the file."""
    leave_a_journal("out.json")
    path = Path("out.json").absolute()
    assert recovered("out.json") == (
        0,
        f"Recovered 1 event of 1 session from 1 segment. Written to: {path} ",
    )
    assert path.exists()


def test_it_says_what_was_torn() -> None:
    """Lines that cannot be read are counted."""
    leave_a_journal("out.json")
    [segment] = Path("out.json.journal").iterdir()
    with segment.open("a") as file:
        file.write('{"event": {"na')
    assert "Torn, not recovered: 1 line" in recovered("out.json")[1]


def test_it_takes_the_path_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-72: LLM_OBS_OUT, placeholders included."""
    leave_a_journal("a-1.json")
    leave_a_journal("a-2.json")
    monkeypatch.setenv("LLM_OBS_OUT", "a-{session_id}.json")
    assert recovered()[1].count("Recovered 1 event") == 2


def test_nothing_left_behind_is_no_error() -> None:
    """It can be called at any time."""
    assert recovered() == (0, "Nothing to recover: no dead process left a journal beside this file. ")


def test_a_file_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal stays as it is, and the exit code is 1."""
    leave_a_journal("out.json")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        code, output = recovered("out.json")
    assert (code, "No space left on device" in output) == (1, True)
    assert recovered("out.json")[0] == 0


def test_a_journal_of_a_newer_release_is_left_alone() -> None:
    """It is named, with what to do, and what this release knows is recovered all the same."""
    leave_a_journal("out.json")
    newer = Path("out.json.journal") / "s-1-1.jsonl"
    newer.write_text('{"aiobs_journal": 2, "pid": 1}\n{"event": {}}\n')
    code, said = recovered("out.json")
    assert code == 1
    assert "Recovered 1 event" in said
    assert "s-1-1.jsonl was written by a newer aiobs; update aiobs" in said
    assert newer.exists()
