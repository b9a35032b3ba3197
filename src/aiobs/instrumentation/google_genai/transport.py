"""What the SDK's API client tells about one request on its way: retries, HTTP status.

tenacity calls ``_request_once`` for every attempt, of clients that were made before we were there too, whose
``before_sleep`` is fixed already. It returns what the provider answered with success, and raises anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from aiobs.capture.recording import active
from aiobs.guard import guarded


def note_attempt(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Count one more attempt, and keep the status of the answer."""
    guarded(_count, instance)
    response = wrapped(*args, **kwargs)
    guarded(_keep_status, instance, response)
    return response


def note_attempt_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    """The same of an async client."""

    async def attempt() -> Any:
        guarded(_count, instance)
        response = await wrapped(*args, **kwargs)
        guarded(_keep_status, instance, response)
        return response

    return attempt()


def _count(client: Any) -> None:
    recording = active(client)
    if recording is not None:
        recording.call.attempts += 1


def _keep_status(client: Any, response: Any) -> None:
    status = getattr(response, "status_code", None)
    if type(status) is int and (recording := active(client)) is not None:
        recording.call.status_code = status
