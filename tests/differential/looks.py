"""What a program can look at, as plain data that compares: values, objects, exceptions, methods, copies."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from pydantic import BaseModel

OURS = ("aiobs", "wrapt", "typing_extensions")
"""Packages whose frames are left out; the last one's warns of deprecated methods, which we do in its place."""
HERE = ("tests.differential", "tests.contract")
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
SCALARS = (str, bytes, bool, int, float, type(None))


def clean(text: str) -> str:
    """Without what differs between two runs of the same program: addresses in memory."""
    return ADDRESS.sub("0x…", text)


def look(value: Any) -> Any:
    """A value: data as itself, models by what they hold, any other object by what can be asked of it."""
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, BaseException):
        return look_at_error(value)
    if isinstance(value, BaseModel):
        return look_at_model(value)
    if isinstance(value, Mapping):
        return {str(key): look(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [name_of(type(value)), *map(look, value)]
    return look_at_object(value)


def name_of(kind: type) -> str:
    """Module and name of a type."""
    return f"{kind.__module__}.{kind.__qualname__}"


def look_at_model(model: BaseModel) -> dict[str, Any]:
    """A pydantic model, nothing of it validated or converted."""
    return {
        "type": name_of(type(model)),
        "fields": clean(repr(model)),
        "dump": clean(repr(model.model_dump(warnings=False))),
        "set": sorted(model.model_fields_set),
        "vars": sorted(vars(model)),
        "private": clean(repr(getattr(model, "__pydantic_private__", None))),
    }


def look_at_object(value: Any) -> dict[str, Any]:
    """An object by type and by what code that dispatches on it asks for."""
    return {
        "type": name_of(type(value)),
        "mro": [name_of(kind) for kind in type(value).__mro__],
        "dir": sorted({*dir(value)} - {"__slotnames__"}),  # which pickle leaves on classes
        "callable": callable(value),
        "awaitable": inspect.isawaitable(value),
    }


def look_at_error(error: BaseException | None, above: tuple[BaseException, ...] = ()) -> dict[str, Any] | None:
    """An exception: type, texts, attributes, causes, and where it came from, without our frames.

    The errors of interactions are each other's context: one that is looked at already is named.
    """
    if error is None:
        return None
    if any(error is known for known in above):
        return {"type": name_of(type(error))}
    above = (*above, error)
    return {
        "type": name_of(type(error)),
        "str": outcome_of(lambda: clean(str(error))),
        "repr": outcome_of(lambda: clean(repr(error))),
        "args": [name_of(type(arg)) if not isinstance(arg, SCALARS) else clean(repr(arg)) for arg in error.args],
        "attributes": {
            key: clean(repr(item)) if isinstance(item, (*SCALARS, dict, list)) else name_of(type(item))
            for key, item in sorted(vars(error).items())
        },
        "cause": look_at_error(error.__cause__, above),
        "context": look_at_error(error.__context__, above),
        "suppress": error.__suppress_context__,
        "frames": frames_of(error.__traceback__),
    }


def frames_of(traceback: TracebackType | None) -> list[str]:
    """The SDK's functions on the way to an error, from the outermost one; ours and those of these tests left out."""
    found = []
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in OURS and not module.startswith(HERE):
            found.append(f"{module}:{traceback.tb_frame.f_code.co_qualname}")
        traceback = traceback.tb_next
    return found


def outcome_of(call: Callable[[], Any]) -> Any:
    """What a call gives, or what it raises."""
    try:
        return call()
    except Exception as error:
        try:
            return f"{name_of(type(error))}: {clean(str(error))}"
        except Exception:  # an exception whose text raises
            return name_of(type(error))


def look_at_method(method: Any) -> dict[str, Any]:
    """A bound method, as tools that introspect it see it. Its type alone says that it is wrapped."""
    return {
        "signature": str(inspect.signature(method)),
        "names": [method.__name__, method.__qualname__, method.__module__],
        "doc": method.__doc__,
        "annotations": sorted(map(str, method.__annotations__)),
        "defaults": clean(repr(method.__func__.__defaults__)),
        "owner": name_of(type(method.__self__)),
        "kinds": [
            inspect.ismethod(method),
            inspect.isfunction(method),
            inspect.isroutine(method),
            inspect.iscoroutinefunction(method),
            asyncio.iscoroutinefunction(method),
            inspect.isgeneratorfunction(method),
            inspect.isasyncgenfunction(method),
            callable(method),
        ],
        "unwrapped": inspect.unwrap(method).__code__.co_filename,
        "source": len(inspect.getsource(method)),
        "vars": sorted(vars(method)),
    }


def look_at_copies(values: Iterable[Any]) -> list[Any]:
    """Whether values survive pickle and deepcopy, or the words in which they refuse."""
    return [outcome_of(lambda value=value, through=through: through(value)) for value in values for through in COPIES]


def _pickled(value: Any) -> Any:
    return same(value, pickle.loads(pickle.dumps(value)))


def _deep(value: Any) -> Any:
    return same(value, copy.deepcopy(value))


def _shallow(value: Any) -> Any:
    return same(value, copy.copy(value))


def same(value: Any, other: Any) -> list[Any]:
    """How a copy compares with what it is a copy of."""
    return [type(value) is type(other), value == other, sorted(vars(other)) if hasattr(other, "__dict__") else None]


COPIES = (_pickled, _deep, _shallow)
