"""Other instrumentations that listen below an SDK's methods, around its requests.

While we record a call they are passed by, so that it has one span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import get_current

from aiobs.capture.recording import active
from aiobs.guard import guarded


def pass_by(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """In place of a wrapper of theirs, whose arguments are wrapt's: the function, its instance, arguments.

    The function itself where its request is one of a call of ours.
    """
    if guarded(_is_recorded, instance, args):
        function, _, given, named = args
        return function(*given, **named)
    return wrapped(*args, **kwargs)


def _is_recorded(theirs: Any, args: tuple[Any, ...]) -> bool:
    """It is a request of a call of ours, whose span goes where theirs would: elsewhere it would be no substitute."""
    _, client, _, _ = args
    recording = active(client, get_current())
    if recording is None or not recording.is_open:
        return False
    ours, others = _processor(recording.telemetry.tracer), _processor(getattr(theirs, "_tracer", None))
    return ours is None or others is None or ours is others


def _processor(tracer: Any) -> Any:
    """Where the spans of the SDK's tracer go, or of the one behind a proxy of the API; None if it cannot be told."""
    found = getattr(tracer, "span_processor", None)
    return found if found is not None else getattr(getattr(tracer, "_tracer", None), "span_processor", None)
