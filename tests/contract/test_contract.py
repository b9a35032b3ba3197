"""What every operation of every provider keeps, sync and async, whole and streamed.

The table of operations is ``drivers.py``, the programs that call them are ``programs.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.capture import deferred
from aiobs.errors import public_name
from aiobs.runtime import flush
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.contract import programs
from tests.contract.drivers import DRIVERS, NEEDLE, SAID, STREAMS, WHOLE, Driver, parametrize
from tests.contract.outcome import (
    Outcome,
    assert_counted_once,
    client_span,
    file_events,
    line_of,
    outcome,
    shown,
)
from tests.contract.programs import (
    CANCELLED_READING,
    CANCELLED_WAITING,
    LEFT,
    NEVER_READ,
    READ,
    Program,
    Stage,
    play,
    to_the_end,
)
from tests.contract.scripts import SCRIPTS, Script, answered, cut, hung_up, malformed, refused

every_driver = parametrize(DRIVERS)
every_refused_driver = parametrize(DRIVERS, refused=True)
every_stream = parametrize(STREAMS)
every_whole = parametrize(WHOLE)


@pytest.fixture
def recorded(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """The SDKs instrumented into ``signals`` and a session open, content where it is by default."""
    return record(signals)


def record(signals: InMemoryTelemetry, content: str | None = None) -> InMemoryTelemetry:
    """Record into ``signals`` and the session file from here on."""
    observer.observe("contract", tracer_provider=signals.tracer_provider, capture_content=content)
    Instrumentor(**signals.providers, capture_content=content).instrument()
    return signals


def settled(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """With what finalisers left behind ended, as by the next call."""
    assert flush()
    return signals


# A good answer


@every_driver
def test_a_good_answer(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """One CLIENT span with usage and finish reasons, one metric point, one DEBUG event for inference.

    breaks-apps #19, #71, #77, #80
    """
    answered(simulator, driver)
    stage = play(driver, to_the_end(driver), simulator)
    assert stage.error is None
    assert driver.text(stage.taken) == (SAID if driver.of.said else None)
    span = client_span(recorded, driver)
    assert outcome(span) == Outcome(reasons=(driver.of.reason,) if driver.of.reason else None)
    attributes: Any = span.attributes
    assert attributes.get("gen_ai.usage.input_tokens") == driver.of.tokens[0]
    assert attributes.get("gen_ai.usage.output_tokens") == driver.of.tokens[1]
    assert_counted_once(recorded, driver, None)
    assert ("gen_ai.response.time_to_first_chunk" in attributes) is driver.says_stream


@every_driver
def test_usage_is_counted_once(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """The histograms and counters of tokens have what the span has; embeddings have none of them.

    breaks-apps #76, #77
    """
    answered(simulator, driver)
    play(driver, to_the_end(driver), simulator)
    metrics = recorded.metrics()
    counted = {
        name: sum(point.sum if hasattr(point, "sum") else point.value for point in points)
        for name, points in metrics.items()
        if "token" in name
    }
    spent, made = driver.of.tokens
    assert counted == (
        {
            "gen_ai.client.inference.operation.input_tokens": spent,
            "gen_ai.client.inference.operation.output_tokens": made,
            "gen_ai.client.inference.usage.input_tokens": spent,
            "gen_ai.client.inference.usage.output_tokens": made,
        }
        if driver.of.is_inference
        else {}
    ) | {name: counted[name] for name in counted if "reasoning" in name or "cache" in name}


@every_driver
def test_the_place_of_the_call(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """``code.*`` is the program's line that made the call: of a lazy stream, the one that began to read it."""
    play(driver, to_the_end(driver), simulator)
    span = client_span(recorded, driver)
    assert (span.attributes or {})["code.file.path"] == programs.__file__
    assert "stage.ask()" in line_of(span)


