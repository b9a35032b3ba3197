"""``Instrumentor(openai_metadata=True)``: the run and the trace in the metadata of requests to OpenAI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIConnectionError, DefaultHttpxClient

import aiobs
from aiobs import Instrumentor, observer
from aiobs.ambient import openai_metadata
from aiobs.ambient.openai_metadata import fit
from aiobs.ambient.sources import add_source, remove_source
from aiobs.errors import ConfigurationError
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import needs

pytestmark = needs("openai responses")
ASK = [{"role": "user", "content": "x"}]
RUN = {
    "prefect.flow_run.id": "flow",
    "prefect.flow_run.name": "happy-tiger",
    "prefect.flow_run.flow_name": "my-pipeline",
    "prefect.task_run.id": "task",
    "prefect.task_run.name": "summarize-0",
    "prefect.task_run.task_name": "summarize",
    "prefect.deployment.id": "dep",
    "prefect.deployment.name": "prod",
}
ON_THE_SPAN_ONLY = {"prefect.flow_run.tags": ["a"], "prefect.flow_run.run_count": 1, "prefect.task_run.run_count": 1}


@pytest.fixture(autouse=True)
def said_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once per process has not been said."""
    monkeypatch.setattr(openai_metadata, "_warned", set())


@pytest.fixture
def run() -> Iterator[dict[str, Any]]:
    """What Prefect says."""
    said: dict[str, Any] = {**RUN, **ON_THE_SPAN_ONLY}

    def source() -> dict[str, Any]:
        return said

    add_source(source)
    yield said
    remove_source(source)


def metadata_of(simulator: Simulator) -> list[dict[str, Any] | None]:
    """The metadata of every request, but for the trace."""
    found = [request.json.get("metadata") for request in simulator.requests]
    return [one and {key: value for key, value in one.items() if key != "trace_id"} for one in found]


def chat(simulator: Simulator, **arguments: Any) -> Any:
    return simulator.openai().chat.completions.create(model="m", messages=ASK, **arguments)


