"""Content: JSON text on spans, structured on events, in the shape of the message schemas.

The schemas allow a part of any type, so a part of a type that they know is checked against that type too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from aiobs.errors import MissingExtra
from aiobs.semconv.registry import Registry
from aiobs.testing.conformance.attributes import Attributes, Flaw


def content_flaws(attributes: Attributes, registry: Registry, *, is_text: bool) -> Iterator[Flaw]:
    """What is wrong with the attributes that hold content; ``is_text``: they are to be JSON text, as on spans."""
    for name, value in attributes.items():
        definition = registry.attribute(name)
        if definition is None or definition.type != "any" or definition.is_template or value is None:
            continue
        if isinstance(value, str) is not is_text:
            yield "content-form", f"{name!r} is {type(value).__name__}; spans have JSON text, events the value itself"
            continue
        try:
            document = json.loads(value, parse_constant=_refuse) if is_text else plain(value)
        except ValueError as error:
            yield "content-form", f"{name!r} is no JSON: {error}"
            continue
        yield from document_flaws(name, document)


def document_flaws(name: str, document: Any) -> Iterator[Flaw]:
    """Where the content of the attribute does not fit its schema."""
    schema = _schema(name)
    for path, message in _errors(schema, document):
        yield "content-schema", f"{name!r} at {path}: {message}"
    for path, part in parts_of(document):
        known = _parts(name).get(str(part.get("type")))
        for inner, message in _errors(known, part) if known else ():
            yield "content-part", f"{name!r} at {path}{inner[1:]}: a part of type {part['type']!r}: {message}"


def parts_of(document: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of messages; of a flat list (system instructions, tool definitions), its items."""
    for number, item in enumerate(document if isinstance(document, list) else ()):
        parts = item.get("parts") if isinstance(item, dict) else None
        if isinstance(parts, list):
            yield from ((f"$[{number}].parts[{at}]", part) for at, part in enumerate(parts) if isinstance(part, dict))
        elif isinstance(item, dict):
            yield f"$[{number}]", item


def plain(value: Any) -> Any:
    """Structured content as JSON has it: the SDK keeps lists as tuples."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not in JSON")


@cache
def _schema(name: str) -> dict[str, Any]:
    """The schema of an attribute: its file is named after it."""
    file = name.replace(".", "-").replace("_", "-")
    text = files("aiobs.semconv").joinpath("schemas", f"{file}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _parts(name: str) -> dict[str, dict[str, Any]]:
    """The part types that the schema of an attribute knows, by the value of their ``type``."""
    definitions: dict[str, dict[str, Any]] = _schema(name).get("$defs", {})
    typed = {each.get("properties", {}).get("type", {}).get("const"): each for each in definitions.values()}
    return {str(kind): {**each, "$defs": definitions} for kind, each in typed.items() if kind is not None}


def _errors(schema: dict[str, Any], document: Any) -> Iterator[tuple[str, str]]:
    try:
        from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise MissingExtra("The check of content needs jsonschema: pip install jsonschema") from error
    for found in Draft202012Validator(schema).iter_errors(document):
        yield found.json_path, found.message[:200]
