"""Conversations that the provider keeps: what making, fetching, labelling and deleting one becomes on every signal."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import (
    MOVING,
    asked,
    attributes_of,
    everything,
    file_events,
    metrics_of,
    with_content,
)
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

pytestmark = needs("openai conversations")
NAMES = {
    "create": "create_conversation",
    "retrieve": "fetch_conversation",
    "update": "update_conversation",
    "delete": "delete_conversation",
}
GIVEN: dict[str, dict[str, Any]] = {
    "create": {},
    "retrieve": {"conversation_id": "conv_1"},
    "update": {"conversation_id": "conv_1", "metadata": {"a": "secret"}},
    "delete": {"conversation_id": "conv_1"},
}
every_method = pytest.mark.parametrize("method", NAMES)


@every_method
async def test_every_method_in_every_way(simulator: Simulator, instrumented: InMemoryTelemetry, method: str) -> None:
    """Name, kind and attributes, literally; raw, streaming and async alike."""
    conversations: Any = simulator.openai().conversations
    getattr(conversations, method)(**GIVEN[method])
    getattr(conversations.with_raw_response, method)(**GIVEN[method])
    with getattr(conversations.with_streaming_response, method)(**GIVEN[method]) as response:
        response.read()
    async with simulator.async_openai() as client:
        await getattr(client.conversations, method)(**GIVEN[method])
    assert [(span.name, span.kind) for span in instrumented.spans] == [(NAMES[method], SpanKind.CLIENT)] * 4
    made = [f"conv_simulated{number:06d}" for number in range(1, 5)]
    assert [attributes_of(span) for span in instrumented.spans] == [
        {"gen_ai.conversation.id": one if method == "create" else "conv_1", "aiobs.http.status_code": 200}
        for one in made
    ]
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}
    assert "secret" not in everything(instrumented)


def test_an_id_by_position(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """As it is passed."""
    simulator.fail(404)
    with pytest.raises(openai.NotFoundError):
        simulator.openai().conversations.retrieve("conv_7")
    span = instrumented.span("fetch_conversation")
    assert (span.status.status_code, (span.attributes or {})["gen_ai.conversation.id"]) == (StatusCode.ERROR, "conv_7")


def test_what_a_conversation_begins_with(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Its items are content, as the input of a response is."""
    with_content(signals)
    simulator.openai().conversations.create(items=[{"role": "user", "content": "a"}], metadata={"a": "secret"})
    assert asked(signals) == [{"role": "user", "parts": [{"type": "text", "content": "a"}]}]
    assert "secret" not in everything(signals)


def test_the_items_of_one_are_not_recorded(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """No span."""
    with pytest.raises(openai.NotFoundError):
        simulator.openai().conversations.items.retrieve("item_1", conversation_id="conv_1")
    assert instrumented.spans == ()


def test_the_events_of_the_session_file_literally(simulator: Simulator) -> None:
    """Requests as passed, answers with the id."""
    observer.observe()
    conversations = simulator.openai().conversations
    items: Any = [{"role": "user", "content": "a"}]
    conversations.create(items=items, metadata={"a": "b"})
    conversations.delete("conv_1")
    first, second = ({key: value for key, value in event.items() if key not in MOVING} for event in file_events())
    common = {"provider": "openai", "error": None, "parent_span_id": None, "evaluations": []}
    assert first == {
        **common,
        "api": "conversations.create",
        "request": {"model": None, "conversation_id": None, "items": items, "metadata": {"a": "b"}, "other": {}},
        "response": {"id": "conv_simulated000001", "model": None, "usage": None},
    }
    assert second == {
        **common,
        "api": "conversations.delete",
        "request": {"model": None, "conversation_id": "conv_1", "items": None, "metadata": None, "other": {}},
        "response": {"id": "conv_1", "model": None, "usage": None},
    }


REQUESTS: dict[str, tuple[str, Any]] = {
    "one-shot items": ("create", lambda: {"items": iter([{"role": "user", "content": "a"}])}),
    "items null": ("create", lambda: {"items": None, "metadata": None}),
    "items of other types": ("create", lambda: {"items": ["a", None, 7, {}, {"type": 5}]}),
    "items an object": ("create", lambda: {"items": {"a": 1}, "metadata": [1]}),
    "surrogate": ("create", lambda: {"items": [{"role": "user", "content": "\ud800"}]}),
    "id empty": ("retrieve", lambda: {"conversation_id": ""}),
    "id a number": ("retrieve", lambda: {"conversation_id": 5}),
    "id null": ("delete", lambda: {"conversation_id": None}),
    "metadata a list": ("update", lambda: {"conversation_id": "c", "metadata": [1]}),
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "metadata": null}',
    "of numbers": b'{"id": 5, "metadata": 6}',
    "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize(("method", "make"), REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, method: str, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"id": "c", "object": "conversation", "created_at": 1, "metadata": {}}'),
        lambda: getattr(simulator.openai().conversations, method)(**make()),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
@every_method
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, method: str) -> None:
    """The program sees what it sees without us, and no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: getattr(simulator.openai().conversations, method)(**GIVEN[method]),
        may_fail=(),
    )
