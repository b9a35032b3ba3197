"""S0-19: stored chat completions, listed by what they were labelled with, fetched, labelled anew."""

from __future__ import annotations

import inspect
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import Answer, InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import (
    MOVING,
    attributes_of,
    everything,
    file_events,
    metrics_of,
    said,
    with_content,
)
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

pytestmark = needs("openai stored completions")
LABELS = {"prefect.flow_run.id": "abc-123"}


# Listed


def test_a_list(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally: how many came, and not what they were labelled with."""
    page = simulator.openai().chat.completions.list(metadata=LABELS, limit=2, order="asc", model="m")
    span = instrumented.span("list_responses m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "openai.api.type": "chat_completions",
        "aiobs.request.config.limit": 2,
        "aiobs.request.config.order": "asc",
        "aiobs.response.items": 2,
        "aiobs.http.status_code": 200,
    }
    assert [(one.id, one.metadata) for one in page.data] == [  # type: ignore[attr-defined]  # a field that the type has not
        ("chatcmpl-stored1", LABELS),
        ("chatcmpl-stored2", LABELS),
    ]
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}


def test_reading_on_is_the_programs(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """No page is asked for by us; what the program reads on comes by no method of this table."""
    simulator.next(Answer(fields={"has_more": True}), Answer(fields={"data": []}))
    page = simulator.openai().chat.completions.list()
    assert len(simulator.requests) == 1
    assert len(list(page)) == 2
    assert len(simulator.requests) == 2
    assert [span.name for span in instrumented.spans] == ["list_responses"]


async def test_a_list_that_is_awaited(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The SDK's own promise of a page: the span begins with the request, and each time that one is made."""
    async with simulator.async_openai() as client:
        promise = client.chat.completions.list(limit=1)
        assert type(promise).__name__ == "AsyncPaginator"
        assert inspect.isawaitable(promise)
        assert (len(simulator.requests), len(instrumented.spans)) == (0, 0)
        page = await promise
        assert [one.id for one in page.data] == ["chatcmpl-stored1"]
        assert len(instrumented.spans) == 1
        assert len([one async for one in client.chat.completions.list(limit=1)]) == 1
        await promise
    assert len(simulator.requests) == len(instrumented.spans) == 3
    first, *others = (attributes_of(span) for span in instrumented.spans)
    assert others == [first, first]
    assert first == {
        "openai.api.type": "chat_completions",
        "aiobs.request.config.limit": 1,
        "aiobs.response.items": 1,
        "aiobs.http.status_code": 200,
    }


async def test_a_list_that_nobody_awaits(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """No request, no span."""
    async with simulator.async_openai() as client:
        client.chat.completions.list()
    assert instrumented.spans == ()


async def test_every_way_of_listing_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw, streaming and async."""
    completions = simulator.openai().chat.completions
    completions.list(limit=2)
    completions.with_raw_response.list(limit=2)
    with completions.with_streaming_response.list(limit=2) as response:
        response.read()
    async with simulator.async_openai() as client:
        await client.chat.completions.list(limit=2)
        await client.chat.completions.with_raw_response.list(limit=2)
    first, *others = (attributes_of(span) for span in instrumented.spans)
    assert others == [first] * 4
    assert first["aiobs.response.items"] == 2


# Fetched, labelled anew


def test_a_fetched_completion(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Ids, finish reasons and what it says; never what it used."""
    with_content(signals)
    simulator.next(Answer("b", finish_reason="length"))
    simulator.openai().chat.completions.retrieve("chatcmpl-stored7")
    span = signals.span("fetch_response")
    assert span.kind is SpanKind.CLIENT
    assert said(signals) == [{"type": "text", "content": "b"}]
    assert {key: value for key, value in attributes_of(span).items() if key != "gen_ai.output.messages"} == {
        "openai.api.type": "chat_completions",
        "gen_ai.response.id": "chatcmpl-stored7",
        "gen_ai.response.model": "gpt-4.1",
        "gen_ai.response.finish_reasons": ("length",),
        "openai.response.service_tier": "default",
        "aiobs.http.status_code": 200,
    }


def test_an_updated_completion(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Ids; nothing was said, and the labels are on no signal."""
    with_content(signals)
    simulator.openai().chat.completions.update("chatcmpl-stored7", metadata=LABELS)
    assert attributes_of(signals.span("update_response")) == {
        "openai.api.type": "chat_completions",
        "gen_ai.response.id": "chatcmpl-stored7",
        "gen_ai.response.model": "gpt-4.1",
        "openai.response.service_tier": "default",
        "aiobs.http.status_code": 200,
    }
    assert "abc-123" not in everything(signals)


async def test_every_way_to_one_completion_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """By position and by name, raw, streaming and async."""
    ask: dict[str, Any] = {"completion_id": "chatcmpl-stored1"}
    completions = simulator.openai().chat.completions
    async with simulator.async_openai() as client:
        for name, more in (("retrieve", {}), ("update", {"metadata": LABELS})):
            getattr(completions, name)("chatcmpl-stored1", **more)
            getattr(completions, name)(**ask, **more)
            getattr(completions.with_raw_response, name)(**ask, **more)
            with getattr(completions.with_streaming_response, name)(**ask, **more) as response:
                response.read()
            await getattr(client.chat.completions, name)("chatcmpl-stored1", **more)
    found = [attributes_of(span) for span in instrumented.spans]
    assert found == [found[0]] * 5 + [found[5]] * 5


def test_deleting_is_not_recorded(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """No span; this provider has nothing to delete."""
    with pytest.raises(openai.NotFoundError):
        simulator.openai().chat.completions.delete("chatcmpl-stored1")
    assert instrumented.spans == ()


# Session file


def test_the_events_of_the_session_file_literally(simulator: Simulator) -> None:
    """Requests as passed; of a list, id and model of each on the page."""
    observer.observe()
    completions = simulator.openai().chat.completions
    completions.list(metadata=LABELS, limit=1, after="chatcmpl-stored0")
    simulator.reply("b")
    completions.retrieve("chatcmpl-stored1")
    completions.update("chatcmpl-stored1", metadata=LABELS)
    found = [{key: value for key, value in event.items() if key not in MOVING} for event in file_events()]
    common = {"provider": "openai", "error": None, "parent_span_id": None, "evaluations": []}
    answer = {"id": "chatcmpl-stored1", "model": "gpt-4.1", "usage": None}
    assert found == [
        {
            **common,
            "api": "chat.completions.list",
            "request": {
                "model": None,
                "metadata": LABELS,
                "limit": 1,
                "order": None,
                "other": {"after": "chatcmpl-stored0"},
            },
            "response": {
                "id": None,
                "model": None,
                "usage": None,
                "data": [{"id": "chatcmpl-stored1", "model": "gpt-4.1"}],
            },
        },
        {
            **common,
            "api": "chat.completions.retrieve",
            "request": {"model": None, "completion_id": "chatcmpl-stored1", "other": {}},
            "response": {**answer, "text": "b", "finish_reason": "stop", "finish_reasons": ["stop"]},
        },
        {
            **common,
            "api": "chat.completions.update",
            "request": {"model": None, "completion_id": "chatcmpl-stored1", "other": {"metadata": LABELS}},
            "response": {**answer, "text": None, "finish_reason": None, "finish_reasons": []},
        },
    ]


# What goes wrong


@pytest.mark.parametrize("name", ["list", "retrieve", "update"])
def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry, name: str) -> None:
    """ERROR with the provider's code."""
    simulator.fail(404, code="not_found")
    given: Any = {"list": {}, "retrieve": {"completion_id": "c"}, "update": {"completion_id": "c", "metadata": {}}}
    with pytest.raises(openai.NotFoundError):
        getattr(simulator.openai().chat.completions, name)(**given[name])
    span = instrumented.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "not_found")
    assert attributes_of(span, "gen_ai.response.id") == ({} if name == "list" else {"gen_ai.response.id": "c"})


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "labels null": ("list", {"metadata": None}),
    "labels a list": ("list", {"metadata": [1]}),
    "limit a text": ("list", {"limit": "2", "order": 5}),
    "limit a bool": ("list", {"limit": True, "order": None}),
    "limit huge": ("list", {"limit": 2**70}),
    "model a number": ("list", {"model": 5}),
    "after a list": ("list", {"after": ["x"]}),
    "id empty": ("retrieve", {"completion_id": ""}),
    "id a number": ("retrieve", {"completion_id": 5}),
    "id null": ("update", {"completion_id": None, "metadata": None}),
    "id a surrogate": ("update", {"completion_id": "c\ud800", "metadata": {"a": "\ud800"}}),
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "data": null, "choices": null, "usage": null}',
    "of numbers": b'{"id": 5, "data": 6, "choices": 7, "usage": 8}',
    "of odd things": b'{"data": [null, 5, {"id": {}}], "choices": [null, {"message": 5}]}',
}


@pytest.mark.quiet_guard
@pytest.mark.nonconforming("some of the requests have no id that could be named")
@pytest.mark.parametrize(("name", "given"), REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, name: str, given: dict[str, Any]) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"data": [], "choices": []}'),
        lambda: getattr(simulator.openai().chat.completions, name)(**given),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("name", ["list", "retrieve", "update"])
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, name: str) -> None:
    """The program sees what it sees without us, and no reader fails."""
    given: Any = {"list": {}, "retrieve": {"completion_id": "c"}, "update": {"completion_id": "c", "metadata": {}}}
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: getattr(simulator.openai().chat.completions, name)(**given[name]),
        may_fail=(),
    )
