"""record_llm_call and providers of the program's own: calls that no instrumentor of ours sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aiobs
from aiobs import configure, observer, record_llm_call
from aiobs.instrumentation import custom
from aiobs.testing import InMemoryTelemetry

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"
REQUEST = {"model": "acme-1", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "stop": "x"}
RESPONSE = {"id": "r1", "model": "acme-1b", "text": "Hello", "finish_reason": "stop"}


def export() -> dict[str, Any]:
    return json.loads(Path(str(observer.flush(end=True))).read_text())


def test_a_call_is_a_span_an_event_and_metrics(signals: InMemoryTelemetry) -> None:
    """S1-94: with the times, the usage and the words that were told."""
    configure(tracer_provider=signals.tracer_provider, capture_content="span_only")
    observer.observe()
    with aiobs.context(user_id="u1"):
        identity = record_llm_call(
            "acme", "acme.complete", REQUEST, RESPONSE, {"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3},
            started_at=1_700_000_000.0, ended_at=1_700_000_001.5, server="api.acme.example",
        )  # fmt: skip
    (span,) = signals.spans
    assert identity == span.context
    assert (span.name, span.end_time - span.start_time) == ("chat acme-1", 1_500_000_000)
    assert span.start_time == 1_700_000_000_000_000_000
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "acme-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "r1",
        "gen_ai.response.model": "acme-1b",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "aiobs.api.name": "acme.complete",
        "server.address": "api.acme.example",
        "server.port": 443,
        "user.id": "u1",
        "code.function.name": "test_a_call_is_a_span_an_event_and_metrics",
    }
    assert {key: span.attributes.get(key) for key in told} == told
    assert json.loads(span.attributes["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "Hello"}]
    (event,) = export()["events"]
    assert (event["provider"], event["api"], event["duration_ms"]) == ("acme", "acme.complete", 1500.0)
    assert event["request"] == REQUEST
    assert event["response"]["text"] == "Hello"
    assert event["response"]["usage"]["total_tokens"] == 7
    assert event["callsite"]["function"] == "test_a_call_is_a_span_an_event_and_metrics"


def test_metrics(signals: InMemoryTelemetry) -> None:
    """S1-94: tokens are counted; a duration only where the times are known."""
    from aiobs import Instrumentor

    Instrumentor(**signals.providers).instrument()
    record_llm_call("acme", "a", {"model": "m"}, "x", {"input_tokens": 1, "output_tokens": 1})
    assert not any("duration" in name for name in signals.metrics())
    record_llm_call(
        "acme", "a", {"model": "m"}, "x", {"input_tokens": 1, "output_tokens": 1}, started_at=1.0, ended_at=2.0
    )
    assert any("duration" in name for name in signals.metrics())


@pytest.mark.parametrize(
    "error", [ValueError(f"no such model {SECRET}"), f"no such model {SECRET}"], ids=["raised", "told"]
)
def test_a_call_that_failed(signals: InMemoryTelemetry, error: Any) -> None:
    """S1-94: ERROR, without the message on the span, and without credentials anywhere."""
    observer.observe(tracer_provider=signals.tracer_provider)
    record_llm_call("acme", "a", {"model": "m"}, error=error)
    (span,) = signals.spans
    assert not span.status.is_ok
    assert "no such" not in str(span.attributes) + str(span.status.description)
    (event,) = export()["events"]
    assert event["response"] is None
    assert "no such model" in event["error"]
    assert SECRET not in json.dumps(event)


def test_content_is_behind_the_gate(signals: InMemoryTelemetry) -> None:
    """S1-94: nothing that was asked or said is on the span unless that was wanted; no_content closes the file too."""
    observer.observe(tracer_provider=signals.tracer_provider, capture_content="no_content")
    record_llm_call("acme", "a", {"model": "m", "prompt": "needle-1"}, {"text": "needle-2"})
    (span,) = signals.spans
    assert "needle" not in str(span.attributes)
    assert "needle" not in json.dumps(export())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"provider": ""}, TypeError),
        ({"api": None}, TypeError),
        ({"request": "text"}, TypeError),
        ({"usage": 7}, TypeError),
        ({"started_at": 2.0, "ended_at": 1.0}, ValueError),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: dict[str, Any], error: type[Exception]) -> None:
    """The message names the argument."""
    with pytest.raises(error, match=next(reversed(arguments))):
        record_llm_call(**{"provider": "acme", "api": "a", **arguments})


@pytest.mark.quiet_guard
@pytest.mark.parametrize(
    "odd", [None, 7, [], {"x": object()}, [{"role": 3, "content": {1}}], "\ud800", "x" * 3_000_000]
)
def test_odd_content_raises_nothing(signals: InMemoryTelemetry, odd: Any) -> None:
    """Whatever is in request and response, there is one span that ended."""
    observer.observe(tracer_provider=signals.tracer_provider, capture_content="span_only")
    record_llm_call("acme", "a", {"model": odd, "messages": odd, "temperature": odd}, {"text": odd, "tool_calls": odd})
    assert len(signals.spans) == 1
    assert len(export()["events"]) == 1


def test_nothing_is_recorded_without_a_pipeline() -> None:
    """None, and no error."""
    assert record_llm_call("acme", "a", {"model": "m"}, "x") is None


# Providers of the program's own


class Acme(custom.BaseProvider):
    """Listens to an SDK that is one function."""

    name = "acme"

    def __init__(self) -> None:
        super().__init__()
        self.complete: Callable[[str], str] = str.upper

    def install(self, collector: custom.Collector) -> custom.Unpatch:
        original = self.complete

        def listened(prompt: str) -> str:
            text = original(prompt)
            collector.record("acme", "acme.complete", request={"model": "m", "prompt": prompt}, response=text)
            return text

        self.complete = listened
        return lambda: setattr(self, "complete", original)


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    """What a test registers is its own."""
    yield
    custom.uninstall_registered()
    custom._registered.clear()


def test_a_provider_of_the_programs_own() -> None:
    """S1-94: installed once by observe(), its calls are events, and reset() takes it back."""
    acme = Acme()
    observer.register_provider(acme)
    observer.register_provider(acme)
    assert acme.complete("x") == "X"
    observer.observe()
    observer.observe()
    assert acme.complete("hi") == "HI"
    found = export()["events"]
    assert [(event["provider"], event["request"]["prompt"], event["response"]["text"]) for event in found] == [
        ("acme", "hi", "HI")
    ]
    observer.reset()
    assert acme.complete == str.upper
    observer.observe()
    acme.complete("again")
    assert [event["response"]["text"] for event in export()["events"]] == ["AGAIN"]


def test_events_of_the_old_shape() -> None:
    """S1-94: ``_record_event`` takes an event as the session file has it."""
    observer.observe()
    event = {
        "provider": "acme", "api": "a", "request": {"model": "m"}, "response": {"text": "t", "usage": {"prompt_tokens": 1}},
        "error": None, "started_at": 1.0, "ended_at": 2.0,
    }  # fmt: skip
    custom.Collector()._record_event(event)
    (written,) = export()["events"]
    assert (written["started_at"], written["duration_ms"], written["response"]["usage"]["prompt_tokens"]) == (
        1.0,
        1000.0,
        1,
    )


@pytest.mark.quiet_guard
def test_a_provider_that_cannot_be_installed(caplog: pytest.LogCaptureFixture) -> None:
    """S1-94: one that fails or is not available costs nothing but itself."""

    class Broken(Acme):
        def install(self, collector: custom.Collector) -> custom.Unpatch:
            raise RuntimeError("no")

    class Absent(Acme):
        @classmethod
        def is_available(cls) -> bool:
            return False

    acme, absent = Acme(), Absent()
    for provider in (Broken(), absent, acme):
        observer.register_provider(provider)
    observer.observe()
    assert (acme.complete("a"), absent.complete("a")) == ("A", "A")
    assert len(export()["events"]) == 1
    with pytest.raises(TypeError, match="install"):
        observer.register_provider(object())  # type: ignore[arg-type]  # on purpose