CALLS: dict[str, Any] = {
    "chat": lambda client: client.chat.completions.create(model="m", messages=ASK, store=True),
    "stream": lambda client: list(client.chat.completions.create(model="m", messages=ASK, store=True, stream=True)),
    "raw": lambda client: client.chat.completions.with_raw_response.create(model="m", messages=ASK, store=True),
    "responses": lambda client: client.responses.create(model="m", input="x"),
    "stored by extra_body": lambda client: client.chat.completions.create(
        model="m", messages=ASK, extra_body={"store": True}
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_every_request_has_the_run_and_the_trace(
    kind: str, simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any]
) -> None:
    """S0-14, S0-22: added at the call, with the trace's id; the span keeps what is for spans only."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    CALLS[kind](simulator.openai())
    span, body = signals.span(), simulator.requests[0].json
    assert body["metadata"] == {**RUN, "trace_id": f"{span.context.trace_id:032x}"}
    assert body.get("store") is (None if kind == "responses" else True)
    assert span.attributes["prefect.flow_run.tags"] == ("a",)
    assert "aiobs.openai_metadata.dropped" not in span.attributes


async def test_async_calls_too(simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any]) -> None:
    """S0-14: a coroutine, a stream, and a response whose body is read later."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    async with simulator.async_openai() as client:
        await client.chat.completions.create(model="m", messages=ASK, store=True)
        run["prefect.task_run.id"] = "next"
        stream = await client.responses.create(model="m", input="x", stream=True)
        [chunk async for chunk in stream]
        async with client.chat.completions.with_streaming_response.create(model="m", messages=ASK, store=True) as raw:
            await raw.parse()
    assert [one and one["prefect.task_run.id"] for one in metadata_of(simulator)] == ["task", "next", "next"]


def test_what_the_program_passes_wins(simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any]) -> None:
    """S0-14: key by key; its own values are never touched, nor the objects that it passes."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    own = {"prefect.flow_run.id": "mine", "long": "x" * 600}
    body = {"metadata": {"prefect.task_run.id": "mine"}}
    chat(simulator, store=True, metadata=own)
    chat(simulator, store=True, extra_body=body)
    chat(simulator, store=True, metadata=None)
    assert metadata_of(simulator) == [RUN | own, RUN | {"prefect.task_run.id": "mine"}, RUN]
    assert (own, body) == (
        {"prefect.flow_run.id": "mine", "long": "x" * 600},
        {"metadata": {"prefect.task_run.id": "mine"}},
    )


def test_the_context_is_sent_but_not_who_it_is_for(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S0-13: metadata of aiobs.context goes out; users, tags and labels do not."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    given: dict[str, Any] = {"customer_id": 7, "plan": {"name": "pro"}, "a.b": "c"}
    with aiobs.context(user_id="u1", tags=["t"], labels={"team": "ml"}, metadata=given):
        chat(simulator, store=True)
    assert metadata_of(simulator) == [{"customer_id": "7", "plan": '{"name":"pro"}', "a.b": "c"}]


@pytest.mark.parametrize("arguments", [{}, {"store": False}, {"store": None}])
def test_what_openai_would_refuse_is_not_sent(
    arguments: dict[str, Any], simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any], caplog: Any
) -> None:
    """S0-14: a chat whose answer is not stored gets no metadata, store is never touched, and the log says so once.

    OpenAI answers 400 to metadata without store=True.
    """
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    chat(simulator, **arguments)
    chat(simulator, **arguments)
    simulator.openai().responses.create(model="m", input="x", store=False)
    simulator.openai().embeddings.create(model="m", input="x")
    assert metadata_of(simulator) == [None] * 4
    assert simulator.requests[0].json.get("store", "absent") == arguments.get("store", "absent")
    assert len([record for record in caplog.records if "store=True" in record.getMessage()]) == 1


@pytest.mark.nonconforming("openai.api.type is for OpenAI, the SDK asks others with the same API")
def test_other_servers_get_none(simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any]) -> None:
    """S0-02, S0-14: a server that is known to be somebody else's may refuse a field that it does not know."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    sent: list[Any] = []

    def stop(request: Any) -> None:
        sent.append(request)
        raise ConnectionError("this test does not leave the machine")

    client = DefaultHttpxClient(event_hooks={"request": [stop]})
    groq = simulator.openai(base_url="https://api.groq.com/openai/v1", http_client=client)
    with pytest.raises((ConnectionError, APIConnectionError)):  # older SDKs put their own around it
        groq.chat.completions.create(model="m", messages=ASK, store=True)
    assert "metadata" not in json.loads(sent[0].content)


def test_stored_completions_are_listed_by_the_run(
    simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any]
) -> None:
    """S0-19: the SDK's own filter takes the pairs that were sent; asking for the list adds nothing to it."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    chat(simulator, store=True)
    wanted = {"prefect.flow_run.id": simulator.requests[0].json["metadata"]["prefect.flow_run.id"]}
    (found,) = list(simulator.openai().chat.completions.list(metadata=wanted, limit=1))[:1]
    assert found.metadata == wanted
    assert simulator.requests[1].body == b""


def test_off_by_default(simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any]) -> None:
    """S0-14: without the option the bytes of a request are those of a program without aiobs."""
    for call in CALLS.values():
        call(simulator.openai())
    Instrumentor(**signals.providers).instrument()
    for call in CALLS.values():
        call(simulator.openai())
    bodies = [request.body for request in simulator.requests]
    assert bodies[: len(CALLS)] == bodies[len(CALLS) :]


def test_the_option_stays(
    simulator: Simulator, signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch, run: dict[str, Any]
) -> None:
    """SX-01, S0-14: a session that opens later leaves it on, the variable turns it on, and the newest word wins."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    chat(simulator, store=True)
    Instrumentor(openai_metadata=False).instrument()
    chat(simulator, store=True)
    monkeypatch.setenv("AIOBS_OPENAI_METADATA", "1")
    Instrumentor().instrument()
    chat(simulator, store=True)
    assert [one is not None for one in metadata_of(simulator)] == [True, False, True]


