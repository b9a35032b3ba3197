"""Embeddings: what one call becomes on every signal, and where the vectors are."""

from __future__ import annotations

import base64
import struct
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import MOVING, attributes_of, everything, file_events, metrics_of
from tests.versions import has

OMIT = getattr(openai, "omit", openai.NOT_GIVEN)
VECTORS = [[0.5, -0.25], [1.0, 0.125]]  # exact as 32-bit floats


def packed(vector: list[float]) -> str:
    """A vector as the provider encodes it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


UNASKED: list[Any] = [packed(vector) for vector in VECTORS] if has("openai vectors without numpy") else VECTORS
"""How the vectors come that nobody asked for an encoding of: the SDK asks for base64 where it can read it."""


def answer(vectors: list[Any], **fields: Any) -> dict[str, Any]:
    """The fields of an answer with these vectors."""
    entries = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"data": entries, **fields}


def test_a_call_is_one_client_span(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Name, kind and attributes, literally: no output tokens, no finish reason, no vectors."""
    simulator.reply(usage={"prompt_tokens": 7})
    simulator.openai().embeddings.create(model="e", input=["a", "b"], dimensions=8, encoding_format="float", user="ann")
    span = instrumented.span("embeddings e")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.request.model": "e",
        "gen_ai.embeddings.dimension.count": 8,
        "gen_ai.request.encoding_formats": ("float",),
        "gen_ai.response.model": "e",
        "gen_ai.usage.input_tokens": 7,
        "aiobs.http.status_code": 200,
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"encoding_format": "base64"}, {"gen_ai.request.encoding_formats": ("base64",)}),
        ({"dimensions": OMIT, "encoding_format": OMIT}, {}),
        ({"dimensions": openai.NOT_GIVEN, "encoding_format": openai.NOT_GIVEN}, {}),
        ({"extra_body": {"dimensions": 4}}, {"gen_ai.embeddings.dimension.count": 4}),
    ],
    ids=["nothing", "base64", "omit", "NOT_GIVEN", "extra body"],
)
def test_what_was_asked_for(simulator: Simulator, instrumented: InMemoryTelemetry, given, expected) -> None:
    """Only what the program gave: the SDK's own choice of base64 is not the program's."""
    simulator.openai().embeddings.create(model="e", input="a", **given)
    assert attributes_of(instrumented.span(), "gen_ai.embeddings.", "gen_ai.request.enc") == expected


async def test_an_async_call_is_the_same(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """AsyncOpenAI is recorded as OpenAI is."""
    simulator.openai().embeddings.create(model="e", input="a", dimensions=4)
    async with simulator.async_openai() as client:
        await client.embeddings.create(model="e", input="a", dimensions=4)
    first, second = (attributes_of(span) for span in instrumented.spans)
    assert first == second


INPUTS: dict[str, Any] = {
    "one text": "a b",
    "texts": ["a", "b"],
    "tokens": [1, 2, 3],
    "token lists": [[1, 2], [3]],
}


@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS.keys())
def test_the_event_in_the_session_file_literally(simulator: Simulator, given: Any) -> None:
    """S1-41, S1-42: the request as passed; one entry per input, with its vector, and how long they are."""
    observer.observe()
    simulator.reply(fields=answer(UNASKED), usage={"prompt_tokens": 3})
    result = simulator.openai().embeddings.create(model="e", input=given, dimensions=2, extra_query={"a": "b"})
    assert [entry.embedding for entry in result.data] == VECTORS
    (event,) = file_events()
    assert {key: value for key, value in event.items() if key not in MOVING} == {
        "provider": "openai",
        "api": "embeddings.create",
        "request": {
            "model": "e",
            "input": given,
            "encoding_format": None,
            "dimensions": 2,
            "user": None,
            "other": {},
        },
        "response": {
            "id": None,
            "model": "e",
            "usage": {"prompt_tokens": 3, "completion_tokens": None, "total_tokens": 3},
            "object": "list",
            "data": [
                {"index": index, "object": "embedding", "embedding": vector} for index, vector in enumerate(VECTORS)
            ],
            "embedding_dimensions": 2,
        },
        "error": None,
        "parent_span_id": None,
        "evaluations": [],
    }


@pytest.mark.parametrize("is_raw", [False, True], ids=["whole", "raw"])
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_vectors_go_to_the_file_only(simulator: Simulator, signals, encoding, is_raw) -> None:
    """S1-42: the numbers are in the file, whatever they were encoded as, and on no signal."""
    observer.observe()
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    sent = {"float": VECTORS, "base64": [packed(vector) for vector in VECTORS], None: UNASKED}[encoding]
    simulator.reply(fields=answer(sent))
    embeddings = simulator.openai().embeddings
    given = {} if encoding is None else {"encoding_format": encoding}
    (embeddings.with_raw_response if is_raw else embeddings).create(model="e", input=["a", "b"], **given)
    (event,) = file_events()
    assert [entry["embedding"] for entry in event["response"]["data"]] == VECTORS
    shown = everything(signals)
    assert [word for word in ("-0.25", packed(VECTORS[0]), '"a"') if word in shown] == []


