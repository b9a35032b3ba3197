"""What can be observed, under which name, and which of its arguments are told."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import enum
import functools
import inspect
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiobs import Instrumentor, observe, observer
from aiobs.capture import deferred
from aiobs.errors import ConfigurationError
from aiobs.testing import InMemoryTelemetry
from tests.capture.test_function import event_of, export

SECRET = "hunter2-hunter2"


@pytest.fixture
def recorded(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """Content on spans, events for what has any."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    return signals


def everything(event: dict[str, Any], signals: InMemoryTelemetry) -> str:
    """All that was told of a call."""
    return json.dumps(event) + "".join(found.to_json() for found in (*signals.spans, *signals.logs))


def test_the_name_is_for_show(recorded) -> None:
    """S1-56: ``name`` changes span and display name, the api stays the qualified name; a strange one does no harm."""

    @observe(name="shown")
    def work() -> None: ...

    @observe(name="bad \ud800 name")
    def strange() -> None: ...

    event = event_of(work)
    assert (event["name"], event["api"]) == ("shown", f"{__name__}.test_the_name_is_for_show.<locals>.work")
    assert work.__name__ == "work"
    event_of(strange)
    assert [found.name for found in recorded.spans] == ["shown", "bad � name"]


def test_the_names_of_langfuse(recorded) -> None:
    """S1-54: capture_input and capture_output are what capture_args and capture_result are; the type is told."""

    @observe(as_type="retriever", capture_input=False)
    def find(query: str) -> str:
        return "found"

    @observe(capture_output=False)
    def answer(query: str) -> str:
        return SECRET

    found, answered = event_of(find, SECRET), event_of(answer, "x")
    with observe(name="look", as_type="tool"):
        pass
    assert (found["args"], found["kwargs"], found["result"]) == (None, None, "found")
    assert (answered["args"], answered["result"]) == (["x"], None)
    assert SECRET not in everything(found, recorded) + everything(answered, recorded)
    types = [(one.attributes or {}).get("aiobs.observation.type") for one in recorded.spans]
    assert types == ["retriever", None, "tool"]


def test_how_much_a_transform_gets(recorded, monkeypatch) -> None:
    """S1-54: the first items, as many as may be kept alive."""
    monkeypatch.setattr("aiobs.capture.function.MOST_YIELDED", 3)

    @observe(transform_to_string=joined)
    def letters() -> Any:
        yield from "abcdef"

    assert list(letters()) == [*"abcdef"]
    assert json.loads(recorded.span("letters").attributes["aiobs.output"]) == "abc"


def joined(items: list[Any]) -> str:
    return "".join(items)


@pytest.mark.parametrize("is_async", [False, True])
def test_what_was_yielded_as_one_text(recorded, is_async: bool) -> None:
    """S1-54: transform_to_string makes the result of all items of a generator, also one that is left early."""

    @observe(transform_to_string=joined)
    def words() -> Any:
        yield from ("w",) * 30

    @observe(transform_to_string=joined)
    async def words_later() -> Any:
        for _ in range(30):
            yield "w"

    async def read() -> list[str]:
        return [word async for word in words_later()]

    assert (asyncio.run(read()) if is_async else list(words())) == ["w"] * 30
    assert json.loads(recorded.spans[-1].attributes["aiobs.output"]) == "w" * 30
    early = words()
    next(early)
    early.close()
    deferred.drain()
    assert json.loads(recorded.spans[-1].attributes["aiobs.output"]) == "w"


@pytest.mark.quiet_guard
@pytest.mark.parametrize("transform", [lambda items: 1 / 0, lambda items: 7])
def test_a_transform_that_makes_no_text(recorded, transform: Any) -> None:
    """S1-54: the items are told as they are without one, and the program goes on."""

    @observe(transform_to_string=transform)
    def words() -> Any:
        yield "a"

    assert list(words()) == ["a"]
    assert json.loads(recorded.span("words").attributes["aiobs.output"]) == ["a"]


class Word:
    """Something that can be referred to weakly."""


def test_a_transform_that_is_interrupted(recorded) -> None:
    """S1-54: Ctrl-C in it is the program's, and the span has ended."""

    def interrupted(items: list[Any]) -> str:
        raise KeyboardInterrupt

    @observe(transform_to_string=interrupted)
    def words() -> Any:
        yield "a"

    with pytest.raises(KeyboardInterrupt):
        list(words())
    assert recorded.span("words").end_time is not None


