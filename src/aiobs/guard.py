"""The one place that swallows: a failure of ours never reaches the program.

Every step of telemetry on a caller's path runs through ``guarded``, span processors included. A failure is
counted, and logged once per cause; the program goes on as if the step had not been there. Steps are small, so that
one failure loses one thing. Tests set ``loud`` and get the exception instead.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("aiobs")
_reporting = threading.local()

loud = False
"""True: failures are raised (aiobs's own tests)."""

errors: Counter[str] = Counter()
"""Failures per cause since the process started, the source of the metric ``aiobs.internal.errors``."""
os.register_at_fork(after_in_child=errors.clear)  # the parent's are the parent's


def guarded(function: Callable[..., T], *args: Any) -> T | None:
    """``function(*args)``, or None if it fails.

    Only ``Exception`` is caught: a KeyboardInterrupt or a cancellation that hits us is the program's.
    """
    try:
        return function(*args)
    except Exception as error:
        swallow(function, error)
        return None


def typed(kind: type[T], function: Callable[..., Any], *args: Any) -> T | None:
    """As ``guarded``, for a function that gives just this kind of thing, or None; anything else counts as failing."""
    try:
        value = function(*args)
        if value is not None and type(value) is not kind:
            raise TypeError(f"{function} gave no {kind.__name__}")
    except Exception as error:
        swallow(function, error)
        return None
    return value


def swallow(function: Callable[..., Any], error: Exception) -> None:
    """What ``guarded`` does with a failure; for the few steps that run too often for a call in between."""
    if loud:
        raise error
    _report(function, error)


def _report(function: Callable[..., Any], error: Exception) -> None:
    """Count, and log the first of each cause; a logging handler of ours that fails cannot recurse."""
    function = getattr(function, "func", function)  # of a partial
    cause = f"{getattr(function, '__qualname__', type(function).__qualname__)}: {type(error).__name__}"
    errors[cause] += 1
    if errors[cause] > 1 or getattr(_reporting, "active", False):
        return
    _reporting.active = True
    try:
        with suppress(Exception):  # a logging handler or filter of the program's may itself raise
            # Type and place only: the text of an exception may hold a prompt or a key.
            _log.warning(
                "aiobs: %s; telemetry of this step is lost, the program is not affected (%s)", cause, _where(error)
            )
    finally:
        _reporting.active = False


def _where(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "no traceback"
