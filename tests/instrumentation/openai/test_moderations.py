"""Moderations: what one call becomes on every signal."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import MOVING, asked, attributes_of, file_events, metrics_of, with_content
from tests.instrumentation.openai.twice import both_ways

OMIT = getattr(openai, "omit", openai.NOT_GIVEN)
PICTURE = b"not really a picture"
DATA_URL = f"data:image/png;base64,{b64encode(PICTURE).decode()}"


@pytest.mark.parametrize(("given", "flagged"), [("peace", False), ("violence", True), (["peace", "violence"], True)])
def test_a_verdict(simulator: Simulator, instrumented: InMemoryTelemetry, given: Any, flagged: bool) -> None:
    """Name, kind and attributes, literally: one thing that is found in one input is enough."""
    simulator.openai().moderations.create(model="m", input=given)
    span = instrumented.span("moderation m")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "m",
        "gen_ai.response.id": "modr-simulated000001",
        "gen_ai.response.model": "m",
        "aiobs.moderation.flagged": flagged,
        "aiobs.http.status_code": 200,
    }
    assert set(metrics_of(instrumented)) == {"gen_ai.client.operation.duration"}
    assert instrumented.logs == ()


async def test_every_way_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Raw, streaming and async; without a model the span is named after none."""
    moderations = simulator.openai().moderations
    moderations.create(input="a")
    moderations.with_raw_response.create(input="a")
    with moderations.with_streaming_response.create(input="a") as response:
        response.read()
    async with simulator.async_openai() as client:
        await client.moderations.create(input="a")
    assert [span.name for span in instrumented.spans] == ["moderation"] * 4
    found = [attributes_of(span, "gen_ai.response.model", "aiobs.moderation") for span in instrumented.spans]
    assert found == [{"gen_ai.response.model": "omni-moderation-latest", "aiobs.moderation.flagged": False}] * 4


INPUTS: dict[str, tuple[Any, list[list[dict[str, Any]]]]] = {
    "text": ("a", [[{"type": "text", "content": "a"}]]),
    "texts": (["a", "b"], [[{"type": "text", "content": "a"}], [{"type": "text", "content": "b"}]]),
    "parts": (
        [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "image_url", "image_url": {"url": DATA_URL}},
        ],
        [
            [
                {"type": "text", "content": "a"},
                {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://x/y.png"},
                {
                    "type": "blob",
                    "modality": "image",
                    "mime_type": "image/png",
                    "content": "",
                    "size": len(PICTURE),
                    "sha256": hashlib.sha256(PICTURE).hexdigest(),
                },
            ]
        ],
    ),
}


@pytest.mark.parametrize(("given", "expected"), INPUTS.values(), ids=INPUTS)
def test_what_was_judged(simulator: Simulator, signals: InMemoryTelemetry, given: Any, expected: Any) -> None:
    """A message for each text, one for parts that are judged together; a picture without its bytes."""
    with_content(signals)
    simulator.openai().moderations.create(model="m", input=given)
    assert asked(signals) == [{"role": "user", "parts": parts} for parts in expected]


def test_the_event_in_the_session_file_literally(simulator: Simulator) -> None:
    """Request as passed; of each input whether something was found, and what."""
    observer.observe()
    simulator.openai().moderations.create(model="m", input=["peace", "violence"], extra_query={"k": "v"})
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "moderations.create",
        "request": {"model": "m", "input": ["peace", "violence"], "other": {}},
        "response": {
            "id": "modr-simulated000001",
            "model": "m",
            "usage": None,
            "flagged": True,
            "results": [{"flagged": False, "categories": []}, {"flagged": True, "categories": ["violence"]}],
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


def test_the_event_without_content(simulator: Simulator) -> None:
    """What was found is told by whoever may be told what was said."""
    observer.observe(capture_content="no_content")
    simulator.openai().moderations.create(model="m", input="violence")
    (event,) = file_events()
    assert event["response"] == {"id": "modr-simulated000001", "model": "m", "usage": None, "flagged": True}
    assert "violence" not in str(event)


def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR with the provider's code, and no verdict."""
    simulator.fail(400, code="invalid_image_url")
    with pytest.raises(openai.BadRequestError):
        simulator.openai().moderations.create(model="m", input="a")
    span = instrumented.span("moderation m")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "invalid_image_url")
    assert attributes_of(span, "aiobs.moderation") == {}


REQUESTS: dict[str, Any] = {
    "one-shot": lambda: {"input": iter(["a"])},
    "null": lambda: {"input": None},
    "a number": lambda: {"input": 5},
    "an object": lambda: {"input": {"type": "text", "text": "a"}},
    "of other types": lambda: {
        "input": ["a", None, 7, {}, {"type": "image_url"}, {"type": "image_url", "image_url": 5}]
    },
    "parts of other types": lambda: {"input": [None, 7, {"type": "text", "text": 5}, {"type": []}]},
    "surrogate": lambda: {"input": "\ud800", "model": "m\ud800"},
    "1 MB": lambda: {"input": ["x" * 1_000_000]},
    "no base64": lambda: {"input": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,***"}}]},
    "model a number": lambda: {"input": "a", "model": 5},
    "omit": lambda: {"input": "a", "model": OMIT},
    "extra body": lambda: {"input": "a", "extra_body": {"model": None, "input": "b"}},
}
ANSWERS: dict[str, bytes] = {
    "no JSON": b"<html>",
    "a text": b'"hello"',
    "a list": b"[1]",
    "null": b"null",
    "of nulls": b'{"id": null, "model": null, "results": null}',
    "of numbers": b'{"id": 5, "model": 6, "results": 7}',
    "results of other types": b'{"results": [null, 5, {"flagged": "yes", "categories": [1]}, {"flagged": null}]}',
    "an error": b'{"error": {"code": "overloaded", "message": "no"}}',
}


@pytest.mark.quiet_guard
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, make: Any) -> None:
    """What goes out and what comes back is the same with and without us; no reader fails."""
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(b'{"id": "x", "model": "m", "results": []}'),
        lambda: simulator.openai().moderations.create(**{"model": "m", **make()}),
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
        lambda: simulator.openai().moderations.create(model="m", input="a"),
        may_fail=(),
    )
