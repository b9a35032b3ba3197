"""Exporters of ``observer.flush(exporter=...)``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import aiobs
from aiobs import observe, observer
from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters import (
    BaseExporter,
    CompositeExporter,
    CustomExporter,
    ExportError,
    ExportResult,
    OTelExporter,
    StorageExporter,
)
from aiobs.reading import ObservabilityExport
from aiobs.reading.validation import findings
from tests.reading.conftest import an_export, event, function

FILE = Path("llm_observability.json")


def data(**fields: Any) -> ObservabilityExport:
    return ObservabilityExport.model_validate(an_export(**fields))


def a_session() -> None:
    """A finished session with one function inside another."""

    @observe
    def inner() -> int:
        return 42

    @observe
    def outer() -> int:
        return inner()

    observer.observe("exported")
    outer()
    observer.end()


def fails(export: Any, options: Any) -> None:
    raise ValueError("no bucket")


# The classes


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (ExportResult(True, "x://y", 3), ExportResult(True, "x://y", 3)),
        (None, ExportResult(True, metadata={"handler": "custom"})),
        (7, ExportResult(True, metadata={"handler": "custom", "result": 7})),
        ({"destination": "d", "bytes_written": 5, "metadata": {"a": 1}}, ExportResult(True, "d", 5, {"a": 1})),
        ({"success": False, "error": "e", "rows": 2}, ExportResult(False, metadata={"rows": 2}, error="e")),
    ],
)
def test_a_handler_may_return_anything(returned: Any, expected: ExportResult) -> None:
    """S1-89: a result, its fields, nothing, or something else."""
    assert CustomExporter(lambda export, options: returned).export(data()) == expected


def test_a_handler_gets_the_export_and_the_options() -> None:
    """S1-89: those of the call win over the defaults."""
    got: list[Any] = []
    exporter = CustomExporter(lambda *given: got.append(given), name="mine", default_options={"a": 1, "b": 2})
    given = data()
    exporter.export(given, b=3)
    assert got == [(given, {"a": 1, "b": 3})]
    assert exporter.name == "mine"


def test_a_handler_that_raises_is_an_export_error() -> None:
    """S1-89: with the cause; an ExportError of its own goes through."""
    with pytest.raises(ExportError, match="Custom export handler failed: no bucket") as raised:
        CustomExporter(fails).export(data())
    assert isinstance(raised.value.cause, ValueError)
    with pytest.raises(ValueError, match="handler must be a callable"):
        CustomExporter("x")  # type: ignore[arg-type]  # the test is of that
    assert (str(ExportError("m")), ExportError("m").cause) == ("m", None)


def test_several_run_one_after_the_other() -> None:
    """S1-89: a failure keeps no other from running, and fails the whole; add() returns the composite."""
    ran: list[str] = []
    good = CustomExporter(lambda export, options: ran.append("good"), name="good")
    composite = CompositeExporter([CustomExporter(fails, name="bad")])
    assert composite.add(good) is composite
    result = composite.export(data())
    assert ran == ["good"]
    assert (result.success, result.error) == (False, "bad: Custom export handler failed: no bucket")
    assert result.metadata["exporters_count"] == len(result.metadata["results"]) == 2
    assert CompositeExporter([good, good]).export(data()).success
    with pytest.raises(ValueError, match="At least one exporter is required"):
        CompositeExporter([])


@pytest.mark.parametrize(
    "bad", [CustomExporter(fails, name="bad"), CustomExporter(lambda *_: {"success": False}, "bad")]
)
def test_a_failure_can_stop_the_rest(bad: CustomExporter) -> None:
    """S1-89: stop_on_error raises at the first that fails."""
    ran: list[str] = []
    after = CustomExporter(lambda export, options: ran.append("after"))
    with pytest.raises(ExportError, match="^bad: "):
        CompositeExporter([bad, after], stop_on_error=True).export(data())
    assert ran == []


@pytest.mark.parametrize("name", ["BaseExporter", "ExportResult", "ExportError", "CustomExporter", "CompositeExporter"])
def test_the_names_are_importable_from_aiobs(name: str) -> None:
    """S1-89: as in the first aiobs."""
    assert getattr(aiobs, name).__name__ == name


# flush


def test_flush_gives_the_export_and_writes_no_file() -> None:
    """S1-08, S1-89: an ObservabilityExport that is valid, with its tree, and the options; the result is the exporter's."""
    got: list[Any] = []

    def handler(export: ObservabilityExport, options: dict[str, Any]) -> ExportResult:
        got.append((export, options))
        return ExportResult(True, "here://")

    a_session()
    result = observer.flush("never.json", exporter=CustomExporter(handler), persist=False, bucket="b")
    assert result == ExportResult(True, "here://")
    [(export, options)] = got
    assert findings(export.model_dump()) == []
    assert [(node["name"], [child["name"] for child in node["children"]]) for node in export.trace_tree] == [
        ("outer", ["inner"])
    ]
    assert options == {"bucket": "b"}
    assert not FILE.exists()
    assert not Path("never.json").exists()
    observer.flush()
    assert json.loads(FILE.read_text())["function_events"] == []


def test_the_tree_can_be_left_out() -> None:
    """S1-08: include_trace_tree=False, with an exporter too."""
    got: list[Any] = []
    a_session()
    observer.flush(include_trace_tree=False, exporter=CustomExporter(lambda export, _: got.append(export)))
    assert (got[0].trace_tree, len(got[0].function_events)) == (None, 2)


class Wrong(BaseExporter):
    """Forgets to return a result."""

    def export(self, data: Any, **kwargs: Any) -> Any:
        return True


