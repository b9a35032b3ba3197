"""What is asked for: as it goes out, the arguments with ``extra_body`` over them, and as the session file has it."""

from __future__ import annotations

from typing import Any

from aiobs.call import Call
from aiobs.instrumentation.fields import get, unread


def as_sent(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments; ``extra_body`` overrides them, as it does on the wire."""
    extra = kwargs.get("extra_body")
    return {**kwargs, **extra} if isinstance(extra, dict) else kwargs


def config_of(given: dict[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """The parameters among the allowed ones that the program gave, if they are words or numbers."""
    return {key: value for key in allowed if isinstance(value := given.get(key), (str, int, float, list, tuple))}


def model_of(kwargs: dict[str, Any]) -> Any:
    """The model that goes out; of an agent, that which it is told to use."""
    extra = kwargs.get("extra_body")
    found = extra["model"] if isinstance(extra, dict) and "model" in extra else kwargs.get("model")
    return get(kwargs["agent"], "model") if found is None and "agent" in kwargs else found


def request_record(call: Call, *fields: str) -> dict[str, Any]:
    """``model``, these fields, and the others under ``other``: the request as it was passed."""
    given = call.request.kwargs
    return {
        "model": call.request.model,
        **{key: _readable(given.get(key)) for key in fields},
        "other": {key: value for key, value in given.items() if key != "model" and key not in fields},
    }


def _readable(value: Any) -> Any:
    return value if value is None or isinstance(value, _READABLE) else unread(value)


_READABLE = (str, int, float, list, tuple, dict)
"""What can be read more than once."""