def test_a_transform_gets_nothing_that_is_not_told(recorded) -> None:
    """S1-54: where the result is not captured, nothing that was yielded is looked at or kept alive."""

    @observe(transform_to_string=lambda items: pytest.fail("was called"), capture_output=False)
    def words() -> Any:
        yield Word()
        yield Word()

    reading = words()
    first = weakref.ref(next(reading))
    next(reading)
    assert first() is None
    assert list(reading) == []
    assert "aiobs.output" not in recorded.span("words").attributes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"as_type": "film"}, "as_type='film' must be one of span, generation, embedding"),
        ({"transform_to_string": "join"}, "transform_to_string='join' must be a function"),
        ({"capture_args": {"exclude": ["a"]}, "capture_input": True}, "are the same option; give one of them"),
        ({"capture_result": False, "capture_output": True}, "capture_result=False and capture_output=True are the"),
    ],
)
def test_a_wrong_option_of_langfuses(options: dict[str, Any], message: str) -> None:
    """S1-54: it says so when the function is decorated, and what to give."""
    with pytest.raises(ConfigurationError, match=message):
        observe(**options)


# What is not told


def exclude(*names: str) -> dict[str, list[str]]:
    return {"exclude": [*names]}


@pytest.mark.parametrize("how", ["position", "keyword"])
def test_an_excluded_parameter(recorded, how: str) -> None:
    """S1-57: redacted in file and span, and taken out of the text of an error that quotes it, of its log and status."""

    @observe(capture_args=exclude("pin"))
    def enter(name: str, pin: str) -> None:
        raise ValueError(f"no such pin: {pin} of {name}")

    event = event_of(enter, "ann", SECRET) if how == "position" else event_of(enter, "ann", pin=SECRET)
    assert (event["args"], event["kwargs"]) == (
        (["ann", "[REDACTED]"], {}) if how == "position" else (["ann"], {"pin": "[REDACTED]"})
    )
    assert event["error"] == "ValueError: no such pin: [REDACTED] of ann"
    assert SECRET not in everything(event, recorded)


def test_excluded_parameters_that_take_all_the_others(recorded) -> None:
    """S1-57: excluding ``args`` or ``kwargs`` of a function redacts what they collect."""

    @observe(capture_args=exclude("rest"))
    def first(a: int, *rest: str) -> None: ...

    @observe(capture_args=exclude("options"))
    def second(a: int, b: int = 0, **options: str) -> None: ...

    @observe(capture_args=exclude("extra"))
    def third(**options: str) -> None: ...

    event = event_of(first, 1, SECRET, SECRET)
    assert event["args"] == [1, "[REDACTED]", "[REDACTED]"]
    other = event_of(second, a=1, b=2, c=SECRET)
    assert other["kwargs"] == {"a": 1, "b": 2, "c": "[REDACTED]"}
    last = event_of(third, extra=SECRET, other="x")
    assert last["kwargs"] == {"extra": "[REDACTED]", "other": "x"}
    assert SECRET not in everything({"all": [event, other, last]}, recorded)


@pytest.mark.parametrize(
    "given",
    [{"exclude": ["typo"]}, {"exclude": "pin"}, {"exclude": [1]}, {"include": ["pin"]}, {}, "pin", 3],
)
def test_an_exclusion_that_excludes_nothing_is_refused(given: Any) -> None:
    """S1-57: at decoration: a misspelled parameter would be told for ever."""
    with pytest.raises(ConfigurationError, match="no parameter 'typo' to exclude|must be True, False"):

        @observe(capture_args=given)
        def enter(pin: str) -> None: ...


@pytest.mark.parametrize(
    "name", ["password", "passwd", "secret", "token", "api_key", "authorization", "Authorization", "apiKey"]
)
def test_parameters_that_are_named_like_a_secret(recorded, name: str) -> None:
    """S1-57: redacted by default, by position, by keyword and in a partial, wherever the position is."""
    namespace: dict[str, Any] = {}
    exec(f"def work(host, {name}, *, debug=False): raise ValueError({name})", namespace)
    work = observe(namespace["work"])
    events = [
        event_of(work, "h", SECRET),
        event_of(work, "h", **{name: SECRET}),
        event_of(observe(functools.partial(namespace["work"], "h")), SECRET),
    ]
    assert [event["args"] for event in events] == [["h", "[REDACTED]"], ["h"], ["[REDACTED]"]]
    assert SECRET not in everything({"all": events}, recorded)


def test_capture_args_off_is_off_everywhere(recorded) -> None:
    """S1-57, S1-62: with the gate open, still nothing in the exception event, the status or the span."""

    @observe(capture_args=False)
    def work(text: str) -> None:
        raise ValueError(text)

    assert "quoted" not in everything(event_of(work, "quoted"), recorded).replace('"quoted"', "quoted in code")
    (log,) = recorded.events("aiobs.function.exception")
    assert dict(log.attributes) == {"exception.type": "ValueError"}


