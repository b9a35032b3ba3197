"""The published JSON Schema (draft 2020-12) of the session file, version 1, kept as package data."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

NAME = "llm_observability.v1.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def published() -> dict[str, Any]:
    """The schema as this package publishes it; not to be changed."""
    schema: dict[str, Any] = json.loads(files("aiobs.reading").joinpath("schemas", NAME).read_text("utf-8"))
    return schema


def made() -> dict[str, Any]:
    """The schema of ``format`` as it is now."""
    from pydantic import TypeAdapter

    from aiobs.reading import format as types

    body = _plain(TypeAdapter(types.Export).json_schema())
    return {"$schema": DIALECT, "title": "llm_observability.json, version 1", **body}


def _plain(value: Any) -> Any:
    """Without what only pydantic reads: generated titles, and ``discriminator``, which is OpenAPI's."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _plain(item) for key, item in value.items() if not _is_ours_only(key, item)}


def _is_ours_only(key: str, item: Any) -> bool:
    return (key == "title" and isinstance(item, str)) or (key == "discriminator" and isinstance(item, dict))
