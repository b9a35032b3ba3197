"""Where the program made a call: the first frame that belongs neither to us nor to the provider's SDK."""

from __future__ import annotations

import sys

from aiobs.call import Callsite

OWN = frozenset({"aiobs", "wrapt"})


def find_callsite(depth: int, packages: frozenset[str]) -> Callsite | None:
    """Walk up from ``depth`` frames above the caller, past the top-level packages named; None if nothing is left.

    ``sys._getframe`` costs 0.7 µs where ``inspect.stack`` costs 105.
    """
    frame = sys._getframe(depth + 1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in packages:
            code = frame.f_code
            return Callsite(code.co_filename, frame.f_lineno, code.co_qualname)
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
