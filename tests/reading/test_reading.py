"""Session files read back: whole, entry by entry, and refused with a reason."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aiobs
from aiobs.errors import UnreadableFile
from aiobs.reading import Event, ObservabilityExport, files, iter_events, nested

from .conftest import SESSION, an_export, event, function


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read a few characters at a time, so that every value is cut somewhere."""
    monkeypatch.setattr(files, "_CHUNK", 7)


def test_a_file_is_dataclasses_and_goes_back_as_it_was(written: Path) -> None:
    """S1-93: load() and model_dump(), with fields that aiobs does not know."""
    export = ObservabilityExport.load(written)
    assert (export.sessions[0].name, export.sessions[0].meta.pid, export.events[0].session_id) == (
        "night run", 7, SESSION,
    )  # fmt: skip
    assert export.events[0].callsite is not None
    assert (export.events[0].callsite.line, export.function_events[0].args) == (12, ["q"])
    assert export.events[0].extra["context"] == {"prefect.task_run.id": "t-1"}
    assert export.model_dump() == an_export()


@pytest.mark.parametrize("name", [
    "Callsite", "Event", "FunctionEvent", "ObservabilityExport", "ObservedEvent", "ObservedFunctionEvent", "Session",
    "SessionMeta",
])  # fmt: skip
def test_the_names_are_importable_from_aiobs(name: str) -> None:
    """S1-93: the public names of the first aiobs."""
    assert getattr(aiobs, name).__module__ == "aiobs.reading.export"


def test_they_can_be_made_by_hand() -> None:
    """S1-93: with the defaults of the first aiobs."""
    made = ObservabilityExport(sessions=[], events=[], function_events=[], generated_at=0.0)
    assert (made.version, made.trace_tree, made.enh_prompt_traces) == (1, None, None)
    call = Event(provider="p", api="a", request={}, started_at=0.0, ended_at=1.0, duration_ms=1000.0)
    assert call.model_dump()["span_id"] is None


@pytest.mark.parametrize("indent", [None, 2])
def test_events_come_one_by_one(tmp_path: Path, small_pieces: None, indent: int | None) -> None:
    """S1-93: calls, then functions, whatever the layout, wherever a value is cut."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(an_export(), indent=indent), encoding="utf-8")
    assert list(iter_events(path)) == [*an_export()["events"], *an_export()["function_events"]]


def test_any_cut_of_a_text_gives_the_same_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-93: numbers, escapes, brackets and quotes in texts, with every length of the pieces that are read."""
    odd = event(
        2,
        request={"a": 'quote " and \\ [}', "n": -1.5e300, "[b": "[{", "u": "\ud83d\ude00 ü"},
        response={"x": [[], {}, ""]},
    )
    path = tmp_path / "run.json"
    path.write_text(json.dumps(an_export(events=[odd], trace_tree=[odd | {"children": [odd]}])), encoding="utf-8")
    whole = list(files.entries(path))
    for size in range(1, 60):
        monkeypatch.setattr(files, "_CHUNK", size)
        assert list(files.entries(path)) == whole
    assert dict(whole)["generated_at"] == 9.0


def test_a_large_file_is_not_in_memory(tmp_path: Path) -> None:
    """S1-93: 60 MB of events are read in a few; the tree is passed over."""
    path = tmp_path / "large.json"
    call = json.dumps(event(1, request={"text": "x" * 20_000}))
    with path.open("w") as file:
        file.write(
            '{"sessions": [], "events": [' + ",".join([call] * 1500) + '], "function_events": [], "trace_tree": ['
        )
        file.write(",".join([call] * 1500) + '], "enh_prompt_traces": null, "generated_at": 1.0, "version": 1}')
    tracemalloc.start()
    try:
        assert sum(1 for _ in iter_events(path)) == 1500
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    """S1-73: AIOBS_JSON_GZIP writes such files; the name does not matter."""
    path = tmp_path / "run.json"
    path.write_bytes(gzip.compress(json.dumps(an_export()).encode()))
    assert ObservabilityExport.load(path).model_dump() == an_export()


def test_one_export_a_line_is_one_export(tmp_path: Path) -> None:
    """S1-73: of what mode="append" keeps, the last record of a session and of a span counts, and the tree is made anew."""
    path = tmp_path / "run.jsonl"
    later = an_export(
        sessions=[{**an_export()["sessions"][0], "ended_at": 8.0}],
        events=[event(3, parent=1)], function_events=[], trace_tree=None, enh_prompt_traces=["p"], generated_at=10.0,
    )  # fmt: skip
    path.write_text(json.dumps(an_export()) + "\n" + json.dumps(later) + "\n")
    export = ObservabilityExport.load(path)
    assert [session.ended_at for session in export.sessions] == [8.0]
    assert [call.span_id for call in export.events] == [f"{2:016x}", f"{3:016x}"]
    assert export.trace_tree is not None
    assert [len(node["children"]) for node in export.trace_tree] == [2]
    assert (export.enh_prompt_traces, export.generated_at) == (["p"], 10.0)


