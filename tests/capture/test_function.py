"""``@observe`` and ``span()``."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, configure, copy_context, observe, observer, span
from aiobs.capture import deferred
from aiobs.errors import ConfigurationError
from aiobs.testing import InMemoryTelemetry, Simulator


@pytest.fixture
def recorded(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """Content on spans, nothing else needed."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    return signals


def export() -> dict[str, Any]:
    return json.loads(Path(str(observer.flush())).read_text())


def event_of(function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The function event of one call in a session."""
    observer.observe()
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    except BaseException as error:
        if not isinstance(error, (ValueError, KeyboardInterrupt, asyncio.CancelledError)):
            raise
    observer.end()
    (event,) = export()["function_events"]
    return event


def test_a_function_is_one_internal_span(recorded) -> None:
    """S1-54, S1-55: name, kind, where it is defined, arguments and result."""

    @observe
    def research(query: str, *, depth: int = 1) -> list[str]:
        """Look it up."""
        return [query] * depth

    assert research("api", depth=2) == ["api", "api"]
    assert (research.__name__, research.__doc__) == ("research", "Look it up.")
    assert list(inspect.signature(research).parameters) == ["query", "depth"]
    found = recorded.span("research")
    assert found.kind is SpanKind.INTERNAL
    assert json.loads(found.attributes["aiobs.input"]) == {"args": ["api"], "kwargs": {"depth": 2}}
    assert json.loads(found.attributes["aiobs.output"]) == ["api", "api"]
    assert found.attributes["code.file.path"] == __file__
    assert found.attributes["code.function.name"].endswith("<locals>.research")
    assert found.attributes["code.line.number"] == research.__wrapped__.__code__.co_firstlineno


def test_the_function_event() -> None:
    """S1-77, S1-80: all fields; the call site of a decorated function is its definition."""

    @observe(name="shown")
    def work(a: int, b: str = "x") -> dict[str, int]:
        return {"a": a}

    event = event_of(work, 1, b="y")
    assert event["callsite"]["line"] == work.__wrapped__.__code__.co_firstlineno
    assert Path(event["callsite"]["file"]).name == "test_function.py"
    moving = ("callsite", "started_at", "ended_at", "duration_ms", "span_id", "trace_id", "session_id")
    assert {key: value for key, value in event.items() if key not in moving} == {
        "provider": "function",
        "api": f"{__name__}.test_the_function_event.<locals>.work",
        "name": "shown",
        "module": __name__,
        "args": [1],
        "kwargs": {"b": "y"},
        "result": {"a": 1},
        "error": None,
        "parent_span_id": None,
        "enh_prompt": False,
        "enh_prompt_id": None,
        "auto_enhance_after": None,
        "evaluations": [],
    }
    assert event["ended_at"] == pytest.approx(event["started_at"] + event["duration_ms"] / 1000, abs=1e-3)


@pytest.mark.parametrize("content", [True, None])
def test_nothing_of_the_arguments_with_capture_args_off(signals, content) -> None:
    """S1-57: not in the file, not on the span, not in an error text."""
    Instrumentor(**signals.providers, capture_content=content).instrument()

    @observe(capture_args=False)
    def login(username: str, password: str) -> None:
        raise ValueError(f"no such user: {username} {password}")

    event = event_of(login, "ann", password="hunter2")
    assert (event["args"], event["kwargs"], event["error"]) == (None, None, "ValueError")
    shown = json.dumps(event) + "".join(found.to_json() for found in signals.spans)
    assert "hunter2" not in shown
    assert "ann" not in shown


def test_capture_result_off() -> None:
    """S1-58: the result is null, the arguments are there."""

    @observe(capture_result=False)
    def work() -> str:
        return "secret"

    event = event_of(work)
    assert (event["args"], event["kwargs"], event["result"]) == ([], {}, None)


def test_secrets_by_name_are_redacted() -> None:
    """S1-57: parameters and keys that are named like a secret."""

    @observe
    def connect(host: str, password: str, options: dict, token: str = "") -> None:
        """Nothing."""

    event = event_of(connect, "h", "hunter2", {"api_key": "k1", "x": 1}, token="t1")
    assert event["args"] == ["h", "[REDACTED]", {"api_key": "[REDACTED]", "x": 1}]
    assert event["kwargs"] == {"token": "[REDACTED]"}


def test_an_error() -> None:
    """S1-62: name and message, result null, arguments kept, raised on as the same object."""

    @observe
    def work(x: int) -> None:
        raise error

    error = ValueError("Test error")
    event = event_of(work, 5)
    assert (event["error"], event["result"], event["args"]) == ("ValueError: Test error", None, [5])


def test_the_span_of_an_error(recorded) -> None:
    """Status ERROR with error.type; no span event."""

    @observe
    def work() -> None:
        raise ValueError("Test error")

    with pytest.raises(ValueError, match="Test error"):
        work()
    found = recorded.span("work")
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "Test error")
    assert found.attributes["error.type"] == "ValueError"
    assert found.events == ()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_cancellation_is_no_error(recorded, interrupt) -> None:
    """S1-62: status unset, aiobs.cancelled, the file has the name."""

    @observe
    def work() -> None:
        raise interrupt

    event = event_of(work)
    found = recorded.span("work")
    assert found.status.status_code is StatusCode.UNSET
    assert found.attributes["aiobs.cancelled"] is True
    assert event["error"] == f"{type(interrupt).__name__}: "


async def test_coroutines(recorded) -> None:
    """Coroutine-ness is kept, calls that run at once have their own spans and parents."""

    @observe
    async def child(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @observe
    async def parent() -> list[int]:
        return await asyncio.gather(*(child(n) for n in range(5)))

    assert inspect.iscoroutinefunction(parent)
    assert await parent() == [0, 1, 2, 3, 4]
    root = recorded.span("parent")
    assert {found.parent.span_id for found in recorded.spans if found.name == "child"} == {root.context.span_id}


def test_generators(recorded) -> None:
    """S1-61: the span covers the iteration; the caller's own spans are not its children."""
    tracer = recorded.tracer_provider.get_tracer("app")

    @observe
    def count(n: int) -> Any:
        for number in range(n):
            with tracer.start_as_current_span("inside"):
                got = yield number
        return got

    assert inspect.isgeneratorfunction(count)
    generator = count(2)
    assert recorded.spans == ()
    assert next(generator) == 0
    assert trace.get_current_span() is trace.INVALID_SPAN
    with tracer.start_as_current_span("outside"):
        assert generator.send("x") == 1
    with pytest.raises(StopIteration) as stop:
        generator.send("y")
    assert stop.value.value == "y"
    spans = {found.name: found for found in recorded.spans}
    assert spans["inside"].parent.span_id == spans["count"].context.span_id
    assert spans["outside"].parent is None
    assert json.loads(spans["count"].attributes["aiobs.output"]) == [0, 1]


def test_generators_closed_thrown_into_and_failing(recorded) -> None:
    """close() ends the span without error, throw() reaches the generator, its own error fails it."""
    closed = []

    @observe
    def work() -> Any:
        try:
            yield 1
            yield 2
        except ValueError:
            yield 3
        finally:
            closed.append(True)

    first = work()
    next(first)
    first.close()
    second = work()
    next(second)
    assert second.throw(ValueError()) == 3
    with pytest.raises(KeyError):
        second.throw(KeyError("k"))
    assert closed == [True, True]
    deferred.drain()
    assert [found.attributes.get("error.type") for found in recorded.spans] == [None, "KeyError"]


def test_a_generator_let_go_of(recorded) -> None:
    """The collector may close it inside any lock, so the next recording (or flush, or the exit) ends its span."""

    @observe
    def work() -> Any:
        yield 1

    next(work())
    assert recorded.spans == ()
    with span("next"):
        assert recorded.span("work").attributes["aiobs.output"] == "[1]"


async def test_async_generators(recorded) -> None:
    """S1-61: exhausted, left early and closed, thrown into, failing."""

    @observe
    async def count(n: int) -> Any:
        for number in range(n):
            await asyncio.sleep(0)
            try:
                yield number
            except LookupError:
                yield "caught"

    assert inspect.isasyncgenfunction(count)
    assert [number async for number in count(20)] == list(range(20))
    generator = count(3)
    assert await anext(generator) == 0
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert await generator.athrow(LookupError()) == "caught"
    await generator.aclose()
    assert len(recorded.spans) == 2
    assert json.loads(recorded.spans[0].attributes["aiobs.output"])[-1] == "... (+10 more)"


def test_a_function_without_a_session(signals: InMemoryTelemetry) -> None:
    """S1-83: it works, its span goes to the provider, and no session file has it."""
    configure(tracer_provider=signals.tracer_provider)

    @observe
    def work() -> int:
        return 1

    assert work() == 1
    assert signals.span("work").attributes["code.function.name"].endswith("work")
    observer.observe()
    assert export()["function_events"] == []


def test_unrecorded_functions_of_every_kind() -> None:
    """S1-83: without provider or session everything works and nothing is recorded."""

    @observe
    def plain() -> int:
        return 1

    @observe
    def generate() -> Any:
        yield 1
        return 2

    @observe
    async def agenerate() -> Any:
        yield 1

    @observe()
    async def coroutine() -> int:
        return 1

    async def run() -> list[Any]:
        return [await coroutine(), [item async for item in agenerate()]]

    assert plain() == 1
    assert list(generate()) == [1]
    assert asyncio.run(run()) == [1, [1]]


class Service:
    """Methods of every kind, in both orders."""

    @observe
    def method(self, x: int) -> int:
        return x

    @classmethod
    @observe
    def on_class(cls, x: int) -> int:
        return x

    @observe
    @staticmethod
    def static(x: int) -> int:
        return x

    @observe
    @classmethod
    def class_first(cls, x: int) -> int:
        return x


@pytest.mark.parametrize("name", ["method", "on_class", "static", "class_first"])
def test_methods(name: str) -> None:
    """S1-60: the instance or class is no argument."""
    event = event_of(getattr(Service(), name), 7)
    assert (event["args"], event["result"]) == ([7], 7)
    assert event["api"] == f"{__name__}.Service.{name}"


def test_a_function_whose_first_parameter_is_called_self() -> None:
    """Only methods drop it."""

    @observe
    def work(self: int) -> int:
        return self

    assert event_of(work, 3)["args"] == [3]


def test_nesting_and_model_calls(simulator: Simulator) -> None:
    """S1-78, S1-82: the model call is the child of the function that made it."""

    @observe
    def inner() -> None:
        simulator.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])

    @observe
    def outer() -> None:
        inner()

    observer.observe()
    outer()
    (root,) = export()["trace_tree"]
    assert (root["name"], root["event_type"]) == ("outer", "function")
    assert root["children"][0]["name"] == "inner"
    (call,) = root["children"][0]["children"]
    assert (call["event_type"], call["provider"], call["children"]) == ("provider", "openai", [])
    assert call["parent_span_id"] == root["children"][0]["span_id"]


