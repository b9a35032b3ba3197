"""What you test an LLM program with, and we test aiobs with: provider simulator, in-memory telemetry, OTLP sink.

    from aiobs.testing import Simulator

    with Simulator() as simulator:
        simulator.reply("Hello!")
        simulator.openai().chat.completions.create(model="gpt-4o-mini", messages=[...])
        assert simulator.requests[0].json["model"] == "gpt-4o-mini"

As pytest fixtures: ``aiobs_simulator`` and ``aiobs_telemetry``.
"""

from __future__ import annotations

from aiobs.testing.otlp_sink import OTLPSink
from aiobs.testing.pipeline import InMemoryTelemetry
from aiobs.testing.script import Answer, Fault, Gate, Reply, Request
from aiobs.testing.simulator import Simulator

__all__ = ["Answer", "Fault", "Gate", "InMemoryTelemetry", "OTLPSink", "Reply", "Request", "Simulator"]
