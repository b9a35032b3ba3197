"""aiobs beside the official instrumentations, OpenInference and Langfuse's processor, in one process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aiobs
from aiobs import Instrumentor, configure, observer
from aiobs.testing import Simulator

OFFICIAL = ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor")
OPENINFERENCE_GOOGLE = ("openinference.instrumentation.google_genai", "GoogleGenAIInstrumentor")
OPENINFERENCE_OPENAI = ("openinference.instrumentation.openai", "OpenAIInstrumentor")
ORDERS = ["theirs first", "ours first"]
MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """The spans of a provider that both use."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    configure(tracer_provider=provider, capture_content="span_only")
    yield exporter
    provider.shutdown()


@contextmanager
def both(rival: tuple[str, str], order: str, provider: Any = None) -> Iterator[None]:
    """Both instrument, in this order, and take off in the other one."""
    module, name = rival
    theirs = getattr(import_module(module), name)()
    provider = provider or trace_provider()
    steps: list[Callable[[], Any]] = [
        lambda: theirs.instrument(tracer_provider=provider, skip_dep_check=True),
        lambda: Instrumentor().instrument(),
    ]
    for step in steps if order == "theirs first" else reversed(steps):
        step()
    try:
        yield
    finally:
        theirs.uninstrument()
        Instrumentor().uninstrument()


def trace_provider() -> Any:
    from aiobs.capture import telemetry

    return telemetry.current().tracer_provider


def calls(simulator: Simulator) -> None:
    """One of each kind: whole, streamed to its end, embeddings."""
    client = simulator.openai()
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    for _ in client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True):
        pass
    client.embeddings.create(model="text-embedding-3-small", input="x")


def found(exported: InMemorySpanExporter) -> list[tuple[str, str]]:
    return sorted(
        (span.instrumentation_scope.name, span.name)
        for span in exported.get_finished_spans()
        if span.instrumentation_scope is not None
    )


@pytest.mark.parametrize("order", ORDERS)
def test_a_call_has_one_span_beside_the_official_one(
    simulator: Simulator, exported: InMemorySpanExporter, order: str
) -> None:
    """Theirs, whichever came first, and one count of its tokens."""
    with both(OFFICIAL, order):
        calls(simulator)
    assert [scope for scope, _ in found(exported)] == [OFFICIAL[0]] * 3


@pytest.mark.parametrize("order", ORDERS)
def test_a_call_has_one_span_beside_openinference(
    simulator: Simulator, exported: InMemorySpanExporter, order: str
) -> None:
    """Of google-genai: theirs."""
    with both(OPENINFERENCE_GOOGLE, order):
        simulator.gemini().models.generate_content(model="gemini-2.5-flash", contents="hi")
    assert [scope for scope, _ in found(exported)] == [OPENINFERENCE_GOOGLE[0]]


def every_way(simulator: Simulator) -> int:
    """Whole, streamed, raw, parsed, refused, sync and async, with and without a stream kept to its end; how many."""
    client = simulator.openai()
    calls(simulator)
    client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES).parse()
    with client.chat.completions.with_streaming_response.create(model="gpt-4o-mini", messages=MESSAGES) as raw:
        raw.read()
    client.responses.create(model="gpt-4o-mini", input="hi")
    next(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))
    simulator.fail(400)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    asyncio.run(asynchronously(simulator))
    return 10


async def asynchronously(simulator: Simulator) -> None:
    async with simulator.async_openai() as client:
        await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        async for _ in await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True):
            pass


@pytest.mark.parametrize("order", ORDERS)
def test_a_call_has_one_span_beside_openinference_for_openai(
    simulator: Simulator, exported: InMemorySpanExporter, order: str
) -> None:
    """It listens under the methods: ours, whichever came first, with one count of its tokens."""
    with both(OPENINFERENCE_OPENAI, order):
        made = every_way(simulator)
        aiobs.flush()  # the stream that was dropped
    assert [scope for scope, _ in found(exported)] == ["aiobs"] * made
    counted = [span for span in exported.get_finished_spans() if "llm.token_count.prompt" in (span.attributes or {})]
    assert counted == []


