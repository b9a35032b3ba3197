"""Decisions: what one call becomes on every signal."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, content_of, everything, file_events
from tests.instrumentation.openai.twice import both_ways
from tests.versions import aio_of, needs

pytestmark = [needs("gemini decisions"), pytest.mark.filterwarnings("ignore:.*[Dd]ecisions.*experimental")]

USAGE = {"total_input_tokens": 7, "total_output_tokens": 5, "total_cached_tokens": 4, "total_tokens": 12}
PICTURE = b"not really a picture"
QUESTIONS: dict[str, Any] = {
    "so": {"type": "noul", "instructions": "Is it so?", "criteria": {"true_description": "it is"}},
    "which": {"type": "choice", "instructions": "Which?", "criteria": {"red": "like blood", "blue": ""}},
    "much": {"type": "score", "instructions": [{"type": "text", "text": "How much?"}], "criteria": ["none", "all"]},
}
MOVING = ("started_at", "ended_at", "duration_ms", "span_id", "trace_id", "session_id", "callsite")


def test_a_decision(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally: model and usage, nothing of questions and answers."""
    simulator.reply(usage=USAGE)
    simulator.gemini().decisions.create(model="models/m", input="a", questions=QUESTIONS)
    span = instrumented.span("decision m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.operation.name": "decision",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "aiobs.api.name": "decisions.create",
        "server.address": "127.0.0.1",
    }
    assert [name for name in instrumented.metrics() if name.startswith("gen_ai")] == [
        "gen_ai.client.operation.duration"
    ]
    assert [word for word in ("Is it so", "like blood", "none") if word in everything(instrumented)] == []


async def test_every_way_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw, streaming and async."""
    ask: dict[str, Any] = {"model": "m", "input": "a", "questions": QUESTIONS}
    client = simulator.gemini()
    client.decisions.create(**ask)
    client.decisions.with_raw_response.create(**ask)
    with client.decisions.with_streaming_response.create(**ask) as response:
        response.read()
    async with aio_of(simulator.gemini()) as entered:
        await entered.decisions.create(**ask)
        await entered.decisions.with_raw_response.create(**ask)
    first, *others = (attributes_of(span) for span in instrumented.spans)
    assert others == [first] * 4
    assert first["gen_ai.usage.output_tokens"] == 3


def test_on_vertex(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The same, of the other provider."""
    simulator.vertex().decisions.create(model="m", input="a", questions=QUESTIONS)
    assert attributes_of(instrumented.span("decision m"))["gen_ai.provider.name"] == "gcp.vertex_ai"


def test_questions_and_answers(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """What is judged, the questions after it, and an answer for each; a picture without its bytes."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    picture = {"type": "image", "mime_type": "image/png", "data": b64encode(PICTURE).decode()}
    given: Any = [{"type": "text", "text": "See:"}, picture]
    simulator.gemini().decisions.create(model="m", input=given, questions=QUESTIONS)
    content = content_of(signals.span("decision m"))
    judged, asked = content["input.messages"]
    assert judged["parts"] == [
        {"type": "text", "content": "See:"},
        {
            "type": "blob",
            "modality": "image",
            "mime_type": "image/png",
            "content": "",
            "size": len(PICTURE),
            "sha256": hashlib.sha256(PICTURE).hexdigest(),
        },
    ]
    assert (judged["role"], asked["role"]) == ("user", "user")
    assert asked["parts"] == [
        {
            "type": "question",
            "kind": QUESTIONS[name]["type"],
            "name": name,
            "instructions": [{"type": "text", "content": told}],
            "criteria": QUESTIONS[name]["criteria"],
        }
        for name, told in (("so", "Is it so?"), ("which", "Which?"), ("much", "How much?"))
    ]
    (answered,) = content["output.messages"]
    assert answered["parts"] == [
        {"type": "answer", "kind": "noul", "name": "so", "noul": 0.9, "confidence": 0.9},
        {
            "type": "answer",
            "kind": "choice",
            "name": "which",
            "choice": "red",
            "confidence": 0.9,
            "probabilities": {"red": 0.9},
        },
        {
            "type": "answer",
            "kind": "score",
            "name": "much",
            "score": 0.0,
            "confidence": 0.9,
            "legend": {"0": "none", "1": "all"},
            "probabilities": {"0": 0.9},
        },
    ]


def test_a_blocked_input(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Nothing is answered; why is the finish reason."""
    simulator.reply(refusal="no")
    simulator.gemini().decisions.create(model="m", input="a", questions=QUESTIONS)
    span = instrumented.span("decision m")
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span)["gen_ai.response.finish_reasons"] == ("safety",)


def test_the_event_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed, answers as they came."""
    observer.observe()
    simulator.reply(usage=USAGE)
    question = {"so": QUESTIONS["so"]}
    simulator.gemini().decisions.create(model="m", input="a", questions=question, extra_body={"labels": {"a": "b"}})
    observer.end()
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "gemini",
        "api": "decisions.create",
        "request": {"model": "m", "input": "a", "questions": question, "other": {"labels": {"a": "b"}}},
        "response": {
            "id": None,
            "model": None,
            "usage": {**USAGE, "prompt_tokens": 7, "completion_tokens": 5},
            "answers": {"so": {"type": "noul", "noul": 0.9, "confidence": 0.9}},
            "finish_reason": None,
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


def test_no_content_in_a_closed_file(simulator: Simulator) -> None:
    """Neither what was judged nor what was found."""
    observer.observe(capture_content="no_content")
    simulator.gemini().decisions.create(model="m", input="N33DLE", questions=QUESTIONS)
    observer.end()
    (event,) = file_events()
    assert [word for word in ("N33DLE", "Is it so", "noul", "red") if word in json.dumps(event)] == []


def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR with the provider's code."""
    simulator.fail(429)
    with pytest.raises(Exception, match="429"):
        simulator.gemini().decisions.create(model="m", input="a", questions=QUESTIONS)
    span = instrumented.span("decision m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "RESOURCE_EXHAUSTED")


REQUESTS: dict[str, Any] = {
    "null": lambda: {"input": None, "questions": None},
    "numbers": lambda: {"input": 5, "questions": 6},
    "a list of questions": lambda: {"questions": [1, None, {}]},
    "of other types": lambda: {"input": ["a", None, 7], "questions": {"a": None, "b": 5, "": {"type": 5}}},
    "surrogate": lambda: {"input": "\ud800", "questions": {"\udfff": {"type": "noul", "instructions": "\udfff"}}},
    "1 MB": lambda: {"input": "x" * 1_000_000},
    "extra body": lambda: {"extra_body": {"model": "other", "questions": 5}},
    "one-shot input": lambda: {"input": iter([{"type": "text", "text": "a"}])},
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"answers": null, "usage": null, "prompt_feedback": null}',
    "of numbers": b'{"answers": 7, "usage": 8, "prompt_feedback": 9}',
    "answers of other types": b'{"answers": {"a": null, "b": 5, "c": {"type": 5}, "d": {"type": "prophecy", "x": [1]}}}',
    "usage of other types": b'{"answers": {}, "usage": {"total_input_tokens": "7", "total_output_tokens": -1}}',
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"answers": {}}'),
        lambda: simulator.gemini().decisions.create(**{"model": "m", "input": "a", "questions": QUESTIONS, **make()}),
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
        lambda: simulator.gemini().decisions.create(model="m", input="a", questions=QUESTIONS),
        may_fail=(),
    )
