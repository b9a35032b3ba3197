"""``aiobs.compat.marvin.openai``: agents of every make, without marvin; the real one is in tests/orchestrators."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from aiobs import Instrumentor
from aiobs.ambient import openai_metadata
from aiobs.compat.marvin import openai
from aiobs.compat.marvin.openai import get_prefect_context, observable, openai_request_kwargs
from aiobs.testing import InMemoryTelemetry, Simulator

FAKES = str(Path(__file__).resolve().parents[2] / "fakes")
ASK = [{"role": "user", "content": "x"}]


@dataclasses.dataclass(kw_only=True)
class Agent:
    """As marvin's."""

    name: str = "analyst"
    model: Any = "openai:gpt-4o"
    model_settings: Any = dataclasses.field(default_factory=dict)


class PydanticAgent(BaseModel):
    """An agent that is a pydantic model."""

    name: str = "analyst"
    model_settings: dict[str, Any] = {}


class PlainAgent:
    """An agent that is nothing special."""

    def __init__(self, model_settings: Any = None, name: str = "analyst") -> None:
        self.model_settings = model_settings
        self.name = name


@dataclasses.dataclass(init=False)
class OwnInit:
    """As pydantic-ai's: a dataclass whose constructor does not take its fields."""

    name: str
    model_settings: Any

    def __init__(self, model_settings: Any = None) -> None:
        self.name = "analyst"
        self.model_settings = model_settings


@dataclasses.dataclass
class WithSeed:
    """A dataclass that cannot be made again from its fields."""

    seed: dataclasses.InitVar[int] = dataclasses.field(kw_only=True)
    name: str = "analyst"
    model_settings: Any = None


def with_seed(model_settings: Any) -> WithSeed:
    return WithSeed(model_settings=model_settings, seed=1)


@dataclasses.dataclass(frozen=True)
class Frozen:
    """An agent that cannot be changed."""

    name: str = "analyst"
    model_settings: Any = None


def attrs_agent(**fields: Any) -> Any:
    """An agent made with attrs, frozen and with slots."""
    attrs = pytest.importorskip("attrs")
    made = attrs.make_class(
        "Agent", {"name": attrs.field(default="analyst"), "model_settings": attrs.field(default=None)}, frozen=True
    )
    return made(**fields)


@pytest.fixture(autouse=True)
def said_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once per process has not been said."""
    monkeypatch.setattr(openai_metadata, "_warned", set())


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``prefect.context``."""
    monkeypatch.syspath_prepend(FAKES)
    yield importlib.import_module("prefect.context")
    for name in [name for name in sys.modules if name.partition(".")[0] == "prefect"]:
        del sys.modules[name]


def test_the_names() -> None:
    """S0-01: exactly these three."""
    assert openai.__all__ == ["get_prefect_context", "observable", "openai_request_kwargs"]


# Agents


@pytest.mark.parametrize("make", [Agent, PydanticAgent, PlainAgent, OwnInit, Frozen, with_seed, attrs_agent])
def test_a_new_agent(make: Any) -> None:
    """S0-03: of the same class and name, with settings of its own; the one that was given is what it was, deeply."""
    settings = {"temperature": 0.5, "extra_body": {"deep": {"list": [1]}, "metadata": {"own": "x"}}}
    before = copy.deepcopy(settings)
    agent = make(model_settings=settings)
    wrapped = observable(agent, customer_id="c1")
    assert type(wrapped) is type(agent)
    assert wrapped is not agent
    assert wrapped.name == "analyst"
    assert wrapped.model_settings == {
        "temperature": 0.5,
        "extra_body": {"deep": {"list": [1]}, "metadata": {"own": "x", "customer_id": "c1"}, "store": True},
    }
    wrapped.model_settings["extra_body"]["deep"]["list"].append(2)
    wrapped.model_settings["extra_body"]["metadata"]["own"] = "y"
    assert settings == before == agent.model_settings


def test_outside_of_a_run() -> None:
    """S0-04, S0-09: store alone; without a pair there is no metadata."""
    assert observable(Agent()).model_settings == {"extra_body": {"store": True}}
    assert observable(PlainAgent()).model_settings == {"extra_body": {"store": True}}
    assert openai_request_kwargs() == {"store": True}
    assert get_prefect_context() == {}


@pytest.mark.parametrize("settings", [{"extra_body": {"store": False}}, {"openai_store": False}])
def test_who_says_not_to_store_is_heard(settings: dict[str, Any]) -> None:
    """S0-04: nothing is stored at OpenAI against the program's word, and then metadata would be refused."""
    assert observable(Agent(model_settings=settings), a="b").model_settings["extra_body"] == {"store": False}


