"""Generators keep their own context; exceptions and cancellations are told once; forks end nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace

from aiobs import Instrumentor, observe, span
from aiobs.errors import public_name
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.capture.test_function import event_of


@pytest.fixture
def recorded(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """Content on spans, events for what has any."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    return signals


def family(signals: InMemoryTelemetry) -> dict[str, str | None]:
    """The name of each span's parent."""
    by_id = {found.context.span_id: found.name for found in signals.spans}
    return {found.name: found.parent and by_id.get(found.parent.span_id) for found in signals.spans}


def steps() -> Iterator[int]:
    with span("across"):
        token = context.attach(baggage.set_baggage("who", "me"))
        yield 1
        with span("second"):
            assert baggage.get_baggage("who") == "me"
        context.detach(token)
        yield 2
    with span("after"):
        pass


async def async_steps() -> AsyncIterator[int]:
    for number in steps():
        await asyncio.sleep(0)
        yield number


@pytest.mark.parametrize("is_async", [False, True])
def test_a_generator_goes_on_in_its_own_context(recorded, is_async: bool) -> None:
    """S1-61: what it made current at one step is current at its next, and never in the program between them."""

    async def drive(generator: AsyncIterator[int]) -> None:
        async for _ in generator:
            between()

    def between() -> None:
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert baggage.get_baggage("who") is None
        with span("between"):
            pass

    if is_async:
        asyncio.run(drive(observe(async_steps)()))
    else:
        for _ in observe(steps)():
            between()
    root = "async_steps" if is_async else "steps"
    assert family(recorded) == {"second": "across", "across": root, "after": root, "between": None, root: None}


def test_two_generators_in_turn(recorded) -> None:
    """S1-61: each keeps its own context, and its own items."""

    @observe
    def count(name: str) -> Iterator[str]:
        for number in range(3):
            with span(f"{name}{number}"):
                yield name

    assert ["".join(pair) for pair in zip(count("a"), count("b"), strict=True)] == ["ab"] * 3
    parents = family(recorded)
    assert {name: parents[name] for name in ("a0", "b2")} == {"a0": "count", "b2": "count"}
    assert [json.loads(found.attributes["aiobs.output"])[0] for found in recorded.spans if found.name == "count"] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("how", ["return", "raise", "close", "throw", "cancel"])
def test_every_end_of_an_async_generator(recorded, how: str) -> None:
    """S1-61, S1-62: exhausted, failed, closed, thrown into, cancelled: one span, with the right end."""

    @observe
    async def work() -> AsyncIterator[int]:
        yield 1
        if how == "raise":
            raise ValueError("x")
        if how == "cancel":
            await asyncio.sleep(60)

    async def drive() -> None:
        generator: Any = work()
        assert await anext(generator) == 1
        if how == "close":
            await generator.aclose()
        elif how == "throw":
            await generator.athrow(KeyError("k"))
        elif how == "cancel":
            task = asyncio.ensure_future(anext(generator))
            await asyncio.sleep(0)
            task.cancel()
            await task
        else:
            await anext(generator)

    expected: Any = {
        "return": StopAsyncIteration,
        "raise": ValueError,
        "throw": KeyError,
        "cancel": asyncio.CancelledError,
    }.get(how)
    if expected is None:
        asyncio.run(drive())
    else:
        with pytest.raises(expected):
            asyncio.run(drive())
    found = recorded.span("work")
    is_error = how in ("raise", "throw")
    assert found.attributes.get("error.type") == (expected.__name__ if is_error else None)
    assert ("aiobs.cancelled" in found.attributes) is (how == "cancel")
    assert len(recorded.events("aiobs.function.exception")) == is_error


def test_an_exception_is_told_once(recorded, simulator: Simulator) -> None:
    """S1-62: by the innermost function that it left; a model call that failed has told of it already; each span fails."""

    @observe
    def inner() -> None:
        raise ValueError("told")

    @observe
    async def outer() -> None:
        inner()

    @observe
    def outermost() -> None:
        asyncio.run(outer())

    with pytest.raises(ValueError, match="told"):
        outermost()
    (event,) = recorded.events("aiobs.function.exception")
    assert event.span_id == recorded.span("inner").context.span_id
    assert (event.attributes["exception.type"], event.attributes["exception.message"]) == ("ValueError", "told")
    assert "in inner" in event.attributes["exception.stacktrace"]
    assert {found.attributes["error.type"] for found in recorded.spans} == {"ValueError"}
    recorded.clear()

    @observe
    def asks() -> None:
        simulator.openai(max_retries=0).chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])

    simulator.fail(400, code="bad")
    with pytest.raises(Exception, match="bad|400") as raised:
        asks()
    assert len(recorded.events("gen_ai.client.operation.exception")) == 1
    assert recorded.events("aiobs.function.exception") == []
    assert recorded.span("asks").attributes["error.type"] == public_name(type(raised.value))


def test_an_exception_that_is_caught_and_another(recorded) -> None:
    """S1-62: two exceptions are two events, also where one is the cause of the other."""

    @observe
    def inner() -> None:
        raise ValueError("first")

    @observe
    def outer() -> None:
        try:
            inner()
        except ValueError as error:
            raise KeyError("second") from error

    with pytest.raises(KeyError):
        outer()
    told = [event.attributes["exception.type"] for event in recorded.events("aiobs.function.exception")]
    assert told == ["ValueError", "KeyError"]


def test_the_text_of_an_exception_is_bounded(recorded) -> None:
    """S1-62: 10 MB of message are cut, and one whose ``__str__`` raises is named."""

    class Silent(ValueError):
        def __str__(self) -> str:
            raise RuntimeError

    @observe
    def work(error: Exception) -> None:
        raise error

    assert len(event_of(work, ValueError("x" * 10_000_000))["error"]) < 70_000
    assert event_of(work, Silent())["error"] == "Silent: Silent"
    assert max(len(str(found.status.description)) for found in recorded.spans) < 70_000


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception(recorded, interrupt: type[BaseException]) -> None:
    """S1-62: the program is to end: raised on, status unset, no event."""

    @observe
    def work() -> None:
        raise interrupt

    with pytest.raises(interrupt):
        work()
    assert recorded.span().attributes["aiobs.cancelled"] is True
    assert recorded.logs == ()


def test_a_child_process_leaves_the_span_to_its_parent(recorded) -> None:
    """S1-81: of a function that forks, the parent ends the span; the child, which returns too, does not."""

    @observe
    def forks() -> int:
        return os.fork()

    child = forks()
    if child == 0:
        os._exit(len(recorded.spans))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recorded.span().name == "forks"


@pytest.mark.parametrize("value", ["true", "false"])
def test_a_disabled_sdk_costs_a_few_steps(monkeypatch, value: str) -> None:
    """S1-84: with OTEL_SDK_DISABLED the function is called almost directly; what it costs otherwise, tests/cost counts."""
    import sys

    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    from aiobs import observer

    observer.observe()
    seen: set[str] = set()

    @observe
    def work() -> None: ...

    def enter(frame: Any, event: str, argument: Any) -> None:
        seen.add(frame.f_code.co_qualname)

    sys.setprofile(enter)
    try:
        work()
    finally:
        sys.setprofile(None)
    assert (len([name for name in seen if "Recording" in name]) == 0) is (value == "true"), seen
