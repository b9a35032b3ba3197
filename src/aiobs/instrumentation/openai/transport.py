"""What the SDK's base clients tell about one request on its way: retries, HTTP status, headers.

``_sleep_for_retry`` runs before each further attempt (until 1.50 or so it was ``_retry_request``),
``_process_response`` once for the answer that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import get_current

from aiobs.capture.recording import active
from aiobs.guard import guarded


def note_retry(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Count one more attempt."""
    guarded(_count_retry, instance)
    return wrapped(*args, **kwargs)


def note_response(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Keep status and headers of the answer, and the request: a failure must not tell what it was authorised with."""
    guarded(_keep_answer, instance, kwargs)
    return wrapped(*args, **kwargs)


def _count_retry(client: Any) -> None:
    if (recording := active(client, get_current())) is not None:
        recording.call.attempts = max(1, recording.call.attempts) + 1


def _keep_answer(client: Any, kwargs: dict[str, Any]) -> None:
    if (recording := active(client, get_current())) is not None:
        response: Any = kwargs.get("response")
        status = getattr(response, "status_code", None)
        if type(status) is int:
            recording.call.status_code = status
            recording.sent = response.request
            recording.headers = response.headers
