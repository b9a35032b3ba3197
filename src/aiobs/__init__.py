"""OpenTelemetry-native observability for Python programs that call language models.

Importing aiobs imports no SDK, starts no thread and changes nothing; the names below are loaded when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from aiobs._version import __version__

if TYPE_CHECKING:
    # Names beyond the table of contents, for programs that import them from here.
    from aiobs.ambient.propagation import copy_context
    from aiobs.ambient.scope import context
    from aiobs.capture.manual import record_llm_call
    from aiobs.capture.observing import observe, span
    from aiobs.errors import AiobsError
    from aiobs.errors import ExportError as ExportError
    from aiobs.exporters import BaseExporter as BaseExporter
    from aiobs.exporters import CompositeExporter as CompositeExporter
    from aiobs.exporters import CustomExporter as CustomExporter
    from aiobs.exporters import ExportResult as ExportResult
    from aiobs.facade import observer
    from aiobs.instrumentation import Instrumentor
    from aiobs.reading import Callsite as Callsite
    from aiobs.reading import Event as Event
    from aiobs.reading import FunctionEvent as FunctionEvent
    from aiobs.reading import ObservabilityExport as ObservabilityExport
    from aiobs.reading import ObservedEvent as ObservedEvent
    from aiobs.reading import ObservedFunctionEvent as ObservedFunctionEvent
    from aiobs.reading import Session as Session
    from aiobs.reading import SessionMeta as SessionMeta
    from aiobs.runtime import configure, flush, shutdown

__all__ = [
    "AiobsError",
    "Instrumentor",
    "__version__",
    "configure",
    "context",
    "copy_context",
    "flush",
    "observe",
    "observer",
    "record_llm_call",
    "shutdown",
    "span",
]

_HOMES = {
    "AiobsError": "aiobs.errors",
    "BaseProvider": "aiobs.instrumentation.custom",
    "Instrumentor": "aiobs.instrumentation",
    "configure": "aiobs.runtime",
    "context": "aiobs.ambient.scope",
    "copy_context": "aiobs.ambient.propagation",
    "flush": "aiobs.runtime",
    "observe": "aiobs.capture.observing",
    "observer": "aiobs.facade",
    "record_llm_call": "aiobs.capture.manual",
    "shutdown": "aiobs.runtime",
    "span": "aiobs.capture.observing",
    # Beyond the table of contents: what reads session files, and what sends them elsewhere.
    "BaseExporter": "aiobs.exporters",
    "Callsite": "aiobs.reading",
    "CompositeExporter": "aiobs.exporters",
    "CustomExporter": "aiobs.exporters",
    "Event": "aiobs.reading",
    "ExportError": "aiobs.errors",
    "ExportResult": "aiobs.exporters",
    "FunctionEvent": "aiobs.reading",
    "ObservabilityExport": "aiobs.reading",
    "ObservedEvent": "aiobs.reading",
    "ObservedFunctionEvent": "aiobs.reading",
    "Session": "aiobs.reading",
    "SessionMeta": "aiobs.reading",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'aiobs' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]
