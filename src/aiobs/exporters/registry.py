"""Exporters by name: our own, and those that installed packages add in the entry point group ``aiobs.exporters``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import SpanProcessor

from aiobs.errors import ConfigurationError

GROUP = "aiobs.exporters"

_OWN = {
    "console": "aiobs.exporters.console:pipelines",
    "json": "aiobs.exporters.registry:nothing",  # the session file is attached to every provider already
    "none": "aiobs.exporters.registry:nothing",
    "otlp": "aiobs.exporters.otlp:pipelines",
}


@dataclass(frozen=True)
class Pipelines:
    """What an exporter adds to the providers."""

    span_processors: tuple[SpanProcessor, ...] = ()
    metric_readers: tuple[MetricReader, ...] = ()
    log_processors: tuple[LogRecordProcessor, ...] = field(default=())


def nothing() -> Pipelines:
    """No pipelines."""
    return Pipelines()


def exporter(name: str) -> Callable[[], Pipelines]:
    """The function that makes an exporter's pipelines. Raises ConfigurationError for a name that nobody knows."""
    if name in _OWN:
        module, _, attribute = _OWN[name].partition(":")
        found: Any = getattr(importlib.import_module(module), attribute)
        return found  # type: ignore[no-any-return]  # the table above names functions of this type only
    added = {point.name: point for point in entry_points(group=GROUP)}
    if name not in added:
        known = ", ".join(sorted({*_OWN, *added}))
        raise ConfigurationError(f"There is no exporter {name!r}. Known are: {known}.")
    return added[name].load()  # type: ignore[no-any-return]  # what the entry point promises