@pytest.mark.parametrize(
    ("capture", "content", "entries"),
    [
        ("shape", None, [{"index": 0, "object": "embedding"}, {"index": 1, "object": "embedding"}]),
        ("none", None, []),
        ("full", "no_content", [{"index": 0, "object": "embedding"}, {"index": 1, "object": "embedding"}]),
    ],
)
def test_less_than_the_vectors(simulator: Simulator, capture, content, entries) -> None:
    """S1-42: only how many and how long, or not even that; a text can be guessed from its vector, so the gate counts."""
    observer.observe()
    Instrumentor(capture_embeddings=capture, capture_content=content).instrument()
    simulator.reply(fields=answer(UNASKED), usage={"prompt_tokens": 3})
    simulator.openai().embeddings.create(model="e", input=["a", "b"])
    (event,) = file_events()
    assert (event["response"]["data"], event["response"]["embedding_dimensions"]) == (entries, 2)


def test_a_large_batch_is_its_shape(simulator: Simulator) -> None:
    """S1-43: one event, an entry per input in order, and a mark that the vectors are left out."""
    observer.observe()
    simulator.reply(fields=answer([[0.5] * 1000 for _ in range(60)]))
    simulator.openai().embeddings.create(model="e", input=["a"] * 60, encoding_format="float")
    (event,) = file_events()
    assert [entry["index"] for entry in event["response"]["data"]] == list(range(60))
    assert (event["response"]["truncated"], "embedding" in event["response"]["data"][0]) == (True, False)


# Answers of compatible servers

ODD_DATA: dict[str, tuple[Any, tuple[int, int | None]]] = {
    "null": (None, (0, None)),
    "an object": ({"embedding": [1]}, (0, None)),
    "of nulls": ([None, None], (2, 0)),
    "without vectors": ([{"index": 0}], (1, 0)),
    "vector null": ([{"embedding": None}], (1, 0)),
    "vector an object": ([{"embedding": {"a": 1}}], (1, 0)),
    "vector a number": ([{"embedding": 5}], (1, 0)),
    "vector of texts": ([{"embedding": ["a", None]}], (1, 2)),
    "not base64": ([{"embedding": "***"}], (1, 0)),
    "not whole floats": ([{"embedding": "AAAA"}], (1, 0)),
    "beyond ascii": ([{"embedding": "ü"}], (1, 0)),
    "of lengths that differ": ([{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}], (2, 1)),
}


@pytest.mark.parametrize(("data", "expected"), ODD_DATA.values(), ids=ODD_DATA.keys())
def test_odd_vectors(simulator: Simulator, signals: InMemoryTelemetry, data, expected) -> None:
    """The number of entries and the length of the first vector, as far as there is one; the call is never an error."""
    observer.observe(tracer_provider=signals.tracer_provider)
    simulator.reply(fields={"data": data, "usage": {"prompt_tokens": 2}})
    simulator.openai().embeddings.with_raw_response.create(model="e", input="a")
    assert signals.span().status.status_code is StatusCode.UNSET
    (event,) = file_events()
    response = event["response"]
    assert (len(response["data"]), response["embedding_dimensions"]) == expected


@pytest.mark.parametrize(
    "usage", [None, {}, [], "7", {"prompt_tokens": "7"}, {"prompt_tokens": -1}, {"prompt_tokens": 2.5}]
)
def test_odd_usage(simulator: Simulator, instrumented: InMemoryTelemetry, usage) -> None:
    """What is no number of tokens is left out, and the model stays."""
    simulator.reply(fields={"usage": usage})
    simulator.openai().embeddings.create(model="e", input="a")
    assert attributes_of(instrumented.span(), "gen_ai.usage.", "gen_ai.response.") == {"gen_ai.response.model": "e"}


# Metrics and events


def test_the_metrics_and_events_of_a_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """One duration of the operation with its attributes, no token instrument, no event."""
    simulator.reply(usage={"prompt_tokens": 7})
    simulator.openai().embeddings.create(model="e", input="a", dimensions=4)
    metrics = metrics_of(instrumented)
    assert set(metrics) == {"gen_ai.client.operation.duration"}
    (duration,) = metrics["gen_ai.client.operation.duration"]
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "e",
        "gen_ai.response.model": "e",
        "server.address": "127.0.0.1",
        "server.port": int(simulator.origin.rpartition(":")[2]),
    }
    assert instrumented.logs == ()


def test_a_failed_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """ERROR, an exception event, error.type on the duration; what the provider quotes is on none of them."""
    simulator.fail(400, code="context_length_exceeded", message="You said NEEDLE")
    with pytest.raises(openai.BadRequestError):
        simulator.openai().embeddings.create(model="e", input="NEEDLE")
    span = instrumented.span("embeddings e")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "context_length_exceeded")
    assert attributes_of(span, "error.", "aiobs.error.") == {
        "error.type": "context_length_exceeded",
        "aiobs.error.code": "CONTEXT_LENGTH",
        "aiobs.error.retryable": False,
    }
    (log,) = instrumented.logs
    assert log.log_record.event_name == "gen_ai.client.operation.exception"
    assert dict(log.log_record.attributes or {}) == {"exception.type": "openai.BadRequestError"}
    (duration,) = metrics_of(instrumented)["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "context_length_exceeded"
    assert "NEEDLE" not in everything(instrumented)


def test_an_iterator_goes_to_the_provider_whole(simulator: Simulator) -> None:
    """38: tokens that can be read only once are the provider's; the file says that they were not recorded."""
    observer.observe()
    simulator.openai().embeddings.create(model="e", input=iter([1, 2, 3]))
    assert simulator.requests[0].json["input"] == [1, 2, 3]
    (event,) = file_events()
    assert event["request"]["input"] == "<list_iterator: not recorded, reading it would have emptied it>"
