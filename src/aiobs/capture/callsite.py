"""Where the program made a call: the first frame that belongs neither to us nor to the provider's SDK."""

from __future__ import annotations

import sys
from functools import lru_cache

from aiobs.call import Callsite

OWN = ("aiobs", "wrapt")


def find_callsite(depth: int, packages: tuple[str, ...]) -> Callsite | None:
    """Walk up from ``depth`` frames above the caller, past the packages named; None if nothing is left.

    ``sys._getframe`` costs 0.7 µs where ``inspect.stack`` costs 105.
    """
    frame = sys._getframe(depth + 1)
    while is_inside(frame.f_globals.get("__name__", ""), packages):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    code = frame.f_code
    return Callsite(code.co_filename, frame.f_lineno, code.co_qualname)


@lru_cache(maxsize=4096)
def is_inside(module: str, packages: tuple[str, ...]) -> bool:
    """The module is one of these packages, or in one."""
    return f"{module}.".startswith(tuple(f"{package}." for package in packages))
