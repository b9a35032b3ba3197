"""What the schema says of a file, and what viewers want of it; the schema is what the code says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from aiobs.errors import UnreadableFile
from aiobs.reading import export as dataclasses_of
from aiobs.reading.schema import NAME, made, published
from aiobs.reading.validation import FORMAT, VIEWER, findings, validate

from .conftest import an_export, event

ROOT = Path(__file__).resolve().parents[2]
Break = Callable[[dict[str, Any]], object]

BREAKAGES: dict[str, tuple[Break, str]] = {
    "a field of the file is missing": (lambda e: e.pop("trace_tree"), "$.trace_tree"),
    "a field of the file is new": (lambda e: e.update(extra=1), "$.extra"),
    "another version": (lambda e: e.update(version=2), "$.version"),
    "no time": (lambda e: e.update(generated_at=None), "$.generated_at"),
    "events are no list": (lambda e: e.update(events={}), "$.events"),
    "an event is no object": (lambda e: e["events"].append(3), "$.events[1]"),
    "a session without a name": (lambda e: e["sessions"][0].pop("name"), "$.sessions[0].name"),
    "an empty name": (lambda e: e["sessions"][0].update(name=""), "$.sessions[0].name"),
    "a number as label": (lambda e: e["sessions"][0]["labels"].update(n=3), "$.sessions[0].labels.n"),
    "no process id": (lambda e: e["sessions"][0]["meta"].pop("pid"), "$.sessions[0].meta.pid"),
    "a time as text": (lambda e: e["events"][0].update(started_at="now"), "$.events[0].started_at"),
    "a switch as time": (lambda e: e["events"][0].update(started_at=True), "$.events[0].started_at"),
    "a span id that is none": (lambda e: e["events"][0].update(span_id="ABC"), "$.events[0].span_id"),
    "a span id of null": (lambda e: e["events"][0].update(span_id=None), "$.events[0].span_id"),
    "a request that is a list": (lambda e: e["events"][0].update(request=[]), "$.events[0].request"),
    "a callsite without a line": (lambda e: e["events"][0]["callsite"].update(line=None), "$.events[0].callsite.line"),
    "a cost as text": (lambda e: e["events"][0].update(cost_usd="1"), "$.events[0].cost_usd"),
    "an evaluation as text": (lambda e: e["events"][0].update(evaluations=["x"]), "$.events[0].evaluations[0]"),
    "arguments as object": (lambda e: e["function_events"][0].update(args={}), "$.function_events[0].args"),
    "another provider": (lambda e: e["function_events"][0].update(provider="x"), "$.function_events[0].provider"),
    "a node of no kind": (lambda e: e["trace_tree"][0].pop("event_type"), "$.trace_tree[0].event_type"),
    "a node that is no object": (lambda e: e["trace_tree"].append(1), "$.trace_tree[1]"),
    "a node deep down": (
        lambda e: e["trace_tree"][0]["children"][0].update(trace_id="x"),
        "$.trace_tree[0].children[0].trace_id",
    ),
    "children that are no list": (
        lambda e: e["trace_tree"][0]["children"][0].update(children=None),
        "$.trace_tree[0].children[0].children",
    ),
}  # fmt: skip

ADDITIONS: dict[str, Break] = {
    "a session": lambda e: e["sessions"][0].update(more=1),
    "its meta": lambda e: e["sessions"][0]["meta"].update(git="abc"),
    "an event": lambda e: e["events"][0].update(usage={}),
    "a callsite": lambda e: e["events"][0]["callsite"].update(column=3),
    "a function": lambda e: e["function_events"][0].update(more=None),
    "a node": lambda e: e["trace_tree"][0].update(more=None),
}


def schema_accepts(export: Any) -> bool:
    return bool(Draft202012Validator(published()).is_valid(export))


def test_what_aiobs_writes_is_valid() -> None:
    """S1-74: the example of the format breaks nothing, for the schema and for viewers."""
    assert findings(an_export()) == []
    assert schema_accepts(an_export())


@pytest.mark.parametrize("name", BREAKAGES)
def test_what_breaks_the_format_is_found_at_its_place(name: str) -> None:
    """S1-74, S1-75, S1-76, S1-77: by us with the place, and by any validator of JSON Schema with the published file."""
    spoil, path = BREAKAGES[name]
    export = an_export()
    spoil(export)
    assert [finding.path for finding in findings(export) if finding.rule == FORMAT] == [path]
    assert not schema_accepts(export)


@pytest.mark.parametrize("name", ADDITIONS)
def test_objects_may_have_more_fields(name: str) -> None:
    """S1-74: additions go inside objects."""
    export = an_export()
    ADDITIONS[name](export)
    assert findings(export) == []
    assert schema_accepts(export)


VIEWERS: dict[str, tuple[Break, str]] = {
    "labels of null": (lambda e: e["sessions"][0].update(labels=None), "$.sessions[0].labels"),
    "a request of null": (lambda e: e["events"][0].update(request=None), "$.events[0].request"),
    "an unknown session": (lambda e: e["function_events"][0].update(session_id="x"), "$.function_events[0].session_id"),
    "a span twice": (lambda e: e["events"].append(event(2)), "$.events[1].span_id"),
    "a tree that lacks an event": (lambda e: e["events"].append(event(3)), "$.trace_tree"),
    "a tree that has an event twice": (lambda e: e.update(trace_tree=e["trace_tree"] * 2), "$.trace_tree"),
}


@pytest.mark.parametrize("name", VIEWERS)
def test_what_the_format_allows_and_viewers_do_not(name: str) -> None:
    """S1-90: nulls that the first aiobs wrote, sessions and spans that do not add up."""
    spoil, path = VIEWERS[name]
    export = an_export()
    spoil(export)
    found = findings(export)
    assert {finding.rule for finding in found} == {VIEWER}
    assert path in [finding.path for finding in found]
    assert schema_accepts(export)


def test_a_deep_tree_is_checked_to_its_end() -> None:
    """S1-78: a chain of spans that is deeper than a recursive check could go."""
    node: dict[str, Any] = {"event_type": "provider", **event(3000, trace_id="x"), "children": []}
    for number in range(2999, 0, -1):
        node = {"event_type": "provider", **event(number), "children": [node]}
    [found] = [finding for finding in findings(an_export(trace_tree=[node])) if finding.rule == FORMAT]
    assert found.path == "$.trace_tree[0]" + ".children[0]" * 2999 + ".trace_id"


@pytest.mark.parametrize("copy", [ROOT / "schemas" / NAME, ROOT / "src" / "aiobs" / "reading" / "schemas" / NAME])
def test_the_published_schema_is_what_the_code_says(copy: Path) -> None:
    """S1-74: schemas/llm_observability.v1.json, in the repository and in the package, is draft 2020-12 and fresh."""
    assert json.loads(copy.read_text("utf-8")) == made()
    Draft202012Validator.check_schema(made())


@pytest.mark.parametrize(
    ("definition", "dataclass"),
    [
        ("Session", dataclasses_of.Session),
        ("Meta", dataclasses_of.SessionMeta),
        ("Callsite", dataclasses_of.Callsite),
        ("Event", dataclasses_of.ObservedEvent),
        ("FunctionEvent", dataclasses_of.ObservedFunctionEvent),
        (None, dataclasses_of.ObservabilityExport),
    ],
)
def test_the_format_requires_what_the_dataclasses_have(definition: str | None, dataclass: Any) -> None:
    """S1-93: a field that one of the two gets, the other gets too."""
    schema = published()["$defs"][definition] if definition else published()
    assert set(schema["required"]) == {item.name for item in fields(dataclass)} - {"extra"}


def test_a_file_is_read_and_checked(written: Path, tmp_path: Path) -> None:
    """S1-74: by its path; what is no session file is refused."""
    assert validate(written) == []
    with pytest.raises(UnreadableFile, match="There is no file"):
        validate(tmp_path / "none.json")
