"""What is kept of a value, whatever it is, and that nothing of the program's runs for it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import gc
import pathlib
import sys
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pydantic
import pytest

from aiobs import configure, observe
from aiobs.capture.reduce import CapturePolicy, reduced
from aiobs.errors import ConfigurationError
from tests.capture.test_function import event_of


class Trap:
    """Everything that could run when somebody looks at it does harm."""

    def harm(self, *args: Any) -> Any:
        raise AssertionError("somebody ran what is the program's")

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __eq__ = __getattr__ = harm
    __hash__ = None  # type: ignore[assignment]  # as of any class that compares

    @property
    def __class__(self) -> Any:
        self.harm()

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class TrapDict(dict[Any, Any]):
    items = keys = values = __iter__ = __len__ = __repr__ = Trap.harm  # type: ignore[assignment]  # on purpose


class TrapList(list[Any]):
    __iter__ = __len__ = __getitem__ = __repr__ = Trap.harm  # type: ignore[assignment]  # on purpose


class TrapModel(pydantic.BaseModel):
    x: int

    @property
    def y(self) -> int:
        raise AssertionError

    def model_dump(self, **options: Any) -> Any:
        raise AssertionError


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int
    y: Any = None

    def __repr__(self) -> str:
        raise AssertionError


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Trap, "<Trap>"),
        (lambda: [Trap()], ["<Trap>"]),
        (lambda: {"a": Trap()}, {"a": "<Trap>"}),
        (lambda: TrapDict(a=1), {"a": 1}),
        (lambda: TrapList([1, 2]), [1, 2]),
        (lambda: TrapModel(x=1), {"x": 1}),
        (lambda: Slotted(1, Slotted(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (lambda: OrderedDict(a=1), {"a": 1}),
    ],
)
def test_nothing_of_the_programs_runs(make: Callable[[], Any], expected: Any) -> None:
    """S1-59: no repr, no property, no method of a subclass, no lazy proxy's class: what lies there is read."""
    assert reduced(make()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (decimal.Decimal("1.5"), "Decimal('1.5')"),
        (pathlib.PurePosixPath("/x"), "PurePosixPath('/x')"),
        (uuid.UUID(int=1), "UUID('00000000-0000-0000-0000-000000000001')"),
        (range(3), "range(0, 3)"),
        ([10**5000], ["<int 16610 bits>"]),
        (memoryview(b"abc"), "<memoryview 3>"),
        (bytearray(2), "<bytearray 2>"),
        ([float("inf")], ["inf"]),
        ({"secret": {"a": 1}, "Token": "x", "tokens": 3}, {"secret": "[REDACTED]", "Token": "[REDACTED]", "tokens": 3}),
    ],
)
def test_values_of_the_standard_library(value: Any, expected: Any) -> None:
    """S1-59: short texts of what has a short one; sizes of bytes; secrets by name."""
    assert reduced(value) == expected


def test_a_buffer_that_is_gone() -> None:
    """S1-59: what cannot be read any more is named by its type, and takes nothing else along."""
    gone = memoryview(b"x")
    gone.release()
    assert reduced([gone, 1]) == ["<memoryview>", 1]


def test_a_value_that_holds_itself_many_times_is_bounded() -> None:
    """S1-59: depth and width alone would allow millions of values; altogether there are 2,000."""
    wide: Any = 1
    for _ in range(8):
        wide = {str(number): wide for number in range(20)}
    cycle: list[Any] = []
    cycle.extend([cycle] * 10)

    def count(kept: Any) -> int:
        inner = kept.values() if isinstance(kept, dict) else kept if isinstance(kept, list) else ()
        return 1 + sum(map(count, inner))

    for value in (wide, cycle):
        assert 1_000 < count(reduced(value)) < 5_000


