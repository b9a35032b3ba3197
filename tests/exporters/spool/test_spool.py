"""The spool: what ``export`` has taken arrives, in order, whatever happens to backend, process, disk and clock."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from aiobs.exporters.encoding.encoder import span_lines
from aiobs.exporters.lines import writer as lines_module
from aiobs.exporters.spool import AnsweringSession, SpoolingLogExporter, SpoolingSpanExporter
from aiobs.exporters.spool import folder as spool_folder
from aiobs.reading import otlp_json as reading
from aiobs.testing import OTLPSink
from tests.exporters.encoding.test_encoding import named

ROOT = Path(__file__).resolve().parents[3]
OUTAGE = float(os.environ.get("AIOBS_OUTAGE_SECONDS", "5"))  # read before the fixtures clear the environment
QUICK = (0.005, 0.02)

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # test runners are


class Backend(SpanExporter):
    """Takes spans while ``answers`` says so; ``refuses`` are names that it never takes."""

    def __init__(self) -> None:
        self.answers = True
        self.refuses: set[str] = set()
        self.code = 400
        self.names: list[str] = []
        self.attempts = 0
        self.contexts: list[Any] = []
        self.changed = threading.Condition()
        self.is_shut = False
        self._status: int | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        found = [span.name for span in spans]
        with self.changed:
            self.attempts += 1
            self.contexts.append(get_current())
            refused = self.refuses & {*found}
            self._status = None if not self.answers else self.code if refused else 200
            taken = self.answers and not refused
            self.names += found if taken else []
            self.changed.notify_all()
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    def status(self) -> int | None:
        status, self._status = self._status, None
        return status

    def shutdown(self) -> None:
        self.is_shut = True

    def wait_for(self, condition: Callable[[Backend], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), 20), self.names


@pytest.fixture
def backend() -> Backend:
    return Backend()


Make = Callable[..., SpoolingSpanExporter]


@pytest.fixture
def make(backend: Backend, tmp_path: Path) -> Iterator[Make]:
    """Spools in one folder, as processes one after the other or at once have them."""
    made: list[SpoolingSpanExporter] = []

    def spool(**options: Any) -> SpoolingSpanExporter:
        inner = options.pop("inner", backend)
        made.append(SpoolingSpanExporter(inner, tmp_path / "spool", **{"backoff": QUICK, **options}))
        return made[-1]

    yield spool
    for exporter in made:
        exporter.shutdown()


def give(spool: SpoolingSpanExporter, *wanted: str) -> SpanExportResult:
    return spool.export([named(name) for name in wanted])


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "spool" / "traces").glob("*"))


def test_batches_arrive_in_order(make: Make, backend: Backend, tmp_path: Path) -> None:
    """Once each; what has arrived needs no room, and is nobody else's to read."""
    spool = make()
    for number in range(200):
        assert give(spool, str(number)) is SpanExportResult.SUCCESS
    assert stat.S_IMODE((tmp_path / "spool" / "traces").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool" / "traces").iterdir()} == {0o600}
    assert spool.force_flush(20_000)
    assert backend.names == [str(number) for number in range(200)]
    assert len(files(tmp_path)) == 2
    spool.shutdown()
    assert files(tmp_path) == []
    assert backend.is_shut


def test_what_is_sent_is_what_was_given(make: Make) -> None:
    """Everything of a span, by the lines that are proven elsewhere."""
    sent: list[ReadableSpan] = []

    class Keeping(Backend):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            sent.extend(spans)
            return SpanExportResult.SUCCESS

    spool = make(inner=Keeping())
    span = named("a", {"list": ("x",), "bytes": b"\x00", "n": 2**62})
    spool.export([span])
    assert spool.force_flush(20_000)
    (back,) = sent
    assert [*span_lines([back])] == [*span_lines([span])]


def test_log_records_go_through_a_spool_of_their_own(tmp_path: Path) -> None:
    """The same for events."""
    bodies: list[Any] = []

    class Logs(LogRecordExporter):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            bodies.extend(record.log_record.body for record in batch)
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return True

    spool = SpoolingLogExporter(Logs(), tmp_path / "spool", backoff=QUICK)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(spool))
    provider.get_logger("l").emit(body={"text": "said"}, event_name="event")
    assert spool.force_flush(20_000)
    provider.shutdown()
    assert bodies == [{"text": "said"}]
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["logs"]


