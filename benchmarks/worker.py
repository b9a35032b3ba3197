"""One process of the benchmark: measures one group of scenarios and prints the medians as JSON.

The bare SDK, the floor and aiobs run in turn, a few calls each, so that whatever else the machine does hits all three.
Each is a subclass of the SDK's resource with its own ``create``; nothing is patched back and forth.

    python benchmarks/worker.py GROUP SCALE
"""

from __future__ import annotations

import gc
import importlib
import json
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

Samples = dict[str, dict[str, float]]
Call = Callable[[], object]

MODEL = "gpt-4o"
OPTIONS = {"model": MODEL, "temperature": 0.2, "max_tokens": 100}
SHORT, LONG = 100, 1000
FOUNDATION = (
    "openai.resources.chat.completions",
    "opentelemetry._logs",
    "opentelemetry.instrumentation.instrumentor",
    "opentelemetry.metrics",
    "opentelemetry.trace",
    "wrapt",
)


def chat_off(scale: float) -> Samples:
    """A chat call, and the price of a streamed chunk, with the content gate closed."""
    variants = chat_variants(content=False)
    return {
        "off/call": per_call(variants, SMALL, calls=20, batches=round(100 * scale)),
        "off/chunk": per_chunk(variants, batches=round(25 * scale)),
    }


def chat_on(scale: float) -> Samples:
    """A chat call of 1 kB and one of 50 kB, with content on the span."""
    variants = chat_variants(content=True)
    return {
        "on/1kB": per_call(variants, SMALL, calls=20, batches=round(100 * scale)),
        "on/50kB": per_call(variants, LARGE, calls=5, batches=round(100 * scale)),
        "on/chunk": per_chunk(variants, batches=round(25 * scale)),
    }


def nothing_recorded(scale: float) -> Samples:
    """Instrumented, but nobody listens: no TracerProvider, MeterProvider, hook or session."""
    variants = chat_variants(content=False, recorded=False)
    return {
        "none/call": per_call(variants, SMALL, calls=20, batches=round(100 * scale)),
        "none/chunk": per_chunk(variants, batches=round(25 * scale)),
    }


def observed_function(scale: float) -> Samples:
    """``@observe`` with arguments and result on the span, against a bare span around the same function."""
    from aiobs import Instrumentor, observe

    provider = discarding_provider()
    tracer = provider.get_tracer("floor", "0")
    Instrumentor(tracer_provider=provider, capture_content="span_only").instrument()

    def research(query: str, top_k: int = 3) -> dict[str, object]:
        return {"query": query, "hits": top_k}

    def bare() -> object:
        with tracer.start_as_current_span("research"):
            return research("What is an API?", top_k=5)

    observed = observe(research)
    calls: dict[str, Call] = {
        "sdk": lambda: research("What is an API?", top_k=5),
        "floor": bare,
        "aiobs": lambda: observed("What is an API?", top_k=5),
    }
    return {"observe": overheads(in_turn(calls, calls_each=200, batches=round(100 * scale)))}


def growth(scale: float) -> Samples:
    """Bytes per call that stay allocated after many calls, content on."""
    resource = chat_variants(content=True)["aiobs"]
    call = chat_call(resource(client_of(fake.chat_body())), SMALL)
    for _ in range(500):
        call()
    return {"growth": {"aiobs": growth_of(call, round(20_000 * scale))}}


def startup(scale: float) -> Samples:
    """CPU milliseconds of ``import aiobs`` and ``instrument()``, beyond what they stand on and the program imports."""
    load_foundation()
    begin = time.process_time()
    from aiobs import Instrumentor

    Instrumentor().instrument()
    return {"startup": {"aiobs": (time.process_time() - begin) * 1e3}}


def load_foundation() -> None:
    """Import what aiobs stands on, and the class that a program calls: packages of openai 3 load theirs when asked."""
    for module in FOUNDATION:
        importlib.import_module(module)
    _ = sys.modules[FOUNDATION[0]].Completions


# The three variants


