"""``aiobs.request.id``: the id under which the provider knows the request, however its answer is taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import openai
import pytest

from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import file_events
from tests.versions import needs

HEADER = "x-request-id"
ASK = [{"role": "user", "content": "What is an API?"}]
OPERATIONS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "chat": (lambda client: client.chat.completions, {"messages": ASK}),
    "responses": (lambda client: client.responses, {"input": "hi"}),
    "embeddings": (lambda client: client.embeddings, {"input": "hi"}),
}


def _whole(resource: Any, **given: Any) -> None:
    resource.create(**given)


def _streamed(resource: Any, **given: Any) -> None:
    list(resource.create(stream=True, **given))


def _left(resource: Any, **given: Any) -> None:
    with resource.create(stream=True, **given) as stream:
        next(iter(stream))


def _raw(resource: Any, **given: Any) -> None:
    resource.with_raw_response.create(**given)


def _raw_stream(resource: Any, **given: Any) -> None:
    list(resource.with_raw_response.create(stream=True, **given).parse())


def _streaming(resource: Any, **given: Any) -> None:
    with resource.with_streaming_response.create(**given) as response:
        response.parse()


def _streaming_lines(resource: Any, **given: Any) -> None:
    with resource.with_streaming_response.create(**given) as response:
        list(response.iter_lines())


def _streaming_unread(resource: Any, **given: Any) -> None:
    with resource.with_streaming_response.create(**given):
        pass


async def _whole_async(resource: Any, **given: Any) -> None:
    await resource.create(**given)


async def _streamed_async(resource: Any, **given: Any) -> None:
    async for _ in await resource.create(stream=True, **given):
        pass


async def _raw_async(resource: Any, **given: Any) -> None:
    await resource.with_raw_response.create(**given)


async def _streaming_async(resource: Any, **given: Any) -> None:
    async with resource.with_streaming_response.create(**given) as response:
        await response.parse()


WAYS = (
    *(_whole, _streamed, _left, _raw, _raw_stream, _streaming, _streaming_lines, _streaming_unread),
    *(_whole_async, _streamed_async, _raw_async, _streaming_async),
)
STREAMED = {_streamed, _left, _raw_stream, _streamed_async}
CASES = [
    pytest.param(operation, way, id=f"{operation}-{way.__name__.strip('_')}",
                 marks=[needs("openai responses")] if operation == "responses" else [])
    for operation in OPERATIONS
    for way in WAYS
    if operation != "embeddings" or way not in STREAMED
]  # fmt: skip


@pytest.mark.parametrize(("operation", "way"), CASES)
async def test_the_id_is_on_every_span(
    simulator: Simulator, instrumented: InMemoryTelemetry, operation: str, way: Callable[..., Any]
) -> None:
    """Whole or streamed, parsed, raw or not read at all, sync or async."""
    resource, given = OPERATIONS[operation]
    if inspect.iscoroutinefunction(way):
        async with simulator.async_openai() as client:
            await way(resource(client), model="m", **given)
    else:
        way(resource(simulator.openai()), model="m", **given)
    (span,) = instrumented.spans
    assert (span.attributes or {})["aiobs.request.id"] == "req_000001"


@pytest.mark.parametrize("way", [_whole, _streamed, _raw])
def test_the_id_is_that_of_the_attempt_that_counts(
    simulator: Simulator, instrumented: InMemoryTelemetry, way: Callable[..., Any]
) -> None:
    """After a retry it is the second request's."""
    simulator.fail(500, headers={"retry-after-ms": "1"})
    way(simulator.openai(max_retries=1).chat.completions, model="m", messages=ASK)
    attributes = instrumented.span("chat m").attributes
    assert (attributes["aiobs.request.id"], attributes["aiobs.retry.count"]) == ("req_000002", 1)


def test_a_stream_that_fails_has_it_in_both(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """An error in the middle of a stream does not tell the id, the answer's header did: on the span and in the file."""
    from aiobs import observer

    observer.observe("failing", tracer_provider=instrumented.tracer_provider)
    simulator.fault(error_after=1)
    with pytest.raises(openai.APIError) as raised:
        _streamed(simulator.openai().chat.completions, model="m", messages=ASK)
    assert getattr(raised.value, "request_id", None) is None
    assert instrumented.span("chat m").attributes["aiobs.request.id"] == "req_000001"
    (event,) = file_events()
    assert event["error_details"]["request_id"] == "req_000001"


# What servers, and what stands between, put there


def _client_with(simulator: Simulator, change: Callable[[Any], None]) -> openai.OpenAI:
    """A client whose HTTP client changes what came before the SDK sees it."""
    client: openai.OpenAI = simulator.openai(
        http_client=openai.DefaultHttpxClient(event_hooks={"response": [change]}), max_retries=0
    )
    return client


def _without(response: Any) -> None:
    del response.headers[HEADER]


def _set(value: Any) -> Callable[[Any], None]:
    """Headers of the same kind, in which the id is this."""

    def change(response: Any) -> None:
        class Odd(type(response.headers)):  # type: ignore[misc]  # the class depends on the SDK's release
            def get(self, name: str, default: Any = None) -> Any:
                return value if name.lower() == HEADER else super().get(name, default)

        response.headers = Odd(response.headers)

    return change


@pytest.mark.parametrize("way", [_whole, _streamed, _raw, _streaming_unread])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without, None),
        (_set(""), None),
        (_set(b"req_bytes"), None),
        (_set(7), None),
        (_set(None), None),
        (_set(["req"]), None),
        (_set("req_é"), "req_é"),
        (_set("req_\ud800"), "req_\ufffd"),
        (_set("r" * 10_000), "r" * 10_000),
    ],
    ids=["absent", "empty", "bytes", "number", "none", "list", "letters", "surrogate", "long"],
)
def test_a_header_can_be_anything(
    simulator: Simulator,
    instrumented: InMemoryTelemetry,
    way: Callable[..., Any],
    change: Callable[[Any], None],
    told: str | None,
) -> None:
    """Only a text that says something is an id; the same of a whole answer and of one that only its header tells of."""
    with _client_with(simulator, change) as client:
        way(client.chat.completions, model="m", messages=ASK)
    assert instrumented.span("chat m").attributes.get("aiobs.request.id") == told