def test_what_sends_telemetry_is_not_telemetry(make: Make, backend: Backend) -> None:
    """Instrumentations of HTTP clients are told to keep still in the thread that sends."""
    spool = make()
    give(spool, "a")
    assert spool.force_flush(20_000)
    assert backend.contexts[0].get("suppress_instrumentation") is True


def test_a_dead_backend_is_waited_for(make: Make, backend: Backend) -> None:
    """Batches pile up on disk and arrive in order, once, when it is back."""
    backend.answers = False
    spool = make()
    for number in range(50):
        assert give(spool, str(number)) is SpanExportResult.SUCCESS
    backend.wait_for(lambda backend: backend.attempts >= 5)
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == [str(number) for number in range(50)]
    assert (spool.dropped, spool.refused) == (0, 0)


def test_flush_and_shutdown_do_not_wait_for_a_dead_backend(make: Make, backend: Backend, tmp_path: Path) -> None:
    """One attempt tells; what is left is on disk."""
    backend.answers = False
    spool = make(backoff=(60.0, 60.0))
    give(spool, "a")
    assert spool.force_flush(20_000) is False
    spool.shutdown()
    assert spool._drainer.stop(20.0)
    assert len(files(tmp_path)) == 2


def test_a_hanging_exporter_does_not_hold_up_flush_or_shutdown(make: Make, tmp_path: Path) -> None:
    """Both come back within their time; the next process delivers."""
    hanging, release = threading.Event(), threading.Event()

    class Hanging(Backend):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            hanging.set()
            release.wait(30)
            return SpanExportResult.FAILURE

    spool = make(inner=Hanging())
    give(spool, "a")
    assert hanging.wait(10)
    assert spool.force_flush(10) is False
    spool.shutdown(10)
    assert len(files(tmp_path)) == 2
    release.set()
    assert spool._drainer.stop(20.0)


def test_a_restart_goes_on_where_it_was(make: Make, backend: Backend) -> None:
    """What the first process delivered is not sent again, the rest is, before what is new."""
    first = make()
    give(first, "a")
    assert first.force_flush(20_000)
    backend.answers = False
    give(first, "b")
    give(first, "c")
    first.shutdown()
    backend.answers = True
    second = make()
    give(second, "d")
    assert second.force_flush(20_000)
    assert backend.names == ["a", "b", "c", "d"]


def test_spans_after_shutdown_are_for_the_next_process(make: Make, backend: Backend) -> None:
    """A span that ends in another exit function is not lost."""
    first = make()
    first.shutdown()
    assert give(first, "late") is SpanExportResult.SUCCESS
    first._spool.close()  # as the end of the process does
    second = make()
    assert second.force_flush(20_000)
    backend.wait_for(lambda backend: backend.names == ["late"])


def test_a_segment_of_a_living_process_is_left_alone(make: Make, backend: Backend) -> None:
    """Two that share a folder deliver what is theirs, once."""
    backend.answers = False
    first = make()
    give(first, "a")
    second = make()  # which looks for what dead ones left
    give(second, "b")
    backend.wait_for(lambda backend: backend.attempts >= 4)
    backend.answers = True
    for spool in (first, second):
        assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert sorted(backend.names) == ["a", "b"]


