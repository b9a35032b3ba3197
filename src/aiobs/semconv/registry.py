"""The registries as data: what a signal of a given name may carry, and what it must.

``genai`` is the GenAI conventions as aiobs follows them, ``aiobs`` what it adds, ``genai-4a39b6ef`` the state that
``AIOBS_SEMCONV=dup`` serves too. All are one shape, and merge into one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from importlib.resources import files
from typing import Any, TypeVar

CURRENT = ("genai", "aiobs")
DUP = (*CURRENT, "genai-4a39b6ef")

Levels = Mapping[str, str]
"""Attribute → requirement level."""

_LEVELS = ("required", "conditionally_required", "recommended_conditional", "recommended", "opt_in")
_TEMPLATE = "template["


@dataclass(frozen=True, slots=True)
class Attribute:
    """``type`` is string, int, double, boolean, string[], enum (one of ``values``) or any.

    A template stands for every ``<name>.<key>``.
    """

    name: str
    type: str
    values: tuple[str, ...] = ()
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class SpanDefinition:
    """A span type: the operations it stands for (none: a span without an operation) and what it carries.

    ``refines`` is the type whose place it takes for one provider. ``is_open``: the program adds attributes of its own.
    """

    name: str
    kind: str
    name_pattern: str
    operations: tuple[str, ...]
    attributes: Levels
    refines: str | None = None
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """An instrument; ``buckets`` is empty where none are prescribed."""

    name: str
    instrument: str
    unit: str
    buckets: tuple[float, ...]
    attributes: Levels
    refines: str | None = None


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """A log record with an event name; ``severity`` is None where none is prescribed."""

    name: str
    severity: int | None
    attributes: Levels


@dataclass(frozen=True, slots=True)
class Registry:
    """What may be emitted. A section that a file has not is empty."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    spans: Mapping[str, SpanDefinition] = field(default_factory=dict)
    metrics: Mapping[str, MetricDefinition] = field(default_factory=dict)
    events: Mapping[str, EventDefinition] = field(default_factory=dict)
    deprecated: Mapping[str, str] = field(default_factory=dict)
    """Attribute → its successor."""
    renamed_metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Metric → its successors, for inference where the name goes on for other operations."""
    everywhere: frozenset[str] = frozenset()
    """Attributes that any span and event may carry."""
    open_enums: frozenset[str] = frozenset()
    """Attributes that take values other than those listed."""
    never: Mapping[str, Any] = field(default_factory=dict)
    """Attribute → the value that is left out instead of written."""
    together: Mapping[str, str] = field(default_factory=dict)
    """Attribute → another that is required with it."""
    one_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Signal → attributes of which at least one is required."""
    subsets: Mapping[str, str] = field(default_factory=dict)
    """Count → the count that it is part of."""
    dialects: Mapping[str, str] = field(default_factory=dict)
    """Provider → the provider whose refinements it follows."""
    resource: tuple[str, ...] = ()
    """Namespaces of resource attributes."""

    @staticmethod
    @cache
    def load(*names: str) -> Registry:
        """The registries of these names beside this file, merged; ``CURRENT`` if none is named."""
        return merged(_read(name) for name in names or CURRENT)

    def attribute(self, name: str) -> Attribute | None:
        """The definition of an attribute, that of its template if it has none of its own."""
        found = self.attributes.get(name)
        if found is not None and not found.is_template:
            return found
        prefix = name
        while "." in prefix:
            prefix = prefix.rpartition(".")[0]
            found = self.attributes.get(prefix)
            if found is not None and found.is_template:
                return found
        return None

    def namespaces(self) -> frozenset[str]:
        """The first words of the attribute names: they are not the program's to use."""
        return frozenset(name.partition(".")[0] for name in self.attributes)

    def spans_of(self, operation: str | None, provider: str | None) -> list[SpanDefinition]:
        """The span types of an operation: the provider's refinement of a type in its place.

        Two registries may each have a type for it, and two kinds of spans may stand for it.
        """
        candidates = [
            span for span in self.spans.values() if (operation in span.operations if operation else not span.operations)
        ]
        return self.refined(candidates, provider)

    def metrics_of(self, name: str, provider: str | None) -> list[MetricDefinition]:
        """The definition of the metric, or the provider's refinement of it: that has a name in the registry only."""
        candidates = [metric for metric in self.metrics.values() if name == (metric.refines or metric.name)]
        return self.refined(candidates, provider)

    def refined(self, candidates: Iterable[Refinable], provider: str | None) -> list[Refinable]:
        """The candidates without other providers' refinements and without what this provider's take the place of."""
        dialect = self.dialects.get(provider or "", provider)
        fitting = [each for each in candidates if not each.refines or each.name.startswith(f"{dialect}.")]
        replaced = {each.refines for each in fitting}
        return [each for each in fitting if each.name not in replaced]


