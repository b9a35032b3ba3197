"""What a session file breaks: of the format, and of what its viewers want; each finding with the place in the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from os import PathLike
from typing import Any, NamedTuple

from aiobs.reading.files import lists_of

FORMAT, VIEWER = "format", "viewer"


class Finding(NamedTuple):
    """``path`` is a JSON path (``$.events[3].span_id``); ``rule`` is ``format`` or ``viewer``."""

    path: str
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def validate(path: str | PathLike[str]) -> list[Finding]:
    """Everything that is wrong with a file. Raises UnreadableFile for one that is no session file at all."""
    return findings(lists_of(path))


def findings(export: Any) -> list[Finding]:
    """Everything that is wrong with an export that is parsed already; first the format, then what viewers want."""
    found = [*_format_findings(export)]
    places = {finding.path for finding in found}
    return found + [finding for finding in _viewer_findings(export) if finding.path not in places]


# The format


def _format_findings(export: Any) -> Iterator[Finding]:
    """Item by item, and of the tree node by node: a chain of spans may be deeper than a recursive check can go."""
    lists = (*_KINDS, "trace_tree")
    yield from _check("Export", {**export, **{name: [] for name in lists if isinstance(export.get(name), list)}}, "$")
    for name, kind in _KINDS.items():
        for index, item in enumerate(_list(export, name)):
            yield from _check(kind, item, f"$.{name}[{index}]")
    for path, node in _nodes(export):
        yield from _node_findings(path, node)


def _node_findings(path: str, node: Any) -> Iterator[Finding]:
    kind = _NODE_KINDS.get(str(node.get("event_type"))) if isinstance(node, dict) else "EventNode"
    if kind is None:
        yield Finding(f"{path}.event_type", FORMAT, 'Input should be "provider" or "function"')
    else:
        yield from _check(kind, {**node, "children": []} if _list(node, "children") else node, path)


_KINDS = {"sessions": "Session", "events": "Event", "function_events": "FunctionEvent"}
_NODE_KINDS = {"provider": "EventNode", "function": "FunctionNode"}


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _nodes(export: Any) -> Iterator[tuple[str, Any]]:
    stack = [(f"$.trace_tree[{index}]", node) for index, node in enumerate(_list(export, "trace_tree"))]
    while stack:
        path, node = stack.pop()
        yield path, node
        stack.extend((f"{path}.children[{index}]", child) for index, child in enumerate(_list(node, "children")))


def _check(kind: str, value: Any, path: str) -> Iterator[Finding]:
    from pydantic import ValidationError

    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False):
            place = _place(path, fault["loc"])
            said = "" if fault["type"] in ("missing", "extra_forbidden") else f", not {_shown(fault['input'])}"
            yield Finding(place, FORMAT, _WORDS.get(fault["type"], fault["msg"]) + said)


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of version 1; additions go inside objects",
    "dict_type": "Input should be an object",
    "list_type": "Input should be a list",
    "float_type": "Input should be a number",
    "int_type": "Input should be a whole number",
}


@cache
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    from aiobs.reading import format as types

    return TypeAdapter(getattr(types, kind))


def _place(path: str, steps: Iterable[Any]) -> str:
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if step.isidentifier() else f"[{json.dumps(step)}]"
    return path


def _shown(value: Any, room: int = 60) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= room else f"{text[: room - 1]}…"


# What viewers want


def _viewer_findings(export: Any) -> Iterator[Finding]:
    for name, field in (("sessions", "labels"), ("events", "request")):
        for index, item in enumerate(_list(export, name)):
            if isinstance(item, dict) and item.get(field) is None:
                yield Finding(f"$.{name}[{index}].{field}", VIEWER, "is null, and viewers want an object: write {}")
    yield from _identity_findings(export)


def _identity_findings(export: Any) -> Iterator[Finding]:
    """Each span once, each session known, and in the tree (if there is one) every event once."""
    sessions = [item.get("id") for item in _list(export, "sessions") if isinstance(item, dict)]
    known = {identity for identity in sessions if isinstance(identity, str)}
    seen: dict[str, str] = {}
    for name in ("events", "function_events"):
        for index, item in enumerate(_list(export, name)):
            if not isinstance(item, dict):
                continue
            path, span = f"$.{name}[{index}]", item.get("span_id")
            if isinstance(span, str) and span in seen:
                yield Finding(f"{path}.span_id", VIEWER, f"is the span of {seen[span]} too")
            elif isinstance(span, str):
                seen[span] = path
            if isinstance(session := item.get("session_id"), str) and session not in known:
                yield Finding(f"{path}.session_id", VIEWER, f"names a session that is not in the file: {session}")
    if isinstance(export.get("trace_tree"), list):
        yield from _tree_findings(export, seen)


def _tree_findings(export: Any, seen: dict[str, str]) -> Iterator[Finding]:
    nodes = [str(node.get("span_id")) for _, node in _nodes(export) if isinstance(node, dict)]
    lacking = seen.keys() - set(nodes)
    if missing := [path for span, path in seen.items() if span in lacking]:
        yield Finding("$.trace_tree", VIEWER, f"lacks {len(missing)} of the events, the first is {missing[0]}")
    if len(nodes) != len(set(nodes)):
        yield Finding("$.trace_tree", VIEWER, "has an event twice")