def test_enhanced_prompts() -> None:
    """S1-63 to S1-66: an id per call, the threshold as given, all ids in tree order."""

    @observe(enh_prompt=True, auto_enhance_after=10)
    def summarize() -> None:
        """Nothing."""

    observer.observe()
    summarize()
    summarize()
    found = export()
    ids = [event["enh_prompt_id"] for event in found["function_events"]]
    assert len(set(ids)) == 2
    assert found["enh_prompt_traces"] == ids
    assert {event["auto_enhance_after"] for event in found["function_events"]} == {10}
    with pytest.raises(ConfigurationError, match="auto_enhance_after=0 must be a whole number of 1 or more"):
        observe(enh_prompt=True, auto_enhance_after=0)


def test_span_as_a_block(recorded) -> None:
    """A block of code as a span with attributes; an error fails it."""
    with span("step", key="value", nothing=None, odd=object()) as current:
        current.set_attribute("more", 1)
        with span("inner"):
            pass
    with pytest.raises(ValueError, match="x"), span("failing"):
        raise ValueError("x")
    found = {item.name: item for item in recorded.spans}
    assert (found["step"].attributes["key"], found["step"].attributes["more"]) == ("value", 1)
    assert "nothing" not in found["step"].attributes
    assert found["inner"].parent.span_id == found["step"].context.span_id
    assert found["failing"].status.status_code is StatusCode.ERROR


