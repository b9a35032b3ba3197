"""Langfuse and Phoenix: what arrives at a server in their place, in their names, and nowhere else."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import aiobs
from aiobs import Instrumentor, configure, context, observe
from aiobs.errors import ConfigurationError
from aiobs.exporters import memory
from aiobs.exporters.registry import Exporter
from aiobs.testing import OTLPSink, Simulator
from aiobs.testing.otlp_sink import attributes_of

pytestmark = pytest.mark.nonconforming("names of backends, which are added at export")

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-2"}


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[OTLPSink]:
    with OTLPSink() as sink:
        for name, value in {**KEYS, "LANGFUSE_HOST": f"{sink.endpoint}/"}.items():
            monkeypatch.setenv(name, value)
        yield sink
        aiobs.shutdown()


def run(simulator: Simulator) -> None:
    """A function that calls a model, and one that fails."""

    @observe
    def pipeline(question: str) -> str:
        client = simulator.openai()
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": question}], temperature=0.5
        )
        return str(answer.choices[0].message.content)

    @observe
    def fails() -> None:
        raise ValueError("no")

    with context(user_id="u1", session_id="s1", tags=["beta"], metadata={"team": "search"}):
        pipeline("why?")
        with suppress(ValueError):
            fails()


def received(sink: OTLPSink) -> dict[str, dict[str, Any]]:
    aiobs.flush()
    return {item.name: attributes_of(item) for item in sink.spans}


def test_spans_arrive_in_langfuses_names(sink: OTLPSink) -> None:
    """S2-34: three variables, a slash at the end of the host is no matter; Basic authentication, no package."""
    with Simulator() as simulator:
        configure(exporters=["langfuse", "memory"], capture_content="span_only")
        Instrumentor().instrument()
        memory.clear()
        run(simulator)
        found = received(sink)
    [export] = {(export.path, export.headers["authorization"]) for export in sink.exports}
    assert export == ("/api/public/otel/v1/traces", f"Basic {b64encode(b'pk-lf-1:sk-lf-2').decode()}")
    assert {export.headers["x-langfuse-ingestion-version"] for export in sink.exports} == {"4"}
    call = next(attributes for name, attributes in found.items() if name.startswith("chat"))
    function = next(attributes for name, attributes in found.items() if name.endswith("pipeline"))
    failed = next(attributes for name, attributes in found.items() if name.endswith("fails"))
    assert call["langfuse.observation.type"] == "generation"
    assert call["langfuse.observation.model.name"].startswith("gpt-4o-mini")
    assert json.loads(call["langfuse.observation.model.parameters"]) == {"temperature": 0.5}
    assert "why?" in call["langfuse.observation.input"]
    usage = json.loads(call["langfuse.observation.usage_details"])
    assert sum(usage.values()) == call["gen_ai.usage.input_tokens"] + call["gen_ai.usage.output_tokens"]
    assert (function["langfuse.observation.type"], "why?" in function["langfuse.observation.input"]) == ("span", True)
    assert function["langfuse.trace.name"].endswith("pipeline")
    assert "langfuse.trace.name" not in call
    assert (call["langfuse.trace.tags"], call["langfuse.trace.metadata.team"]) == (["beta"], "search")
    assert (call["user.id"], call["session.id"]) == ("u1", "s1")
    assert failed["langfuse.observation.level"] == "ERROR"
    assert '"langfuse.' not in "".join(item.to_json() for item in memory.spans())


def test_keys_are_needed_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2-34: the message says which variables; the keys are on no span and in no log."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"):
        configure(exporters=["langfuse"])


def test_a_wrong_key_is_said_without_it(sink: OTLPSink, caplog: pytest.LogCaptureFixture) -> None:
    """S2-17: the status, and where; no key."""
    sink.status = 401
    configure(exporters=[Exporter("langfuse", environment="staging", release="r1")])
    with caplog.at_level(logging.WARNING):
        run_one()
        aiobs.flush()
    assert "401" in caplog.text
    assert "the exporter langfuse lost 1 span(s)" in caplog.text
    assert "sk-lf-2" not in caplog.text


def run_one() -> None:
    @observe
    def step() -> int:
        return 1

    step()


def test_environment_and_release_are_the_resources(sink: OTLPSink) -> None:
    """As Langfuse filters by them."""
    configure(exporters=[Exporter("langfuse", environment="staging", release="r1")])
    run_one()
    aiobs.flush()
    assert {key: sink.resources[0][key] for key in ("langfuse.environment", "langfuse.release")} == {
        "langfuse.environment": "staging", "langfuse.release": "r1"
    }  # fmt: skip


def test_phoenix_gets_functions_in_its_names(sink: OTLPSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of models it reads itself; endpoint, key and project by its own variables."""
    monkeypatch.setenv("PHOENIX_COLLECTOR_ENDPOINT", sink.endpoint)
    monkeypatch.setenv("PHOENIX_API_KEY", "px-1")
    monkeypatch.setenv("PHOENIX_PROJECT_NAME", "mine")
    with Simulator() as simulator:
        configure(exporters=["phoenix"], capture_content="span_only")
        Instrumentor().instrument()
        run(simulator)
        found = received(sink)
    function = next(attributes for name, attributes in found.items() if name.endswith("pipeline"))
    call = next(attributes for name, attributes in found.items() if name.startswith("chat"))
    assert function["openinference.span.kind"] == "CHAIN"
    assert (json.loads(function["input.value"]), function["input.mime_type"])[1] == "application/json"
    assert "openinference.span.kind" not in call
    assert [message["finish_reason"] for message in json.loads(call["gen_ai.output.messages"])] == ["stop"]
    assert sink.resources[0]["openinference.project.name"] == "mine"
    assert sink.exports[0].headers["authorization"] == "Bearer px-1"
