"""Every collaborator of ours breaks, one at a time: the program never notices, and nothing else is lost."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from aiobs import Instrumentor, guard, observe, observer
from aiobs.capture import deferred, telemetry
from aiobs.errors import AiobsError
from aiobs.testing import InMemoryTelemetry, Simulator

pytestmark = pytest.mark.quiet_guard
ASK = [{"role": "user", "content": "What is an API?"}]


class Broken(Exception):
    """What a broken collaborator raises."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise Broken("broken")


class BrokenProcessor(SpanProcessor):
    on_start = on_end = broken


class BrokenStart(SpanProcessor):
    on_start = broken


class BrokenEnd(SpanProcessor):
    on_end = broken


class BrokenSampler(Sampler):
    should_sample = broken

    def get_description(self) -> str:
        return "broken"


class BrokenTracer:
    start_span = broken


class BrokenTracerProvider:
    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        return BrokenTracer()


def provider_with(*processors: SpanProcessor, **options: Any) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False, **options)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


PROVIDERS = {
    "processor": lambda: provider_with(BrokenProcessor()),
    "on_start": lambda: provider_with(BrokenStart()),
    "on_end": lambda: provider_with(BrokenEnd()),
    "sampler": lambda: provider_with(sampler=BrokenSampler()),
    "tracer": BrokenTracerProvider,
}


def run_program(simulator: Simulator) -> list[Any]:
    """Whole, streamed, broken-off, raw and failing calls in an observed function; what they gave."""

    @observe
    def work() -> list[Any]:
        client = simulator.openai()
        chat = client.chat.completions
        results: list[Any] = [chat.create(model="m", messages=ASK).choices[0].message.content]
        results.append(len(list(chat.create(model="m", messages=ASK, stream=True))))
        with chat.create(model="m", messages=ASK, stream=True) as stream:
            results.append(type(next(stream)))
        results.append(type(chat.with_raw_response.create(model="m", messages=ASK).parse()))
        simulator.fail(400)
        with pytest.raises(openai.BadRequestError):
            chat.create(model="m", messages=ASK)
        return results

    return work()


def recorded(session_file: str | None) -> tuple[int, int]:
    export = json.loads(Path(str(session_file)).read_text())
    return len(export["events"]), len(export["function_events"])


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_broken_provider(simulator: Simulator, name: str) -> None:
    """101: processors, samplers and tracers that raise; the session file still has every call.

    breaks-apps #101
    """
    without = run_program(simulator)
    observer.observe(tracer_provider=PROVIDERS[name]())
    assert run_program(simulator) == without
    assert recorded(observer.flush()) == (5, 1)


@pytest.mark.parametrize(
    "target",
    [
        "opentelemetry.sdk.trace.Span.set_attributes",
        "opentelemetry.sdk.trace.Span.set_status",
        "opentelemetry.sdk.trace.Tracer.start_span",
        "opentelemetry.sdk._logs._internal.Logger.emit",
        "opentelemetry.sdk.metrics._internal.instrument._Histogram.record",
        "opentelemetry.sdk.metrics._internal.instrument._Counter.add",
        "aiobs.capture.recording.end_attributes",
        "aiobs.capture.recording.content_of",
        "aiobs.capture.recording.scrub",
        "aiobs.capture.drivers.find_callsite",
        "aiobs.capture.streams.Tap.shadow_close",
        "aiobs.capture.streams.Tap.first",
        "aiobs.capture.deferred.opened",
        "aiobs.semconv.content._json",
        "aiobs.exporters.session_file.call_event",
    ],
)
@pytest.mark.nonconforming("the step that fails is missing from the signals")
def test_each_step_may_fail(simulator: Simulator, signals, monkeypatch, target: str) -> None:
    """One step of ours, or of the SDK's, raises each time: the program's results are what they are without us.

    breaks-apps #22, #102, #104
    """
    without = run_program(simulator)
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    with monkeypatch.context() as patched:
        patched.setattr(target, broken)
        assert run_program(simulator) == without
        deferred.settle_all()
    assert guard.errors or "exporters" in target
    before = len(signals.spans)
    assert run_program(simulator) == without
    assert len(signals.spans) == before + 6


def test_a_span_that_cannot_be_ended(simulator: Simulator, monkeypatch) -> None:
    """The SDK's own end() raises: the program and the session file are not affected."""
    without = run_program(simulator)
    observer.observe()
    monkeypatch.setattr("opentelemetry.sdk.trace.Span.end", broken)
    assert run_program(simulator) == without
    assert recorded(observer.flush()) == (5, 1)


