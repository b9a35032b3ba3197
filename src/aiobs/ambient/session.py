"""Sessions, and where the current one is found.

One immutable ``Ambient`` lies under one key of the OpenTelemetry context. A span started in a thread that has no
context still finds its session: first through its live local parent span, then through the process's default session.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, create_key, get_value, set_value
from opentelemetry.util.types import AttributeValue

from aiobs.guard import guarded

_KEY = create_key("aiobs-ambient")
_ON_SPAN = "_aiobs_ambient"
_opened: list[Session] = []


class Session:
    """One session: identity, times (epoch seconds), labels, and the span attributes made of them.

    Labels are replaced, never changed in place: spans started earlier keep those of their start.
    """

    __slots__ = ("attributes", "ended_at", "id", "labels", "meta", "name", "parent", "started_at")

    def __init__(self, name: str | None, labels: Mapping[str, str], meta: Mapping[str, Any]) -> None:
        self.id = str(uuid.uuid4())
        self.parent: Session | None = None
        self.name = name or self.id
        self.started_at = time.time()
        self.ended_at: float | None = None
        self.meta = dict(meta)
        self.labels: dict[str, str] = {}
        self.attributes: dict[str, AttributeValue] = {}
        self.set_labels(labels)

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Replace the labels; spans started from now on carry these."""
        self.labels = dict(labels)
        self.attributes = {
            "session.id": self.id,
            "aiobs.session.id": self.id,
            "session.name": self.name,
            **{f"label.{key}": value for key, value in labels.items()},
        }

    def record(self) -> dict[str, Any]:
        """The session as the session file has it."""
        return {
            "id": self.id,
            "name": self.name,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "meta": self.meta,
            "labels": self.labels,
        }


@dataclass(frozen=True, slots=True)
class Ambient:
    """What travels with a call; never changed, only replaced."""

    session: Session | None = None


def process_meta() -> dict[str, Any]:
    """Process id and working directory, for the session record; a deleted directory is an empty string."""
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    return {"pid": os.getpid(), "cwd": cwd}


def enter_session(session: Session) -> None:
    """Make this the session of the current context and, until it ends, the process's default.

    A session that this context was already in becomes its parent; another task's does not.
    """
    ambient = guarded(get_value, _KEY)
    session.parent = _open(ambient.session) if isinstance(ambient, Ambient) else None
    if session.parent is not None:
        session.meta["parent_session_id"] = session.parent.id
    _opened.append(session)
    guarded(_attach, Ambient(session))


def leave_session(session: Session) -> None:
    """End a session: the context goes back to its parent, the process to the newest session that is still open.

    Spans that are open keep the session they started in.
    """
    session.ended_at = time.time()
    if session in _opened:
        _opened.remove(session)
    ambient = guarded(get_value, _KEY)
    if isinstance(ambient, Ambient) and ambient.session is session:
        parent = _open(session.parent)
        guarded(_attach, Ambient(parent) if parent else None)


def _attach(ambient: Ambient | None) -> None:
    attach(set_value(_KEY, ambient))


def open_sessions() -> tuple[Session, ...]:
    """Every session of this process that has not ended, oldest first."""
    return tuple(_opened)


def current_session(context: Context | None = None) -> Session | None:
    """The open session of this context, else of its live local parent span, else the process's default."""
    return guarded(_nearest_session, context) or (_opened[-1] if _opened else None)


def _nearest_session(context: Context | None) -> Session | None:
    ambient = get_value(_KEY, context)
    if isinstance(ambient, Ambient) and (session := _open(ambient.session)):
        return session
    carried = getattr(trace.get_current_span(context), _ON_SPAN, None)
    return _open(carried.session) if isinstance(carried, Ambient) else None


def keep_with_span(span: object, session: Session) -> None:
    """Keep the session with a live span, so that children started without context find it; gone when the span is."""
    setattr(span, _ON_SPAN, Ambient(session))


def _open(session: Session | None) -> Session | None:
    return session if session is not None and session.ended_at is None else None
