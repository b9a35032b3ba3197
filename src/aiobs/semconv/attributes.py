"""Putting attributes on a span that need no second look.

The SDK checks and copies every value that it is given; for the twenty attributes of a call that is a third of all
that we cost. What ``encode`` makes is clean already: text, numbers and tuples of them. It goes into the span's own
dict, under its lock, as the SDK would put it there. Where a limit might cut something, or the span is not built as we
know it (another SDK, another version, a subclass, a method that somebody replaced), the SDK does it.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from opentelemetry.trace import Span

from aiobs.semconv.encode import Attributes


def put_attributes(span: Span, attributes: Attributes) -> None:
    """``span.set_attributes(attributes)``, for attributes that are clean."""
    if not (_is_the_sdks(type(span).set_attributes) and _put(span, attributes)):
        span.set_attributes(attributes)


def _put(span: Any, attributes: Attributes) -> bool:
    """False if a limit comes near, the span has ended, or its container is not the one that we know."""
    try:
        held = span._attributes
        given, most = held._dict, held.maxlen
        if held.max_value_len is not None or (most is not None and len(given) + len(attributes) > most):
            return False
        with span._lock, held._lock:
            if span._end_time is not None:
                return False
            given.update(attributes)
    except AttributeError:
        return False
    return True


_seen: dict[Any, bool] = {}


def _is_the_sdks(method: Any) -> bool:
    """This is the SDK's own method. Remembered: a class's method is the same object each time."""
    known = _seen.get(method)
    if known is None:
        touched = getattr(getattr(method, "__code__", None), "co_names", ())
        is_own = type(method) is FunctionType and method.__module__ == "opentelemetry.sdk.trace"
        known = is_own and _TOUCHED.issubset(touched)
        _seen[method] = known
    return known


_TOUCHED = frozenset({"_lock", "_end_time", "_attributes"})
