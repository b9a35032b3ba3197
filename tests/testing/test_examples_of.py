"""Made-up values fit the schema that they were made up for."""

from __future__ import annotations

import datetime
import enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from annotated_types import Gt, Len, Lt
from pydantic import BaseModel, Field, TypeAdapter

from aiobs.testing.examples_of import example_of


class Colour(enum.Enum):
    RED = "red"


class Tree(BaseModel):
    name: str
    children: list[Tree]
    parent: Tree | None
    sibling: Tree | None = None


class Base(BaseModel):
    a: int


class Everything(BaseModel):
    colour: Colour
    kind: Literal["x", "y"]
    when: datetime.datetime
    day: datetime.date
    pair: tuple[int, str]
    short: Annotated[str, Len(2, 3)]
    count: Annotated[int, Gt(7), Lt(9)]
    share: Annotated[float, Gt(0), Lt(1)]
    steps: Annotated[int, Field(multiple_of=5, ge=11)]
    some: Annotated[list[Base], Len(2, 2)]
    table: dict[str, int]
    either: Base | str
    maybe: bool | None


@pytest.mark.parametrize("kind", [Colour, Tree, Base, Everything, int, list[str], Literal[3]])
def test_pydantic_types(kind: Any) -> None:
    """What pydantic describes, it accepts back."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    schema = adapter.json_schema()
    value = example_of(schema)
    jsonschema.validate(value, schema)
    adapter.validate_python(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "hello"),
        ({"type": "object"}, {}),
        ({"type": ["null", "string"]}, None),
        ({"type": "array"}, ["hello"]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number"}, 1.5),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "string", "default": "d"}, "d"),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"const": 2}}}]},
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, None),
        (True, "hello"),
    ],
)
def test_a_schema(schema: Any, value: Any) -> None:
    """One schema, one value, the same every time."""
    assert example_of(schema, "hello") == value
