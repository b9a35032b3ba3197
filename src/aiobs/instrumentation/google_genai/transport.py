"""What the SDK's API client tells about one request on its way: retries, HTTP status.

tenacity calls ``_request_once`` for every attempt, of clients that were made before we were there too, whose
``before_sleep`` is fixed already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiobs.capture.recording import active
from aiobs.guard import guarded


def note_attempt(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Count one more attempt."""
    guarded(_count, instance)
    return wrapped(*args, **kwargs)


def _count(client: Any) -> None:
    recording = active(client)
    if recording is not None:
        recording.call.attempts += 1