def test_a_clock_that_goes_backwards_changes_nothing(
    make: Make, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments go in the order of their writing, not of their names."""
    monkeypatch.setattr(spool_folder.time, "time_ns", iter(range(10**18, 0, -(10**9))).__next__)
    backend.answers = False
    spool = make(max_bytes=100_000_000)
    spool._spool._segment_bytes = 1
    for number in range(20):
        give(spool, str(number))
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == [str(number) for number in range(20)]


def test_the_spool_is_bounded(make: Make, backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond ``max_bytes`` the oldest go, are counted and told once; the others arrive in order."""
    backend.answers = False
    with caplog.at_level(logging.WARNING, "aiobs"):
        losses: Counter[str] = Counter()
        spool = make(max_bytes=20_000, on_loss=lambda reason, count: losses.update({reason: count}))
        for number in range(200):
            give(spool, str(number))
            assert sum(path.stat().st_size for path in (tmp_path / "spool" / "traces").glob("*.jsonl")) <= 20_000
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert spool.dropped > 100
    assert losses == {"spool_full": spool.dropped}
    assert backend.names == [str(number) for number in range(spool.dropped, 200)]
    assert [record.getMessage() for record in caplog.records if "is full" in record.getMessage()] == [
        f"aiobs: the spool {tmp_path / 'spool'} is full. Its oldest traces are dropped and counted. "
        "Is the backend there? `aiobs doctor --otlp` tells; `max_bytes` is its bound, 512 MiB."
    ]


def test_broken_lines_are_set_aside(
    make: Make, backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read stands in nobody's way, and is told once."""
    backend.answers = False
    first = make()
    give(first, "a")
    first.shutdown()
    (segment,) = (tmp_path / "spool" / "traces").glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(b'\x00\xff\n{"resourceLogs":[]}\n[1]\n\n' + whole + whole[:100])
    backend.answers = True
    caplog.clear()  # of what it said of the dead backend
    with caplog.at_level(logging.WARNING, "aiobs"):
        second = make()
        assert second.force_flush(20_000)
    backend.wait_for(lambda backend: backend.names == ["a"])
    second.shutdown()
    aside = (tmp_path / "spool" / "refused" / "traces.broken").read_bytes()
    assert aside == b'\x00\xff\n{"resourceLogs":[]}\n[1]\n' + whole[:100] + b"\n"
    assert [record.getMessage() for record in caplog.records] == [
        f"aiobs: the spool {tmp_path / 'spool'} has lines that cannot be read. A disk, an editor or another program "
        f"has written to it; they are set aside in {tmp_path / 'spool' / 'refused' / 'traces.broken'}. "
        "The others go on. Look at the file if you want what is in it, else delete it."
    ]
    assert files(tmp_path) == []


@pytest.mark.parametrize("text", [b"", b"garbage", b"-5", b"99999999999999999999"])
def test_a_cursor_that_is_broken_costs_no_span(make: Make, backend: Backend, tmp_path: Path, text: bytes) -> None:
    """Sent again from the start, at worst; a cursor beyond the end is the end."""
    backend.answers = False
    first = make()
    give(first, "a")
    first.shutdown()
    (cursor,) = (tmp_path / "spool" / "traces").glob("*.at")
    cursor.write_bytes(text)
    backend.answers = True
    second = make()
    assert second.force_flush(20_000)
    second.shutdown()
    assert backend.names == ([] if text.startswith(b"9") else ["a"])


@pytest.mark.parametrize("code", [400, 413, 422])
def test_what_the_backend_refuses_is_set_aside(
    make: Make, backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """The spans to blame are found by halving, kept as OTLP/JSON and told; all others arrive in order."""
    backend.refuses, backend.code = {"13", "77"}, code
    with caplog.at_level(logging.WARNING, "aiobs"):
        spool = make(status=backend.status)
        give(spool, *(str(number) for number in range(100)))
        give(spool, "after")
        assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == [*(str(number) for number in range(100) if number not in (13, 77)), "after"]
    aside = tmp_path / "spool" / "refused" / "traces.jsonl"
    assert [row["name"] for row in reading.spans(aside)] == ["13", "77"]
    assert spool.refused == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"aiobs: the backend refuses some traces (HTTP {code}). They are set aside in {aside}; the others go on. "
        "Look into the receiver's log; they can be sent again from there (docs/spool.md), or deleted."
    ]


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503])
def test_answers_that_may_change_are_waited_for(make: Make, backend: Backend, code: int) -> None:
    """A wrong key or path is mended by somebody: nothing is set aside, nothing is lost."""
    backend.refuses, backend.code = {"a", "b"}, code
    spool = make(status=backend.status)
    give(spool, "a")
    give(spool, "b")
    backend.wait_for(lambda backend: backend.attempts >= 10)
    backend.refuses = set()
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert (backend.names, spool.refused) == (["a", "b"], 0)