@pytest.mark.parametrize("reader", ["read_request", "read_response", "read_prompt", "read_choices", "fold_chunk"])
@pytest.mark.nonconforming("what the reader would have read is missing")
def test_each_reader_may_fail(simulator: Simulator, signals, monkeypatch, reader: str) -> None:
    """A reader that raises loses what it would have read; the span ends all the same."""
    from aiobs.instrumentation.openai import PROVIDER

    without = run_program(simulator)
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    operation = PROVIDER.operations[0]
    original = getattr(operation, reader)
    object.__setattr__(operation, reader, broken)
    try:
        assert run_program(simulator) == without
    finally:
        object.__setattr__(operation, reader, original)
    assert len(signals.spans) == 6
    assert guard.errors


def test_a_broken_exporter(simulator: Simulator, signals) -> None:
    """An exporter that raises is the SDK's to log; calls and other exporters go on."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

    class Exporter(SpanExporter):
        export = broken
        shutdown = lambda self: None  # noqa: E731

    logging.getLogger("opentelemetry.sdk.trace.export").disabled = True
    try:
        signals.tracer_provider.add_span_processor(SimpleSpanProcessor(Exporter()))
        Instrumentor(**signals.providers).instrument()
        run_program(simulator)
    finally:
        logging.getLogger("opentelemetry.sdk.trace.export").disabled = False
    assert len(signals.spans) == 6


class Hook:
    """A hook that raises what it is given."""

    def __init__(self, before: Exception | None = None, finish: Exception | None = None) -> None:
        self.before_error, self.finish_error = before, finish

    def before(self, call: Any) -> None:
        if self.before_error:
            raise self.before_error

    def finish(self, call: Any) -> dict[str, Any]:
        if self.finish_error:
            raise self.finish_error
        return {"aiobs.cost.usd": 0.25, "bad": object()}


@pytest.mark.nonconforming("the hook writes attributes of its own")
def test_a_broken_hook(simulator: Simulator, signals) -> None:
    """A hook that raises anything but an AiobsError is swallowed; the hooks after it run."""
    Instrumentor(**signals.providers, hooks=[Hook(Broken()), Hook(finish=Broken()), Hook()]).instrument()
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert signals.span().attributes["aiobs.cost.usd"] == 0.25


@pytest.mark.nonconforming("the hook writes attributes of its own")
def test_a_hook_may_refuse_a_call(simulator: Simulator, signals) -> None:
    """The one thing that we raise into a program: an AiobsError of a hook. No request goes out, the span fails."""

    class Refused(AiobsError):
        pass

    Instrumentor(**signals.providers, hooks=[Hook(Refused("enough"))]).instrument()
    with pytest.raises(Refused, match="enough"):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert simulator.requests == []
    assert signals.span().attributes["error.type"].endswith("Refused")


@pytest.mark.nonconforming("the hook writes attributes of its own")
def test_a_hook_may_add_to_the_request(simulator: Simulator, signals) -> None:
    """Additions go out; the program's own arguments are not changed."""

    class Adding(Hook):
        def before(self, call: Any) -> None:
            call.request.additions["metadata"] = {"run": "7"}

    arguments = {"model": "m", "messages": ASK}
    Instrumentor(**signals.providers, hooks=[Adding()]).instrument()
    simulator.openai().chat.completions.create(**arguments)
    assert simulator.requests[0].json["metadata"] == {"run": "7"}
    assert arguments == {"model": "m", "messages": ASK}


def test_failures_are_logged_once_per_cause_and_counted(simulator: Simulator, signals, monkeypatch, caplog) -> None:
    """S1-88: one WARNING per cause, without the text of the exception, and a count of all."""
    Instrumentor(**signals.providers).instrument()
    monkeypatch.setattr("aiobs.capture.recording.end_attributes", broken)
    for _ in range(3):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    (cause,) = guard.errors
    assert guard.errors[cause] == 3
    assert signals.metrics()["aiobs.internal.errors"][0].value == 3
    (record,) = [record for record in caplog.records if record.name == "aiobs"]
    assert record.levelname == "WARNING"
    assert "the program is not affected" in record.getMessage()


@pytest.mark.nonconforming("the attributes are what fails")
def test_a_broken_logging_handler(simulator: Simulator, signals, monkeypatch) -> None:
    """A handler that raises in its turn does not reach the program either."""

    class Handler(logging.Handler):
        emit = broken
        handle = broken

    monkeypatch.setattr("aiobs.capture.recording.end_attributes", broken)
    Instrumentor(**signals.providers).instrument()
    handler = Handler()
    logging.getLogger("aiobs").addHandler(handler)
    try:
        assert run_program(simulator)
    finally:
        logging.getLogger("aiobs").removeHandler(handler)


def test_memory_telemetry_is_not_ours_to_break(signals: InMemoryTelemetry) -> None:
    """The tests above mean something: the same steps do run when nothing is broken."""
    assert telemetry.current().sink is None
    assert signals.spans == ()