def test_a_wrong_option_says_so() -> None:
    """SX-01: when it is configured."""
    with pytest.raises(ConfigurationError, match="not a switch"):
        Instrumentor(openai_metadata="maybe").instrument()


# Limits


def test_limits_by_priority(simulator: Simulator, signals: InMemoryTelemetry, run: dict[str, Any], caplog: Any) -> None:
    """S0-12, S0-22: 16 pairs, the names of runs go first and the trace before all; the span says how many did.

    The pairs that were left out are on the span.
    """
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    own = {f"own{n}": "x" for n in range(10)}
    chat(simulator, store=True, metadata=own)
    chat(simulator, store=True, metadata=own)
    kept = [key for key in RUN if not key.endswith("_run.name")]
    assert simulator.requests[0].json["metadata"] == own | {key: RUN[key] for key in kept}
    span = signals.spans[0]
    assert span.attributes["aiobs.openai_metadata.dropped"] == 2
    assert span.attributes["prefect.flow_run.name"] == "happy-tiger"
    assert len([record for record in caplog.records if "16 pairs" in record.getMessage()]) == 1


def test_a_program_that_passes_more_than_fits(simulator: Simulator, signals: InMemoryTelemetry, run: Any) -> None:
    """S0-12: its own pairs go out as it passed them; OpenAI's refusal is the program's to see."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    own = {f"own{n}": "x" for n in range(17)}
    chat(simulator, store=True, metadata=own)
    assert simulator.requests[0].json["metadata"] == own


def test_what_the_program_passes_takes_one_slot(simulator: Simulator, signals: InMemoryTelemetry, run: Any) -> None:
    """S0-12, S0-14: a key of ours that the program passes itself is neither counted twice nor left out."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()
    own = {**RUN, **{f"own{n}": "x" for n in range(16 - len(RUN))}}
    chat(simulator, store=True, metadata=own)
    assert simulator.requests[0].json["metadata"] == own
    assert "aiobs.openai_metadata.dropped" not in signals.span().attributes


@pytest.mark.nonconforming("metadata of any name")
def test_strict(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S0-12: what does not fit raises a ValueError in the call, and nothing goes out."""
    Instrumentor(**signals.providers, openai_metadata="strict").instrument()
    with aiobs.context(metadata={"long": "x" * 513}), pytest.raises(ValueError, match="more than 512 characters"):
        chat(simulator, store=True)
    assert simulator.requests == []
    with aiobs.context(metadata={"long": "x" * 512}):
        chat(simulator, store=True)
    assert metadata_of(simulator) == [{"long": "x" * 512}]


@pytest.mark.parametrize(
    ("pairs", "fitting", "left_out"),
    [
        ({"k" * 64: "v" * 512}, {"k" * 64: "v" * 512}, 0),
        ({"k" * 65: "v"}, {}, 1),
        ({"k": "v" * 513}, {"k": "v" * 512}, 0),
        ({f"k{n}": n for n in range(18)}, {f"k{n}": str(n) for n in range(16)}, 2),
        ({"none": None, "int": 5, "no": False, "half": 0.5}, {"int": "5", "no": "False", "half": "0.5"}, 0),
        ({"list": [1, "a"], "dict": {"a": {"b": 1}}}, {"list": '[1,"a"]', "dict": '{"a":{"b":1}}'}, 0),
        ({"surrogate": "\ud800"}, {"surrogate": "�"}, 0),
    ],
)
def test_what_fits(pairs: dict[str, Any], fitting: dict[str, str], left_out: int) -> None:
    """S0-11, S0-12: text, 16 pairs of 64 and 512 characters, the first ones."""
    assert fit(pairs) == (fitting, left_out)
    if left_out or any(len(str(value)) > 512 for value in pairs.values()):
        with pytest.raises(ValueError, match="does not fit"):
            fit(pairs, strict=True)