def test_without_a_status_the_next_batch_tells(
    make: Make, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that fails again and again while the next one goes through is set aside, and that one is sent once."""
    monkeypatch.setattr(spool_folder, "BATCH_ITEMS", 1)
    backend.refuses = {"poison"}
    spool = make()
    give(spool, "before")
    give(spool, "poison")
    backend.wait_for(lambda backend: backend.attempts >= 8)
    assert spool.refused == 0
    give(spool, "after")
    give(spool, "last")
    backend.wait_for(lambda backend: backend.names == ["before", "after", "last"])
    assert spool.force_flush(20_000)
    assert backend.names == ["before", "after", "last"]
    assert [row["name"] for row in reading.spans(tmp_path / "spool" / "refused" / "traces.jsonl")] == ["poison"]


def test_a_segment_that_somebody_cut_off_is_done_with(make: Make, backend: Backend, tmp_path: Path) -> None:
    """What is gone is not waited for; what comes arrives."""
    backend.answers = False
    spool = make()
    give(spool, "a")
    backend.wait_for(lambda backend: backend.attempts >= 1)
    (segment,) = (tmp_path / "spool" / "traces").glob("*.jsonl")
    os.truncate(segment, 0)
    give(spool, "b")
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == ["a", "b"]  # the first had been read before


@pytest.mark.quiet_guard
def test_an_exporter_that_raises_is_one_that_fails(make: Make) -> None:
    """And is tried again."""

    class Raising(Backend):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            if self.answers:
                return super().export(spans)
            with self.changed:
                self.attempts += 1
                self.changed.notify_all()
            raise RuntimeError("no")

    inner = Raising()
    inner.answers = False
    spool = make(inner=inner)
    give(spool, "a")
    inner.wait_for(lambda backend: backend.attempts >= 3)
    inner.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert inner.names == ["a"]


def test_where_the_spool_cannot_be_written_spans_are_sent_at_once(
    make: Make, backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning; with the folder mended, the spool is used again."""
    (tmp_path / "spool").write_text("in the way")
    with caplog.at_level(logging.WARNING, "aiobs"):
        spool = make()
        assert give(spool, "a") is SpanExportResult.SUCCESS
        assert backend.names == ["a"]
        backend.answers = False
        assert give(spool, "b") is SpanExportResult.FAILURE
    assert len(caplog.records) == 1
    (tmp_path / "spool").unlink()
    assert give(spool, "c") is SpanExportResult.SUCCESS
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == ["a", "c"]


def test_a_full_disk_sends_at_once_and_tears_nothing(
    make: Make, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half written is passed over; each span arrives once."""
    spool, write, room = make(), os.write, [10**9]

    def limited(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(lines_module.os, "write", limited)
    give(spool, "a")
    room[0] = 50
    assert [give(spool, "b"), give(spool, "c")] == [SpanExportResult.SUCCESS] * 2
    room[0] = 10**9
    give(spool, "d")
    assert spool.force_flush(20_000)
    assert Counter(backend.names) == Counter("abcd")


def test_a_deleted_segment_is_delivered_all_the_same(make: Make, backend: Backend, tmp_path: Path) -> None:
    """As long as we hold it, it is there; what comes goes to a new one."""
    backend.answers = False
    spool = make()
    give(spool, "a")
    for path in (tmp_path / "spool" / "traces").iterdir():
        path.unlink()
    give(spool, "b")
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == ["a", "b"]


@forks
def test_a_child_has_a_segment_and_a_thread_of_its_own(make: Make, backend: Backend, tmp_path: Path) -> None:
    """Each delivers its own, once; locks and threads of the parent's are not waited for."""
    backend.answers = False
    spool = make()
    give(spool, "parent")
    backend.wait_for(lambda backend: backend.attempts >= 1)
    out = tmp_path / "child.txt"
    with spool._spool._lock, spool._drainer._changed, backend.changed:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            backend.answers, backend.changed, backend.names = True, threading.Condition(), []
            give(spool, "child")
            done = spool.force_flush(10_000)
            out.write_text(json.dumps([done, backend.names]))
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert json.loads(out.read_text()) == [True, ["child"]]
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == ["parent"]


@forks
def test_what_a_child_leaves_is_adopted_by_the_parent(make: Make, backend: Backend) -> None:
    """A worker that was killed is no loss, without a restart."""
    spool = make()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        backend.answers, backend.changed = False, threading.Condition()
        give(spool, "child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    spool._drainer._adopted_at = float("-inf")
    give(spool, "parent")
    backend.wait_for(lambda backend: sorted(backend.names) == ["child", "parent"])


# Real HTTP, kills and outages


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Choosy(OTLPSink):
    """Refuses, as servers do, requests with a span named ``poison``, and those with more than 300 spans."""

    def _receive(self, path: str, headers: Any, body: bytes) -> int:
        before = len(self.spans)
        status = super()._receive(path, headers, body)
        come = self.spans[before:]
        if len(come) > 300 or any(span.name == "poison" for span in come):
            del self.spans[before:]
            return 413 if len(come) > 300 else 400
        return status


def official(endpoint: str, session: AnsweringSession | None = None, timeout: float = 2.0) -> OTLPSpanExporter:
    return OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=timeout, session=session)


def test_the_official_exporter_is_understood(make: Make, tmp_path: Path) -> None:
    """Too many at once are halved, the poisoned span is found, the others arrive, in order."""
    with Choosy() as sink:
        session = AnsweringSession()
        spool = make(inner=official(sink.endpoint, session), status=session.status)
        give(spool, *(str(number) for number in range(250)), "poison", *(str(number) for number in range(250, 500)))
        assert spool.force_flush(30_000) or spool.force_flush(30_000)
        assert [span.name for span in sink.spans] == [str(number) for number in range(500)]
        spool.shutdown()
    assert [row["name"] for row in reading.spans(tmp_path / "spool" / "refused" / "traces.jsonl")] == ["poison"]


@forks
def test_parent_and_children_do_not_share_a_connection(make: Make) -> None:
    """Real HTTP, kept alive over a fork: all that four processes send arrives, nothing is taken for refused."""
    with OTLPSink() as sink:
        session = AnsweringSession()
        spool = make(inner=official(sink.endpoint, session), status=session.status)
        give(spool, "first")
        assert spool.force_flush(20_000)

        def send(process: int) -> bool:
            for number in range(30):
                give(spool, f"{process}-{number}")
                spool.force_flush(20_000)
            return spool.force_flush(20_000) and spool.refused == 0

        children = []
        for process in range(3):
            children.append(os.fork())
            if not children[-1]:
                signal.alarm(40)
                os._exit(0 if send(process) else 1)
        assert send(3)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        found = Counter(span.name for span in sink.spans)
        assert found == Counter(["first", *(f"{process}-{number}" for process in range(4) for number in range(30))])


@pytest.mark.timeout(120 + 3 * OUTAGE)
def test_an_outage_under_load_loses_nothing(make: Make) -> None:
    """A backend that is gone for a while, real HTTP, a thread that never stops making spans: 0 lost, 0 twice."""
    sink, ended, count = OTLPSink(port=free_port()), threading.Event(), 0
    sink.start()
    spool = make(inner=official(sink.endpoint, timeout=1.0), backoff=(0.1, 1.0))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(spool, max_queue_size=8192, schedule_delay_millis=50))
    tracer = provider.get_tracer("load")

    def load() -> None:
        nonlocal count
        while not ended.is_set():
            for _ in range(20):
                tracer.start_span(str(count)).end()
                count += 1
            ended.wait(0.02)  # about a thousand a second

    thread = threading.Thread(target=load)
    thread.start()
    assert sink.wait_for(lambda sink: len(sink.spans) > 100)
    sink.close()
    assert not ended.wait(OUTAGE)
    sink.start()
    before = len(sink.spans)
    assert sink.wait_for(lambda sink: len(sink.spans) > before, 30)
    ended.set()
    thread.join()
    assert provider.force_flush(30_000)
    for _ in range(5):
        if spool.force_flush(30_000):
            break
    provider.shutdown()
    sink.close()
    found = Counter(span.name for span in sink.spans)
    assert count > 100 * OUTAGE
    assert [name for name in map(str, range(count)) if not found[name]] == []
    twice = sum(found.values()) - len(found)
    assert twice <= spool_folder.BATCH_ITEMS + 20, "more than the batch that was under way"
    assert spool.dropped == 0


VICTIM = """
    import os, random, signal, sys, time
    from aiobs.exporters.spool import SpoolingSpanExporter
    from tests.exporters.encoding.test_encoding import named
    from tests.exporters.spool.test_spool import official
    folder, endpoint, acknowledged, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    moments = random.Random(7)
    for round in range(rounds):
        child = os.fork()
        if child == 0:
            said = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            spool = SpoolingSpanExporter(official(endpoint), folder, backoff=(0.01, 0.1))
            for number in range(10**9):
                names = [f"{round}-{number}-{n}" for n in range(3)]
                spool.export([named(name) for name in names])
                os.write(said, f"{chr(10)}{' '.join(names)} .".encode())  # a kill can cut a line
                time.sleep(0.001)
        time.sleep(moments.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
"""


@pytest.mark.timeout(240)
def test_killed_at_random_moments(make: Make, tmp_path: Path) -> None:
    """``kill -9``, fifty times: all that ``export`` had taken arrives, and each kill repeats a batch at most."""
    acknowledged, rounds = tmp_path / "acknowledged", 50
    with OTLPSink() as sink:
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(VICTIM),
            str(tmp_path / "spool"),
            sink.endpoint,
            str(acknowledged),
        ]
        subprocess.run([*command, str(rounds)], check=True, cwd=ROOT)
        spool = make(inner=official(sink.endpoint))
        assert spool.force_flush(60_000)
        found = Counter(span.name for span in sink.spans)
    whole = [line for line in acknowledged.read_text().split("\n") if line.endswith(" .")]
    taken = [name for line in whole for name in line.split()[:-1]]
    assert len(taken) > rounds
    assert [name for name in taken if not found[name]] == []
    assert sum(count > 1 for count in found.values()) <= rounds * spool_folder.BATCH_ITEMS
    assert max(found.values()) <= 1 + rounds  # a batch that is under way at each of them


