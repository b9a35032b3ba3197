"""Putting attributes on a span that need no second look.

The SDK checks and copies every value that it is given; for the twenty attributes of a call that is a third of all
that we cost. What ``encode`` makes is clean already: text, numbers and tuples of them. It goes into the span's own
dict, under its lock, as the SDK would put it there. Where a limit might cut something, or the span is not built as we
know it (another SDK, another version, a subclass, a method that somebody replaced), the SDK does it.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Span

from aiobs.semconv.encode import Attributes


def put_attributes(span: Span, attributes: Attributes) -> None:
    """``span.set_attributes(attributes)``, for attributes that are clean."""
    held: Any = getattr(span, "_attributes", None)
    if _is_the_sdks(type(span).set_attributes) and _fits(held, len(attributes)):
        with span._lock:  # type: ignore[attr-defined]  # the SDK's Span has one; the API's does not say so
            if span._end_time is None:  # type: ignore[attr-defined]  # the same
                with held._lock:
                    held._dict.update(attributes)
                return
    span.set_attributes(attributes)


def _fits(held: Any, more: int) -> bool:
    """The container is the one that we know, takes more, and has no limit that these attributes come near."""
    try:
        room = held.maxlen is None or len(held._dict) + more <= held.maxlen
        return held.max_value_len is None and room and not held._immutable
    except AttributeError:
        return False


_seen: dict[Any, bool] = {}


def _is_the_sdks(method: Any) -> bool:
    """This is the SDK's own method. Remembered: a class's method is the same object each time."""
    known = _seen.get(method)
    if known is None:
        touched = getattr(getattr(method, "__code__", None), "co_names", ())
        known = getattr(method, "__module__", None) == "opentelemetry.sdk.trace" and _TOUCHED.issubset(touched)
        _seen[method] = known
    return known


_TOUCHED = frozenset({"_lock", "_end_time", "_attributes"})
