"""Where a span's context comes from besides the program's own ``aiobs.context``: the orchestrator that runs it.

A source is a function without arguments that says what runs right now, in this thread and task, as span attributes,
or None outside of any run. It is asked each time a span starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.util.types import AttributeValue

from aiobs.guard import guarded
from aiobs.semconv.serialise import attribute_value, clean_text

Source = Callable[[], Mapping[str, Any] | None]
Attributes = dict[str, AttributeValue]
MAX_ATTRIBUTES = 64
"""Most attributes that one source may give a span; what comes after them is left out."""

_sources: tuple[Source, ...] = ()


def add_source(source: Source) -> Source:
    """Ask ``source()`` for attributes whenever a span starts; returns it, so that it can be a decorator.

    It gives a mapping of attribute names to values (scalars or lists of them; what is nested becomes JSON; 64 of them
    at most), or None outside of a run: then what it said for the parent span holds. It runs on the caller's path: it
    should only look at what is in memory. One that raises, or gives something else, costs its own attributes, and one
    line in the log. Where several give the same attribute, the one that was added last is heard. Adding a source again
    changes nothing.
    """
    global _sources
    if source not in _sources:
        _sources = (*_sources, source)
    return source


def remove_source(source: Source) -> None:
    """Do not ask it any more, from the next span on; one that is not asked is no error."""
    global _sources
    _sources = tuple(other for other in _sources if other is not source)


def has_sources() -> bool:
    """Somebody is to be asked."""
    return bool(_sources)


def ask_sources(inherited: Mapping[Source, Attributes]) -> Mapping[Source, Attributes]:
    """What every source says; for one that knows of no run here (a bare thread) what it said for the parent span."""
    if not _sources:
        return inherited
    said = {source: guarded(_ask, source) or inherited.get(source) for source in _sources}
    return {source: attributes for source, attributes in said.items() if attributes}


def _ask(source: Source) -> Attributes | None:
    found = source()
    return None if found is None else clean_attributes(found)


def clean_attributes(given: Mapping[str, Any]) -> Attributes:
    """Legal attributes of any mapping: text keys, scalars or sequences of them, else JSON; None values are left out.

    At most 64 of them, the first. Raises what the mapping raises, AttributeError for what is none.
    """
    clean: Attributes = {}
    for key, value in given.items():
        if len(clean) == MAX_ATTRIBUTES:
            break
        if (usable := attribute_value(value)) is not None:
            clean[clean_text(str(key))] = usable
    return clean
