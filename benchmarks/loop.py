"""A chat call in a loop, where the caches are warm: the floor and aiobs around a method that answers at once, in turn.

CPU time of one thread; medians of batches, and the ratio. ``run.py`` has the same between two calls of an SDK.

    python benchmarks/loop.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fake
import floor
import openai
from openai.resources.chat.completions import Completions
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from aiobs import Instrumentor
from aiobs.capture import drivers
from aiobs.instrumentation.openai import PROVIDER

OPTIONS = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 100}
CASES = (("content off", False, 1_000, 2, 100), ("1 kB content", True, 1_000, 2, 100), ("50 kB", True, 50_000, 20, 50))
BATCHES = 100


def provider() -> TracerProvider:
    """One whose spans go nowhere."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SpanProcessor())
    return made


@contextmanager
def calls(resource: Completions, content: bool, arguments: dict[str, Any]) -> Iterator[tuple[Callable[[], Any], ...]]:
    """The method alone, under the floor, and under aiobs; its answer is a real one, read before."""
    original: Any = Completions.create
    answer = original(resource, **arguments)

    def bare(self: Completions, **given: Any) -> Any:
        return answer

    Completions.create = bare  # type: ignore[method-assign, assignment]  # for the floor to wrap
    floor.setup("on" if content else "off", provider(), None)
    floored: Any = Completions.create
    Completions.create = original  # type: ignore[method-assign]
    Instrumentor(["openai"], tracer_provider=provider(), capture_content=content).instrument()
    operation = PROVIDER.operations[0]
    try:
        yield (
            lambda: bare(resource, **arguments),
            lambda: floored(resource, **arguments),
            lambda: drivers.call_sync(PROVIDER, operation, lambda **given: answer, resource, (), arguments),
        )
    finally:
        Instrumentor().uninstrument()


def timed(call: Callable[[], Any], number: int) -> float:
    """Mean microseconds of CPU."""
    begin = time.thread_time_ns()
    for _ in range(number):
        call()
    return (time.thread_time_ns() - begin) / number / 1e3


def main() -> None:
    """Measure and print."""
    http = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    transport_of, _ = fake.make_transports(http)
    client = openai.OpenAI(api_key="x", http_client=http.Client(transport=transport_of(fake.chat_body())))
    for title, content, size, count, number in CASES:
        arguments = {**OPTIONS, "messages": fake.messages(size, count)}
        with calls(Completions(client), content, arguments) as each:
            for call in each:
                timed(call, 2 * number)
            batches = [[timed(call, number) for call in each] for _ in range(BATCHES)]
        floors = statistics.median(floored - bare for bare, floored, _ in batches)
        ours = statistics.median(added - bare for bare, _, added in batches)
        print(f"{title:14} floor {floors:6.1f} µs   aiobs {ours:6.1f} µs   x{ours / floors:.2f}")


if __name__ == "__main__":
    main()
