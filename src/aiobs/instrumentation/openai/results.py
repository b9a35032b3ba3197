"""What the SDK's methods return and raise, told apart by class without importing the SDK."""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from functools import cache
from typing import Any, cast

from aiobs.capture.provider import Shape

_SHAPES = {
    "Stream": Shape.STREAM,
    "AsyncStream": Shape.STREAM,
    "LegacyAPIResponse": Shape.RAW,
    "BaseAPIResponse": Shape.STREAMING,
}


def shape_of(result: Any) -> Shape:
    """An answer, a stream, or a raw response, also for subclasses that a program made."""
    return _shape_of_class(type(result))  # type: ignore[arg-type]  # mypy takes type.__hash__ for that of instances


@cache
def _shape_of_class(cls: Hashable) -> Shape:
    for base in inspect.getmro(cast("type", cls)):
        if base.__module__.partition(".")[0] == "openai" and base.__name__ in _SHAPES:
            return _SHAPES[base.__name__]
    return Shape.VALUE


def answer_of(error: BaseException) -> Any:
    """The completion in a LengthFinishReasonError or ContentFilterFinishReasonError; None for any other error."""
    return getattr(error, "completion", None)