async def test_observe_as_a_block(recorded) -> None:
    """observe(name=...) works as decorator and as context manager, sync and async, nested and reused."""
    step = observe(name="step")
    with step, step:
        pass
    async with observe(name="other"), span("third"):
        pass
    assert [item.name for item in recorded.spans] == ["step", "step", "third", "other"]


async def test_one_block_object_in_several_tasks(recorded) -> None:
    """observe(name=...) may be shared: each task leaves the block that it entered."""
    step = observe(name="step")

    async def task(delay: float) -> None:
        with step:
            await asyncio.sleep(delay)
            with span("inside"):
                pass

    await asyncio.gather(task(0.02), task(0.01), task(0.0))
    parents = {item.context.span_id for item in recorded.spans if item.name == "step"}
    assert {item.parent.span_id for item in recorded.spans if item.name == "inside"} == parents
    assert len(parents) == 3


def test_threads_with_copy_context(recorded) -> None:
    """A thread has no context; copy_context gives it that of now, as often as it is called.

    breaks-apps #32
    """

    @observe
    def work(n: int) -> int:
        return n

    @observe
    def root() -> list[int]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(copy_context(work), range(8)))

    assert root() == list(range(8))
    parent = recorded.span("root").context.span_id
    assert {item.parent.span_id for item in recorded.spans if item.name == "work"} == {parent}