@pytest.mark.parametrize("order", ORDERS)
def test_openinference_records_what_we_do_not(simulator: Simulator, exported: InMemorySpanExporter, order: str) -> None:
    """Requests that are no calls of ours, and all of them when ours is taken off."""
    with both(OPENINFERENCE_OPENAI, order):
        with pytest.raises(openai.NotFoundError):  # the simulator has no list of models
            simulator.openai().models.list()
        Instrumentor().uninstrument()
        calls(simulator)
    assert {scope for scope, _ in found(exported)} == {OPENINFERENCE_OPENAI[0]}
    assert len(found(exported)) == 4


def test_openinference_that_sends_elsewhere_keeps_its_span(
    simulator: Simulator, exported: InMemorySpanExporter
) -> None:
    """Where theirs go to a provider of their own (as to Phoenix), each of the two has the call once."""
    elsewhere = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(elsewhere))
    with both(OPENINFERENCE_OPENAI, "theirs first", provider):
        calls(simulator)
    assert [scope for scope, _ in found(exported)] == ["aiobs"] * 3
    assert [scope for scope, _ in found(elsewhere)] == [OPENINFERENCE_OPENAI[0]] * 3


class Transport(httpx.BaseTransport):
    """Looks at the context in which the SDK's request goes out, as instrumentations of HTTP clients do."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, str]] = []
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = getattr(trace.get_current_span(), "name", "")
        self.seen.append((is_http_instrumentation_enabled(), name))
        return self._inner.handle_request(request)


def test_http_instrumentation_is_not_silenced(simulator: Simulator, exported: InMemorySpanExporter) -> None:
    """What lies beneath the request sees our span as its parent, and nobody's wish for silence."""
    transport = Transport()
    with both(OPENINFERENCE_OPENAI, "ours first"), httpx.Client(transport=transport) as http:
        client = openai.OpenAI(api_key="k", base_url=simulator.openai().base_url, http_client=http)
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert transport.seen == [(True, "chat gpt-4o-mini")]


@pytest.mark.parametrize("order", ORDERS)
def test_methods_are_as_before_when_both_are_taken_off(
    simulator: Simulator, exported: InMemorySpanExporter, order: str
) -> None:
    """In either order of putting on."""
    from openai.resources.chat.completions import Completions

    before = vars(Completions)["create"]
    with both(OFFICIAL, order):
        assert vars(Completions)["create"] is not before
    assert vars(Completions)["create"] is before
    calls(simulator)
    assert found(exported) == []


def test_the_session_file_has_what_others_recorded(
    simulator: Simulator, exported: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1-85: once, with its tokens."""
    monkeypatch.chdir(tmp_path)
    with both(OFFICIAL, "theirs first"):
        observer.observe("beside")
        calls(simulator)
        observer.end()
        observer.flush()
    written = json.loads((tmp_path / "llm_observability.json").read_text("utf-8"))
    assert len(written["events"]) == 3
    assert all(event["response"]["usage"] for event in written["events"])


def test_langfuses_processor_sees_the_spans(
    simulator: Simulator, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a processor as any other: each call once."""
    from langfuse._client.span_processor import LangfuseSpanProcessor

    processor = LangfuseSpanProcessor(public_key="pk", secret_key="sk", base_url=simulator.origin)
    seen: list[str] = []
    monkeypatch.setattr(processor, "on_end", lambda span: seen.append(span.name))
    trace_provider().add_span_processor(processor)
    Instrumentor().instrument()
    calls(simulator)
    assert sorted(seen) == ["chat gpt-4o-mini", "chat gpt-4o-mini", "embeddings text-embedding-3-small"]
    assert trace.get_tracer_provider() is not trace_provider()


def test_doctor_tells_of_each() -> None:
    """With what to do."""
    from aiobs.diagnosis.conflicts import check_conflicts

    told = {finding.what.partition(" ")[0] for finding in check_conflicts(["openai", "google-genai"])}
    assert {"opentelemetry-instrumentation-genai-openai", "openinference-instrumentation-openai", "langfuse"} <= told