@pytest.mark.parametrize(
    ("exporter", "said"),
    [
        (CustomExporter(fails), "Custom export handler failed: no bucket"),
        (CustomExporter(lambda *_: {"success": False, "error": "quota"}), "quota"),
        (Wrong(), "returned bool, not an ExportResult"),
    ],
)
def test_what_an_exporter_does_not_take_is_kept(exporter: Any, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """S1-89, promise 5: nothing is raised and nothing lost; the result and the log say what to do; the next flush has all."""
    a_session()
    with caplog.at_level(logging.WARNING, "aiobs"):
        result = observer.flush(exporter=exporter)
    assert not result.success
    assert result.error is not None
    assert said in result.error
    assert "flush() without exporter= writes a file" in result.error
    assert said in caplog.text
    observer.flush()
    written = json.loads(FILE.read_text())
    assert [call["name"] for call in written["function_events"]] == ["outer", "inner"]
    assert [session["name"] for session in written["sessions"]] == ["exported"]


def test_a_session_that_is_open_goes_on() -> None:
    """S1-09: it is exported with ended_at null, and the next export has it again with only new events."""
    got: list[ObservabilityExport] = []
    exporter = CustomExporter(lambda export, _: got.append(export))

    @observe
    def step() -> None: ...

    session = observer.observe("long")
    step()
    observer.flush(exporter=exporter)
    step()
    observer.flush(exporter=exporter, end=True)
    assert [[item.id for item in export.sessions] for export in got] == [[session], [session]]
    assert [export.sessions[0].ended_at is None for export in got] == [True, False]
    assert [len(export.function_events) for export in got] == [1, 1]


def test_what_is_no_exporter_is_said() -> None:
    """S1-89: at once, before anything is taken."""
    with pytest.raises(ConfigurationError, match=r"has no export\(data\)"):
        observer.flush(exporter="s3://b")  # type: ignore[call-overload]  # the test is of that
    with pytest.raises(TypeError, match="bucket, which only an exporter= could use"):
        observer.flush(bucket="b")  # type: ignore[call-overload]  # the test is of that


# Object storage


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's storage in memory, empty."""
    import fsspec  # type: ignore[import-untyped]  # it has no types

    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def test_an_export_is_an_object(memory: Any) -> None:
    """S1-89: at the URL with its placeholders filled in, as the file would be."""
    a_session()
    result = observer.flush(exporter=StorageExporter("memory://traces/{session_id}.json"))
    [(path, stored)] = memory.store.items()
    written = json.loads(stored.getvalue())
    assert findings(written) == []
    assert path == f"/traces/{written['sessions'][0]['id']}.json"
    assert (result.success, result.bytes_written) == (True, len(stored.getvalue()))
    assert result.metadata == {"sessions_count": 1, "events_count": 0, "function_events_count": 2}
    StorageExporter("memory://x.json").export(data(), url="memory://y-{date}.json")
    assert len(memory.store) == 2


def test_storage_that_refuses_is_an_export_error() -> None:
    """S1-89: with its reason; a password in the URL is not said."""
    with pytest.raises(ExportError, match="cannot be written") as raised:
        StorageExporter("nosuch://user:secretsecret@b/x.json").export(data())
    assert "secretsecret" not in str(raised.value)


def test_storage_without_its_extra_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-89: MissingExtra when it is made, not when it is used."""
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r'pip install "aiobs\[media\]"'):
        StorageExporter("memory://x")


# OpenTelemetry


def test_any_span_exporter_gets_spans() -> None:
    """S1-89: ids, parents, times, model, tokens, session, labels; no content, also not of errors."""
    memory = InMemorySpanExporter()
    failed = event(3, parent=1, error="RateLimitError: SECRET", response=None)
    result = OTelExporter(memory).export(data(events=[event(2, parent=1), failed], function_events=[function(1)]))
    assert (result.success, result.destination, result.metadata) == (True, "InMemorySpanExporter", {"spans": 3})
    call, error, around = memory.get_finished_spans()
    assert call.context is not None
    assert call.parent is not None
    assert around.context is not None
    assert (call.name, call.kind, call.context.span_id, call.parent.span_id) == (
        "chat gpt-4o-mini",
        SpanKind.CLIENT,
        2,
        1,
    )
    assert (call.start_time, call.end_time) == (2_000_000_000, 2_500_000_000)
    assert call.attributes is not None
    assert {key: call.attributes[key] for key in ("gen_ai.usage.input_tokens", "label.team", "session.name")} == {
        "gen_ai.usage.input_tokens": 3, "label.team": "x", "session.name": "night run",
    }  # fmt: skip
    assert (error.status.status_code, dict(error.attributes or {})["error.type"]) == (
        StatusCode.ERROR,
        "RateLimitError",
    )
    assert (around.name, around.kind) == ("app.research", SpanKind.INTERNAL)
    assert not any(word in span.to_json() for span in (call, error, around) for word in ("SECRET", "Hello", '"Hi"'))


def test_flush_takes_a_span_exporter_itself() -> None:
    """S1-89: without a wrapper."""
    memory = InMemorySpanExporter()
    a_session()
    assert observer.flush(exporter=memory).success
    assert sorted(span.name.rpartition(".")[2] for span in memory.get_finished_spans()) == ["inner", "outer"]


class Refusing(SpanExporter):
    """A backend that is down."""

    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.FAILURE


def test_spans_that_are_refused_are_kept() -> None:
    """S1-89, promise 5: as with any exporter."""
    a_session()
    assert not observer.flush(exporter=Refusing()).success
    observer.flush()
    assert len(json.loads(FILE.read_text())["function_events"]) == 2