@every_driver
def test_the_span_of_the_program(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """The call's span is a child of the program's, which is current again after the call and between chunks.

    breaks-apps #30
    """
    tracer = recorded.tracer_provider.get_tracer("program")
    with tracer.start_as_current_span("program") as above:
        stage = play(driver, to_the_end(driver), simulator)
    assert set(stage.current) == {above}
    child = client_span(recorded, driver)
    assert child.parent is not None
    assert child.parent.span_id == above.get_span_context().span_id
    assert len(recorded.spans) == 2


@every_driver
def test_the_event_of_the_session_file(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """One event with provider, api, request and response, under the span's identity."""
    answered(simulator, driver)
    play(driver, to_the_end(driver), simulator)
    (event,) = file_events()
    span = client_span(recorded, driver)
    assert span.context is not None
    assert (event["provider"], event["api"], event["error"]) == (driver.of.sdk.name, driver.of.api, None)
    assert event["request"]["model"] == driver.of.model
    assert (NEEDLE in str(event["request"])) is (driver.of.prompt is not None)
    usage = event["response"]["usage"] or {}
    assert (usage.get("prompt_tokens"), usage.get("completion_tokens")) == driver.of.tokens
    assert event["response"].get("text") == driver.of.in_file
    assert event["span_id"] == f"{span.context.span_id:016x}"
    assert Path(event["callsite"]["file"]).name == "programs.py"


# Content


@every_driver
def test_no_content_while_the_gate_is_closed(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """Neither prompt nor answer is on any signal; the session file has both.

    breaks-apps #81
    """
    answered(simulator, driver)
    play(driver, to_the_end(driver), simulator)
    assert NEEDLE not in shown(recorded)
    assert (NEEDLE in str(file_events())) is driver.of.has_content


@every_driver
def test_no_content_anywhere_if_the_user_says_so(
    simulator: Simulator, signals: InMemoryTelemetry, driver: Driver
) -> None:
    """``no_content`` closes the session file too.

    breaks-apps #81
    """
    record(signals, "no_content")
    answered(simulator, driver)
    play(driver, to_the_end(driver), simulator)
    assert NEEDLE not in shown(signals) + str(file_events())


@every_driver
@pytest.mark.parametrize("content", ["span_only", "event_only", "span_and_event"])
def test_content_where_it_was_asked_for(
    simulator: Simulator, signals: InMemoryTelemetry, driver: Driver, content: str
) -> None:
    """Prompt and answer on the signals that are named, on no other; embeddings have none that could carry it.

    breaks-apps #81
    """
    record(signals, content)
    answered(simulator, driver)
    play(driver, to_the_end(driver), simulator)
    on_span = client_span(signals, driver).to_json()
    (on_event,) = [log.to_json() for log in signals.logs] or [""]
    assert on_span.count(NEEDLE) == (driver.of.on_span if "span" in content else 0)
    assert on_event.count(NEEDLE) == (driver.of.on_span if "event" in content and driver.of.is_inference else 0)
    assert NEEDLE not in repr(signals.metrics())


# Errors


@pytest.mark.parametrize("status", [400, 429, 500])
@every_refused_driver
def test_a_provider_error(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver, status: int) -> None:
    """ERROR with the provider's code, one point and one WARN event with the same; what the provider quotes stays in.

    breaks-apps #25, #82
    """
    refused(status)(simulator, driver)
    stage = play(driver, to_the_end(driver), simulator)
    assert isinstance(stage.error, Exception)
    assert NEEDLE in str(stage.error)
    span = client_span(recorded, driver)
    error_type = driver.of.sdk.error_types[status]
    assert outcome(span) == Outcome(StatusCode.ERROR, error_type)
    assert span.status.description == error_type
    assert (span.attributes or {})["aiobs.http.status_code"] == status
    assert span.events == ()
    assert_counted_once(recorded, driver, error_type)
    assert NEEDLE not in shown(recorded)
    (event,) = file_events()
    assert event["error"].startswith(f"{type(stage.error).__name__}: ")
    assert NEEDLE in event["error"]
    assert (event["response"], event["error_details"]["type"]) == (None, error_type)


@every_refused_driver
def test_an_error_is_described_with_the_gate_open(
    simulator: Simulator, signals: InMemoryTelemetry, driver: Driver
) -> None:
    """Message and stack trace are content; they come with it."""
    record(signals, "span_and_event")
    refused(500)(simulator, driver)
    play(driver, to_the_end(driver), simulator)
    assert NEEDLE in str(client_span(signals, driver).status.description)
    (event,) = signals.events("gen_ai.client.operation.exception")
    assert NEEDLE in event.attributes["exception.message"]
    assert "Traceback" in event.attributes["exception.stacktrace"]


@pytest.mark.parametrize("script", SCRIPTS)
@every_driver
def test_the_id_of_the_request(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver, script: str) -> None:
    """The span has the id under which the provider knows the request wherever it told one, the file that of errors."""
    SCRIPTS[script](simulator, driver)
    play(driver, to_the_end(driver), simulator)
    unseen = script == "hung-up" or (script == "cut" and not driver.streams)  # the SDK has seen no header
    told = None if unseen else driver.of.sdk.request_id
    assert (client_span(recorded, driver).attributes or {}).get("aiobs.request.id") == told
    (event,) = file_events()
    assert event.get("error_details", {"request_id": told})["request_id"] == told


@pytest.mark.parametrize("script", [malformed, cut, hung_up])
@every_driver
def test_an_error_on_the_way(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver, script: Script) -> None:
    """ERROR with the public class of what the SDK raised; a stream that had begun says that no finish reason came.

    breaks-apps #21
    """
    script(simulator, driver)
    stage = play(driver, to_the_end(driver), simulator)
    span = client_span(recorded, driver)
    if script is malformed and driver.of.is_binary:
        assert (stage.error, outcome(span)) == (None, Outcome())
        return
    if script is malformed and driver.streams and driver.of.hands_on_anything:
        assert (stage.error, outcome(span)) == (None, Outcome(reasons=("stop",)))
        return
    assert isinstance(stage.error, Exception)
    error_type = public_name(type(stage.error))
    begun = driver.streams and script is not hung_up
    expected = Outcome(StatusCode.ERROR, error_type, ("error",) if begun else None, True if begun else None)
    assert outcome(span) == expected
    assert_counted_once(recorded, driver, error_type)
    (event,) = file_events()
    assert (event["response"], event["error_details"]["type"]) == (None, error_type)


# Cancelled


@every_driver
def test_cancelled_while_it_waits(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """A task cancelled, or Ctrl-C, before anything came: no error, cancelled, and the program gets what it caused.

    breaks-apps #23
    """
    simulator.fault(silence=30)
    stage = play(driver, CANCELLED_WAITING, simulator)
    assert type(stage.error) is (asyncio.CancelledError if driver.is_async else KeyboardInterrupt)
    found = outcome(client_span(recorded, driver))
    assert (found.status, found.error_type, found.cancelled) == (StatusCode.UNSET, None, True)
    assert_counted_once(recorded, driver, None)
    (event,) = file_events()
    assert (event["response"], event["error"]) == (None, "CancelledError: ")


@every_stream
def test_cancelled_while_it_reads(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """The same between two chunks: what had come is kept, the finish reason is ``error``.

    breaks-apps #23
    """
    gate = simulator.gated(SAID)
    gate.release(1)
    stage = play(driver, CANCELLED_READING, simulator)
    gate.open()
    assert type(stage.error) is (asyncio.CancelledError if driver.is_async else KeyboardInterrupt)
    assert len(stage.taken) >= 1
    assert outcome(client_span(recorded, driver)) == Outcome(reasons=("error",), incomplete=True, cancelled=True)
    assert_counted_once(recorded, driver, None)


# Dropped


@pytest.mark.parametrize("program", LEFT, ids=str)
@every_stream
def test_a_stream_that_is_left(
    simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver, program: Program
) -> None:
    """Broken off, closed, left by an exception of the program's: incomplete, ended with the last chunk, no error.

    breaks-apps #17, #18, #24, #26
    """
    answered(simulator, driver)
    stage = play(driver, program, simulator)
    assert type(stage.error) is (LookupError if program.name == "raise" else type(None))
    stage.error = None
    settled(recorded)
    span = client_span(recorded, driver)
    assert outcome(span) == Outcome(reasons=("error",), incomplete=True)
    assert span.end_time is not None
    assert span.end_time < stage.read_at + programs.PAUSE * 0.8e9
    assert_counted_once(recorded, driver, None)
    (event,) = file_events()
    assert (event["error"], event["response"]["incomplete"]) == (None, True)
    assert NEEDLE not in shown(recorded)


@every_stream
def test_a_stream_that_is_never_read(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """As many spans as requests: an SDK that makes the request with the first chunk has made none.

    breaks-apps #17
    """
    answered(simulator, driver)
    play(driver, NEVER_READ, simulator)
    assert len(settled(recorded).spans) == len(simulator.requests)
    if recorded.spans:
        assert outcome(client_span(recorded, driver)) == Outcome(reasons=("error",), incomplete=True)


@every_stream
def test_a_stream_that_is_open_at_the_exit(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """At exit nobody reads on.

    breaks-apps #95
    """
    answered(simulator, driver)
    ended: list[int] = []

    def leave_open(stage: Stage) -> None:
        stream = stage.ask()
        stage.take(next(iter(stream)))
        deferred.settle_all()
        ended.append(len(recorded.spans))
        stage.taken += list(stream)

    async def leave_open_async(stage: Stage) -> None:
        stream = await stage.ask()
        stage.take(await anext(aiter(stream)))
        deferred.settle_all()
        ended.append(len(recorded.spans))
        stage.taken += [chunk async for chunk in stream]

    stage = play(driver, Program("leave open", leave_open, leave_open_async), simulator)
    assert ended == [1]
    assert driver.text(stage.taken) == SAID
    assert outcome(client_span(recorded, driver)) == Outcome(reasons=("error",), incomplete=True)


@every_stream
def test_a_stream_that_ends_too_early(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """A clean end without a finish reason: the SDK raises nothing, the span says ``error`` and incomplete."""
    simulator.raw(driver.of.opening)
    stage = play(driver, READ, simulator)
    assert stage.error is None
    assert len(stage.taken) == len(driver.of.opening)
    assert outcome(client_span(recorded, driver)) == Outcome(reasons=("error",), incomplete=True)
    assert_counted_once(recorded, driver, None)


# Nothing that a program can see changes


@every_stream
def test_chunks_are_not_held_back(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """The program has the first chunk while the provider holds back the rest.

    breaks-apps #15
    """
    gate = simulator.gated(SAID)
    gate.release(1)
    passed: list[int] = []

    def first(stage: Stage) -> None:
        chunks = iter(stage.ask())
        stage.take(next(chunks))
        passed.append(gate.passed)
        gate.open()
        list(chunks)

    async def first_async(stage: Stage) -> None:
        chunks = aiter(await stage.ask())
        stage.take(await anext(chunks))
        passed.append(gate.passed)
        gate.open()
        [chunk async for chunk in chunks]

    stage = play(driver, Program("first", first, first_async), simulator)
    assert (stage.error, passed) == (None, [1])


@every_driver
def test_the_duration_is_that_of_the_call(simulator: Simulator, recorded: InMemoryTelemetry, driver: Driver) -> None:
    """From the request to the answer, or to the last chunk, on the span and in the metric alike."""
    simulator.fault(silence=0.05)
    before = time.time_ns()
    play(driver, to_the_end(driver), simulator)
    span = client_span(recorded, driver)
    assert span.start_time is not None
    assert span.end_time is not None
    assert before <= span.start_time
    assert span.end_time - span.start_time >= 50_000_000
    (point,) = recorded.metrics()[driver.of.duration]
    assert point.sum == pytest.approx((span.end_time - span.start_time) / 1e9)


@every_driver
def test_nothing_is_recorded_for_nobody(simulator: Simulator, driver: Driver) -> None:
    """Instrumented, but no provider, session or hook: the SDK's own object."""
    Instrumentor().instrument()
    answered(simulator, driver)
    stage = play(driver, to_the_end(driver), simulator)
    assert (stage.error, driver.text(stage.taken)) == (None, SAID if driver.of.said else None)


@pytest.fixture(autouse=True)
def left_as_found() -> Iterator[None]:
    """No span is current before or after."""
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN
