"""Simulated vectors, as the real SDK reads them."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobs.testing import Answer, Request, Simulator
from aiobs.testing.openai_embeddings import reply


def embed(simulator: Simulator, said: Any = "What is an API?", **options: Any) -> Any:
    return simulator.openai().embeddings.create(**{"model": "text-embedding-3-small", "input": said, **options})


def similarity(one: list[float], other: list[float]) -> float:
    return math.sumprod(one, other) if hasattr(math, "sumprod") else sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("said", "vectors", "tokens"),
    [
        ("What is an API?", 1, 3),
        (["What is an API?", "And an SDK?"], 2, 5),
        ([3923, 374, 459], 1, 3),
        ([[3923, 374], [459]], 2, 3),
    ],
)
def test_inputs(simulator: Simulator, said: Any, vectors: int, tokens: int) -> None:
    """A string, strings, tokens, lists of tokens: one vector each, and their tokens counted."""
    answer = embed(simulator, said)
    assert [item.index for item in answer.data] == list(range(vectors))
    assert [(item.object, len(item.embedding)) for item in answer.data] == [("embedding", 1536)] * vectors
    assert (answer.object, answer.model) == ("list", "text-embedding-3-small")
    assert answer.usage.to_dict() == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer._request_id == "req_000001"


def test_the_wire(simulator: Simulator) -> None:
    """The SDK asks for base64 unless told otherwise: little-endian 32-bit floats; the numbers are the same."""
    body = json.loads(embed_raw(simulator).content)
    assert simulator.requests[0].json["encoding_format"] == "base64"
    packed = base64.b64decode(body["data"][0]["embedding"])
    numbers = json.loads(embed_raw(simulator, encoding_format="float").content)["data"][0]["embedding"]
    assert struct.unpack("<1536f", packed) == pytest.approx(numbers, abs=1e-6)


def embed_raw(simulator: Simulator, **options: Any) -> Any:
    raw = simulator.openai().embeddings.with_raw_response
    return raw.create(model="text-embedding-3-small", input="What is an API?", **options)


def test_vectors(simulator: Simulator) -> None:
    """Length 1, the same for the same text, near for texts that share words, far for others."""
    said = ["the design of an API", "the design of an API", "an API and its design", "seven black cats"]
    one, again, near, far = (item.embedding for item in embed(simulator, said).data)
    assert similarity(one, one) == pytest.approx(1, abs=1e-6)
    assert one == again
    assert similarity(one, near) > 0.5 > 0.2 > abs(similarity(one, far))


def test_dimensions(simulator: Simulator) -> None:
    """As many as asked for, else as many as the model has; length 1 in any case."""
    short = embed(simulator, dimensions=3).data[0].embedding
    assert (len(short), similarity(short, short)) == (3, pytest.approx(1, abs=1e-6))
    assert len(embed(simulator, model="text-embedding-3-large").data[0].embedding) == 3072


async def test_every_client_gets_the_same(simulator: Simulator) -> None:
    """Sync, async, Azure."""
    async with simulator.async_openai() as plain, simulator.async_azure_openai() as azure:
        found = [await client.embeddings.create(model="m", input="Q?") for client in (plain, azure)]
    found += [
        client.embeddings.create(model="m", input="Q?") for client in (simulator.openai(), simulator.azure_openai())
    ]
    assert all(each == found[0] for each in found)
    assert simulator.requests[1].path == "/openai/deployments/m/embeddings"


def test_scripts(simulator: Simulator) -> None:
    """Usage, fields and faults are obeyed."""
    simulator.reply(usage={"prompt_tokens": 7, "total_tokens": 7}, fields={"model": "other"})
    answer = embed(simulator)
    assert (answer.usage.total_tokens, answer.model) == (7, "other")
    simulator.fail(429, code="insufficient_quota")
    with pytest.raises(openai.RateLimitError) as raised:
        embed(simulator)
    assert raised.value.type == "insufficient_quota"
    simulator.fault(malformed=True)
    with pytest.raises(json.JSONDecodeError):
        embed(simulator)
    simulator.fault(cut_after=1)
    with pytest.raises(openai.APIConnectionError):
        embed(simulator)


def test_streaming_responses(simulator: Simulator) -> None:
    """``with_streaming_response`` reads the body when it is parsed."""
    with simulator.openai().embeddings.with_streaming_response.create(model="m", input="Q?") as response:
        assert len(response.parse().data) == 1


@pytest.mark.parametrize(
    ("asked", "param", "message"),
    [
        ({"model": None}, "model", "Missing required parameter: 'model'"),
        ({"input": None}, "input", "Missing required parameter: 'input'"),
        ({"input": ""}, "input", "input cannot be an empty string"),
        ({"input": []}, "input", "empty array"),
        ({"input": ["one", ""]}, "input", "input cannot be an empty string"),
        ({"input": [[1], []]}, "input", "input cannot be an empty string"),
        ({"input": {"text": "one"}}, "input", "Invalid type for 'input'"),
        ({"input": ["one", 2]}, "input", "Invalid type for 'input'"),
        ({"input": ["one"] * 2049}, "input", "array too long"),
        ({"encoding_format": "hex"}, "encoding_format", "Supported values are: 'float' and 'base64'"),
        ({"dimensions": 0}, "dimensions", "Invalid value for 'dimensions'"),
        ({"dimensions": 1537}, "dimensions", "Invalid value for 'dimensions'"),
    ],
)
def test_bad_requests(simulator: Simulator, asked: dict[str, Any], param: str, message: str) -> None:
    """A request that the provider would refuse is refused in its words."""
    with pytest.raises(openai.BadRequestError, match=message) as raised:
        embed(simulator, extra_body=asked)
    assert (raised.value.param, raised.value.type) == (param, "invalid_request_error")


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    asked=st.fixed_dictionaries({"model": JSON, "input": JSON}, optional={"dimensions": JSON, "encoding_format": JSON})
)
def test_no_request_breaks_it(asked: dict[str, Any]) -> None:
    """Whatever a program sends is answered or refused, never a failure of the simulator."""
    given_back = reply(Request(1, "POST", "/v1/embeddings", "", {}, b"", asked), Answer())
    assert isinstance(given_back.body, bytes)
    json.loads(given_back.body)


def test_half_a_character(simulator: Simulator) -> None:
    """A lone surrogate, which JSON can carry, has a vector like everything else."""
    simulator.openai().post("/embeddings", content=b'{"model": "m", "input": "\\ud83d"}', cast_to=object)
    assert simulator.requests[0].status == 200
