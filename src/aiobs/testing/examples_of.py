"""Values that fit a JSON schema: simple, deterministic, enough for tool arguments and response formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN = {"string": "text", "number": 1.5, "integer": 1, "boolean": True, "null": None}


def example_of(schema: Any, text: str = "text", root: Any = None, depth: int = 0) -> Any:
    """A value that fits; strings are ``text`` unless the schema says otherwise; ``$ref`` is followed within it."""
    if not isinstance(schema, Mapping) or depth > 8:
        return text
    root = schema if root is None else root
    if (reference := schema.get("$ref")) is not None:
        return example_of(_resolved(str(reference), root), text, root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example_of(schema[key][0], text, root, depth + 1)
    return _of_type(schema, text, root, depth)


def _of_type(schema: Mapping[str, Any], text: str, root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: example_of(inner, text, root, depth + 1) for name, inner in properties.items()}
    if kind == "array":
        return [example_of(schema.get("items", {}), text, root, depth + 1)]
    if kind in ("integer", "number"):
        return schema.get("minimum", _PLAIN[kind])
    return text if kind == "string" else _PLAIN.get(kind)


def _resolved(reference: str, root: Any) -> Any:
    found = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found
