"""Decisions: what one call becomes on every signal."""

from __future__ import annotations

import hashlib
from base64 import b64encode
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
    said,
    with_content,
)
from tests.instrumentation.openai.twice import both_ways
from tests.versions import needs

pytestmark = needs("openai decisions")
USAGE = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 4}}
PICTURE = b"not really a picture"
DATA_URL = f"data:image/png;base64,{b64encode(PICTURE).decode()}"
QUESTIONS: Any = [
    {"type": "predicate", "name": "so", "instructions": "Is it so?"},
    {"type": "choice", "instructions": "Which?", "choices": [{"value": "red"}, {"value": True, "description": "d"}]},
    {"type": "score", "name": "n", "instructions": "How much?", "levels": [{"label": "none"}, {"label": "all"}]},
]


def test_a_decision(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally: model and usage, nothing of questions and answers."""
    simulator.reply(usage=USAGE)
    simulator.openai().decisions.create(model="m", input="a", questions=QUESTIONS, safety_identifier="ann")
    span = instrumented.span("decision m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "aiobs.http.status_code": 200,
    }
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}
    assert [word for word in ("Is it so", "red", "none") if word in everything(instrumented)] == []


async def test_every_way_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw, streaming and async."""
    ask: dict[str, Any] = {"model": "m", "input": "a", "questions": QUESTIONS}
    decisions = simulator.openai().decisions
    decisions.create(**ask)
    decisions.with_raw_response.create(**ask)
    with decisions.with_streaming_response.create(**ask) as response:
        response.read()
    async with simulator.async_openai() as client:
        await client.decisions.create(**ask)
        await client.decisions.with_raw_response.create(**ask)
    first, *others = (attributes_of(span) for span in instrumented.spans)
    assert others == [first] * 4
    assert first["gen_ai.usage.output_tokens"] == 3


def test_questions_and_answers(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """What is judged, the questions after it, and an answer for each; a picture without its bytes."""
    with_content(signals)
    picture = {"type": "input_image", "image_url": DATA_URL}
    table = {"type": "input_json", "data": {"a": [1]}}
    question = {"type": "predicate", "instructions": [{"type": "input_text", "text": "Is it?"}, picture]}
    simulator.openai().decisions.create(
        model="m", input=[{"role": "user", "content": [picture, table]}], questions=[*QUESTIONS, question]
    )
    blob = {
        "type": "blob",
        "modality": "image",
        "mime_type": "image/png",
        "content": "",
        "size": len(PICTURE),
        "sha256": hashlib.sha256(PICTURE).hexdigest(),
    }
    text = {"type": "text", "content": "Is it so?"}
    first, second = asked(signals)
    assert first == {"role": "user", "parts": [blob, {"type": "input_json", "data": {"a": [1]}}]}
    assert second["role"] == "user"
    assert second["parts"] == [
        {"type": "question", "kind": "predicate", "name": "so", "instructions": [text]},
        {
            "type": "question",
            "kind": "choice",
            "name": None,
            "instructions": [{"type": "text", "content": "Which?"}],
            "choices": [{"value": "red"}, {"value": True, "description": "d"}],
        },
        {
            "type": "question",
            "kind": "score",
            "name": "n",
            "instructions": [{"type": "text", "content": "How much?"}],
            "levels": [{"label": "none"}, {"label": "all"}],
        },
        {
            "type": "question",
            "kind": "predicate",
            "name": None,
            "instructions": [{"type": "text", "content": "Is it?"}, blob],
        },
    ]
    assert [(part["type"], part["kind"], part["name"]) for part in said(signals)] == [
        ("answer", "predicate", "so"),
        ("answer", "choice", None),
        ("answer", "score", "n"),
        ("answer", "predicate", None),
    ]
    assert said(signals)[1]["choice"] == "red"


def test_the_event_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed, answers as they came."""
    observer.observe()
    simulator.reply(usage=USAGE)
    simulator.openai().decisions.create(model="m", input="a", questions=QUESTIONS[:1], prompt_cache_key="k")
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "decisions.create",
        "request": {"model": "m", "input": "a", "questions": QUESTIONS[:1], "other": {"prompt_cache_key": "k"}},
        "response": {
            "id": None,
            "model": "m",
            "usage": {
                "input_tokens": 7,
                "output_tokens": 5,
                "total_tokens": 12,
                "prompt_tokens": 7,
                "completion_tokens": 5,
            },
            "answers": [{"name": "so", "type": "predicate", "probability": 0.9}],
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR with the provider's code."""
    simulator.fail(429, code="rate_limit_exceeded")
    with pytest.raises(openai.RateLimitError):
        simulator.openai().decisions.create(model="m", input="a", questions=QUESTIONS)
    span = instrumented.span("decision m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "rate_limit_exceeded")


REQUESTS: dict[str, Any] = {
    "one-shot questions": lambda: {"questions": iter(QUESTIONS)},
    "one-shot input": lambda: {"input": iter([{"role": "user", "content": "a"}])},
    "one-shot choices": lambda: {"questions": [{"type": "choice", "choices": iter([{"value": "x"}])}]},
    "null": lambda: {"input": None, "questions": None},
    "numbers": lambda: {"input": 5, "questions": 6},
    "of other types": lambda: {"input": ["a", None, 7], "questions": [None, 5, "x", {}, {"type": 5, "choices": 6}]},
    "surrogate": lambda: {"input": "\ud800", "questions": [{"type": "predicate", "instructions": "\udfff"}]},
    "1 MB": lambda: {"input": "x" * 1_000_000},
    "extra body": lambda: {"extra_body": {"model": "other", "questions": 5}},
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"model": null, "answers": null, "usage": null}',
    "of numbers": b'{"model": 6, "answers": 7, "usage": 8}',
    "answers of other types": b'{"answers": [null, 5, "x", {"type": 5}, {"type": "prophecy", "x": [1]}]}',
    "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"model": "m", "answers": []}'),
        lambda: simulator.openai().decisions.create(**{"model": "m", "input": "a", "questions": QUESTIONS, **make()}),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes) -> None:
    """The program sees what it sees without us, and no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: simulator.openai().decisions.create(model="m", input="a", questions=QUESTIONS),
        may_fail=(),
    )
