"""Kill, fork, several processes: what was recorded is in the file in the end, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aiobs.exporters.session.journal import is_written, segments
from aiobs.exporters.session.recovery import RecoverResult, left_behind, recover

from .conftest import Recorder, load, model_call

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # test runners are
JOURNAL = Path("llm_observability.json.journal")
SETUP = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.exporters.session.conftest import *
session = sys.argv[1] if sys.argv[1:] else None
recorder = Recorder()
parent = {{"parent_session_id": os.environ["PARENT"]}} if "PARENT" in os.environ else {{}}
record = session_record(ended_at=None, meta={{"pid": 1, "cwd": "/", **parent}}, **({{"id": session}} if session else {{}}))
recorder.file.session(record)
"""


def process(program: str, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[3])
    code = SETUP.format(root=root) + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def run(program: str, *arguments: str) -> int:
    started = process(program, *arguments)
    started.communicate(timeout=30)
    return started.returncode


KILLED = """
    for _ in range(20):
        recorder.call(record["id"])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing() -> None:
    """Promise 5: kill -9, then recover: every call that had ended is in the file."""
    assert run(KILLED) == -signal.SIGKILL
    assert not Path("llm_observability.json").exists()
    found = recover()
    assert found == RecoverResult(str(Path("llm_observability.json").absolute()), 1, 1, 20, 0)
    assert len(load()["events"]) == len(load()["trace_tree"]) == 20
    assert not JOURNAL.exists()
    assert recover() == RecoverResult(None)


def test_recovering_says_what_was_torn() -> None:
    """Half a line, as a full disk or a crash of the machine leaves it, costs one event."""
    run(KILLED)
    [segment] = segments(JOURNAL)
    segment.write_bytes(segment.read_bytes()[:-100])
    found = recover()
    assert (found.events, found.torn) == (19, 1)


def test_recovering_adds_to_the_file_of_another_run() -> None:
    """A run that ended well after the killed one keeps its file."""
    run(KILLED)
    run("recorder.call(record['id']); recorder.file.flush()")
    assert len(load()["events"]) == 1
    recover()
    export = load()
    assert (len(export["events"]), len(export["sessions"])) == (21, 2)


def test_recovering_twice_after_a_crash_in_between_adds_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was written, the segments were not removed yet: events are deduplicated by span."""
    run(KILLED)
    with monkeypatch.context() as patched:
        patched.setattr("aiobs.exporters.session.files.remove", lambda paths: None)
        recover()
    recover()
    assert len(load()["events"]) == 20


def test_recovering_leaves_the_segments_of_the_living(recorder: Recorder) -> None:
    """Only what nobody writes any more is recovered."""
    recorder.call(recorder.open())
    run(KILLED)
    assert recover().events == 20
    [left] = segments(JOURNAL.absolute())
    assert is_written(left)
    recorder.file.flush()


def test_something_else_at_the_path_is_not_overwritten() -> None:
    """Recovering writes beside a file that is no export."""
    run(KILLED)
    Path("llm_observability.json").write_text("notes of mine")
    assert recover().path == str(Path("llm_observability.recovered.json").absolute())
    assert Path("llm_observability.json").read_text() == "notes of mine"
    assert len(load("llm_observability.recovered.json")["events"]) == 20


def test_journals_of_paths_with_placeholders_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLM_OBS_OUT={session_id}.json: a placeholder stands for anything."""
    monkeypatch.setenv("LLM_OBS_OUT", "out/{session_id}.json")
    run(KILLED, "a")
    run(KILLED, "b")
    assert left_behind() == [str(Path(f"out/{name}.json").absolute()) for name in ("a", "b")]
    for path in left_behind():
        assert recover(path).events == 20


@forks
def test_a_child_that_died_is_folded_by_its_parent(recorder: Recorder) -> None:
    """S1-81: a forked child records into the session it was born in; nothing twice, nothing lost."""
    session = recorder.open()
    before = recorder.call(session)
    child = os.fork()
    if child == 0:
        recorder.call(session, model_call(started_ns=1))
        os._exit(0)
    os.waitpid(child, 0)
    after = recorder.call(session)
    recorder.file.flush()
    events = load()["events"]
    assert len(events) == 3
    assert {before, after} < {event["span_id"] for event in events}
    assert not JOURNAL.exists()


@forks
def test_a_child_that_flushes_and_its_parent_share_the_file(recorder: Recorder) -> None:
    """Whoever flushes last, the file has the calls of both, each once."""
    session = recorder.open()
    recorder.call(session)
    child = os.fork()
    if child == 0:
        recorder.call(session)
        recorder.file.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(load()["events"]) == 2
    recorder.call(session)
    recorder.file.flush()
    assert len({event["span_id"] for event in load()["events"]}) == 3
    assert not JOURNAL.exists()


def test_a_session_inside_of_ours_is_folded_too(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process that opened a session of its own, and died, belongs to the run."""
    with monkeypatch.context() as patched:
        patched.setenv("PARENT", recorder.open())
        run(KILLED)
    run(KILLED)
    recorder.file.flush()
    export = load()
    assert (len(export["sessions"]), len(export["events"])) == (2, 20)
    assert len(segments(JOURNAL)) == 1
    recover()


def test_processes_that_flush_at_once_lose_nothing() -> None:
    """Six processes of one session, five flushes each, into one file."""
    program = """
        for _ in range(5):
            recorder.call(record["id"])
            recorder.file.session(record)
            recorder.file.flush()
    """
    running = [process(program, "shared-session") for _ in range(6)]
    for started in running:
        started.communicate(timeout=60)
    assert [started.returncode for started in running] == [0] * 6
    export = load()
    assert len(export["sessions"]) == 1
    assert len({event["span_id"] for event in export["events"]}) == len(export["events"]) == 30


def test_a_file_that_grows_beyond_the_disk_is_never_half_written() -> None:
    """A real limit in the middle of the write: the old file stays, the journal too."""
    run("recorder.call(record['id']); recorder.file.flush()")
    before = Path("llm_observability.json").read_bytes()
    program = """
        import resource
        for _ in range(20):
            recorder.call(record["id"])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        assert recorder.file.flush() is None
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(program) == -signal.SIGKILL
    assert Path("llm_observability.json").read_bytes() == before
    assert recover().events == 20


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system takes root")
def test_a_small_file_system_that_is_full(tmp_path: Path) -> None:
    """The same with a file system that really has no room left, and room again afterwards."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        filler = tmp_path / "filler"
        filler.write_bytes(b"x" * 40_000)
        recorder = Recorder(str(tmp_path / "out.json"))
        session = recorder.open()
        for _ in range(60):
            recorder.call(session)
        assert recorder.file.flush() is None
        filler.unlink()
        target = tmp_path.parent / "elsewhere.json"
        recorder.file.flush(str(target))
        assert len(load(target)["events"]) == 60
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_recovered_file_is_an_export_like_any_other() -> None:
    """Same keys, same layout."""
    run(KILLED)
    recover()
    text = Path("llm_observability.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=2) + "\n"
