"""``aiobs show``: what session files hold, as a tree; and what single calls asked and got."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from aiobs.cli.finding import exit_with, session_files
from aiobs.errors import AiobsError

DEFAULT_FILE = Path("llm_observability.json")
_CONTENT = ("request", "response", "args", "kwargs", "result")


def show(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Session files, and folders of them; default: ./llm_observability.json", metavar="FILE..."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", help="Only what matches, in full; several must all hold.", metavar="KEY=VALUE"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Long texts, and everything else, uncut.")] = False,
    limit: Annotated[int, typer.Option(help="Most events to show; 0: all.", min=0)] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="The chosen sessions and events as JSON, whole.")] = False,
) -> None:
    """Show sessions as trees; or, with --where, what single calls asked, got, and why they failed.

    KEY is any field of an event (provider, api, name, error, span_id, response.finish_reason), model, session.name,
    label.<key>, or what surrounded the call (prefect.task_run.id). VALUE may have * and ?; error=* is whatever failed.

    Exit code 0; 1: nothing matches; 2: a file cannot be read.

    Example: aiobs show --where prefect.task_run.id=3f5c0a11 llm_observability.json
    """
    from aiobs.reading.where import Condition

    try:
        conditions = [Condition.parse(text) for text in where or ()]
        found = read(session_files(paths or [DEFAULT_FILE])[0], conditions, whole=bool(conditions) or as_json)
    except AiobsError as error:
        exit_with(str(error))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    elif conditions and found.count:
        _print_details(found, limit, full)
    elif found.count or (found.sessions and not conditions):
        _print_trees(found, limit)
    if not found.count and conditions:
        _tell_keys(found, conditions)
        raise typer.Exit(1)
    if not found.count and not found.sessions:
        typer.echo("There are no sessions and no events in it.", err=True)


@dataclass
class Found:
    """What was chosen: sessions by id, events by kind and span; ``keys`` that conditions could have named."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"events": [], "function_events": []})
    keys: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """How many events there are."""
        return sum(map(len, self.events.values()))

    def as_dict(self) -> dict[str, Any]:
        """Sessions that have chosen events, or all where nothing was asked, and the events."""
        return {"sessions": [*self.sessions.values()], **self.events}

    def of(self, session_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The model calls and the function calls of one session."""
        chosen = [[event for event in found if event.get("session_id") == session_id] for found in self.events.values()]
        return chosen[0], chosen[1]


def read(files: Sequence[Path], conditions: Sequence[Any], *, whole: bool) -> Found:
    """Every event of the files that all conditions hold for, once each; ``whole``: with content."""
    from aiobs.reading.where import keys_of

    found, seen = Found(), set[Any]()
    for file in files:
        sessions: dict[str, dict[str, Any]] = {}
        for name, value in _entries(file):
            if name == "sessions":
                sessions[value["id"]] = value
                continue
            session = sessions.get(str(value.get("session_id")), {"id": value.get("session_id"), "name": None})
            found.keys |= keys_of(value, session)
            if value.get("span_id") in seen or not all(item.holds(value, session) for item in conditions):
                continue
            seen.add(value.get("span_id") or len(seen))
            found.events[name].append(value if whole else _without_content(value))
            found.sessions.setdefault(session["id"], session)
        if not conditions:
            found.sessions = {**found.sessions, **sessions}
    return found


def _entries(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Sessions first, also of a file that has them last."""
    from aiobs.reading import entries

    for wanted in (("sessions",), ("events", "function_events")):
        yield from ((name, value) for name, value in entries(file) if name in wanted and isinstance(value, dict))


def _without_content(event: dict[str, Any]) -> dict[str, Any]:
    """Enough for a line of the tree."""
    response = event.get("response") if isinstance(event.get("response"), dict) else None
    request = event.get("request") if isinstance(event.get("request"), dict) else None
    kept = {name: value for name, value in event.items() if name not in _CONTENT}
    return {
        **kept,
        "request": {"model": (request or {}).get("model")},
        "response": response and {name: response.get(name) for name in ("model", "usage", "ttft_ms", "incomplete")},
    }


def _print_trees(found: Found, limit: int) -> None:
    from aiobs.cli import rendering

    left = limit or found.count
    with rendering.page() as console:
        for session_id, session in found.sessions.items():
            left = rendering.print_session(console, session, *found.of(session_id), left)
        rendering.print_rest(console, found.count, limit)


def _print_details(found: Found, limit: int, full: bool) -> None:
    from aiobs.cli import rendering

    events = sorted((event for kind in found.events.values() for event in kind), key=lambda item: item["started_at"])
    with rendering.page() as console:
        for event in events[: limit or None]:
            rendering.print_event(console, event, found.sessions.get(event["session_id"], {}), full)
        rendering.print_rest(console, found.count, limit)


def _tell_keys(found: Found, conditions: Sequence[Any]) -> None:
    asked = " and ".join(f"{item.key}={item.pattern}" for item in conditions)
    typer.echo(f"No event has {asked}.", err=True)
    if any(item.key not in found.keys for item in conditions):
        typer.echo(f"Keys that events here have: {', '.join(sorted(found.keys))}.", err=True)
