"""The journal: whole lines whatever happens to the process, the disk and the directory."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiobs.exporters.lines.writer import BACKLOG_BYTES
from aiobs.exporters.session import journal as module
from aiobs.exporters.session.journal import Journal, is_written, lines, segments


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "file.journal", "session")


def values(directory: Path) -> list[Any]:
    found = []
    for segment in segments(directory):
        with segment.open("rb") as file:
            found += [line.value for line in lines(file)]
    return found


def line(**value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


class Disk:
    """``os.write`` as the journal sees it: takes ``room`` bytes, then there is no space left on the device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.calls: list[bytes] = []
        self._write = os.write
        monkeypatch.setattr(module.os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        self.calls.append(data)
        if self.room is None:
            return self._write(descriptor, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    return Disk(monkeypatch)  # type: ignore[return-value]


def test_a_line_is_one_write_after_the_header(journal: Journal, disk: Disk) -> None:
    """One ``write`` a line: a kill leaves whole lines."""
    journal.append(b'{"n":1}')
    journal.append(b'{"n":2}')
    assert disk.calls == [b'{"aiobs_journal":1,"pid":%d}\n' % os.getpid(), b'{"n":1}\n', b'{"n":2}\n']


def test_only_the_user_can_read_it(journal: Journal) -> None:
    """S1-73: prompts are private: directory 0700, segments 0600."""
    journal.append(b"{}")
    assert stat.S_IMODE(journal.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(segments(journal.directory)[0].stat().st_mode) == 0o600


def test_line_separators_of_unicode_belong_to_the_text(journal: Journal) -> None:
    """U+2028, U+0085 and a form feed do not end a line."""
    text = "a\u2028b\u0085c\x0cd"
    journal.append(line(text=text))
    assert values(journal.directory) == [{"text": text}]


def test_torn_lines_are_passed_over_and_counted(journal: Journal) -> None:
    """Garbage costs itself only."""
    journal.append(b'{"n":1}')
    with segments(journal.directory)[0].open("ab") as file:
        file.write(b'{"n":2, "text": "cut o\n\xff\xfe\n[1]\n\n{"n":3}\n{"n":4')
    assert values(journal.directory) == [{"n": 1}, None, None, None, {"n": 3}, None]


def test_files_that_are_no_segments_are_left_alone(tmp_path: Path) -> None:
    """Only what has our header is read."""
    (tmp_path / "notes.jsonl").write_text('{"event": 1}\n')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "directory.jsonl").mkdir()
    assert segments(tmp_path) == []


def test_a_full_disk_delays_lines(journal: Journal, disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """What the disk refuses is kept and written, in order, when there is room again; one warning says so."""
    journal.append(b'{"n":1}')
    disk.room = 0
    with caplog.at_level(logging.WARNING, "aiobs"):
        journal.append(b'{"n":2}')
        journal.append(b'{"n":3}')
    disk.room = None
    journal.append(b'{"n":4}')
    assert values(journal.directory) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text


def test_after_a_short_write_a_newline_comes_first(journal: Journal, disk: Disk) -> None:
    """The torn half is a line of its own, the whole line follows."""
    journal.append(b'{"n":1}')
    disk.room = 4
    journal.append(b'{"n":2}')
    disk.room = None
    journal.retry()
    assert values(journal.directory) == [{"n": 1}, None, {"n": 2}]


@pytest.mark.parametrize("room", [0, 7])
def test_a_disk_that_is_full_from_the_start_loses_nothing(journal: Journal, disk: Disk, room: int) -> None:
    """A segment without its whole header is none: it is made anew."""
    disk.room = room
    journal.append(b'{"n":1}')
    assert segments(journal.directory) == []
    disk.room = None
    journal.append(b'{"n":2}')
    assert values(journal.directory) == [{"n": 1}, {"n": 2}]


def test_the_backlog_is_bounded_and_drops_are_counted(journal: Journal, disk: Disk) -> None:
    """Beyond 1 MiB lines are dropped; the count is on the journal, and in it as soon as the disk takes lines again."""
    disk.room = 0
    for _ in range(5):
        journal.append(b'"' + b"x" * (BACKLOG_BYTES // 4) + b'"')
    assert journal.dropped == 2
    disk.room = None
    journal.append(b'{"n":1}')
    assert values(journal.directory)[-2:] == [{"dropped": 2}, {"n": 1}]


def test_a_full_file_system(tmp_path: Path) -> None:
    """The same on a real file size limit: whole lines up to it, the rest in the backlog, no exception."""
    program = """
        import resource, signal, sys
        from pathlib import Path
        from aiobs.exporters.session.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal(Path(sys.argv[1]), "s")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        for n in range(30):
            journal.append(b'{"n":%d,"text":"%s"}' % (n, b"x" * 60))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        journal.retry()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], check=True)
    assert [value["n"] for value in values(tmp_path) if value] == list(range(30))


def test_a_deleted_directory_is_made_again(journal: Journal) -> None:
    """Somebody who deletes the journal loses what was in it, not what comes."""
    journal.append(b'{"n":1}')
    segments(journal.directory)[0].unlink()
    journal.directory.rmdir()
    journal.append(b'{"n":2}')
    assert values(journal.directory) == [{"n": 2}]


def test_threads_do_not_mix_their_lines(journal: Journal) -> None:
    """Eight threads, 200 lines each, all whole."""

    def write(number: int) -> None:
        for n in range(200):
            journal.append(line(thread=number, n=n, text="x" * 300))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = values(journal.directory)
    assert len(found) == 1600
    assert {(value["thread"], value["n"]) for value in found} == {(t, n) for t in range(8) for n in range(200)}


forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # test runners are


@forks
def test_a_child_writes_a_segment_of_its_own(journal: Journal, disk: Disk) -> None:
    """After a fork nothing of the parent's is written to, waited for or written twice, its lock and backlog included."""
    journal.append(b'{"who":"parent"}')
    disk.room = 0
    journal.append(b'{"who":"parent, late"}')
    disk.room = None
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with journal._lock:
            locked.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        journal.append(b'{"who":"child"}')
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    done.set()
    holder.join()
    own, of_child = segments(journal.directory)
    assert (f"-{child}-" in of_child.name, is_written(own), is_written(of_child)) == (True, True, False)
    journal.retry()
    assert values(journal.directory) == [{"who": "parent"}, {"who": "parent, late"}, {"who": "child"}]


@forks
def test_a_child_does_not_keep_the_parents_segment_locked(journal: Journal) -> None:
    """A worker that outlives its killed parent does not stand in the way of recovering the parent's segment."""
    journal.append(b"{}")
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(wait, 1)
        os._exit(0)
    [segment] = segments(journal.directory)
    assert is_written(segment)
    journal.rotate()
    deadline = time.monotonic() + 5
    while is_written(segment) and time.monotonic() < deadline:  # until the child has come to its hooks
        time.sleep(0.01)
    assert not is_written(segment)
    os.close(go)
    os.close(wait)
    assert os.waitpid(child, 0)[1] == 0


def test_rotating_freezes_what_was_written(journal: Journal) -> None:
    """Lines that come during a flush go to the next segment, and stay when the flushed ones are discarded."""
    journal.append(b'{"n":1}')
    closed = journal.rotate()
    journal.append(b'{"n":2}')
    journal.discard(closed)
    assert values(journal.directory) == [{"n": 2}]
    journal.discard(journal.rotate())
    assert journal.is_empty
    assert not list(journal.directory.iterdir())
