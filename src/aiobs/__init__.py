"""OpenTelemetry-native observability for Python programs that call language models.

Importing aiobs imports no SDK, starts no thread and changes nothing; the names below are loaded when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from aiobs._version import __version__

if TYPE_CHECKING:
    from aiobs.ambient.propagation import copy_context
    from aiobs.ambient.scope import context
    from aiobs.capture.manual import record_llm_call
    from aiobs.capture.observing import observe, span
    from aiobs.errors import AiobsError
    from aiobs.facade import observer
    from aiobs.instrumentation import Instrumentor
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
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'aiobs' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]
