"""Decisions of both SDKs: what one call becomes on every signal."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, content_of, everything, file_events
from tests.instrumentation.openai.reading import MOVING
from tests.instrumentation.openai.twice import both_ways
from tests.versions import aio_of, needs

PICTURE = b"not really a picture"
DATA = b64encode(PICTURE).decode()
BLOB = {
    "type": "blob",
    "modality": "image",
    "mime_type": "image/png",
    "content": "",
    "size": len(PICTURE),
    "sha256": hashlib.sha256(PICTURE).hexdigest(),
}
QUESTIONS: list[Any] = [
    {"type": "predicate", "name": "so", "instructions": "Is it so?"},
    {"type": "choice", "instructions": "Which?", "choices": [{"value": "red"}, {"value": True, "description": "d"}]},
    {"type": "score", "name": "n", "instructions": "How much?", "levels": [{"label": "none"}, {"label": "all"}]},
]
"""As OpenAI has them: a list."""

USAGE = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 4}}
NAMED: dict[str, Any] = {
    "so": {"type": "noul", "instructions": "Is it so?", "criteria": {"true_description": "it is"}},
    "which": {"type": "choice", "instructions": "Which?", "criteria": {"red": "like blood", "blue": ""}},
    "much": {"type": "score", "instructions": [{"type": "text", "text": "How much?"}], "criteria": ["none", "all"]},
}
"""As Google has them: by name."""


@dataclass(frozen=True, eq=False)
class Sdk:
    """Questions, a picture and usage as an SDK has them, and what its answers tell."""

    name: str
    provider: str
    questions: Any
    picture: dict[str, Any]
    usage: dict[str, Any]
    tells: dict[str, Any]
    asked: list[dict[str, Any]]
    answered: list[dict[str, Any]]
    recorded: dict[str, Any]
    extra: dict[str, Any]
    refusal: str

    def client(self, simulator: Simulator) -> Any:
        """A sync client."""
        return simulator.openai() if self.name == "openai" else simulator.gemini()

    def async_client(self, simulator: Simulator) -> Any:
        """An async one, to be entered."""
        return simulator.async_openai() if self.name == "openai" else aio_of(simulator.gemini())

    def ask(self, **more: Any) -> dict[str, Any]:
        """The arguments of a call."""
        return {"model": "m", "input": "a", "questions": self.questions, **more}

    def __str__(self) -> str:
        return self.name


def question(kind: str, name: str | None, told: str, **options: Any) -> dict[str, Any]:
    """A question as it stands in a message."""
    instructions = [{"type": "text", "content": told}]
    return {"type": "question", "kind": kind, "name": name, "instructions": instructions, **options}


OPENAI = Sdk(
    "openai",
    "openai",
    QUESTIONS,
    {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
    USAGE,
    {
        "gen_ai.response.model": "m",
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "aiobs.http.status_code": 200,
    },
    [
        question("predicate", "so", "Is it so?"),
        question("choice", None, "Which?", choices=[{"value": "red"}, {"value": True, "description": "d"}]),
        question("score", "n", "How much?", levels=[{"label": "none"}, {"label": "all"}]),
    ],
    [
        {"type": "answer", "kind": "predicate", "name": "so", "probability": 0.9},
        {
            "type": "answer",
            "kind": "choice",
            "name": None,
            "choice": "red",
            "confidence": 0.9,
            "probabilities": [{"value": "red", "probability": 0.9}],
        },
        {
            "type": "answer",
            "kind": "score",
            "name": "n",
            "score": 0.0,
            "confidence": 0.9,
            "probabilities": [{"label": "none", "value": 0, "probability": 0.9}],
        },
    ],
    {
        "model": "m",
        "usage": {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12},
        "answers": [{"name": "so", "type": "predicate", "probability": 0.9}],
    },
    {"prompt_cache_key": "k"},
    "rate_limit_exceeded",
)
GOOGLE = Sdk(
    "google",
    "gcp.gemini",
    NAMED,
    {"type": "image", "mime_type": "image/png", "data": DATA},
    {"total_input_tokens": 7, "total_output_tokens": 5, "total_cached_tokens": 4, "total_tokens": 12},
    {},
    [
        question("noul", "so", "Is it so?", criteria={"true_description": "it is"}),
        question("choice", "which", "Which?", criteria={"red": "like blood", "blue": ""}),
        question("score", "much", "How much?", criteria=["none", "all"]),
    ],
    [
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
    ],
    {
        "model": None,
        "usage": {"total_input_tokens": 7, "total_output_tokens": 5, "total_cached_tokens": 4, "total_tokens": 12},
        "answers": {"so": {"type": "noul", "noul": 0.9, "confidence": 0.9}},
        "finish_reason": None,
    },
    {"labels": {"a": "b"}},
    "RESOURCE_EXHAUSTED",
)
SDKS = (pytest.param(OPENAI, marks=needs("openai decisions")), pytest.param(GOOGLE, marks=needs("gemini decisions")))
each_sdk = pytest.mark.parametrize("sdk", SDKS, ids=str)
pytestmark = pytest.mark.filterwarnings("ignore:.*[Dd]ecisions.*experimental")


@each_sdk
def test_a_decision(simulator: Simulator, instrumented: InMemoryTelemetry, sdk: Sdk) -> None:
    """Name, kind and attributes, literally: model and usage, nothing of questions and answers."""
    simulator.reply(usage=sdk.usage)
    sdk.client(simulator).decisions.create(**sdk.ask())
    span = instrumented.span("decision m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    found = attributes_of(span)
    found.pop("aiobs.request.id", None)
    assert found == {
        "aiobs.api.name": "decisions.create",
        "gen_ai.operation.name": "decision",
        "gen_ai.provider.name": sdk.provider,
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "server.address": "127.0.0.1",
        **sdk.tells,
    }
    measured = [name for name in instrumented.metrics() if name.startswith("gen_ai")]
    assert measured == ["gen_ai.client.operation.duration"]
    assert [word for word in ("Is it so", "like blood", "red", "none") if word in everything(instrumented)] == []


@each_sdk
async def test_every_way_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry, sdk: Sdk) -> None:
    """Raw, streaming and async."""
    decisions = sdk.client(simulator).decisions
    decisions.create(**sdk.ask())
    decisions.with_raw_response.create(**sdk.ask())
    with decisions.with_streaming_response.create(**sdk.ask()) as response:
        response.read()
    async with sdk.async_client(simulator) as client:
        await client.decisions.create(**sdk.ask())
        await client.decisions.with_raw_response.create(**sdk.ask())
    first, *others = (attributes_of(span) for span in instrumented.spans)
    for one in (first, *others):
        one.pop("aiobs.request.id", None)
    assert others == [first] * 4
    assert first["gen_ai.usage.output_tokens"] == 3


@each_sdk
def test_questions_and_answers(simulator: Simulator, signals: InMemoryTelemetry, sdk: Sdk) -> None:
    """What is judged, the questions after it, and an answer for each; a picture without its bytes."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    given = [sdk.picture] if sdk is GOOGLE else [{"role": "user", "content": [sdk.picture]}]
    sdk.client(simulator).decisions.create(**sdk.ask(input=given))
    content = content_of(signals.span("decision m"))
    assert content["input.messages"] == [
        {"role": "user", "parts": [BLOB]},
        {"role": "user", "parts": sdk.asked},
    ]
    (answered,) = content["output.messages"]
    assert answered["parts"] == sdk.answered


