"""The session file: what is in it, where it goes, what it adds to and what it replaces."""

from __future__ import annotations

import itertools
import json
import logging
import os
import stat
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from aiobs.exporters.session import files as module
from aiobs.exporters.session.exporter import SessionFileExporter
from aiobs.exporters.session.journal import segments
from aiobs.exporters.session.session_file import SessionFile

from .conftest import Recorder, function_call, hex_id, load, model_call, session_record

JOURNAL = Path("llm_observability.json.journal")


def test_an_export_has_exactly_the_keys_of_the_format(recorder: Recorder) -> None:
    """S1-74: seven top-level keys, version 1."""
    recorder.call(recorder.open())
    recorder.file.flush()
    export = load()
    assert list(export) == [
        "sessions", "events", "function_events", "trace_tree", "enh_prompt_traces", "generated_at", "version",
    ]  # fmt: skip
    assert export["version"] == 1
    assert export["enh_prompt_traces"] is None


def test_the_text_is_what_json_dump_writes(recorder: Recorder) -> None:
    """S1-73: UTF-8, ensure_ascii=False, indent=2, whatever is nested in the tree."""
    session = recorder.open("Zürich\u2028")
    parent = recorder.span(session, function_call(result={"text": "é\u2028\n"}))
    recorder.call(session, parent=parent)
    parent.end()
    recorder.call(session, function_call(args=[]))
    recorder.file.flush()
    text = Path("llm_observability.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=2) + "\n"


def test_a_flush_without_anything_writes_empty_lists(recorder: Recorder) -> None:
    """S1-10: a valid export with empty lists."""
    assert recorder.file.flush() == "./llm_observability.json"
    export = load()
    assert [export[name] for name in ("sessions", "events", "function_events", "trace_tree")] == [[], [], [], []]


def test_session_records_are_kept_and_the_last_one_wins(recorder: Recorder) -> None:
    """S1-75: labels and end as they were at last."""
    record = session_record(ended_at=None)
    recorder.file.session(record)
    recorder.file.session({**record, "ended_at": 9.5, "labels": {"team": "x"}})
    recorder.file.flush()
    assert load()["sessions"] == [{**record, "ended_at": 9.5, "labels": {"team": "x"}}]


def test_spans_without_a_session_are_ignored_and_their_records_left_for_settle(recorder: Recorder) -> None:
    """S1-33: a span that names no session is not written; a record beside it is settled by whoever handed it over."""
    recorder.span(None, model_call()).end()
    recorder.file.flush()
    assert load()["events"] == []
    assert len(recorder.waiting) == 1


def test_siblings_are_sorted_and_foreign_spans_are_seen_through(recorder: Recorder) -> None:
    """S1-78: the nearest exported ancestor is the parent, also across spans of other libraries."""
    session = recorder.open()
    root = recorder.span(session, function_call(name="root", started_ns=1))
    http = recorder.span(session, parent=root, scope="http", name="GET")
    inner = recorder.span(session, parent=http, scope="db", name="SELECT")
    late = recorder.call(session, model_call(started_ns=30), parent=root)
    early = recorder.call(session, model_call(started_ns=20), parent=inner)
    inner.end()
    http.end()
    root.end()
    recorder.file.flush()
    [tree] = load()["trace_tree"]
    assert (tree["event_type"], tree["name"]) == ("function", "root")
    assert [(node["event_type"], node["span_id"]) for node in tree["children"]] == [
        ("provider", early),
        ("provider", late),
    ]
    assert load()["events"][0]["parent_span_id"] == hex_id(inner)


def test_the_tree_can_be_left_out_and_prompt_ids_stay(recorder: Recorder) -> None:
    """S1-65: enh_prompt_traces is depth first, also without a tree."""
    session = recorder.open()
    marked = [function_call(enh_prompt=True, enh_prompt_id=f"id-{n}", started_ns=n) for n in range(3)]
    outer = recorder.span(session, marked[0])
    recorder.call(session, marked[2])
    recorder.call(session, marked[1], parent=outer)
    outer.end()
    recorder.file.flush(include_trace_tree=False)
    export = load()
    assert export["trace_tree"] is None
    assert export["enh_prompt_traces"] == ["id-0", "id-1", "id-2"]


def test_a_chain_deeper_than_the_stack_is_a_tree(recorder: Recorder) -> None:
    """No recursion over spans."""
    session = recorder.open()
    spans = [recorder.span(session, function_call(started_ns=1))]
    for depth in range(300):
        spans.append(recorder.span(session, function_call(started_ns=depth + 2), spans[-1]))
    for span in reversed(spans):
        span.end()
    recorder.file.flush()
    node, depth = load()["trace_tree"][0], 0
    while node["children"]:
        [node], depth = node["children"], depth + 1
    assert depth == 300


def test_a_call_whose_span_was_not_sampled_is_written_directly(recorder: Recorder) -> None:
    """The file is complete whatever the sampler does."""
    session = recorder.open()
    recorder.file.write(model_call(), span_id=1, trace_id=2, parent_span_id=3, session_id=session)
    recorder.file.flush()
    [event] = load()["events"]
    assert (event["span_id"], event["trace_id"], event["parent_span_id"]) == (f"{1:016x}", f"{2:032x}", f"{3:016x}")


def test_a_span_is_one_event_and_the_last_record_wins(recorder: Recorder) -> None:
    """S1-51: what is learned later about a span replaces what was written first."""
    session = recorder.open()
    for text in ("running", "done"):
        call = model_call(session_response=lambda call, text=text: {"text": text})
        recorder.file.write(call, span_id=1, trace_id=2, parent_span_id=None, session_id=session)
    recorder.file.flush()
    assert [event["response"] for event in load()["events"]] == [{"text": "done"}]


def test_events_of_an_unknown_session_have_a_session(recorder: Recorder) -> None:
    """Viewers look the session of each event up."""
    recorder.call("11111111-1111-4111-8111-111111111111")
    recorder.file.flush()
    [session] = load()["sessions"]
    assert (session["id"], session["labels"]) == ("11111111-1111-4111-8111-111111111111", {})


# Where it goes


def test_the_path_is_explicit_or_from_the_environment_or_the_default(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1-71, S1-72: explicit > LLM_OBS_OUT > default; empty is unset; directories are made; returned as given."""
    monkeypatch.setenv("LLM_OBS_OUT", "")
    assert recorder.file.flush() == "./llm_observability.json"
    monkeypatch.setenv("LLM_OBS_OUT", "deep/er/out.json")
    assert recorder.file.flush() == "deep/er/out.json"
    assert recorder.file.flush("explicit.json") == "explicit.json"
    assert all(map(os.path.exists, ("llm_observability.json", "deep/er/out.json", "explicit.json")))


def test_placeholders_are_filled_in(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-71: {session_id} {session_name} {date} {pid}; a session name cannot lead out of the directory."""
    monkeypatch.setattr(module.time, "strftime", lambda form: "2026-11-21")
    session = recorder.open("../../etc/x\0y")
    shown = recorder.file.flush("{date}/{session_name}-{session_id}-{pid}-{other}.json")
    assert shown == f"2026-11-21/.._.._etc_x_y-{session}-{os.getpid()}-{{other}}.json"
    assert load(shown)["sessions"][0]["id"] == session


def test_a_dash_is_standard_output(recorder: Recorder, capfd: pytest.CaptureFixture[str]) -> None:
    """S1-72: ``-`` writes to stdout, and no file."""
    recorder.call(recorder.open("é"))
    assert recorder.file.flush("-") == "-"
    assert json.loads(capfd.readouterr().out)["sessions"][0]["name"] == "é"
    assert not Path("llm_observability.json").exists()
    assert not JOURNAL.exists()


def test_a_relative_path_is_where_the_session_began(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its directory finds the file beside the journal, and the returned path leads to it."""
    began = Path.cwd()
    recorder.call(recorder.open())
    monkeypatch.chdir(tmp_path)
    assert recorder.file.flush() == str(began / "llm_observability.json")
    assert len(load(began / "llm_observability.json")["events"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_working_directory_raises_nothing(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1-81: calls are kept in memory and written where a flush can write."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    recorder.call(recorder.open())
    recorder.file.flush(str(tmp_path / "out.json"))
    assert len(load(tmp_path / "out.json")["events"]) == 1
    monkeypatch.chdir(tmp_path)


def test_the_file_is_private_and_the_journal_goes(recorder: Recorder) -> None:
    """S1-73: mode 0600; after the flush no segment is left."""
    recorder.call(recorder.open())
    assert len(segments(JOURNAL.absolute())) == 1
    recorder.file.flush()
    assert stat.S_IMODE(Path("llm_observability.json").stat().st_mode) == 0o600
    assert not JOURNAL.exists()


# Merge or replace


def test_a_new_run_replaces_the_file_of_the_one_before(recorder: Recorder) -> None:
    """S1-73: with a fixed path the previous run's file makes room."""
    recorder.call(recorder.open("first"))
    recorder.file.flush()
    recorder.call(recorder.open("second"))
    recorder.file.flush()
    assert [session["name"] for session in load()["sessions"]] == ["second"]
    assert len(load()["events"]) == 1


@pytest.mark.parametrize("layout", [{"indent": 2}, {"indent": 2, "ensure_ascii": False}, {"indent": None}])
def test_a_session_that_goes_on_is_added_to(recorder: Recorder, layout: dict[str, Any]) -> None:
    """S1-09: all its events are in the file, each once, also if somebody laid the file out anew."""
    session = recorder.open(ended_at=None)
    first = recorder.call(session, function_call(result="é\u2028"))
    recorder.file.flush()
    Path("llm_observability.json").write_text(json.dumps(load(), **layout), encoding="utf-8")
    recorder.file.session(session_record(id=session, labels={"k": "v"}))
    second = recorder.call(session)
    recorder.file.flush()
    export = load()
    assert [event["span_id"] for event in export["function_events"]] == [first]
    assert [event["span_id"] for event in export["events"]] == [second]
    assert [session["labels"] for session in export["sessions"]] == [{"k": "v"}]
    assert len(export["trace_tree"]) == 2


@pytest.mark.parametrize(
    "content",
    ["", "notes of mine", "{}", "[]", '{"sessions": 1}', '{\n  "sessions": [\n    {\n    }\n  ]\n}', "\x00\xff"],
)
def test_something_else_at_the_path_is_replaced(recorder: Recorder, content: str) -> None:
    """S1-73: each flush replaces the file; what it holds does no harm."""
    Path("llm_observability.json").write_text(content, encoding="latin-1")
    recorder.call(recorder.open())
    recorder.file.flush()
    assert len(load()["events"]) == 1


def test_persist_false_forgets(recorder: Recorder) -> None:
    """S1-08: nothing is written, nothing is kept."""
    recorder.call(recorder.open())
    assert recorder.file.flush(persist=False) is None
    assert list(Path().iterdir()) == []
    recorder.file.flush()
    assert load()["events"] == []


# Failures


def test_a_flush_that_fails_keeps_everything(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """S1-08: memory is cleared only after the write succeeded; the warning names path and cause."""
    Path("directory").write_text("a file where a directory is needed")
    recorder.call(recorder.open())
    with caplog.at_level(logging.WARNING, "aiobs"):
        assert recorder.file.flush("directory/out.json") is None
    assert "directory/out.json" in caplog.text
    assert "Not a directory" in caplog.text or "File exists" in caplog.text
    recorder.file.flush()
    assert len(load()["events"]) == 1


def test_a_disk_that_fills_up_leaves_the_old_file(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S1-73: never a truncated file, and no temporary one left."""
    recorder.call(recorder.open("old"))
    recorder.file.flush()
    before = Path("llm_observability.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "fsync", full)
        recorder.call(recorder.open("new"))
        assert recorder.file.flush() is None
    assert "No space left on device" in caplog.text
    assert Path("llm_observability.json").read_bytes() == before
    assert not [path for path in Path().iterdir() if path.name.endswith(".tmp")]
    recorder.file.flush()
    assert [session["name"] for session in load()["sessions"]] == ["new"]


def test_a_journal_that_cannot_be_written_is_no_loss(recorder: Recorder, tmp_path: Path) -> None:
    """What the disk refused is folded from memory."""
    JOURNAL.write_text("in the way")
    recorder.call(recorder.open())
    recorder.file.flush(str(tmp_path / "out.json"))
    assert len(load(tmp_path / "out.json")["events"]) == 1
    JOURNAL.unlink()


def test_dropped_events_are_said(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-86: what there was no room for is counted in the session's meta, over all flushes."""
    monkeypatch.setattr("aiobs.exporters.lines.writer.BACKLOG_BYTES", 3_000)
    record = session_record(ended_at=None)
    for calls in (10, 20):
        JOURNAL.write_text("in the way")
        recorder.file.session(record)
        for _ in range(10):
            recorder.call(record["id"])
        JOURNAL.unlink()
        recorder.file.flush()
        export = load()
        assert 0 < len(export["events"]) < calls
        assert export["sessions"][0]["meta"]["dropped_events"] == calls - len(export["events"])


def test_a_journal_that_somebody_deleted_does_not_stop_the_flush(recorder: Recorder) -> None:
    """The rest is written."""
    session = recorder.open()
    recorder.call(session)
    segments(JOURNAL.absolute())[0].unlink()
    second = recorder.call(session)
    recorder.file.flush()
    assert [event["span_id"] for event in load()["events"]] == [second]


@pytest.mark.quiet_guard
@pytest.mark.parametrize("broken", ["session_request", "session_response"])
def test_a_shape_that_cannot_be_made_loses_itself_only(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """S1-88: one warning; every span is written, with what else there is."""

    def fail(call: Any) -> Any:
        raise LookupError(broken)

    session = recorder.open()
    for _ in range(2):
        recorder.call(session, model_call(**{broken: fail}))
    recorder.call(session)
    recorder.file.flush()
    assert len(load()["events"]) == 3
    (record,) = caplog.records
    assert "LookupError" in record.getMessage()


def test_credentials_and_giant_requests_are_written_safely(recorder: Recorder) -> None:
    """S1-34: a request that makes the event longer than 1 MiB is cut, newest messages last, and says so."""
    messages = [{"role": "user", "content": f"{n} " + "x" * 900} for n in range(3000)]
    call = model_call(session_request=lambda call: {"model": "m", "messages": messages, "other": {"api_key": "sk-1"}})
    recorder.call(recorder.open(), call)
    assert segments(JOURNAL.absolute())[0].stat().st_size < 1_100_000
    recorder.file.flush()
    request = load()["events"][0]["request"]
    assert request["truncated"] is True
    assert request["messages"][0]["content"].startswith("0 ")
    assert request["messages"][1]["content"] == "… [2744 items left out by aiobs]"
    assert request["messages"][-1]["content"].startswith("2999 ")
    assert request["other"] == {"api_key": "[REDACTED]"}


# Threads, memory


def test_a_flush_with_nothing_new_leaves_the_file(recorder: Recorder) -> None:
    """Of two threads that flush at once the second finds nothing, and must not erase what the first has written."""
    span_id = recorder.call(recorder.open(ended_at=None))
    recorder.file.flush()
    assert recorder.file.flush() == "./llm_observability.json"
    assert [event["span_id"] for event in load()["events"]] == [span_id]


def test_nothing_is_lost_between_a_flush_and_the_next(recorder: Recorder) -> None:
    """Eight threads record while two flush: every event is in the file once."""
    session = recorder.open(ended_at=None)
    record = session_record(id=session, ended_at=None)
    ids = itertools.count(1)
    done = threading.Event()

    def work() -> None:
        for _ in range(50):
            recorder.file.write(model_call(), span_id=next(ids), trace_id=1, parent_span_id=None, session_id=session)

    def flush() -> None:
        while not done.is_set():
            recorder.file.session(record)
            recorder.file.flush()

    workers = [threading.Thread(target=work) for _ in range(8)]
    flushers = [threading.Thread(target=flush) for _ in range(2)]
    for thread in workers + flushers:
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    for thread in flushers:
        thread.join()
    recorder.file.session(record)
    recorder.file.flush()
    assert sorted(int(event["span_id"], 16) for event in load()["events"]) == list(range(1, 401))


def test_memory_does_not_grow_with_calls(recorder: Recorder) -> None:
    """Nothing is kept between calls; a flush keeps at most 200 B a span, also of the file that it adds to."""
    session, calls = recorder.open(ended_at=None), 1500
    call = model_call(session_request=lambda call: {"model": "m", "messages": ["x" * 2000]})
    ids = itertools.count(1)

    def record() -> None:
        for _ in range(calls):
            recorder.file.write(call, span_id=next(ids), trace_id=1, parent_span_id=None, session_id=session)

    recorder.file.session(session_record(id=session, ended_at=None))
    record()
    recorder.file.flush()
    recorder.file.session(session_record(id=session, ended_at=None))
    tracemalloc.start()
    try:
        record()
        assert tracemalloc.get_traced_memory()[1] < 300_000
        tracemalloc.reset_peak()
        recorder.file.flush()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(load()["events"]) == 2 * calls
    assert peak < 2 * calls * 300 + 600_000


# The plain exporter


def exporting(exporter: SessionFileExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def test_the_exporter_writes_spans_of_no_session_to_one_of_the_process() -> None:
    """S1-95: OTEL_TRACES_EXPORTER=aiobs_json: events from attributes alone, written at shutdown."""
    provider = exporting(SessionFileExporter())
    tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
    with tracer.start_as_current_span(
        "chat m", attributes={"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
    ):
        tracer.start_span("GET").end()
    provider.shutdown()
    export = load()
    [event], [session] = export["events"], export["sessions"]
    assert (event["provider"], event["api"], event["error"]) == ("openai", "chat.completions.create", None)
    assert event["session_id"] == session["id"] == session["name"]
    assert session["ended_at"] is not None
    assert (session["meta"]["pid"], export["function_events"]) == (os.getpid(), [])


def test_the_exporter_goes_on_after_a_flush() -> None:
    """A forced flush writes the file; later spans are added."""
    exporter = SessionFileExporter("out.json")
    provider = exporting(exporter)
    for _ in range(2):
        provider.get_tracer("x").start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
        assert exporter.force_flush()
    provider.shutdown()
    assert len(load("out.json")["events"]) == 2


def test_an_exporter_without_spans_writes_nothing() -> None:
    """No empty file from a program that made no call."""
    exporting(SessionFileExporter()).shutdown()
    assert list(Path().iterdir()) == []


def test_a_session_file_can_stand_alone() -> None:
    """Without a hand-off it is a span processor like any other."""
    SessionFile().flush("x.json")
    assert load("x.json")["events"] == []
