"""The same mutated answers without and with instrumentation: what differs, and what the guard swallowed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from aiobs import guard
from aiobs.testing import InMemoryTelemetry
from tests.corpus.calls import Outcome, SDKCall, call_of, perform, perform_async
from tests.corpus.mutations import Mutant
from tests.corpus.recordings import Recorded, supported
from tests.corpus.serving import Memory


@dataclass
class Report:
    """What a run came to. ``swallowed``: failures of ours per cause, with the first case of each."""

    cases: int = 0
    problems: list[str] = field(default_factory=list)
    swallowed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.cases} mutated exchanges, {len(self.problems)} problems", *self.problems[:20]]
        lines += [f"swallowed {count} times {cause}; {self.examples[cause]}" for cause, count in self.swallowed.items()]
        return "\n".join(lines)


class Bench:
    """Clients of both SDKs without a socket, and the calls to make with them."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.clients = self.memory.clients()
        self.calls: dict[str, SDKCall] = {}

    def call(self, exchange: Recorded) -> SDKCall:
        """The call of this exchange, worked out once."""
        name = exchange.name
        if name not in self.calls:
            self.calls[name] = call_of(exchange)
        return self.calls[name]

    def makes(self, exchange: Recorded) -> bool:
        """The SDK is here, and does not refuse the arguments."""
        call = self.call(exchange)
        if call.family not in self.clients:
            return False
        self.memory.reply = (exchange.status, exchange.headers, exchange.body)
        self.memory.sent.clear()
        perform(self.clients[call.family][0], call)
        return bool(self.memory.sent)

    async def run(self, mutant: Mutant, *, is_async: bool) -> tuple[Outcome, tuple[str, bytes]]:
        """One call that gets this answer: what the program sees, and what went out."""
        call = self.call(mutant.exchange)
        self.memory.reply = (mutant.status, mutant.headers, mutant.body)
        self.memory.sent.clear()
        client = self.clients[call.family][is_async]
        outcome = await perform_async(client, call) if is_async else perform(client, call)
        assert len(self.memory.sent) == 1, f"{len(self.memory.sent)} requests of one call; {mutant}"
        return outcome, self.memory.sent[0]


@cache
def replayable() -> list[Recorded]:
    """The exchanges whose requests this SDK makes, past the socket; the newest makes all of them."""
    bench = Bench()
    return [exchange for exchange in supported() if bench.makes(exchange)]


def compare(
    cases: Callable[[], Iterable[Mutant]], telemetry: InMemoryTelemetry, instrument: Callable[[], object]
) -> Report:
    """Make every call without instrumentation, then with it; sync and async take turns."""
    bench = Bench()
    return asyncio.run(_compare(bench, cases, telemetry, instrument))


async def _compare(
    bench: Bench,
    cases: Callable[[], Iterable[Mutant]],
    telemetry: InMemoryTelemetry,
    instrument: Callable[[], object],
) -> Report:
    without = [digest(*await bench.run(mutant, is_async=number % 2 == 1)) for number, mutant in enumerate(cases())]
    instrument()
    report = Report()
    for number, mutant in enumerate(cases()):
        telemetry.clear()
        with swallowed() as causes:
            outcome, sent = await bench.run(mutant, is_async=number % 2 == 1)
        report.cases += 1
        _note_swallowed(report, causes, mutant)
        found = list(problems_of(list(telemetry.spans)))
        if digest(outcome, sent) != without[number]:
            found.append(f"the program sees something else: {outcome.seen:.2000}")
        report.problems += [f"{mutant}: {problem}" for problem in found]
    return report


def digest(outcome: Outcome, sent: tuple[str, bytes]) -> str:
    """What the program and the server see, short enough to keep twenty thousand of."""
    seen = f"{outcome.seen}{sent!r}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(seen, digest_size=12).hexdigest()


@contextmanager
def swallowed() -> Iterator[list[str]]:
    """What the guard swallows meanwhile: cause, file and line; each cause once, as it logs no more."""
    guard.errors.clear()
    handler, log = _Causes(), logging.getLogger("aiobs")
    log.addHandler(handler)
    try:
        yield handler.causes
    finally:
        log.removeHandler(handler)


class _Causes(logging.Handler):
    """The guard's log records: the cause, and the file and line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.causes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        cause, where = record.args if isinstance(record.args, tuple) else (record.getMessage(), "")
        self.causes.append(f"{cause} ({str(where).rpartition('/')[2]})")


def _note_swallowed(report: Report, causes: list[str], mutant: Mutant) -> None:
    for cause in causes:
        report.swallowed[cause] += 1
        report.examples.setdefault(cause, str(mutant))


def problems_of(spans: list[ReadableSpan]) -> Iterable[str]:
    """What is wrong with the spans of one request, whatever was answered."""
    if len(spans) != 1:
        yield f"{len(spans)} spans: {[span.name for span in spans]}"
        return
    span = spans[0]
    if span.end_time is None or span.start_time is None or span.end_time < span.start_time:
        yield f"it starts at {span.start_time} and ends at {span.end_time}"
    texts = [span.name, span.status.description or ""]
    for key, value in (span.attributes or {}).items():
        if not _is_value(value):
            yield f"{key} = {value!r:.100} is no attribute value"
    if not all(map(_is_text, texts)):
        yield f"name or status cannot be written: {texts!r:.200}"


def _is_value(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return len({type(item) for item in value}) <= 1 and all(map(_is_scalar, value))
    return _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return type(value) is bool or (type(value) is float and math.isfinite(value))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