def test_a_tree_deeper_than_the_stack_is_made_anew(tmp_path: Path) -> None:
    """S1-78: a file that json.loads refuses is loaded all the same."""
    calls = [event(number, parent=number - 1 or None) for number in range(1, 3000)]
    closing = "]}" * len(calls)
    nodes = "".join(json.dumps({"event_type": "provider", **call})[:-1] + ', "children": [' for call in calls)
    text = json.dumps(an_export(events=calls, function_events=[], trace_tree="TREE"))
    path = tmp_path / "deep.json"
    path.write_text(text.replace('"TREE"', f"[{nodes}{closing}]"))
    export = ObservabilityExport.load(path)
    assert (len(export.events), len(export.trace_tree or ())) == (2999, 1)


def segment() -> str:
    return '{"aiobs_journal":1,"pid":7}\n{"session":{"id":"s"}}\n'


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "cut in a text": (json.dumps(an_export())[:300], "is cut short"),
    "cut between events": (json.dumps(an_export(), indent=2)[:2000], "is cut short"),
    "empty": ("", "is cut short"),
    "a cut gzip": (gzip.compress(json.dumps(an_export()).encode())[:-20], "is cut short"),
    "no JSON": ("hello", "is not JSON"),
    "a fault in the middle": (json.dumps(an_export()).replace('"events": [', '"events": [[,', 1), "is not JSON"),
    "no text": (b"\x80\x81\x82" * 200, "it is not UTF-8 text"),
    "a list": ("[1, 2]", "is not JSON|no session file"),
    "other JSON": ('{"a": 1}', "is JSON, but no session file"),
    "another tool's JSON": ('{"version": 2, "events_of": []}', "is JSON, but no session file"),
    "a newer version": (json.dumps(an_export(version=2)), "is version 2 of the format.*pip install --upgrade aiobs"),
    "a segment": (segment(), "is a segment of a journal.*aiobs recover"),
    "a torn segment": (segment() + '{"event": {"na', "is a segment of a journal"),
}  # fmt: skip


@pytest.mark.parametrize("read", [ObservabilityExport.load, lambda path: list(iter_events(path))], ids=["load", "iter"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_session_file_is_said(tmp_path: Path, name: str, read: Callable[[Path], Any]) -> None:
    """S1-93: the message says what the file is, and what to do where there is something to do."""
    content, said = REFUSED[name]
    path = tmp_path / "run.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableFile, match=said) as raised:
        read(path)
    assert str(path) in str(raised.value)


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    """S1-93: none there, or a folder."""
    with pytest.raises(UnreadableFile, match=r"There is no file .*observer.flush\(\)"):
        ObservabilityExport.load(tmp_path / "none.json")
    with pytest.raises(UnreadableFile, match="is a folder"):
        ObservabilityExport.load(tmp_path)


def test_a_file_of_another_shape_says_where_to_look(tmp_path: Path) -> None:
    """S1-93: what is missing, and the command that lists all of it."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(an_export(events=[{"provider": "openai"}])))
    with pytest.raises(UnreadableFile, match="A ObservedEvent has no api.*aiobs validate"):
        ObservabilityExport.load(path)


def test_the_tree_is_made_of_parents(tmp_path: Path) -> None:
    """S1-78: siblings by start, parents outside the file make roots, a circle hangs on its first event."""
    circle = [event(5, parent=6), event(6, parent=5)]
    tree = nested([event(4, parent=1), event(3, parent=99), event(2, parent=1), *circle], [function(1)])
    assert [node["started_at"] for node in tree] == [1.0, 3.0, 5.0]
    assert [node["started_at"] for node in tree[0]["children"]] == [2.0, 4.0]
    assert tree[2]["children"][0]["children"] == []


def test_any_forest_has_every_event_once() -> None:
    """S1-78: random parents, circles included."""
    for seed in range(200):
        chosen = random.Random(seed)
        calls = [event(number, parent=chosen.choice([None, *range(1, 13)])) for number in range(1, 13)]
        found, stack = [], nested(calls, [])
        while stack:
            node = stack.pop()
            found.append(node["span_id"])
            stack += node["children"]
        assert sorted(found) == sorted(call["span_id"] for call in calls)