def test_precedence(prefect: Any) -> None:
    """S0-05: what is there < the Prefect run < the keyword arguments; the rest of the settings stays."""
    there = {"metadata": {"a": "there", "prefect.flow_run.name": "there", "b": "there"}, "user": "u"}
    with prefect.flow("f") as flow:
        wrapped = observable(
            Agent(model_settings={"top_p": 1, "extra_body": there}), a="said", **{"prefect.flow_run.flow_name": "said"}
        )
    assert wrapped.model_settings == {
        "top_p": 1,
        "extra_body": {
            "user": "u",
            "store": True,
            "metadata": {
                "a": "said",
                "b": "there",
                "prefect.flow_run.id": str(flow.id),
                "prefect.flow_run.name": "f-run",
                "prefect.flow_run.flow_name": "said",
            },
        },
    }


def test_any_name_is_metadata() -> None:
    """S0-03, S0-11, S0-13: ``agent``, ``metadata`` and dotted names too; all of it becomes text, None is left out."""
    given: dict[str, Any] = {"agent": 5, "metadata": {"a": [1]}, "self": None, "a.b": True, "store": 0.5}
    expected = {"agent": "5", "metadata": '{"a":[1]}', "a.b": "True", "store": "0.5"}
    assert observable(Agent(), **given).model_settings["extra_body"] == {"store": True, "metadata": expected}
    assert openai_request_kwargs(**given) == {"store": True, "metadata": expected}


def test_limits(prefect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """S0-12: 16 pairs, keyword arguments first, the names of runs last; long keys go, long values are cut; said once."""
    given = {f"k{n}": "x" for n in range(12)} | {"long": "v" * 600, "k" * 65: "v"}
    with prefect.flow("f", deployment_id="d") as flow, prefect.task("t", flow):
        for _ in range(2):
            metadata = openai_request_kwargs(**given)["metadata"]
    assert len(metadata) == 16
    assert len(metadata["long"]) == 512
    run = {key for key in metadata if key.startswith("prefect.")}
    assert run == {"prefect.flow_run.id", "prefect.task_run.id", "prefect.deployment.id"}
    assert len([record for record in caplog.records if "metadata for OpenAI" in record.getMessage()]) == 3


def test_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-12: where the option says so, what does not fit is a ValueError."""
    monkeypatch.setenv("AIOBS_OPENAI_METADATA", "strict")
    with pytest.raises(ValueError, match="more than 512 characters"):
        observable(Agent(), long="v" * 513)


@pytest.mark.parametrize(
    ("fields", "provider"),
    [
        ({"model": "anthropic:claude-sonnet-4-5"}, "Anthropic"),
        ({"model": "claude-sonnet-4-5"}, "Anthropic"),
        ({"model": "google-gla:gemini-2.5-flash"}, "Google"),
        ({"model": "gateway/bedrock:nova"}, "Amazon Bedrock"),
        ({"model": SimpleNamespace(system="groq", model_name="llama")}, "Groq"),
        ({"model": None, "provider_name": "mistral"}, "Mistral"),
        ({"model": "openai:gpt-4o"}, None),
        ({"model": "gpt-4o"}, None),
        ({"model": "deepseek:chat"}, None),
        ({"model": SimpleNamespace(system="openai")}, None),
        ({"model": None}, None),
        ({"model": object()}, None),
    ],
)
def test_models_of_others(fields: dict[str, Any], provider: str | None) -> None:
    """S0-02: an agent whose model is known not to be OpenAI's is copied as it is, with one warning; others may be."""
    agent = SimpleNamespace(name="a", model_settings={"x": {"y": 1}}, **fields)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        wrapped = observable(agent, customer="c")
    assert wrapped is not agent
    assert [str(one.message) for one in warned if provider][0:1] == [str(one.message) for one in warned]
    if provider is None:
        assert wrapped.model_settings["extra_body"]["store"] is True
    else:
        assert provider in str(warned[0].message)
        assert warned[0].filename == __file__
        assert wrapped.model_settings == {"x": {"y": 1}}
        assert wrapped.model_settings["x"] is not agent.model_settings["x"]


# The run


def test_the_run(prefect: Any) -> None:
    """S0-06, S0-07, S0-11: eight keys at most, all text; what is for spans only is not among them."""
    with prefect.flow("my-pipeline", tags=["a"], deployment_id="dep") as flow, prefect.task("t", flow) as task:
        assert get_prefect_context() == {
            "prefect.flow_run.id": str(flow.id),
            "prefect.flow_run.name": "my-pipeline-run",
            "prefect.flow_run.flow_name": "my-pipeline",
            "prefect.task_run.id": str(task.id),
            "prefect.task_run.name": "t-0",
            "prefect.task_run.task_name": "t",
            "prefect.deployment.id": "dep",
        }


def test_a_task_outside_of_a_flow(prefect: Any) -> None:
    """S0-09: no flow run, no context."""
    with prefect.task("alone", None):
        assert get_prefect_context() == {}


@pytest.mark.quiet_guard
def test_a_prefect_that_raises(prefect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """S0-10: {} and not an exception, and DEBUG says why."""
    caplog.set_level("DEBUG", "aiobs")
    with prefect.FlowRunContext(flow=None, flow_run=object()).entered():
        assert get_prefect_context() == {}
    assert any("no Prefect run here" in record.getMessage() for record in caplog.records)


# In calls


def ask(simulator: Simulator, agent: Any) -> Any:
    """As pydantic-ai asks: the very ``extra_body`` of the settings."""
    body = agent.model_settings["extra_body"]
    return simulator.openai().chat.completions.create(model="m", messages=ASK, extra_body=body)


def test_the_run_is_that_of_the_call(prefect: Any, instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """S0-15, S0-22: of an agent that was made in the module, or in the flow around; with the trace's id."""
    agent = observable(Agent(), customer_id="c1")
    with prefect.flow("f") as flow:
        in_flow = observable(agent, step=2)
        with prefect.task("t", flow) as task:
            ask(simulator, agent)
        ask(simulator, in_flow)
    bodies = [request.json["metadata"] for request in simulator.requests]
    assert [body.get("prefect.task_run.id") for body in bodies] == [str(task.id), None]
    assert [body["prefect.flow_run.id"] for body in bodies] == [str(flow.id)] * 2
    assert bodies[1]["step"] == "2"
    assert [body["trace_id"] for body in bodies] == [f"{span.context.trace_id:032x}" for span in instrumented.spans]


def test_a_run_that_is_over_is_not_told(prefect: Any, instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """S0-15: an agent that was made observable in a run, and once more after it, keeps what was said and not the run."""
    with prefect.flow("over"):
        agent = observable(Agent(), a="1", b="1")
    ask(simulator, observable(agent, b="2"))
    metadata = simulator.requests[0].json["metadata"]
    assert {key: value for key, value in metadata.items() if key != "trace_id"} == {"a": "1", "b": "2"}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))])