Refinable = TypeVar("Refinable", SpanDefinition, MetricDefinition)
Definition = TypeVar("Definition", SpanDefinition, MetricDefinition, EventDefinition)
Replacement = TypeVar("Replacement", str, tuple[str, ...])


def merged(registries: Iterable[Registry]) -> Registry:
    """Everything that one of them allows; what they define alike must satisfy each."""
    return reduce(_merge, registries, Registry())


def _merge(one: Registry, other: Registry) -> Registry:
    return Registry(
        attributes={**other.attributes, **one.attributes},
        spans=_both(one.spans, other.spans),
        metrics=_both(one.metrics, other.metrics),
        events=_both(one.events, other.events),
        deprecated={
            **_without(one.deprecated, other.attributes),
            **_without(other.deprecated, one.attributes),
        },
        renamed_metrics={
            **_without(one.renamed_metrics, other.metrics),
            **_without(other.renamed_metrics, one.metrics),
        },
        everywhere=one.everywhere | other.everywhere,
        open_enums=one.open_enums | other.open_enums,
        never={**one.never, **other.never},
        together={**one.together, **other.together},
        one_of={**one.one_of, **other.one_of},
        subsets={**one.subsets, **other.subsets},
        dialects={**one.dialects, **other.dialects},
        resource=one.resource + other.resource,
    )


def stricter(one: Levels, other: Levels) -> dict[str, str]:
    """The attributes of both, each at the stricter of its levels."""
    return {
        name: min((levels[name] for levels in (one, other) if name in levels), key=_LEVELS.index)
        for name in {**one, **other}
    }


def _both(one: Mapping[str, Definition], other: Mapping[str, Definition]) -> dict[str, Definition]:
    shared = {
        name: replace(one[name], attributes=stricter(one[name].attributes, other[name].attributes))
        for name in one
        if name in other
    }
    return {**other, **one, **shared}


def _without(replaced: Mapping[str, Replacement], defined: Iterable[str]) -> dict[str, Replacement]:
    """The replacements of names that the other registry does not go on using."""
    kept = set(replaced) - set(defined)
    return {name: replacement for name, replacement in replaced.items() if name in kept}


# Reading a file


def _read(name: str) -> Registry:
    raw = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return parse(raw)


def parse(raw: Mapping[str, Any]) -> Registry:
    """A registry from the contents of its file; every section may be absent."""
    attributes = {name: _attribute(name, given) for name, given in raw.get("attributes", {}).items()}
    return Registry(
        attributes=attributes,
        spans={name: _span(name, given) for name, given in raw.get("spans", {}).items()},
        metrics={name: _metric(name, given) for name, given in raw.get("metrics", {}).items()},
        events={
            name: EventDefinition(name, given.get("severity"), given["attributes"])
            for name, given in raw.get("events", {}).items()
        },
        deprecated=raw.get("deprecated", {}),
        renamed_metrics={name: tuple(new) for name, new in raw.get("renamed_metrics", {}).items()},
        everywhere=frozenset(attributes) if raw.get("everywhere") else frozenset(),
        open_enums=frozenset(raw.get("open_enums", ())),
        never=raw.get("never", {}),
        together=raw.get("together", {}),
        one_of={name: tuple(names) for name, names in raw.get("one_of", {}).items()},
        subsets=raw.get("subsets", {}),
        dialects=raw.get("dialects", {}),
        resource=tuple(raw.get("resource", ())),
    )


def _attribute(name: str, given: Mapping[str, Any]) -> Attribute:
    kind = given["type"]
    is_template = kind.startswith(_TEMPLATE)
    plain = kind.removeprefix(_TEMPLATE).removesuffix("]") if is_template else kind
    return Attribute(name, plain, tuple(given.get("enum", ())), is_template=is_template)


def _span(name: str, given: Mapping[str, Any]) -> SpanDefinition:
    return SpanDefinition(
        name=name,
        kind=given["kind"],
        name_pattern=given["name_pattern"],
        operations=tuple(given.get("operations", ())),
        attributes=given["attributes"],
        refines=given.get("refines"),
        is_open=given.get("custom_attributes", False),
    )


def _metric(name: str, given: Mapping[str, Any]) -> MetricDefinition:
    return MetricDefinition(
        name=name,
        instrument=given["instrument"],
        unit=given["unit"],
        buckets=tuple(given.get("buckets") or ()),
        attributes=given["attributes"],
        refines=given.get("refines"),
    )
