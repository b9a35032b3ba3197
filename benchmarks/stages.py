"""Where the time of a chat call goes: each stage alone, in a loop ("warm") and between two calls of the SDK ("cold").

A median over many calls does not mind what else the machine does, so this tells more on a busy one than ``make bench``.
Stages are inclusive, and each is a little too slow: looking at it takes 0.1 µs warm, 0.5 cold.

    python benchmarks/stages.py [CALLS]
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import fake
import openai
from openai.resources.chat.completions import Completions
from opentelemetry.sdk.trace import Span, SpanProcessor, Tracer, TracerProvider, _Span

from aiobs import Instrumentor
from aiobs.capture import drivers, recording, spans
from aiobs.instrumentation.openai import PROVIDER, chat, transport
from aiobs.semconv import encode

OPERATION = PROVIDER.operations[0]
STAGES = (
    *((drivers, name) for name in ("find_callsite", "start", "attach", "detach", "_watched")),
    *((PROVIDER, name) for name in ("client_of", "server_of")),
    *((OPERATION, name) for name in ("read_request", "read_response")),
    *((recording, name) for name in ("_start_span", "end_attributes", "put_attributes", "end_span")),
    *((recording.Recording, name) for name in ("__init__", "_read", "_write", "_close", "_conclude")),
    (spans, "put_attributes"),
    (chat, "usage_of"),
    (encode, "_write_request"),
    (encode, "_write_response"),
    (transport, "_keep_answer"),
    (Tracer, "start_span"),
    (_Span, "end"),
)

times: dict[str, list[int]] = defaultdict(list)


def look_at(owner: Any, name: str) -> None:
    """Time a function of a module, a class or a table from now on."""
    title = owner.__name__ if hasattr(owner, "__name__") else type(owner).__name__
    function, seen = getattr(owner, name), times[f"{title}.{name}"]

    def timed(*args: Any, **kwargs: Any) -> Any:
        begin = perf_counter_ns()
        try:
            return function(*args, **kwargs)
        finally:
            seen.append(perf_counter_ns() - begin)

    put = setattr if isinstance(owner, type) else object.__setattr__
    put(owner, name, timed)


def medians(sdk: Callable[..., Any], calls: int, resource: Completions, arguments: dict[str, Any]) -> dict[str, float]:
    """Microseconds per stage, and of all that comes before and after the SDK's own method."""
    for seen in times.values():
        seen.clear()

    def method(**given: Any) -> Any:
        times["before the SDK"].append(perf_counter_ns() - begin)
        answer = sdk(resource, **given)
        ends.append(perf_counter_ns())
        return answer

    ends: list[int] = []
    for _ in range(calls):
        begin = perf_counter_ns()
        drivers.call_sync(PROVIDER, OPERATION, method, resource, (), arguments)
        times["after the SDK"].append(perf_counter_ns() - ends.pop())
    return {stage: statistics.median(seen) / 1e3 for stage, seen in times.items() if seen}


def main() -> None:
    """Measure warm and cold, and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    http = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    transport_of, _ = fake.make_transports(http)
    client = openai.OpenAI(api_key="x", http_client=http.Client(transport=transport_of(fake.chat_body())))
    resource, original = Completions(client), Completions.create
    arguments = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 100, "messages": fake.messages(1_000, 2)}
    Instrumentor(["openai"], tracer_provider=provider, capture_content=False).instrument()
    answer = original(resource, **arguments)
    spans._is_the_sdks = lambda tracer: True  # it is not any more, once its methods are looked at
    _Span.end = Span.end
    for owner, name in STAGES:
        look_at(owner, name)
    for sdk in (lambda *_, **__: answer, original):
        medians(sdk, 200, resource, arguments)
    warm, cold = (medians(sdk, calls, resource, arguments) for sdk in (lambda *_, **__: answer, original))
    print(f"{'':60} warm µs   cold µs")
    for stage, time in sorted(cold.items(), key=lambda item: -item[1]):
        print(f"{stage:60}{warm.get(stage, 0):8.2f}  {time:8.2f}")


if __name__ == "__main__":
    main()