def test_a_thread_without_context_still_finds_its_session() -> None:
    """Threads start with an empty context: the process's session is theirs.

    breaks-apps #32
    """

    @observe
    def work() -> None:
        """Nothing."""

    observer.observe("s")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(export()["function_events"]) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**70, str(2**70)),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("x" * 501, "x" * 500 + "..."),
        (list(range(12)), [*range(10), "... (+2 more)"]),
        ((1, 2), [1, 2]),
        ({n: n for n in range(21)}, {**{str(n): n for n in range(20)}, "...": "(+1 more)"}),
        ({"k" * 200: 1}, {"k" * 100: 1}),
        (b"\x00\xff", "<bytes 2>"),
        (Service(), "<Service>"),
        (Service, "<type>"),
        ({1, 2}, [1, 2]),
        (iter([]), "<list_iterator>"),
        ([[[[[[[[1]]]]]]]], [[[[[["<list>"]]]]]]),
    ],
)
def test_values_are_reduced(value: Any, expected: Any) -> None:
    """S1-59: what is kept of a value, and that what is cut off is marked."""
    from aiobs.capture.reduce import reduced

    assert reduced(value) == expected


def test_dataclasses_models_and_cycles_are_reduced() -> None:
    """S1-59: dataclasses and pydantic models as dicts, cycles safe, nothing of theirs is called."""
    import dataclasses

    import pydantic

    from aiobs.capture.reduce import reduced

    @dataclasses.dataclass
    class Point:
        x: int

        def __repr__(self) -> str:
            raise RuntimeError

    class Model(pydantic.BaseModel):
        y: Point

    cycle: list[Any] = []
    cycle.append(cycle)
    assert reduced(Model(y=Point(1))) == {"y": {"x": 1}}
    assert reduced(cycle) == [[[[[["<list>"]]]]]]
