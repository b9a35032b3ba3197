"""What several processes sent: of each signal the process and the model, so that nothing can be there twice unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiobs.reading import otlp_json
from aiobs.testing import OTLPSink
from aiobs.testing.otlp_sink import attributes_of

DURATION = "gen_ai.client.inference.duration"
EVENT = "gen_ai.client.inference.operation.details"
MODEL = "gen_ai.request.model"

Sender = tuple[int, str]
"""The ``process.pid`` of the resource, and the model."""


@dataclass
class Arrived:
    """How often each process told of each model; of the metric, how many calls it counted in all."""

    spans: Counter[Sender] = field(default_factory=Counter)
    logs: Counter[Sender] = field(default_factory=Counter)
    counted: Counter[Sender] = field(default_factory=Counter)

    def count(self, sender: Sender, calls: int) -> None:
        """A total: the newest of a process holds."""
        self.counted[sender] = max(self.counted[sender], calls)


class Receiver(OTLPSink):
    """A sink that knows of everything whose it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.messages: list[Any] = []

    def _keep(self, signal: str, message: Any) -> None:
        super()._keep(signal, message)
        self.messages.append(message)


def from_messages(messages: Iterable[Any]) -> Arrived:
    """Of requests, over HTTP or gRPC."""
    found = Arrived()
    for group, item in _items(messages):
        pid = attributes_of(group.resource)["process.pid"]
        if hasattr(item, "event_name"):
            if item.event_name == EVENT:
                found.logs[pid, attributes_of(item)[MODEL]] += 1
        elif hasattr(item, "trace_id"):
            found.spans[pid, attributes_of(item)[MODEL]] += 1
        elif item.name == DURATION:
            for point in item.histogram.data_points:
                found.count((pid, attributes_of(point)[MODEL]), point.count)
    return found


def _items(messages: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for message in messages:
        for signal, scopes, items in (
            ("resource_spans", "scope_spans", "spans"),
            ("resource_logs", "scope_logs", "log_records"),
            ("resource_metrics", "scope_metrics", "metrics"),
        ):
            for group in getattr(message, signal, ()):
                for scope in getattr(group, scopes):
                    yield from ((group, item) for item in getattr(scope, items))


def from_files(path: Path) -> Arrived:
    """Of lines of OTLP/JSON, whoever wrote them beside each other."""
    found, broken = Arrived(), otlp_json.Broken()
    for file in otlp_json.files_of(path):
        for row in otlp_json.spans(file, broken):
            found.spans[row["resource"]["process.pid"], row["attributes"][MODEL]] += 1
        for row in otlp_json.logs(file, broken):
            if row["event_name"] == EVENT:
                found.logs[row["resource"]["process.pid"], row["attributes"][MODEL]] += 1
        for row in otlp_json.points(file, broken):
            if row["metric"] == DURATION:
                found.count((row["resource"]["process.pid"], row["attributes"][MODEL]), row["count"])
    assert broken.lines == 0
    return found
