"""Carrying the ambient context where Python does not carry it by itself: into threads."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def copy_context(function: Callable[P, T]) -> Callable[P, T]:
    """The function, run in a copy of the context of *now*: ``executor.submit(copy_context(work), item)``.

    Spans that it starts become children of the span that is current here, and belong to its session. The result may be
    called any number of times, from several threads at once; it returns and raises what the function does.
    """
    context = contextvars.copy_context()

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.copy().run(function, *args, **kwargs)

    return run
