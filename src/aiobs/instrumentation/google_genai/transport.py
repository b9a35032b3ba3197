"""What the SDK's API client tells about one request on its way: retries, HTTP status, an error that came as an answer.

tenacity calls ``_request_once`` for every attempt, of clients that were made before we were there too, whose
``before_sleep`` is fixed already. It returns what the provider answered with success, and raises anything else.
None of its headers is an id of the request: the provider tells none.

Interactions retry by themselves; they work out how long to wait once before each further attempt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from opentelemetry.context import get_current
from pydantic_core import from_json

from aiobs.call import Failure
from aiobs.capture.recording import Recording, active
from aiobs.errors import answered_error
from aiobs.guard import guarded
from aiobs.instrumentation.google_genai.fields import field


def note_attempt(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Count one more attempt, and keep the status of the answer."""
    recording = guarded(_attempting, instance)
    response = wrapped(*args, **kwargs)
    if recording is not None:
        guarded(_keep_answer, recording, response)
    return response


def note_attempt_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    """The same of an async client."""

    async def attempt() -> Any:
        recording = guarded(_attempting, instance)
        response = await wrapped(*args, **kwargs)
        if recording is not None:
            guarded(_keep_answer, recording, response)
        return response

    return attempt()


def note_retry(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Count one more attempt of interactions."""
    guarded(_count_retry)
    return wrapped(*args, **kwargs)


def _count_retry() -> None:
    if (recording := active(None, get_current())) is not None:
        recording.call.attempts = max(1, recording.call.attempts) + 1


def _attempting(client: Any) -> Recording | None:
    """The recording of the request, with one more attempt."""
    recording = active(client, get_current())
    if recording is not None:
        recording.call.attempts += 1
    return recording


def _keep_answer(recording: Recording, response: Any) -> None:
    status = getattr(response, "status_code", None)
    if type(status) is int:
        recording.call.status_code = status
    if (failure := _answered_error(getattr(response, "response_stream", None))) is not None:
        recording.note_failure(failure)


def _answered_error(body: Any) -> Failure | None:
    """The error in a body that is no more than that; the SDK makes an empty answer of it. A stream is not looked at."""
    text = body[0] if isinstance(body, list) and body else None
    if not isinstance(text, str) or _ERROR.match(text) is None:
        return None
    try:
        error = from_json(text)["error"]
    except ValueError:
        return None
    return answered_error(field(error, "status"), field(error, "message"))


_ERROR = re.compile(r'\s*\{\s*"error"\s*:\s*\{')
