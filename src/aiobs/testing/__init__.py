"""What you test an LLM program with, and we test aiobs with: provider simulator, in-memory telemetry, OTLP sink.

    from aiobs.testing import Simulator

    with Simulator() as simulator:
        simulator.reply("Hello!")
        simulator.openai().chat.completions.create(model="gpt-4o-mini", messages=[...])
        assert simulator.requests[0].json["model"] == "gpt-4o-mini"

As pytest fixtures: ``aiobs_simulator`` and ``aiobs_telemetry``. As a server of its own: ``python -m aiobs.testing``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiobs.testing.otlp_sink import Export, OTLPSink, attributes_of
    from aiobs.testing.pipeline import InMemoryTelemetry
    from aiobs.testing.script import Answer, Fault, Gate, Reply, Request
    from aiobs.testing.simulator import Simulator

__all__ = [
    "Answer",
    "Export",
    "Fault",
    "Gate",
    "InMemoryTelemetry",
    "OTLPSink",
    "Reply",
    "Request",
    "Simulator",
    "attributes_of",
]

_HOMES = {
    "Answer": "aiobs.testing.script",
    "Export": "aiobs.testing.otlp_sink",
    "Fault": "aiobs.testing.script",
    "Gate": "aiobs.testing.script",
    "InMemoryTelemetry": "aiobs.testing.pipeline",
    "OTLPSink": "aiobs.testing.otlp_sink",
    "Reply": "aiobs.testing.script",
    "Request": "aiobs.testing.script",
    "Simulator": "aiobs.testing.simulator",
    "attributes_of": "aiobs.testing.otlp_sink",
}


def __getattr__(name: str) -> object:
    # Lazy, since pytest imports this package with its plugin in every run of whoever has aiobs installed.
    if name not in _HOMES:
        raise AttributeError(f"module 'aiobs.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]
