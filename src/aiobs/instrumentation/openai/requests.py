"""What is asked for as it goes out: the arguments with ``extra_body`` over them."""

from __future__ import annotations

from typing import Any


def as_sent(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments; ``extra_body`` overrides them, as it does on the wire."""
    extra = kwargs.get("extra_body")
    return {**kwargs, **extra} if isinstance(extra, dict) else kwargs


def config_of(given: dict[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """The parameters among the allowed ones that the program gave, if they are words or numbers."""
    return {key: value for key in allowed if isinstance(value := given.get(key), (str, int, float, list, tuple))}


def model_of(kwargs: dict[str, Any]) -> Any:
    """The model that goes out."""
    extra = kwargs.get("extra_body")
    return extra["model"] if isinstance(extra, dict) and "model" in extra else kwargs.get("model")