def test_capture_result_off_keeps_what_was_yielded_out(recorded) -> None:
    """S1-58: neither a result nor the items of a generator; arguments are there, ``[]`` when there are none."""

    @observe(capture_result=False)
    def count() -> Any:
        yield SECRET

    event = event_of(lambda: list(count()))
    assert (event["result"], event["args"]) == (None, [])
    assert SECRET not in everything(event, recorded)


# What can be observed


class Service:
    """Called, and with methods of every kind."""

    def __call__(self, password: str, x: int) -> int:
        return x

    def method(self, x: int) -> int:
        return x

    @observe(capture_instance=True)
    def told(self, x: int) -> int:
        return x

    @observe(capture_instance=True)
    @classmethod
    def told_class(cls, x: int) -> int:
        return x

    @staticmethod
    def plain(x: int) -> int:
        return x

    @observe
    @staticmethod
    def static_self(self: int) -> int:
        return self

    @property
    @observe
    def size(self) -> int:
        return 7

    def nested(self) -> Callable[[int], int]:
        @observe
        def inner(self: int) -> int:
            return self

        return inner


class Async:
    async def __call__(self, x: int) -> int:
        await asyncio.sleep(0)
        return x


def work(x: int, y: int = 0) -> int:
    return x


HERE = f"{__name__}."


@pytest.mark.parametrize(
    ("function", "args", "told", "name", "api"),
    [
        (observe(Service()), (SECRET, 1), ["[REDACTED]", 1], "Service", "Service"),
        (observe(Service().method), (7,), [7], "method", "Service.method"),
        (observe(Service.method), (Service(), 7), [7], "method", "Service.method"),
        (observe(functools.partial(work, 1)), (2,), [2], "work", "work"),
        (observe(functools.partial(functools.partial(work), y=1)), (2,), [2], "work", "work"),
        (observe(functools.lru_cache(work)), (2,), [2], "work", "work"),
        (Service().nested(), (3,), [3], "inner", "Service.nested.<locals>.inner"),
        (Service.static_self, (3,), [3], "static_self", "Service.static_self"),
    ],
)
def test_anything_that_can_be_called(function: Any, args: tuple[Any, ...], told: Any, name: str, api: str) -> None:
    """S1-60: instances, bound methods, partials, wrapped and nested functions: named for what runs, self left out."""
    event = event_of(function, *args)
    assert (event["args"], event["name"], event["api"]) == (told, name, HERE + api)
    assert event["callsite"]["function"] == api
    assert callable(function)
    assert isinstance(function.__name__, str)


def test_what_is_built_in() -> None:
    """S1-60: a function of C has no line; its name is told."""
    event = event_of(observe(len), [1, 2])
    assert (event["name"], event["args"], event["result"], event["callsite"]) == ("len", [[1, 2]], 2, None)


def test_an_instance_whose_call_is_a_coroutine() -> None:
    """S1-60, S1-61: the span lasts until it has been awaited."""
    call = observe(Async())
    assert inspect.iscoroutinefunction(call)
    assert event_of(call, 3)["result"] == 3


def test_a_property_is_observed_below_it() -> None:
    """S1-60: ``@property`` above ``@observe`` is a method; the other way round is refused, with what to do."""
    event = event_of(lambda: Service().size)
    assert (event["args"], event["result"], event["api"]) == ([], 7, HERE + "Service.size")
    with pytest.raises(ConfigurationError, match="put @observe below @property"):
        observe(property(lambda self: 1))  # type: ignore[type-var]  # on purpose


@pytest.mark.parametrize("given", ["step", 3, object()])
def test_what_cannot_be_called(given: Any) -> None:
    """A name in the place of a function is refused at decoration."""
    with pytest.raises(ConfigurationError, match="observe"):
        observe(given)


@pytest.mark.parametrize("name", ["told", "told_class"])
def test_the_instance_if_somebody_asks(recorded, name: str) -> None:
    """S1-60: ``capture_instance=True`` tells the class of self, or the class itself; otherwise there is no such key."""
    event = event_of(getattr(Service(), name), 1)
    assert (event["instance"], event["args"]) == ("<Service>", [1])
    assert json.loads(recorded.spans[0].attributes["aiobs.input"]) == {
        "instance": "<Service>",
        "args": [1],
        "kwargs": {},
    }
    assert "instance" not in event_of(Service.static_self, 1)


@observe
class Whole:
    """Decorated as a whole."""

    constant = 3

    class Inner:
        def work(self) -> None: ...

    def __init__(self) -> None:
        self.seen: list[str] = []

    def work(self, x: int) -> int:
        return self._hidden(x)

    def _hidden(self, x: int) -> int:
        return x

    async def later(self, x: int) -> int:
        return x

    def items(self) -> Any:
        yield 1

    @classmethod
    def on_class(cls, x: int) -> int:
        return x

    @staticmethod
    def static(x: int) -> int:
        return x

    @property
    def size(self) -> int:
        return 7

    @observe(name="named")
    def observed_already(self) -> None: ...


