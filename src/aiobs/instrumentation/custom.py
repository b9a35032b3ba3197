"""Providers that a program brings along: a class that knows how to listen to an SDK of its own."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import SpanContext

from aiobs.capture.manual import record_llm_call
from aiobs.guard import guarded

Unpatch = Callable[[], None]

_log = logging.getLogger("aiobs")


class Collector:
    """What a provider of the program's gets, to tell of the calls that it sees."""

    def record(self, provider: str, api: str, **told: Any) -> SpanContext | None:
        """Record one call: takes, returns and raises what ``aiobs.record_llm_call`` does.

        Its span is a child of the span that is current, and belongs to the session that is.
        """
        return record_llm_call(provider, api, **told)

    def _record_event(self, event: Any) -> SpanContext | None:
        """Record an event in the shape of the session file: a mapping, or an object with ``model_dump()``."""
        told = event if isinstance(event, Mapping) else event.model_dump()
        return record_llm_call(
            told["provider"],
            told["api"],
            told.get("request"),
            told.get("response"),
            error=told.get("error"),
            started_at=told.get("started_at"),
            ended_at=told.get("ended_at"),
        )


class BaseProvider(ABC):
    """A provider of the program's own; hand an instance to ``observer.register_provider`` before ``observe()``.

    ``name``: what log lines call it; the class's ``name``, else that of the class.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or getattr(type(self), "name", type(self).__name__)

    @classmethod
    def is_available(cls) -> bool:
        """Its SDK is here (True unless overridden); if not, it is asked again at the next ``observe()``."""
        return True

    @abstractmethod
    def install(self, collector: Collector) -> Unpatch | None:
        """Begin to listen, and tell ``collector`` of every call; gives the function that ends it, if there is one.

        What it raises is logged, and the program goes on without it; it is tried again at the next ``observe()``.
        """


_registered: list[BaseProvider] = []
_installed: dict[int, Unpatch | None] = {}
_collector = Collector()


def register_provider(provider: BaseProvider) -> None:
    """Install it from the next ``observe()`` on; the same one a second time is nothing.

    Raises TypeError for what has no ``install(collector)``.
    """
    if not callable(getattr(provider, "install", None)):
        raise TypeError(f"a provider has install(collector) and is_available(), got {type(provider).__name__}")
    if all(other is not provider for other in _registered):
        _registered.append(provider)


def install_registered() -> None:
    """Install those that are not yet, and are available; one that fails is logged, and tried again next time."""
    for provider in _registered:
        if id(provider) not in _installed:
            guarded(_install, provider)


def _install(provider: BaseProvider) -> None:
    if not getattr(provider, "is_available", lambda: True)():
        _log.info("aiobs: provider %s is not available here", getattr(provider, "name", type(provider).__name__))
        return
    _installed[id(provider)] = provider.install(_collector)


def uninstall_registered() -> None:
    """Take back what they have put on; they stay registered."""
    while _installed:
        _, unpatch = _installed.popitem()
        if callable(unpatch):
            guarded(unpatch)
