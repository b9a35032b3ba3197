"""One session: who it is, what it is labelled with, and its record in the session file."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

from opentelemetry.util.types import AttributeValue


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
        """Replace the labels, which are valid and include the system's; spans started from now on carry these."""
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


def process_meta() -> dict[str, Any]:
    """``{"pid": …, "cwd": …}`` of this process, for the session record; a deleted directory is an empty string."""
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    return {"pid": os.getpid(), "cwd": cwd}