def chat_variants(*, content: bool, recorded: bool = True) -> dict[str, type[Any]]:
    """The SDK's chat resource three times: as it is, under the floor, under aiobs."""
    from openai.resources.chat import completions

    from aiobs import Instrumentor

    sdk = completions.Completions
    original = sdk.create
    floor.setup("on" if content else "off", discarding_provider() if recorded else NoOpTracerProvider(), None)
    floored, sdk.create = sdk.create, original
    provider = discarding_provider() if recorded else None
    Instrumentor(["openai"], tracer_provider=provider, capture_content=content).instrument()
    wrapped = sdk.__dict__["create"]
    methods = {"sdk": original, "floor": floored, "aiobs": wrapped}
    return {name: type(name, (sdk,), {"create": method}) for name, method in methods.items()}


def discarding_provider() -> TracerProvider:
    """An SDK provider whose one processor does nothing."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    return provider


def client_of(payload: bytes | list[bytes]) -> openai.OpenAI:
    """A client that gets this answer without a socket."""
    transport, _ = fake.make_transports(transport_module)
    return openai.OpenAI(api_key="x", http_client=transport_module.Client(transport=transport(payload)))


def chat_call(resource: Any, messages: list[dict[str, str]]) -> Call:
    """One whole answer."""
    return lambda: resource.create(messages=messages, **OPTIONS)


def stream_call(resource: Any) -> Call:
    """One stream, read to its end."""

    def call() -> None:
        for _ in resource.create(messages=SMALL, stream=True, **OPTIONS):
            pass

    return call


# Measuring


def per_call(
    variants: dict[str, type[Any]], messages: list[dict[str, str]], calls: int, batches: int
) -> dict[str, float]:
    """Microseconds per call: the bare SDK's, and what each variant adds to it."""
    client = client_of(fake.chat_body())
    ready = {name: chat_call(resource(client), messages) for name, resource in variants.items()}
    return overheads(in_turn(ready, calls, batches))


def per_chunk(variants: dict[str, type[Any]], batches: int) -> dict[str, float]:
    """Microseconds per chunk: a long stream minus a short one, so that what a call costs falls out."""
    short, long = client_of(fake.chat_stream(SHORT)), client_of(fake.chat_stream(LONG))
    streams = {(name, SHORT): stream_call(resource(short)) for name, resource in variants.items()}
    streams |= {(name, LONG): stream_call(resource(long)) for name, resource in variants.items()}
    times = in_turn(streams, 1, batches)
    chunks = LONG - SHORT
    return overheads(
        {
            name: [(whole - part) / chunks for whole, part in zip(times[name, LONG], times[name, SHORT], strict=True)]
            for name in variants
        }
    )


def in_turn(calls: dict[Any, Call], calls_each: int, batches: int) -> dict[Any, list[float]]:
    """Microseconds per call of each, batch by batch, in an order that no one profits from."""
    for call in calls.values():
        for _ in range(3 * calls_each):
            call()
    gc.collect()
    gc.freeze()
    times: dict[Any, list[float]] = {name: [] for name in calls}
    shuffled = random.Random(0)
    for _ in range(max(batches, 3)):
        for name in shuffled.sample(list(calls), len(calls)):
            gc.collect()  # each pays for its own garbage, not for what the one before it left
            times[name].append(timed(calls[name], calls_each))
    return times


def timed(call: Call, number: int) -> float:
    """Mean microseconds of ``number`` calls in a row."""
    begin = time.perf_counter_ns()
    for _ in range(number):
        call()
    return (time.perf_counter_ns() - begin) / number / 1e3


def overheads(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of the SDK alone, and of the differences to it, batch by batch."""
    found = {"sdk": statistics.median(times["sdk"])}
    for name in ("floor", "aiobs"):
        found[name] = statistics.median(mine - bare for mine, bare in zip(times[name], times["sdk"], strict=True))
    return found


def growth_of(call: Call, number: int) -> float:
    """Bytes per call that are still allocated when all calls are over."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(number):
            call()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / number


GROUPS = {
    "chat-off": chat_off,
    "chat-on": chat_on,
    "nothing": nothing_recorded,
    "observe": observed_function,
    "growth": growth,
    "startup": startup,
}

if __name__ == "__main__":
    group, scale = sys.argv[1], float(sys.argv[2])
    if group != "startup":  # which must begin before anything of aiobs or OpenTelemetry is imported
        import fake
        import floor
        import openai
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.trace import NoOpTracerProvider

        transport_module = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
        SMALL, LARGE = fake.messages(1_000, 2), fake.messages(50_000, 20)
    print(json.dumps(GROUPS[group](scale)))
