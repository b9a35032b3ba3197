"""The exporter otlp-json: files of lines, whole, rotated, compressed, shared, on a full disk, and read back."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from aiobs.errors import ConfigurationError, UnreadableFile
from aiobs.exporters import Exporter
from aiobs.exporters.delivery.processors import deliver
from aiobs.exporters.lines import line_file as module
from aiobs.exporters.lines import writer as lines_module
from aiobs.exporters.lines.line_file import LineFile, pack
from aiobs.exporters.otlp_json import OTLPJSONSpanExporter, line_file
from aiobs.reading import otlp_json as reading
from tests.exporters.encoding.test_encoding import named

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # test runners are


def names(folder: Path) -> list[str]:
    """The names of all spans in all files of a folder."""
    return [row["name"] for file in reading.files_of(folder) for row in reading.spans(file)]


def export(file: LineFile, *wanted: str) -> SpanExportResult:
    return OTLPJSONSpanExporter(file).export([named(name) for name in wanted])


def written(place: Path, *wanted: str, **options: Any) -> None:
    """By a process that has ended since."""
    file = line_file(place, **options)
    export(file, *wanted)
    assert file.close(10)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "out" / "otlp.jsonl"


def test_all_three_signals_go_to_one_file(place: Path) -> None:
    """Spans, log records and metrics, one object a line, readable by their user only."""
    options = {"path": str(place), "rotate_bytes": "1000000", "gzip": "0", "fsync": "batch"}
    made = deliver(Exporter("otlp-json", **options))  # type: ignore[arg-type]  # options as text
    traces, logs = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    traces.add_span_processor(made.span_processors[0])
    logs.add_log_record_processor(made.log_processors[0])
    meters = MeterProvider(made.metric_readers, shutdown_on_exit=False)
    with traces.get_tracer("t").start_as_current_span("span"):
        logs.get_logger("l").emit(body={"text": "said"}, event_name="event", attributes={"a": 1})
    meters.get_meter("m").create_counter("calls", "1").add(2, {"model": "x"})
    for provider in (traces, logs, meters):
        provider.shutdown()
    assert sorted(next(iter(line)) for line in reading.objects(place)) == [
        "resourceLogs",
        "resourceMetrics",
        "resourceSpans",
    ]
    (span,), (record,) = reading.spans(place), reading.logs(place)
    (point,) = (row for row in reading.points(place) if row["metric"] == "calls")
    assert (span["name"], span["status"], span["resource"]["telemetry.sdk.language"]) == ("span", "unset", "python")
    assert (record["event_name"], record["body"], record["trace_id"]) == ("event", {"text": "said"}, span["trace_id"])
    assert (point["value"], point["attributes"], point["kind"]) == (2, {"model": "x"}, "sum")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_line_is_one_write(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its newline; a line that an earlier process left torn is ended first."""
    place.parent.mkdir()
    place.write_bytes(b'{"resourceSpans":[{"sc')
    written: list[bytes] = []
    monkeypatch.setattr(lines_module.os, "write", lambda descriptor, data: written.append(data) or len(data))
    export(line_file(place), "a")
    export(line_file(place.with_name("b.jsonl")), "b")
    first, second = written
    assert (first[:1], first[-1:], second[:1], second[-1:]) == (b"\n", b"\n", b"{", b"\n")


def test_rotation_by_size(place: Path) -> None:
    """No file is larger than it may be, all are there, whole, in order, and compressed but for the last."""
    file = line_file(place, rotate_bytes=2_000)
    for number in range(20):
        export(file, str(number))
    assert file.close(10)
    found = sorted(path.name for path in place.parent.iterdir())
    assert [name.endswith(".gz") for name in found].count(False) == 1
    assert all(len(gzip.decompress(path.read_bytes())) <= 2_000 for path in place.parent.glob("*.gz"))
    assert names(place.parent) == [str(number) for number in range(20)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.parent.iterdir()} == {0o600}


def test_rotation_by_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that comes after so many seconds opens a new file; the wall clock has no say."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    file = line_file(place, rotate_seconds=60, gzip=False)
    for moment in (100.0, 159.0, 161.0, 162.0):
        now[0] = moment
        export(file, str(moment))
    shape = [[row["name"] for row in reading.spans(path)] for path in reading.files_of(place)]
    assert shape == [["100.0", "159.0"], ["161.0", "162.0"]]


