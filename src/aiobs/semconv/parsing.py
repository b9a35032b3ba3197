"""A line of JSON as a value, without raising."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def parsed(raw: bytes) -> Any:
    """A line as a value, None for what is no JSON; the fast parser gives up on deep nesting, the other one does not."""
    try:
        return from_json(raw)
    except ValueError:
        pass
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
