"""The exporters in use: one processor on each provider, behind which they can be exchanged."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import MetricReader

from aiobs.errors import AiobsError
from aiobs.exporters.delivery.fan_out import LogFanOut, SpanFanOut
from aiobs.exporters.delivery.processors import Delivery, deliver
from aiobs.exporters.delivery.queues import LogQueue, SpanQueue
from aiobs.exporters.registry import Exporter
from aiobs.exporters.rewriting.rewriter import Step
from aiobs.seen import Seen

CLOSING_TIMEOUT = 5.0

_log = logging.getLogger("aiobs")


class Outputs:
    """``spans`` and ``logs`` are the processors that providers have; they give to every exporter in use."""

    def __init__(self) -> None:
        self.exporters: tuple[Exporter, ...] = ()
        self.spans = SpanFanOut()
        self.logs = LogFanOut()
        self._steps: tuple[Step, ...] = ()
        self._attached = Seen()

    def exchange(self, exporters: Sequence[Exporter], steps: Sequence[Step] = ()) -> tuple[MetricReader, ...] | None:
        """Export to these from now on, and close those before, which has at most five seconds.

        Returns the readers that a new MeterProvider is to have, or None if nothing has changed. Raises
        ConfigurationError or MissingExtra, and changes nothing, if one of them cannot work; one that fails for another
        reason (a port in use) is left out with a warning.
        """
        if (self.exporters, self._steps) == (tuple(exporters), tuple(steps)):
            return None
        made = [*_delivered(exporters, steps)]
        self.exporters, self._steps = tuple(exporters), tuple(steps)
        self.spans.exchange(tuple(one for each in made for one in each.span_processors), CLOSING_TIMEOUT)
        self.logs.exchange(tuple(one for each in made for one in each.log_processors), CLOSING_TIMEOUT)
        return tuple(reader for each in made for reader in each.metric_readers)

    @property
    def are_flushed(self) -> bool:
        """The last flush left nothing with an exporter."""
        return self.spans.is_flushed and self.logs.is_flushed

    def give_up(self) -> None:
        """Count what is still queued as lost, at the exit of the process."""
        for processor in (*self.spans.processors, *self.logs.processors):
            if isinstance(processor, (SpanQueue, LogQueue)):
                processor.give_up()

    def attach(self, provider: Any) -> None:
        """Give the provider the processor, once."""
        if provider not in self._attached and hasattr(provider, "add_span_processor"):
            self._attached.add(provider)
            provider.add_span_processor(self.spans)


def _delivered(exporters: Sequence[Exporter], steps: Sequence[Step]) -> Iterator[Delivery]:
    for exporter in exporters:
        try:
            yield deliver(exporter, steps)
        except AiobsError:
            raise
        except Exception as error:
            _log.warning("aiobs: the exporter %s could not be started, the others go on: %r", exporter.name, error)
