"""Exporters by name, with what each may have: our own, and those that installed packages add.

A name leads to a function that makes the ``Pipelines`` of an exporter from its options; packages add theirs in the
entry point group ``aiobs.exporters``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import parse_qsl

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, MetricsData
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from aiobs.errors import ConfigurationError
from aiobs.exporters.sampling import Sampling, as_share
from aiobs.settings import CaptureContent, as_capture_content, as_switch

GROUP = "aiobs.exporters"

_OWN = {
    "console": "aiobs.exporters.console:pipelines",
    "json": "aiobs.exporters.registry:nothing",  # the session file is attached to every provider already
    "langfuse": "aiobs.exporters.langfuse:pipelines",
    "memory": "aiobs.exporters.memory:pipelines",
    "none": "aiobs.exporters.registry:nothing",
    "otlp-json": "aiobs.exporters.otlp_json:pipelines",
    "otlp": "aiobs.exporters.otlp:pipelines",
    "phoenix": "aiobs.exporters.phoenix:pipelines",
    "prometheus": "aiobs.exporters.prometheus:pipelines",
}


@dataclass(frozen=True)
class Pipelines:
    """What an exporter adds to the providers.

    Exporters are given queues of their own. Processors are attached as they are, for what has to see signals at once.
    ``metric_reader`` makes a reader from the function that takes away what the exporter may not have.
    """

    span_exporter: SpanExporter | None = None
    log_exporter: LogRecordExporter | None = None
    metric_exporter: MetricExporter | None = None
    span_processors: tuple[SpanProcessor, ...] = ()
    log_processors: tuple[LogRecordProcessor, ...] = ()
    metric_reader: Callable[[Callable[[MetricsData], MetricsData]], MetricReader] | None = None


class Exporter:
    """One exporter, and what it is to get.

    >>> configure(exporters=["json", Exporter("otlp", capture_content="no_content", sample=0.1)])

    ``what``: a name of the registry, or an exporter of the OpenTelemetry SDK. ``capture_content``: what it may have of
    the content that ``configure(capture_content=...)`` lets out; unset: all of that. ``sample``: the share of traces
    that it gets, 0 to 1, each whole; default 1. ``keep_errors``: spans that failed come through in any case; default
    True. ``options`` are the exporter's own. Raises ConfigurationError for a name or an option that nobody knows.

    As text, in ``AIOBS_EXPORTERS``: ``otlp?capture_content=no_content&sample=0.1``.
    """

    def __init__(
        self,
        what: str | SpanExporter | LogRecordExporter | MetricExporter,
        *,
        capture_content: CaptureContent | str | bool | None = None,
        sample: float | str = 1.0,
        keep_errors: bool | str = True,
        **options: Any,
    ) -> None:
        self.what = what
        self.name = what if isinstance(what, str) else type(what).__name__
        self.capture_content = as_capture_content(capture_content)
        self.sampling = Sampling(as_share(sample), as_switch(keep_errors))
        self.options = options
        self._make: Callable[..., Pipelines] = _factory(what) if isinstance(what, str) else partial(_pipelines_of, what)
        _check_options(self.name, self._make, options)

    @classmethod
    def parse(cls, text: str) -> Exporter:
        """From ``name`` or ``name?option=value&option=value``; values as in a URL (a comma is %2C)."""
        name, _, query = text.strip().partition("?")
        try:
            options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError:
            raise ConfigurationError(  # what they hold may be a credential
                f"The options of the exporter {name!r} cannot be read; write {name}?option=value&option=value "
                "(their text is not shown)."
            ) from None
        return cls(name, **options)

    def pipelines(self) -> Pipelines:
        """What it adds to the providers, made now."""
        return self._make(**self.options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exporter) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.name, self.sampling, self.capture_content))

    def __repr__(self) -> str:
        return f"Exporter({self.name!r})"  # options may hold credentials

    def _key(self) -> tuple[Any, ...]:
        return self.what, self.capture_content, self.sampling, self.options


def as_exporter(one: Any) -> Exporter:
    """From a name with or without options, an exporter of the SDK, or what is one already."""
    if isinstance(one, str):
        return Exporter.parse(one)
    return one if isinstance(one, Exporter) else Exporter(one)


def nothing() -> Pipelines:
    """No pipelines."""
    return Pipelines()


def _factory(name: str) -> Callable[..., Pipelines]:
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


def _pipelines_of(what: Any) -> Pipelines:
    if isinstance(what, SpanExporter):
        return Pipelines(span_exporter=what)
    if isinstance(what, LogRecordExporter):
        return Pipelines(log_exporter=what)
    if isinstance(what, MetricExporter):
        return Pipelines(metric_exporter=what)
    raise ConfigurationError(
        f"{what!r} is no exporter: give a name, or a SpanExporter, LogRecordExporter or MetricExporter."
    )


def _check_options(name: str, make: Callable[..., Any], options: dict[str, Any]) -> None:
    known = inspect.signature(make).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values()):
        return
    for option in options:
        if option not in known:
            own = ", ".join(known) or "no options of its own"
            raise ConfigurationError(
                f"The exporter {name!r} has no option {option!r}. "
                f"It has: {own}; and capture_content, sample, keep_errors."
            )
