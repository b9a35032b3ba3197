"""Chats: a message is a request, and the chat is what it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.genai import errors

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, content_of, file_events, told, tree_of
from tests.versions import aio_of, has

MESSAGES = ["Hello?", "And now?"]


def send(simulator: Simulator, is_async: bool, is_stream: bool, **options: Any) -> tuple[list[str], list[Any]]:
    """Two messages; what was said, and the history."""
    if is_async:
        return asyncio.run(_send_async(simulator, is_stream, options))
    chat = simulator.gemini().chats.create(model="m", **options)
    if is_stream:
        said = ["".join(str(chunk.text) for chunk in chat.send_message_stream(message)) for message in MESSAGES]
    else:
        said = [str(chat.send_message(message).text) for message in MESSAGES]
    return said, [content.model_dump(exclude_none=True) for content in chat.get_history()]


async def _send_async(simulator: Simulator, is_stream: bool, options: Any) -> tuple[list[str], list[Any]]:
    async with aio_of(simulator.gemini()) as client:
        chat = client.chats.create(model="m", **options)
        said = []
        for message in MESSAGES:
            if is_stream:
                said.append("".join([str(chunk.text) async for chunk in await chat.send_message_stream(message)]))
            else:
                said.append(str((await chat.send_message(message)).text))
        return said, [content.model_dump(exclude_none=True) for content in chat.get_history()]


every_way = [
    pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"]),
    pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"]),
]


def in_every_way(test: Any) -> Any:
    for mark in every_way:
        test = mark(test)
    return test


@in_every_way
def test_a_message_is_one_span(
    simulator: Simulator, instrumented: InMemoryTelemetry, is_async: bool, is_stream: bool
) -> None:
    """No parent around a message that makes one request; the span is that of generate_content."""
    send(simulator, is_async, is_stream, config={"temperature": 0.5})
    assert tree_of(instrumented) == ["generate_content m"] * 2
    found = attributes_of(instrumented.spans[0])
    assert {key: found[key] for key in found if "usage" not in key} == told(
        {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "m",
            "gen_ai.request.temperature": 0.5,
            "server.address": "127.0.0.1",
            "aiobs.api.name": "models.generate_content",
            "gen_ai.response.id": "simulated000001",
            "gen_ai.response.model": "m",
            "gen_ai.response.finish_reasons": ("stop",),
            "aiobs.http.status_code": 200,
            **({"gen_ai.request.stream": True} if is_stream else {}),
        }
    )
    assert (instrumented.spans[0].attributes or {})["code.file.path"] == __file__


@in_every_way
def test_the_history_is_what_it_was(
    simulator: Simulator, signals: InMemoryTelemetry, is_async: bool, is_stream: bool
) -> None:
    """What was said, the history afterwards and the requests are the same with and without us."""

    def told() -> Any:
        simulator.requests.clear()
        simulator.reply("Hello.", reasoning="Hm.")
        simulator.reply("Now this.")
        return send(simulator, is_async, is_stream), [request.body for request in simulator.requests]

    without = told()
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    assert told() == without
    assert len(signals.spans) == 2


@in_every_way
def test_what_was_said_before_is_part_of_the_question(
    simulator: Simulator, signals: InMemoryTelemetry, is_async: bool, is_stream: bool
) -> None:
    """The second message's span has the whole conversation, the first one's what there was then."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    simulator.reply("Hello.")
    simulator.reply("Now this.")
    send(simulator, is_async, is_stream)
    first, second = [content_of(span)["input.messages"] for span in signals.spans]
    assert first == [{"role": "user", "parts": [{"type": "text", "content": "Hello?"}]}]
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert "".join(part["content"] for part in second[1]["parts"]) == "Hello."
    assert second[2] == {"role": "user", "parts": [{"type": "text", "content": "And now?"}]}


@in_every_way
def test_a_message_is_one_event(simulator: Simulator, is_async: bool, is_stream: bool) -> None:
    """In the session file a message is told of once, as models.generate_content."""
    observer.observe()
    simulator.reply("Hello.")
    send(simulator, is_async, is_stream)
    first, _ = file_events()
    assert (first["provider"], first["api"], first["response"]["text"]) == (
        "gemini", "models.generate_content", "Hello.",
    )  # fmt: skip


@in_every_way
def test_a_message_that_fails(
    simulator: Simulator, instrumented: InMemoryTelemetry, is_async: bool, is_stream: bool
) -> None:
    """One failed span, and the SDK's own error."""
    read = has("gemini errors of async streams") or not (is_async and is_stream)
    error_type = "INTERNAL" if read else "google.genai.errors.ServerError"
    simulator.fail(500)
    with pytest.raises(errors.ServerError):
        send(simulator, is_async, is_stream)
    assert (instrumented.span().attributes or {})["error.type"] == error_type
