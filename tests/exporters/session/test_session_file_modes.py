"""The session file compressed, and as one export a line."""

from __future__ import annotations

import gzip
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from aiobs import observer
from aiobs.errors import ConfigurationError
from aiobs.reading import ObservabilityExport
from aiobs.reading.validation import findings

from .conftest import Recorder


def mode_of(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def lines_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_gzip_is_a_switch(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-73: AIOBS_JSON_GZIP=1 compresses, says so in the name, and a session that goes on is added to; mode 0600."""
    monkeypatch.setenv("AIOBS_JSON_GZIP", "1")
    session = recorder.open("é\u2028")
    recorder.call(session)
    assert recorder.file.flush() == "./llm_observability.json.gz"
    recorder.file.session(
        {"id": session, "name": "é", "started_at": 1.0, "ended_at": 2.0, "meta": {"pid": 1, "cwd": "/"}, "labels": {}}
    )
    recorder.call(session)
    recorder.file.flush()
    export = json.loads(gzip.decompress(Path("llm_observability.json.gz").read_bytes()))
    assert (len(export["events"]), findings(export)) == (2, [])
    assert mode_of("llm_observability.json.gz") == 0o600
    assert not Path("llm_observability.json").exists()


def test_a_name_that_says_gzip_is_gzip(recorder: Recorder) -> None:
    """S1-73: without the switch too."""
    recorder.call(recorder.open())
    assert recorder.file.flush("out.json.gz") == "out.json.gz"
    assert len(ObservabilityExport.load("out.json.gz").events) == 1


@pytest.mark.parametrize("path", ["all.jsonl", "all.jsonl.gz"])
def test_append_keeps_every_flush(recorder: Recorder, path: str) -> None:
    """S1-73: one valid export a line, only what is new; nothing new adds nothing; mode 0600; loaded as one."""
    for name in ("a\n\u2028", "b"):
        recorder.call(recorder.open(name))
        assert recorder.file.flush(path, mode="append") == path
        recorder.file.flush(path, mode="append")
    text = Path(path).read_bytes()
    text = gzip.decompress(text) if path.endswith(".gz") else text
    exports = [json.loads(line) for line in text.split(b"\n") if line]
    assert [[session["name"] for session in export["sessions"]] for export in exports] == [["a\n\u2028"], ["b"]]
    assert [finding for export in exports for finding in findings(export)] == []
    assert mode_of(path) == 0o600
    assert len(ObservabilityExport.load(path).events) == 2


def test_a_torn_line_is_ended_first(recorder: Recorder) -> None:
    """S1-73: what a killed process left does not spoil the next line."""
    Path("all.jsonl").write_text('{"sessions": [')
    recorder.call(recorder.open())
    recorder.file.flush("all.jsonl", mode="append")
    assert len(json.loads(Path("all.jsonl").read_text().splitlines()[1])["events"]) == 1


def test_a_disk_that_is_full_leaves_whole_lines(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-73, promise 5: the line that did not fit goes, and comes with the next flush."""
    recorder.call(recorder.open("a"))
    recorder.file.flush("all.jsonl", mode="append")
    recorder.call(recorder.open("b"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert recorder.file.flush("all.jsonl", mode="append") is None
    assert len(lines_of("all.jsonl")) == 1
    recorder.file.flush("all.jsonl", mode="append")
    assert [len(export["events"]) for export in lines_of("all.jsonl")] == [1, 1]


def test_the_mode_is_an_argument_of_flush() -> None:
    """S1-73: observer.flush(mode="append"); another word is a mistake to know."""
    for _ in range(2):
        with observer.session("s"):
            pass
        observer.flush("all.jsonl", mode="append")
    assert len(lines_of("all.jsonl")) == 2
    with pytest.raises(ConfigurationError, match="'add' is not replace or append"):
        observer.flush(mode="add")
