"""Any value becomes JSON text, without raising and without touching what reading would change."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import hashlib
import json
import math
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import NOT_GIVEN, omit
from openai.types import CompletionUsage
from pydantic import BaseModel, ConfigDict, field_serializer

from aiobs.semconv.serialise import (
    MAX_DEPTH,
    attribute_value,
    clean_text,
    to_json,
    to_jsonable,
    truncate,
    without_data,
)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int
    note: str | None = None


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int


class Chat(BaseModel):
    model_config = ConfigDict(extra="allow")
    text: str


class Hostile:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("not yours")

    def __repr__(self) -> str:
        raise RuntimeError("not yours")

    __str__ = __repr__


class Sub(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("not yours")


SHA = hashlib.sha256(b"\x00\xff").hexdigest()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, True, None, "é"]}, {"a": [1, 2.5, True, None, "é"]}),
        ([math.nan, math.inf, -math.inf], ["NaN", "Infinity", "-Infinity"]),
        ([0.5] * 100 + [math.nan], [0.5] * 100 + ["NaN"]),
        ([2**63 - 1, 2**63, -(2**63) - 1], [2**63 - 1, str(2**63), str(-(2**63) - 1)]),
        (b"\x00\xff", {"type": "bytes", "size": 2, "sha256": SHA}),
        (memoryview(b"\x00\xff"), {"type": "bytes", "size": 2, "sha256": SHA}),
        ({"text": b"ascii"}["text"], {"type": "bytes", "size": 5, "sha256": hashlib.sha256(b"ascii").hexdigest()}),
        ("a\ud800b", "a\ufffdb"),
        ({"k\udfff": "v\ud800"}, {"k\ufffd": "v\ufffd"}),
        ({"a": NOT_GIVEN, "b": omit, "c": 1}, {"c": 1}),
        (Colour.RED, "red"),
        ({"level": Level.HIGH}, {"level": 3}),
        (Point(1), {"x": 1, "note": None}),
        (Slotted(1), {"x": 1}),
        (Chat(text="hi", more=[1]), {"text": "hi", "more": [1]}),  # type: ignore[call-arg]  # an extra field
        ({(1, 2): "pair", None: "none", 1: "one"}, {"[1,2]": "pair", "null": "none", "1": "one"}),
        ({1, }, [1]),
        (datetime.date(2026, 11, 21), "2026-11-21"),
        (Sub("text"), "text"),
        (object(), "<object>"),
        (Hostile(), "<Hostile>"),
        (int, "<int>"),
    ],
)  # fmt: skip
def test_a_value_becomes_json(value: Any, expected: Any) -> None:
    """Every kind of value has one spelling in JSON."""
    assert json.loads(to_json(value)) == expected


def test_an_iterator_is_not_read() -> None:
    """Reading a generator would empty it for the program."""
    numbers = (number for number in range(3))
    assert to_json({"stream": numbers}) == '{"stream":"<generator>"}'
    assert list(numbers) == [0, 1, 2]


def test_a_cycle_ends() -> None:
    """A value that contains itself is cut where it starts over; the same value twice is no cycle."""
    shared = {"a": 1}
    value: dict[str, Any] = {"left": shared, "right": shared}
    value["self"] = value
    assert to_jsonable(value) == {"left": {"a": 1}, "right": {"a": 1}, "self": "<cycle>"}


def test_depth_and_size_are_bounded() -> None:
    """Neither deep nesting nor a small value that refers to itself a billion times costs more than the bound."""
    deep: Any = "bottom"
    for _ in range(MAX_DEPTH + 50):
        deep = [deep]
    assert to_json(deep) == "[" * MAX_DEPTH + '"<list>"' + "]" * MAX_DEPTH
    wide: Any = ["x"]
    for _ in range(12):
        wide = [wide] * 10
    assert len(to_json(wide)) < 5_000_000


def test_no_code_of_a_model_runs() -> None:
    """A model is read from its fields: no serialiser runs, nothing warns about a field of the wrong type."""

    class Loud(BaseModel):
        n: int

        @field_serializer("n")
        def _shout(self, value: int) -> int:
            raise RuntimeError("not yours")

    usage = CompletionUsage.construct(completion_tokens="many", prompt_tokens=1, total_tokens=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert json.loads(to_json([Loud(n=1), usage]))[0] == {"n": 1}
        assert json.loads(to_json(usage))["completion_tokens"] == "many"


def test_the_value_is_left_alone() -> None:
    """Replacing happens in copies."""
    value = {"big": 2**70, "inner": [b"x", {"nan": math.nan}], "gone": NOT_GIVEN}
    to_json(value)
    assert value["big"] == 2**70
    assert value["inner"][0] == b"x"  # type: ignore[index]
    assert value["gone"] is NOT_GIVEN


def test_a_data_url_becomes_type_size_and_hash() -> None:
    """Images in messages are not written out."""
    data = bytes(range(256)) * 4
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    marker = f"[data URL left out by aiobs: image/png, 1024 bytes, sha256 {hashlib.sha256(data).hexdigest()}]"
    assert json.loads(to_json([{"image_url": {"url": url}}])) == [{"image_url": {"url": marker}}]
    assert without_data("data: it is a word") == "data: it is a word"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)
any_text = st.text(st.characters(codec=None, exclude_categories=()))


@given(json_values)
def test_any_value_becomes_valid_json(value: Any) -> None:
    """Strict JSON, whatever the value.

    breaks-apps #61, #64, #65
    """
    json.loads(to_json(value), parse_constant=lambda name: pytest.fail(name))


@given(any_text)
def test_clean_text_can_be_encoded_and_keeps_what_could_be(text: str) -> None:
    """Only surrogates change, and length stays but for pairs that spell one character.

    breaks-apps #64
    """
    clean = clean_text(text)
    clean.encode()
    assert json.loads(to_json(text)) == clean
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert clean == text


def test_truncation_is_marked() -> None:
    """Bytes are counted, characters stay whole, and the text says what is missing."""
    assert truncate("short", 5) == "short"
    assert truncate("é" * 10, 5) == "éé… [truncated by aiobs: 4 of 20 bytes kept]"
    assert truncate("\ud800", 10) == "\ufffd"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (NOT_GIVEN, None),
        (True, True),
        (2**64, str(2**64)),
        (math.nan, "NaN"),
        ("a\ud800", "a\ufffd"),
        (["a", "b"], ("a", "b")),
        ([1, True], "[1,true]"),
        ([1, 2**64], f'[1,"{2**64}"]'),
        (range(3), "<range>"),
        ({"a": 1}, '{"a":1}'),
        (Colour.RED, "red"),
    ],
)
def test_an_attribute_is_legal(value: Any, expected: Any) -> None:
    """Scalars and homogeneous sequences stay; everything else is JSON text.

    breaks-apps #63
    """
    assert attribute_value(value) == expected