def test_copies_are_the_same(copied: Any, prefect: Any, instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """S0-03: an agent may be copied and sent to another process after it was made observable."""
    agent = copied(observable(Agent(), customer_id="c1"))
    with prefect.flow("f") as flow:
        ask(simulator, agent)
    assert simulator.requests[0].json["metadata"]["prefect.flow_run.id"] == str(flow.id)


def test_what_was_said_is_on_the_span(instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """S0-11, S0-13: as aiobs.metadata.<key> in its own type, of both ways, whether it is sent or not."""
    ask(simulator, observable(Agent(), customer_id=7, tags=["a", "b"]))
    simulator.openai().chat.completions.create(model="m", messages=ASK, **openai_request_kwargs(customer_id=8))
    ask(simulator, observable(Agent(model_settings={"extra_body": {"store": False}}), customer_id=9))
    found = [span.attributes for span in instrumented.spans]
    assert [one["aiobs.metadata.customer_id"] for one in found] == [7, 8, 9]
    assert found[0]["aiobs.metadata.tags"] == ("a", "b")
    assert [request.json.get("metadata", {}).get("customer_id") for request in simulator.requests] == ["7", "8", None]


def test_the_span_says_what_was_left_out(instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """S0-12: how many pairs; they are on it all the same."""
    ask(simulator, observable(Agent(), **{f"k{n}": n for n in range(20)}))
    attributes = instrumented.span().attributes
    assert attributes["aiobs.openai_metadata.dropped"] == 4
    assert attributes["aiobs.metadata.k19"] == 19
    assert len(simulator.requests[0].json["metadata"]) == 16


def test_without_instrumentation(prefect: Any, simulator: Simulator) -> None:
    """S0-14: what was current when the agent was made goes out."""
    with prefect.flow("f") as flow:
        agent = observable(Agent(), a="b")
    Instrumentor().uninstrument()
    ask(simulator, agent)
    metadata = simulator.requests[0].json["metadata"]
    assert (metadata["prefect.flow_run.id"], metadata["a"], "trace_id" in metadata) == (str(flow.id), "b", False)


def test_settings_that_are_made_for_each_request() -> None:
    """S0-03: pydantic-ai takes a function for settings; it stays one."""
    agent = observable(Agent(model_settings=lambda context: {"top_p": context}), a="b")
    made = agent.model_settings(0.5)
    assert made == {"top_p": 0.5, "extra_body": {"store": True, "metadata": {"a": "b"}}}
