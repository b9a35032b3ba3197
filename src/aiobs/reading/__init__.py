"""Session files → Python: dataclasses, events one by one, findings, and the JSON Schema."""

from aiobs.reading.export import (
    Callsite,
    Event,
    FunctionEvent,
    ObservabilityExport,
    ObservedEvent,
    ObservedFunctionEvent,
    Session,
    SessionMeta,
)
from aiobs.reading.files import entries, iter_events
from aiobs.reading.tree import nested

__all__ = [
    "Callsite",
    "Event",
    "FunctionEvent",
    "ObservabilityExport",
    "ObservedEvent",
    "ObservedFunctionEvent",
    "Session",
    "SessionMeta",
    "entries",
    "iter_events",
    "nested",
]
