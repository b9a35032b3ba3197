"""What a simulated service keeps from one request to the next: the last things of each simulator in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from aiobs.testing.script import Request

T = TypeVar("T")


class Store(Generic[T]):
    """The last ``limit`` things, by simulator and name."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str | None, str], T] = OrderedDict()

    def keep(self, request: Request, name: str, thing: T) -> T:
        """Keep it for whoever asks the simulator that got this request; returns it."""
        key = request.headers.get("host"), name
        with self._lock:
            self._kept[key] = thing
            self._kept.move_to_end(key)  # a later simulator may have the port of an earlier one
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return thing

    def find(self, request: Request, name: str) -> T | None:
        """What has that name."""
        with self._lock:
            return self._kept.get((request.headers.get("host"), name))
