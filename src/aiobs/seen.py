"""Objects that were seen already, without keeping them alive: a program may make a provider per test, or per tenant."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import ref


class Seen:
    """By identity; what cannot be referred to weakly is kept."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}

    def add(self, thing: Any) -> None:
        """From now on it is in here."""
        key = id(thing)
        try:
            self._found[key] = ref(thing, partial(_forget, self._found, key))
        except TypeError:
            self._found[key] = lambda: thing

    def discard(self, thing: Any) -> None:
        """From now on it is not."""
        if thing in self:
            del self._found[id(thing)]

    def __contains__(self, thing: Any) -> bool:
        found = self._found.get(id(thing))
        return found is not None and found() is thing


def _forget(found: dict[int, Any], key: int, gone: Any) -> None:
    """Unless the place has been taken by another object meanwhile."""
    if found.get(key) is gone:
        del found[key]
