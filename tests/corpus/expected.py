"""What a span has to say about an exchange, worked out from the recorded JSON alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

WORD = re.compile(r"[\w.-]{1,64}")
INT64 = 2**63


@dataclass
class Spoken:
    """What one choice said, by kind, and the tool calls as (id, name, arguments); ``others``: ids of built-in tools."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str | None, str, Any]] = field(default_factory=list)
    others: set[str] = field(default_factory=set)


@dataclass
class Expected:
    """Attributes by name, and what was said; None where that is no concern."""

    attributes: dict[str, Any] = field(default_factory=dict)
    spoken: list[Spoken] | None = None


def at(value: Any, *path: Any) -> Any:
    """What lies at this path of JSON, None where nothing does."""
    for key in path:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list) and len(value) > key else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def entries(value: Any) -> list[Any]:
    """The list, or none."""
    return value if isinstance(value, list) else []


def tokens(value: Any) -> int | None:
    """A count that can be one."""
    return value if type(value) is int and 0 <= value < INT64 else None


def text(value: Any) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None


def without_none(pairs: dict[str, Any]) -> dict[str, Any]:
    """What was said."""
    return {key: value for key, value in pairs.items() if value is not None}


def spelled(arguments: str) -> Any:
    """JSON text as its value; what is none stays text, nothing is None."""
    try:
        return json.loads(arguments) if arguments else None
    except ValueError:
        return arguments


def double(value: Any) -> float | None:
    """A number as OpenTelemetry's double."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def strings(value: Any) -> tuple[str, ...] | None:
    """One text or several."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) and value else None


def more_than_one(value: Any) -> int | None:
    """A number of choices; one is what everybody gets."""
    return value if value != 1 else None