def test_a_class_is_decorated(recorded) -> None:
    """S1-60: its public methods of every kind, once; the class is the same object, the rest of it untouched."""
    assert isinstance(Whole, type)
    assert (Whole.__name__, Whole.constant) == ("Whole", 3)
    whole = Whole()
    assert (whole.work(1), whole.size, whole.on_class(2), Whole.static(3)) == (1, 7, 2, 3)
    assert (list(whole.items()), asyncio.run(whole.later(4))) == ([1], 4)
    whole.observed_already()
    Whole.Inner().work()
    assert [found.name for found in recorded.spans] == ["work", "on_class", "static", "items", "later", "named"]
    assert json.loads(recorded.spans[1].attributes["aiobs.input"]) == {"args": [2], "kwargs": {}}


def test_classes_that_are_made_by_others(recorded) -> None:
    """S1-60: dataclasses, enumerations, abstract classes; subclasses call what they inherit; options hold for all."""

    @observe(capture_args=False, name="P")
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        x: int

        def moved(self, by: int) -> int:
            return self.x + by

    @observe
    class Color(enum.Enum):
        RED = 1

        def shade(self) -> int:
            return int(self.value)

    @observe
    class Base(abc.ABC):
        @abc.abstractmethod
        def work(self) -> int: ...

    class Child(Base):
        def work(self) -> int:
            return 1

    assert (Point(1).moved(2), Color.RED.shade(), Child().work()) == (3, 1, 1)
    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]  # on purpose
    assert [(found.name, "aiobs.input" in found.attributes) for found in recorded.spans] == [
        ("P.moved", False),
        ("shade", True),
    ]


def test_recursion(recorded) -> None:
    """S1-82: each level is a child of the one above."""

    @observe
    def down(n: int) -> int:
        return n and down(n - 1)

    down(3)
    spans = [*recorded.spans]
    assert [found.parent and found.parent.span_id for found in spans] == [
        *(found.context.span_id for found in spans[1:]),
        None,
    ]


# Where


@observe(called_from=True)
def asked() -> None: ...


@observe(called_from=True)
async def asked_async() -> None: ...


@observe
def unasked() -> None: ...


def test_where_a_function_was_called_from() -> None:
    """S1-80: the call site is the definition; ``called_from`` is the line of the call, and only if somebody asks."""

    async def caller() -> None:
        await asked_async()

    observer.observe()
    asked()
    line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]  # CPython has one
    asyncio.run(caller())
    unasked()
    first, second, third = export()["function_events"]
    assert (first["called_from"]["line"], first["called_from"]["function"]) == (
        line,
        "test_where_a_function_was_called_from",
    )
    assert Path(first["called_from"]["file"]).name == "test_targets.py"
    assert first["callsite"]["line"] == asked.__wrapped__.__code__.co_firstlineno
    assert second["called_from"]["function"].endswith("<locals>.caller")
    assert "called_from" not in third


def test_functions_of_projects_that_are_called_like_us() -> None:
    """S1-79: a package is compared as a package, not as a piece of a path or name."""
    from aiobs.capture.callsite import OWN, is_inside

    assert is_inside("aiobs.capture.wrappers", OWN)
    assert not any(is_inside(name, OWN) for name in ("aiobs_tools", "my.aiobs.tasks", "wrapt2", "__main__"))


@pytest.mark.parametrize("after", [0, -1, 1.0, True, "10"])
def test_a_threshold_that_cannot_work(after: Any) -> None:
    """S1-66: a ValueError at decoration for what is no whole number of 1 or more."""
    with pytest.raises(ValueError, match="must be a whole number of 1 or more"):
        observe(enh_prompt=True, auto_enhance_after=after)


def test_a_threshold_without_a_mark_is_recorded(recorded) -> None:
    """S1-63, S1-66: without enh_prompt the threshold is told and does nothing; without both there is nothing."""

    @observe(auto_enhance_after=5)
    def work() -> None: ...

    @observe
    def plain() -> None: ...

    event, other = event_of(work), event_of(plain)
    assert (event["enh_prompt"], event["enh_prompt_id"], event["auto_enhance_after"]) == (False, None, 5)
    assert (other["enh_prompt"], other["enh_prompt_id"], other["auto_enhance_after"]) == (False, None, None)
    assert recorded.spans[0].attributes["aiobs.enh_prompt.auto_after"] == 5
    assert not [key for found in recorded.spans for key in found.attributes if key in ("aiobs.enh_prompt",)]