def test_a_clock_that_stands_still_does_not_overwrite(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files closed in the same second have numbers."""
    monkeypatch.setattr(module.time, "gmtime", lambda: module.time.struct_time((2026, 1, 1, 0, 0, 0, 3, 1, 0)))
    file = line_file(place, rotate_bytes=1)
    for name in "abc":
        export(file, name)
    file.close(10)
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "otlp.20260101T000000Z-001.jsonl.gz",
        "otlp.20260101T000000Z-002.jsonl.gz",
        "otlp.jsonl",
    ]
    assert sorted(names(place.parent)) == ["a", "b", "c"]


def test_a_file_that_is_full_already_is_rotated_first(place: Path) -> None:
    """What an earlier process left is not made larger."""
    written(place, "old", gzip=False)
    written(place, "new", rotate_bytes=1, gzip=False)
    assert [row["name"] for row in reading.spans(place)] == ["new"]
    assert sorted(names(place.parent)) == ["new", "old"]


@pytest.mark.quiet_guard
def test_where_nothing_can_be_renamed_the_file_grows(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One large file is better than none."""

    def refuse(path: Path) -> Path:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(module, "_renamed", refuse)
    file = line_file(place, rotate_bytes=1)
    for name in "abc":
        assert export(file, name) is SpanExportResult.SUCCESS
    assert names(place.parent) == ["a", "b", "c"]


@pytest.mark.parametrize("moment", ["os.replace", "os.fsync", "shutil.copyfileobj", "Path.unlink"])
def test_compressing_that_is_broken_off_loses_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A crash at any moment leaves one whole file, which the next process compresses."""
    place.parent.mkdir()
    closed = place.with_name("otlp.20260101T000000Z-001.jsonl")
    written(closed, "a")
    owner, _, name = moment.partition(".")

    def crash(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(getattr(module, owner), name, crash)
        with pytest.raises(KeyboardInterrupt):
            pack(closed)
    assert set(names(place.parent)) == {"a"}
    written(place, "b")
    assert sorted(path.name for path in place.parent.iterdir()) == [f"{closed.name}.gz", "otlp.jsonl"]
    assert sorted(names(place.parent)) == ["a", "b"]


@pytest.mark.parametrize(("policy", "during", "after"), [("never", 0, 0), ("close", 0, 1), ("batch", 2, 3)])
def test_fsync(place: Path, monkeypatch: pytest.MonkeyPatch, policy: str, during: int, after: int) -> None:
    """Never; once, before the file is closed; after every batch."""
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fsync", synced.append)
    file = line_file(place, fsync=policy)
    export(file, "a")
    export(file, "b")
    assert len(synced) == during
    file.close()
    assert len(synced) == after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fsync": "always"}, "fsync='always' is not never, close or batch"),
        ({"rotate_bytes": "big"}, "'big' is not a size in bytes"),
        ({"rotate_seconds": "-1"}, "'-1' is not a number of seconds"),
        ({"rotate_seconds": 0}, "leave it out"),
        ({"gzip": "perhaps"}, "'perhaps' is not a switch"),
        ({"path": "."}, "is a folder; name a file in it"),
        ({"path": "file/otlp.jsonl"}, "cannot be made"),
    ],
)
def test_what_cannot_work_is_said_at_once(options: dict[str, Any], message: str) -> None:
    """At configuration, with what to do."""
    Path("file").touch()
    with pytest.raises(ConfigurationError, match=message):
        line_file(**options)


class Disk:
    """``os.write`` takes ``room`` bytes, then there is no space left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self._write = os.write
        monkeypatch.setattr(lines_module.os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room is None:
            return self._write(descriptor, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk_delays_lines(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, room: int
) -> None:
    """What the disk refuses is kept, told once, and written after a newline when there is room again."""
    disk, file = Disk(monkeypatch), line_file(place)
    export(file, "a")
    disk.room = room
    with caplog.at_level(logging.WARNING, "aiobs"):
        assert {export(file, "b"), export(file, "c")} == {SpanExportResult.SUCCESS}
    disk.room = None
    assert OTLPJSONSpanExporter(file).force_flush()
    broken = reading.Broken()
    assert [row["name"] for row in reading.spans(place, broken)] == ["a", "b", "c"]
    assert (broken.lines, len(caplog.records)) == (1 if room else 0, 1)


def test_beyond_the_backlog_spans_are_dropped_and_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The export fails, the lines are counted, one warning says so."""
    monkeypatch.setattr(lines_module, "BACKLOG_BYTES", 100)
    disk, file = Disk(monkeypatch), line_file(place)
    disk.room = 0
    with caplog.at_level(logging.WARNING, "aiobs"):
        assert {export(file, "a"), export(file, "b")} == {SpanExportResult.FAILURE}
    assert file.dropped == 2
    assert [record.getMessage().partition(" ")[2][:20] for record in caplog.records].count(f"{place}"[:20]) == 1


def test_a_full_file_system(tmp_path: Path) -> None:
    """The same with a real limit on the size of files: what did not fit comes when there is room."""
    program = """
        import resource, signal, sys
        from aiobs.exporters.otlp_json import OTLPJSONSpanExporter
        from tests.exporters.encoding.test_encoding import named
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        exporter = OTLPJSONSpanExporter(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        for number in range(30):
            exporter.export([named(str(number))])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        exporter.shutdown()
    """
    path = tmp_path / "otlp.jsonl"
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)], check=True, cwd=ROOT)
    assert [row["name"] for row in reading.spans(path)] == [str(number) for number in range(30)]


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("may not mount a file system")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_disk_that_is_really_full(tiny: Path) -> None:
    """What was written stays whole, what was not comes when there is room, and nothing is raised."""
    filler, file = tiny / "filler", line_file(tiny / "otlp.jsonl")
    export(file, "first")
    with filler.open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        full.writelines(itertools.repeat(b"x" * 512))
    for number in range(30):
        assert export(file, str(number)) is SpanExportResult.SUCCESS
    filler.unlink()
    export(file, "last")
    assert names(tiny) == ["first", *map(str, range(30)), "last"]


def test_a_deleted_file_is_made_again(place: Path) -> None:
    """Somebody who deletes the file, or the folder, loses what was in it, not what comes."""
    file = line_file(place)
    export(file, "a")
    place.unlink()
    place.parent.rmdir()
    export(file, "b")
    assert names(place.parent) == ["b"]


def test_a_folder_that_cannot_be_written_any_more_delays_lines(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Something is in its way: one warning, and what came meanwhile is written when it is gone."""
    file = line_file(place)
    place.parent.rmdir()
    place.parent.write_text("in the way")
    with caplog.at_level(logging.WARNING, "aiobs"):
        assert {export(file, "a"), export(file, "b")} == {SpanExportResult.SUCCESS}
    assert len(caplog.records) == 1
    place.parent.unlink()
    export(file, "c")
    assert names(place.parent) == ["a", "b", "c"]


def test_threads_do_not_mix_their_lines(place: Path) -> None:
    """Eight threads, rotation beneath them."""
    file = line_file(place, rotate_bytes=20_000)

    def write(number: int) -> None:
        for n in range(50):
            export(file, f"{number}-{n}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.close(30)
    assert sorted(names(place.parent)) == sorted(f"{t}-{n}" for t in range(8) for n in range(50))


WRITER = """
    import sys
    from aiobs.exporters.otlp_json import OTLPJSONSpanExporter, line_file
    from tests.exporters.encoding.test_encoding import named
    exporter = OTLPJSONSpanExporter(line_file(sys.argv[1], rotate_bytes=30_000))
    for number in range(0, 1000, 10):
        exporter.export([named(f"{sys.argv[2]}-{number + more}") for more in range(10)])
    exporter.shutdown()
"""


@pytest.mark.timeout(180)
def test_eight_processes_share_a_path(place: Path) -> None:
    """Eight times 1,000 spans to one path, rotated and compressed meanwhile: none torn, none missing, none twice."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(place)]
    running = [subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(8)]
    assert [process.wait(150) for process in running] == [0] * 8
    broken = reading.Broken()
    found = [row["name"] for file in reading.files_of(place) for row in reading.spans(file, broken)]
    assert sorted(found) == sorted(f"{process}-{n}" for process in range(8) for n in range(1000))
    assert broken.lines == 0
    assert not [*place.parent.glob("*.tmp")]


@forks
def test_a_child_writes_a_file_of_its_own(place: Path) -> None:
    """Nothing of the parent's is written to or waited for, its lock and backlog included."""
    file = line_file(place)
    export(file, "parent")
    with file._lock:  # held by somebody at the moment of the fork
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            export(file, "child")
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    export(file, "parent again")
    assert [[row["name"] for row in reading.spans(path)] for path in sorted(place.parent.iterdir())] == [
        ["child"],
        ["parent", "parent again"],
    ]


# Reading


def test_broken_lines_cost_themselves(tmp_path: Path) -> None:
    """They are counted: torn ones, other JSON, what is no OTLP; U+2028 does not end a line."""
    path = tmp_path / "x.jsonl"
    written(path, "a\u2028b")
    with path.open("ab") as file:
        file.write(b'{"resourceSpans":[{"sco\n[1]\n\n\xff\n{"resourceSpans":[1]}\n{"resourceLogs":[]}\n')
    written(path, "c")
    broken = reading.Broken()
    assert [row["name"] for row in reading.spans(path, broken)] == ["a\u2028b", "c"]
    assert broken.lines == 4


def test_a_gzip_file_that_is_cut_short_gives_what_can_be_read(tmp_path: Path) -> None:
    """And counts as broken."""
    path, lines = (
        tmp_path / "x.jsonl.gz",
        [f'{{"resourceSpans":[],"n":{n},"t":"{os.urandom(40).hex()}"}}\n' for n in range(500)],
    )
    path.write_bytes(gzip.compress("".join(lines).encode())[:-8_000])
    broken = reading.Broken()
    found = [*reading.objects(path, broken)]
    assert (found[0]["n"], 0 < len(found) < 500, broken.lines) == (0, True, 1)


@pytest.mark.parametrize(("path", "message"), [("nowhere.jsonl", "There is no file"), (".", "is a folder")])
def test_what_cannot_be_read_says_why(path: str, message: str) -> None:
    """With what to do."""
    with pytest.raises(UnreadableFile, match=message):
        next(reading.objects(path))


@pytest.mark.parametrize("read", [reading.spans, reading.logs, reading.points])
def test_rows_of_nothing(read: Callable[[Path], Iterator[Any]], tmp_path: Path) -> None:
    """An empty file, and one with other signals, has no rows."""
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"other": []}) + "\n")
    assert [*read(path)] == []
