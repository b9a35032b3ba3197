"""What a check found: an error, a warning or a note."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is: an error is broken, a warning may be meant, a note is good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What happened, what it means and what to do; ``code`` names the kind, for machines."""

    level: Level
    code: str
    what: str
    means: str
    do: str


def error(code: str, what: str, means: str, do: str) -> Finding:
    """Something is broken."""
    return Finding(Level.ERROR, code, what, means, do)


def warning(code: str, what: str, means: str, do: str) -> Finding:
    """It works, but perhaps not as meant."""
    return Finding(Level.WARNING, code, what, means, do)


def note(code: str, what: str, means: str, do: str) -> Finding:
    """Good to know."""
    return Finding(Level.NOTE, code, what, means, do)
