"""Where redaction reaches: what is exported, and the session file if somebody asked for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aiobs import configure, flush, observe, observer, span
from aiobs.errors import ConfigurationError
from aiobs.exporters.redaction import ALL, FAILED, Redaction, Rule
from aiobs.testing import Simulator
from tests.exporters.redaction.samples import FOUND, SECRETS

PLANTED = [text for name in ALL for text in FOUND[name]]
SECRET = [secret for name in ALL for secret in SECRETS[name]]


@observe
def tell(what: str, **more: Any) -> list[str]:
    return [what]


@observe
def fail(what: str) -> None:
    raise ValueError(what)


def _program(simulator: Simulator) -> str:
    """Calls and functions with every needle in what is asked, answered, passed, returned and raised; the file."""
    everything = "\n".join(PLANTED)
    observer.observe("needles", labels={"team": "bob@example.com"}, capture_content="span_and_event")
    simulator.reply(everything)
    simulator.openai().chat.completions.create(
        model="m", messages=[{"role": "user", "content": everything}], user="bob@example.com"
    )
    tell(everything, card=4111111111111111, nested={"bob@example.com": [everything]})
    with pytest.raises(ValueError, match="bob"):
        fail(everything)
    observer.end()
    observer.flush()
    return json.dumps(json.loads(Path("llm_observability.json").read_text("utf-8")), ensure_ascii=False)


def _left(text: str) -> list[str]:
    for _ in range(3):
        text = text.replace("\\\\", "\\").replace('\\"', '"').replace("\\n", "\n")
    return [secret for secret in SECRET if secret in text]


def test_the_session_file_is_redacted_if_somebody_asks(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2-45: by the environment, 0 needles in messages, answers, arguments, results, errors, labels."""
    monkeypatch.setenv("AIOBS_REDACT", "all")
    written = _program(simulator)
    assert _left(written) == []
    assert "[EMAIL]" in written


def test_the_session_file_is_whole_if_nobody_asks(simulator: Simulator) -> None:
    """It is the program's own, on its own disk; keys are no part of what the search would miss."""
    assert "bob@example.com" in _left(_program(simulator))


@pytest.mark.parametrize(
    "redact", [Redaction(action="hash", hash_key="k"), "all", ["email", "phone", "card", "iban", "key", "jwt"]]
)
def test_configure_redacts_what_is_exported_and_the_file(redact: Any, simulator: Simulator) -> None:
    """With or without exporters named in the same call."""
    exporter = InMemorySpanExporter()
    configure(exporters=[exporter])
    configure(redact=redact)
    written = _program(simulator)
    flush()
    spans = "\n".join(span.to_json() for span in exporter.get_finished_spans())
    assert "EMAIL" in spans
    assert _left(spans) == []
    assert _left(written) == []


def test_a_redaction_that_comes_later_is_for_the_resource_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was exported before it, by the same exporter, is no reason to go on with its resource."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.owner=bob@example.com")
    exporter = InMemorySpanExporter()
    configure(exporters=[exporter])
    for redact in (None, "email"):
        configure(redact=redact)
        with span("work"):
            pass
        flush()
    assert [one.resource.attributes["service.owner"] for one in exporter.get_finished_spans()] == [
        "bob@example.com",
        "[EMAIL]",
    ]


def test_keys_and_tokens_are_taken_out_of_every_export(simulator: Simulator) -> None:
    """By default; what is personal stays where somebody has opened the gate for it."""
    exporter = InMemorySpanExporter()
    configure(exporters=[exporter])
    _program(simulator)
    flush()
    left = _left("\n".join(span.to_json() for span in exporter.get_finished_spans()))
    assert "bob@example.com" in left
    assert [secret for name in ("key", "jwt") for secret in SECRETS[name] if secret in left] == []


def test_none_takes_nothing_out(simulator: Simulator) -> None:
    """Not even keys that a prompt has."""
    exporter = InMemorySpanExporter()
    configure(exporters=[exporter], redact="none")
    _program(simulator)
    flush()
    assert SECRETS["jwt"][0] in _left("\n".join(span.to_json() for span in exporter.get_finished_spans()))


def test_a_mistake_in_the_environment_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When sessions begin, and not by a file that is empty."""
    with monkeypatch.context() as patch:
        patch.setenv("AIOBS_REDACT", "emial")
        with pytest.raises(ConfigurationError, match="AIOBS_REDACT: There is no detector 'emial'"):
            observer.observe("s")


def test_an_event_keeps_the_fields_that_readers_want() -> None:
    """Ids and times are no content; what an action drops is told where a text has to be."""
    event = {
        "provider": "openai", "api": "x", "request": {"model": "m", "messages": [{"content": "bob@example.com"}], "user": "bob@example.com"},
        "response": None, "error": "ValueError: bob@example.com", "span_id": "4111111111111111", "started_at": 1.5,
    }  # fmt: skip
    assert Redaction(action="drop").event(event) == {
        "provider": "openai", "api": "x", "request": {"model": "m", "messages": [{}]},
        "response": None, "error": "[DROPPED]", "span_id": "4111111111111111", "started_at": 1.5,
    }  # fmt: skip
    assert Redaction((), rules=(Rule(key="kwargs"),)).event({"kwargs": {"a": 1}}) == {
        "kwargs": {"redacted": "[REDACTED]"}
    }


@pytest.mark.quiet_guard
def test_a_field_that_fails_is_closed_and_the_others_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attribute at a time."""
    monkeypatch.setattr(Redaction, "_number", lambda self, value: 1 // 0)
    assert Redaction().event({"request": {"n": 7, "model": "m"}, "result": [7], "api": "x"}) == {
        "request": {"n": FAILED, "model": "m"},
        "result": FAILED,
        "api": "x",
    }
