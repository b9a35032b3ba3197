"""Values that fit a JSON schema: simple, deterministic, enough for tool arguments and response formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_TOO_DEEP = 8
_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example_of(schema: Any, text: str = "text", root: Any = None, depth: int = 0) -> Any:
    """A value that fits; strings are ``text`` unless the schema says otherwise; ``$ref`` is followed within it.

    A recursive schema ends at its first way out (null, an empty list, an optional property). ``pattern`` and ``not``
    are not looked at.
    """
    if not isinstance(schema, Mapping):
        return text
    root = schema if root is None else root
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    if (reference := schema.get("$ref")) is not None:
        return example_of(_resolved(str(reference), root), text, root, depth + 1) if depth < 4 * _TOO_DEEP else None
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return example_of(_alternative(schema[key], depth), text, root, depth + 1)
    return _of_type(_combined(schema, root), text, root, depth)


def _alternative(alternatives: list[Any], depth: int) -> Any:
    """The first one, or where it is time to end: null, or else what is no reference."""
    if depth > _TOO_DEEP:
        plain = [inner for inner in alternatives if isinstance(inner, Mapping) and "$ref" not in inner]
        return next((inner for inner in plain if inner.get("type") == "null"), [*plain, *alternatives][0])
    return alternatives[0]


def _combined(schema: Mapping[str, Any], root: Any) -> Mapping[str, Any]:
    """The schema with its ``allOf`` in one."""
    combined = {key: value for key, value in schema.items() if key != "allOf"}
    for inner in schema.get("allOf") or ():
        inner = _resolved(str(inner["$ref"]), root) if "$ref" in inner else inner
        properties = {**combined.get("properties", {}), **inner.get("properties", {})}
        required = [*combined.get("required", ()), *inner.get("required", ())]
        combined = {**combined, **inner, **({"properties": properties, "required": required} if properties else {})}
    return combined


def _of_type(schema: Mapping[str, Any], text: str, root: Any, depth: int) -> Any:
    kind: Any = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    match kind:
        case "object":
            return _object(schema, text, root, depth)
        case "array":
            return _array(schema, text, root, depth)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "string":
            return _string(schema, text)
    return True if kind == "boolean" else None


def _object(schema: Mapping[str, Any], text: str, root: Any, depth: int) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    if depth > _TOO_DEEP:
        properties = {name: inner for name, inner in properties.items() if name in schema.get("required", ())}
    return {name: example_of(inner, text, root, depth + 1) for name, inner in properties.items()}


def _array(schema: Mapping[str, Any], text: str, root: Any, depth: int) -> list[Any]:
    fixed = [example_of(inner, text, root, depth + 1) for inner in schema.get("prefixItems") or ()]
    least = schema.get("minItems", 0)
    wanted = least if depth > _TOO_DEEP or "maxItems" in schema else max(least, 1)
    if schema.get("maxItems") and not least:
        wanted = 1
    item = schema.get("items", {})
    return [*fixed, *(example_of(item, text, root, depth + 1) for _ in range(wanted - len(fixed)))]


def _number(schema: Mapping[str, Any], whole: bool) -> float:
    step = schema.get("multipleOf", 1 if whole else 0.5)
    lowest, highest = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    value = float(min(max(1 if whole else 1.5, lowest, above), highest, below))
    if "multipleOf" in schema or whole:
        value = math.ceil(value / step) * step
    value = value + step if value <= above else value
    value = value - step if value >= below or value > highest else value
    return int(value) if whole else value


def _string(schema: Mapping[str, Any], text: str) -> str:
    value = _FORMATS.get(schema.get("format", ""), text)
    return value.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _resolved(reference: str, root: Any) -> Any:
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found