def test_a_process_that_ends_with_a_dead_backend_loses_nothing(make: Make, tmp_path: Path) -> None:
    """Its spans are delivered by the next one, in order, once."""
    program = f"""
        import sys
        from aiobs.exporters.spool import SpoolingSpanExporter
        from tests.exporters.encoding.test_encoding import named
        from tests.exporters.spool.test_spool import official
        spool = SpoolingSpanExporter(official("http://127.0.0.1:{free_port()}"), sys.argv[1])
        for number in range(100):
            spool.export([named(str(number))])
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "spool")], check=True, cwd=ROOT)
    with OTLPSink() as sink:
        spool = make(inner=official(sink.endpoint))
        assert spool.force_flush(30_000)
        assert [span.name for span in sink.spans] == [str(number) for number in range(100)]


def test_random_outages_keep_the_order(make: Make, backend: Backend) -> None:
    """A backend that flaps at random sees every span once, in order."""
    moments, spool = random.Random(3), make()
    for number in range(300):
        backend.answers = moments.random() < 0.5
        give(spool, str(number))
    backend.answers = True
    assert spool.force_flush(20_000) or spool.force_flush(20_000)
    assert backend.names == [str(number) for number in range(300)]


@pytest.mark.quiet_guard
def test_what_is_refused_and_cannot_be_set_aside_is_counted(make: Make, backend: Backend, tmp_path: Path) -> None:
    """It does not stand in the way, and is lost with a number."""
    backend.refuses, losses = {"poison"}, Counter[str]()
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "refused").write_text("in the way")
    spool = make(status=backend.status, on_loss=lambda reason, count: losses.update({reason: count}))
    give(spool, "poison", "a")
    assert spool.force_flush(20_000)
    assert (backend.names, losses) == (["a"], {"refused": 1})
