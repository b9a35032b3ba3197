"""Attributes of any signal: known, of the right type and value, allowed there, none missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

from aiobs.semconv.registry import Attribute, Levels, Registry
from aiobs.testing.conformance.finding import Finding

Attributes = Mapping[str, Any]
Flaw = tuple[str, str]
"""A rule and the message of what breaks it."""


def named(signal: str, name: str, flaws: Iterable[Flaw]) -> Iterator[Finding]:
    """The flaws of one signal as findings."""
    return (Finding(signal, name, rule, message) for rule, message in flaws)


def attribute_flaws(
    attributes: Attributes, registry: Registry, allowed: Set[str], *, is_open: bool = False
) -> Iterator[Flaw]:
    """What is wrong with each attribute.

    ``allowed`` are the names that may be there. ``is_open``: the program may add attributes outside of the registries'
    namespaces.
    """
    for name, value in attributes.items():
        definition = registry.attribute(name)
        if definition is None:
            if not (is_open and name.partition(".")[0] not in registry.namespaces()):
                yield unknown(name, registry)
            continue
        yield from value_flaws(name, value, definition, registry)
        if definition.name not in allowed:
            yield "attribute-not-allowed", f"{name!r} is not an attribute that this signal may carry"


def unknown(name: str, registry: Registry) -> Flaw:
    """A name that no registry has, or has no more."""
    if name in registry.deprecated:
        return "attribute-deprecated", f"{name!r} is deprecated: it is {registry.deprecated[name]!r} now"
    return "attribute-unknown", f"{name!r} is in no registry"


def value_flaws(name: str, value: Any, definition: Attribute, registry: Registry) -> Iterator[Flaw]:
    """What is wrong with one value."""
    if not _FITS[definition.type](value):
        yield "attribute-type", f"{name!r} is {_shown(value)}; the registry says {definition.type}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield "attribute-value", f"{name!r} is {value}, which is no number"
    elif definition.values and value not in definition.values and name not in registry.open_enums:
        yield "attribute-value", f"{name!r} is {value!r}; the registry knows {', '.join(definition.values)}"
    elif ".usage." in name and value < 0:
        yield "attribute-value", f"{name!r} is {value}; tokens are counted from 0"
    elif name in registry.never and value == registry.never[name]:
        yield "attribute-value", f"{name!r} is {value!r}; it is left out instead"


def missing_flaws(signal: str, attributes: Attributes, levels: Levels, registry: Registry) -> Iterator[Flaw]:
    """What is required: always, with another attribute, or as one of several."""
    for name, level in levels.items():
        if level == "required" and name not in attributes:
            yield "attribute-missing", f"{name!r} is required"
    for name, other in registry.together.items():
        if name in attributes and other not in attributes and other in {*levels, *registry.everywhere}:
            yield "attribute-missing", f"{other!r} is required with {name!r}"
    choice = registry.one_of.get(signal, ())
    if choice and not any(name in attributes for name in choice):
        yield "attribute-missing", f"one of {', '.join(choice)} is required"


def sum_flaws(attributes: Attributes, registry: Registry) -> Iterator[Flaw]:
    """Counts that are larger than the count of which they are a part."""
    for name, whole in registry.subsets.items():
        part, total = attributes.get(name), attributes.get(whole)
        if isinstance(part, int) and isinstance(total, int) and part > total:
            yield "attribute-value", f"{name!r} is {part}, a part of {whole!r}, which is {total}"


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.80}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    "string": _is_text,
    "enum": _is_text,
    "int": _is_integer,
    "double": lambda value: isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "string[]": _is_texts,
    "any": lambda value: value is not None,
}
