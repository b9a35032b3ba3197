"""A real marvin, and the pydantic-ai that it is made of: what its own module sends, and the run of each call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import marvin
import pydantic_ai
import pytest
from marvin.beta.observability import openai as original
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from aiobs.ambient.sources import add_source, remove_source
from aiobs.compat.marvin import openai as ours
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.seeds.blocks import blocks

RUN = {"prefect.flow_run.id": "run-1", "prefect.task_run.id": "task-1"}


@pytest.fixture
def run() -> Iterator[None]:
    """What Prefect would say; the real one is in test_prefect.py."""

    def source() -> dict[str, Any]:
        return dict(RUN)

    add_source(source)
    yield
    remove_source(source)


@pytest.fixture
async def provider(simulator: Simulator) -> Any:
    """pydantic-ai's way to the simulator."""
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{simulator.origin}/v1", api_key="k", max_retries=0))


def test_the_same_names() -> None:
    """S0-01: marvin's ``__all__``."""
    assert ours.__all__ == original.__all__


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"extra_body": {"a": {"b": 1}, "metadata": {"own": "x", "customer_id": "old"}}},
        {"extra_body": {"store": True}},
    ],
)
def test_the_same_settings(settings: dict[str, Any]) -> None:
    """S0-03, S0-04, S0-05, S0-09: of an agent of marvin's outside of a run."""
    agent = marvin.Agent(name="analyst", model="openai:gpt-4o", model_settings=settings)
    for metadata in ({}, {"customer_id": "c1", "a.b": "c"}):
        wrapped = ours.observable(agent, **metadata)
        theirs = original.observable(agent, **metadata)
        assert wrapped.model_settings == theirs.model_settings
        assert (type(wrapped), wrapped.name) == (marvin.Agent, "analyst")
        assert ours.openai_request_kwargs(**metadata) == original.openai_request_kwargs(**metadata)
    assert agent.model_settings == settings


async def test_marvins_agent(provider: Any, simulator: Simulator, instrumented: InMemoryTelemetry, run: None) -> None:
    """S0-04, S0-13, S0-15: an agent that is wrapped once sends the run of each call, streamed as marvin does it."""
    agent = marvin.Agent(name="analyst", model=OpenAIChatModel("gpt-4o", provider=provider))
    wrapped = ours.observable(agent, customer_id=7)
    await wrapped.run_async("Summarize: x")
    body, span = simulator.requests[0].json, instrumented.spans[0]
    assert (body["store"], body["stream"]) == (True, True)
    assert body["metadata"] == {**RUN, "customer_id": "7", "trace_id": f"{span.context.trace_id:032x}"}
    assert span.attributes["aiobs.metadata.customer_id"] == 7


@pytest.mark.parametrize("model", [OpenAIChatModel, OpenAIResponsesModel])
async def test_pydantic_ai(
    model: Any, provider: Any, simulator: Simulator, instrumented: InMemoryTelemetry, run: None
) -> None:
    """S0-03: its agents too, with both APIs, with settings that are given or made for each request."""
    agent = pydantic_ai.Agent(model("gpt-4o", provider=provider), name="analyst")
    made = pydantic_ai.Agent(model("gpt-4o", provider=provider), model_settings=lambda _: {"temperature": 0.5})
    for one in (agent, made):
        await ours.observable(one, customer_id="c1").run("hello")
        await one.run("hello")
    found = [request.json.get("metadata", {}).get("prefect.task_run.id") for request in simulator.requests]
    assert found == ["task-1", None, "task-1", None]
    assert [request.json.get("temperature") for request in simulator.requests] == [None, None, 0.5, 0.5]


def test_models_of_others() -> None:
    """S0-02: pydantic-ai's words for who is asked."""
    from pydantic_ai.models.test import TestModel

    asked = ("anthropic:claude-sonnet-4-5", "google-gla:gemini-2.5-flash", TestModel(), "openai:gpt-4o")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        wrapped = [ours.observable(marvin.Agent(name="a", model=model)) for model in asked]
    assert ["extra_body" in one.model_settings for one in wrapped] == [False, False, True, True]
    assert len([one for one in warned if "observable() is for OpenAI models" in str(one.message)]) == 2


# The blocks of the seed, from its text

SUBSTITUTIONS = (("from marvin.beta.observability.openai import", "from aiobs.compat.marvin.openai import"),)
"""What is changed in the text before it runs."""


ORDERED = """
import asyncio

@flow
async def ordered(document: str):
    return await process("c-7", document)
"""
"""A flow for the task that the text leaves without one."""


def block(number: int) -> str:
    """A block of 000.md."""
    text = blocks("000.md")[number]
    for old, new in SUBSTITUTIONS:
        text = text.replace(old, new)
    return text


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("numbers", "call", "added"),
    [
        ((2,), "my_pipeline", {}),
        ((2, 4), "ordered", {"customer_id": "c-7"}),
    ],
    ids=["usage", "custom metadata"],
)
def test_the_blocks_of_the_seed(
    simulator: Simulator, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch,
    numbers: tuple[int, ...], call: str, added: dict[str, str],
) -> None:  # fmt: skip
    """S0-03, S0-06, S0-07, S0-13: the request and the span of a call in a flow say whose it is."""
    for variable in simulator.environment().items():
        monkeypatch.setenv(*variable)
    program = "\n".join([*map(block, numbers), ORDERED, f"asyncio.run({call}('A document'))"])
    exec(compile(program, "000.md", "exec"), {"__name__": "seed"})
    body, span = simulator.requests[0].json, instrumented.spans[0]
    keys = [f"prefect.flow_run.{key}" for key in ("id", "name", "flow_name")]
    keys += [f"prefect.task_run.{key}" for key in ("id", "name", "task_name")]
    assert body["store"] is True
    assert {key: body["metadata"][key] for key in keys} == {key: span.attributes[key] for key in keys}
    assert {key: body["metadata"][key] for key in added} == added