def test_a_very_large_result_costs_no_more_than_a_small_one() -> None:
    """S1-59, S1-84: of 100 MB the first part is looked at, and nothing of it is copied."""

    def steps(value: Any) -> int:
        seen = 0

        def each(frame: Any, event: str, argument: Any) -> Any:
            nonlocal seen
            seen += 1
            return each

        sys.settrace(each)
        try:
            reduced(value)
        finally:
            sys.settrace(None)
        return seen

    assert reduced("x" * 100_000_000) == "x" * 500 + "..."
    assert reduced(bytes(100_000_000)) == "<bytes 100000000>"
    assert steps([0] * 10_000_000) <= steps([0] * 100) + 5
    assert steps(dict.fromkeys(range(1_000_000))) <= steps(dict.fromkeys(range(100))) + 5


def test_a_mapping_that_another_thread_changes() -> None:
    """S1-59: no "changed size during iteration"."""
    shared: dict[int, int] = {0: 0}
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for number in range(50):
                shared[number] = number
            for number in range(1, 50):
                del shared[number]

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        assert {type(reduced(shared)) for _ in range(3_000)} == {dict}
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_a_change_while_it_is_copied() -> None:
    """S1-59: a copy is one step of the interpreter, unless the collector runs in the midst of it."""
    shared = dict.fromkeys(range(50))
    changes = []

    def change(phase: str, _info: object) -> None:
        if phase == "start" and sys._getframe(1).f_code.co_name == "_first" and len(changes) < 5:
            changes.append(shared.popitem())

    held = [(number, number) for number in range(5_000)]  # or pairs are made of tuples that lay ready
    thresholds = gc.get_threshold()
    gc.callbacks.append(change)
    gc.set_threshold(1)
    try:
        seen = reduced(shared)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(change)
    assert held
    assert changes
    assert type(seen) is dict


def test_a_generator_argument_is_never_read() -> None:
    """S1-59: a one-shot iterator reaches the function whole."""

    @observe
    def total(numbers: Iterator[int], *more: Iterator[int], named: Iterator[int]) -> int:
        return sum(numbers) + sum(map(sum, more)) + sum(named)

    numbers = [(number for number in (1, 2)) for _ in range(3)]
    event = event_of(total, numbers[0], numbers[1], named=numbers[2])
    assert (event["result"], event["args"], event["kwargs"]) == (
        9,
        ["<generator>", "<generator>"],
        {"named": "<generator>"},
    )


def test_a_policy_per_function() -> None:
    """S1-59: capture=CapturePolicy(...) holds for arguments, results and what a generator yields."""
    policy = CapturePolicy(max_str=3, max_items=2, max_keys=1, max_depth=1, models=False)

    @observe(capture=policy)
    def work(text: str, items: list[int], point: Any) -> Any:
        return {"a": [1], "b": 2}

    @observe(capture=policy)
    def count() -> Iterator[str]:
        yield from ["aaaa", "b", "c"]

    event = event_of(work, "abcdef", [1, 2, 3], Slotted(1))
    assert event["args"] == ["abc...", [1, 2, "... (+1 more)"], "<Slotted>"]
    assert event["result"] == {"a": "<list>", "...": "(+1 more)"}
    assert event_of(lambda: list(count()))["result"] == ["aaa...", "b", "... (+1 more)"]


def test_a_policy_for_all_functions() -> None:
    """S1-59: configure(capture=...) holds for every function that has none of its own; what is no policy is refused."""
    configure(capture=CapturePolicy(max_str=2))

    @observe
    def plain(text: str) -> None: ...

    @observe(capture=CapturePolicy(max_str=4))
    def own(text: str) -> None: ...

    assert event_of(plain, "abcdef")["args"] == ["ab..."]
    assert event_of(own, "abcdef")["args"] == ["abcd..."]
    with pytest.raises(ConfigurationError, match="must be a CapturePolicy"):
        configure(capture={"max_str": 3})  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match="must be a CapturePolicy"):
        observe(capture=3)  # type: ignore[call-overload]  # on purpose


@pytest.mark.parametrize("value", [-1, 1.5, True, None, "1"])
@pytest.mark.parametrize("name", ["max_str", "max_items", "max_keys", "max_depth", "max_values"])
def test_a_policy_that_cannot_work(name: str, value: Any) -> None:
    """S1-59: a bound is a whole number; the message says so."""
    with pytest.raises(ConfigurationError, match=f"{name}=.* must be a whole number of 0 or more"):
        CapturePolicy(**{name: value})