@each_sdk
def test_the_event_in_the_session_file_literally(simulator: Simulator, sdk: Sdk) -> None:
    """Request as passed, answers as they came."""
    observer.observe()
    simulator.reply(usage=sdk.usage)
    questions = {"so": NAMED["so"]} if sdk is GOOGLE else QUESTIONS[:1]
    more = {"extra_body": sdk.extra} if sdk is GOOGLE else sdk.extra
    sdk.client(simulator).decisions.create(**sdk.ask(questions=questions, **more))
    observer.end()
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "gemini" if sdk is GOOGLE else "openai",
        "api": "decisions.create",
        "request": {"model": "m", "input": "a", "questions": questions, "other": sdk.extra},
        "response": {
            "id": None,
            **sdk.recorded,
            "usage": {**sdk.recorded["usage"], "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


@each_sdk
def test_no_content_in_a_closed_file(simulator: Simulator, sdk: Sdk) -> None:
    """Neither what was judged nor what was found."""
    observer.observe(capture_content="no_content")
    sdk.client(simulator).decisions.create(**sdk.ask(input="N33DLE"))
    observer.end()
    (event,) = file_events()
    told = json.dumps(event)
    assert [word for word in ("N33DLE", "Is it so", "noul", "red", "probability") if word in told] == []


@each_sdk
def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry, sdk: Sdk) -> None:
    """ERROR with the provider's code."""
    simulator.fail(429, code=sdk.refusal)
    with pytest.raises(Exception, match="429"):
        sdk.client(simulator).decisions.create(**sdk.ask())
    span = instrumented.span("decision m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, sdk.refusal)


# What only one of them has


@needs("openai decisions")
def test_more_that_openai_judges(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Tables beside pictures, and pictures in a question."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    table = {"type": "input_json", "data": {"a": [1]}}
    illustrated = {"type": "predicate", "instructions": [{"type": "input_text", "text": "Is it?"}, OPENAI.picture]}
    given = [{"role": "user", "content": [OPENAI.picture, table]}]
    simulator.openai().decisions.create(**OPENAI.ask(input=given, questions=[illustrated]))
    judged, asked = content_of(signals.span("decision m"))["input.messages"]
    assert judged["parts"] == [BLOB, table]
    assert asked["parts"][0]["instructions"] == [{"type": "text", "content": "Is it?"}, BLOB]


@needs("gemini decisions")
def test_on_vertex(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The same, of the other provider."""
    simulator.vertex().decisions.create(**GOOGLE.ask())
    assert attributes_of(instrumented.span("decision m"))["gen_ai.provider.name"] == "gcp.vertex_ai"


@needs("gemini decisions")
def test_a_model_by_its_whole_name(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """``models/`` is not part of what it is called."""
    simulator.gemini().decisions.create(**GOOGLE.ask(model="models/m"))
    assert attributes_of(instrumented.span("decision m"))["gen_ai.request.model"] == "m"


@needs("gemini decisions")
def test_a_blocked_input(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Nothing is answered; why is the finish reason."""
    simulator.reply(refusal="no")
    simulator.gemini().decisions.create(**GOOGLE.ask())
    span = instrumented.span("decision m")
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span)["gen_ai.response.finish_reasons"] == ("safety",)


# Bad input

REQUESTS: dict[Sdk, dict[str, Any]] = {
    OPENAI: {
        "one-shot questions": lambda: {"questions": iter(QUESTIONS)},
        "one-shot choices": lambda: {"questions": [{"type": "choice", "choices": iter([{"value": "x"}])}]},
        "one-shot input": lambda: {"input": iter([{"role": "user", "content": "a"}])},
        "of other types": lambda: {
            "input": ["a", None, 7],
            "questions": [None, 5, "x", {}, {"type": 5, "choices": 6}],
        },
        "surrogate": lambda: {"input": "\ud800", "questions": [{"type": "predicate", "instructions": "\udfff"}]},
    },
    GOOGLE: {
        "a list of questions": lambda: {"questions": [1, None, {}]},
        "one-shot input": lambda: {"input": iter([{"type": "text", "text": "a"}])},
        "of other types": lambda: {"input": ["a", None, 7], "questions": {"a": None, "b": 5, "": {"type": 5}}},
        "surrogate": lambda: {"input": "\ud800", "questions": {"\udfff": {"type": "noul", "instructions": "\udfff"}}},
    },
}
ANY_REQUEST: dict[str, Any] = {
    "null": lambda: {"input": None, "questions": None},
    "numbers": lambda: {"input": 5, "questions": 6},
    "1 MB": lambda: {"input": "x" * 1_000_000},
    "extra body": lambda: {"extra_body": {"model": "other", "questions": 5}},
}
ANSWERS: dict[Sdk, dict[str, bytes]] = {
    OPENAI: {
        "of nulls": b'{"model": null, "answers": null, "usage": null}',
        "of numbers": b'{"model": 6, "answers": 7, "usage": 8}',
        "answers of other types": b'{"answers": [null, 5, "x", {"type": 5}, {"type": "prophecy", "x": [1]}]}',
        "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
    },
    GOOGLE: {
        "of nulls": b'{"answers": null, "usage": null, "prompt_feedback": null}',
        "of numbers": b'{"answers": 7, "usage": 8, "prompt_feedback": 9}',
        "answers of other types": b'{"answers": {"a": null, "b": 5, "c": {"type": 5}, "d": {"type": "prophecy", "x": [1]}}}',
        "usage of other types": b'{"answers": {}, "usage": {"total_input_tokens": "7", "total_output_tokens": -1}}',
    },
}
ANY_ANSWER = {"no JSON": b"<html>", "a text": b'"hello"', "a list": b"[1]", "null": b"null"}


def of_each(own: dict[Sdk, dict[str, Any]], common: dict[str, Any]) -> list[Any]:
    """What is odd to one of them, and what is to both."""
    return [
        pytest.param(sdk, odd, id=f"{sdk}-{name}", marks=needs(f"{'gemini' if sdk is GOOGLE else 'openai'} decisions"))
        for sdk, odds in own.items()
        for name, odd in {**odds, **common}.items()
    ]


@pytest.mark.quiet_guard
@pytest.mark.parametrize(("sdk", "make"), of_each(REQUESTS, ANY_REQUEST))
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, sdk: Sdk, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"answers": {}}' if sdk is GOOGLE else b'{"model": "m", "answers": []}'),
        lambda: sdk.client(simulator).decisions.create(**sdk.ask(**make())),
        may_fail=(),
    )


@pytest.mark.quiet_guard
@pytest.mark.parametrize(("sdk", "body"), of_each(ANSWERS, ANY_ANSWER))
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, sdk: Sdk, body: bytes) -> None:
    """The program sees what it sees without us, and no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: sdk.client(simulator).decisions.create(**sdk.ask()),
        may_fail=(),
    )
