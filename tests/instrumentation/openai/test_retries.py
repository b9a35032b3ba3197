"""Retries inside the SDK: one span, how many there were, and the status of the answer that counts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import openai
import pytest

from aiobs.testing import Answer, Fault, InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import attributes_of
from tests.versions import needs

ASK = [{"role": "user", "content": "x"}]
SEEN = ("aiobs.retry.", "aiobs.http.", "error.type")

CALLS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "chat": (lambda client: client.chat.completions, {"messages": ASK}),
    "responses": (lambda client: client.responses, {"input": "x"}),
    "embeddings": (lambda client: client.embeddings, {"input": "x"}),
}


def fail(simulator: Simulator, *statuses: int) -> None:
    """The next requests fail with these statuses, to be tried again at once."""
    for status in statuses:
        simulator.fail(status, headers={"retry-after-ms": "1"})


CASES = {name: pytest.param(name, marks=needs("openai responses") if name == "responses" else ()) for name in CALLS}


@pytest.fixture(params=CASES.values())
def call(request: pytest.FixtureRequest) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    """Where the method is, and its arguments."""
    place, arguments = CALLS[request.param]
    return place, {"model": "m", **arguments}


FAILURES = {
    (): {"aiobs.http.status_code": 200},
    (429,): {"aiobs.retry.count": 1, "aiobs.http.status_code": 200},
    (429, 500): {"aiobs.retry.count": 2, "aiobs.http.status_code": 200},
}


@pytest.mark.parametrize("failures", FAILURES, ids=str)
@pytest.mark.parametrize("raw", [False, True], ids=["whole", "raw"])
async def test_retried_and_answered(simulator: Simulator, instrumented, call, failures, raw) -> None:
    """As many as there were, sync and async, whole and raw; none is not said."""
    place, arguments = call
    fail(simulator, *failures)
    found = place(simulator.openai(max_retries=3))
    (found.with_raw_response if raw else found).create(**arguments)
    fail(simulator, *failures)
    async with simulator.async_openai(max_retries=3) as client:
        found = place(client)
        await (found.with_raw_response if raw else found).create(**arguments)
    assert [attributes_of(span, *SEEN) for span in instrumented.spans] == [FAILURES[failures]] * 2
    assert len(simulator.requests) == 2 * (len(failures) + 1)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", [CASES["chat"], CASES["responses"]])
async def test_a_stream_that_was_retried(simulator: Simulator, instrumented, name: str, is_async: bool) -> None:
    """What came before the stream opened is on its span; the time to the first chunk has the wait in it."""
    place, arguments = CALLS[name]
    fail(simulator, 500, 503)
    options = {"model": "m", "stream": True, **arguments}
    if is_async:
        async with simulator.async_openai(max_retries=2) as client:
            assert [chunk async for chunk in await place(client).create(**options)]
    else:
        assert list(place(simulator.openai(max_retries=2)).create(**options))
    assert attributes_of(instrumented.span(), *SEEN) == {"aiobs.retry.count": 2, "aiobs.http.status_code": 200}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_retries_that_were_not_enough(simulator: Simulator, instrumented, call, is_async: bool) -> None:
    """The last status and error, and how often it was tried again."""
    place, arguments = call
    fail(simulator, 500, 500, 429)
    if is_async:
        async with simulator.async_openai(max_retries=2) as client:
            with pytest.raises(openai.RateLimitError):
                await place(client).create(**arguments)
    else:
        with pytest.raises(openai.RateLimitError):
            place(simulator.openai(max_retries=2)).create(**arguments)
    assert attributes_of(instrumented.span(), *SEEN) == {
        "aiobs.retry.count": 2,
        "aiobs.http.status_code": 429,
        "error.type": "openai.RateLimitError",
    }


def test_a_connection_that_was_lost(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """An attempt without any answer is an attempt."""
    simulator.fault(hang_up=True)
    simulator.openai(max_retries=1).chat.completions.create(model="m", messages=ASK)
    assert attributes_of(instrumented.span(), *SEEN) == {"aiobs.retry.count": 1, "aiobs.http.status_code": 200}


def scripted(simulator: Simulator) -> None:
    """A model named ``mN`` fails N times, each of its requests at once with those of the others."""
    counts: dict[str, int] = {}
    lock = threading.Lock()

    def rule(request: Any) -> Answer | None:
        model = request.json["model"]
        with lock:
            counts[model] = counts.get(model, 0) + 1
            failed = counts[model] <= int(model[1:])
        return Answer(fault=Fault(status=500, headers={"retry-after-ms": "1"})) if failed else None

    simulator.on(rule)


def counted(signals: InMemoryTelemetry) -> dict[str, int]:
    return {span.name[5:]: (span.attributes or {}).get("aiobs.retry.count", 0) for span in signals.spans}  # type: ignore[misc]  # ints


@pytest.mark.parametrize("shared", [True, False], ids=["one client", "a client each"])
def test_threads_do_not_mix(simulator: Simulator, instrumented: InMemoryTelemetry, shared: bool) -> None:
    """Each call counts its own, with one client for all and with one each."""
    scripted(simulator)
    clients = [simulator.openai(max_retries=4)] * 4 if shared else [simulator.openai(max_retries=4) for _ in range(4)]
    threads = [
        threading.Thread(target=client.chat.completions.create, kwargs={"model": f"m{number}", "messages": ASK})
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(instrumented) == {"m0": 0, "m1": 1, "m2": 2, "m3": 3}


@needs("openai responses")
async def test_tasks_do_not_mix(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The same for tasks on one loop, chat and responses at once."""
    scripted(simulator)
    async with simulator.async_openai(max_retries=4) as one, simulator.async_openai(max_retries=4) as other:
        await asyncio.gather(
            one.responses.create(model="m0", input="x"),
            one.responses.create(model="m1", input="x"),
            one.chat.completions.create(model="m2", messages=ASK),
            other.chat.completions.create(model="m3", messages=ASK),
        )
    assert counted(instrumented) == {"m0": 0, "m1": 1, "m2": 2, "m3": 3}


def test_a_call_inside_a_hook_of_the_client_counts_for_itself(simulator: Simulator, instrumented) -> None:
    """A request hook that calls with another client, recorded or not: the retries are not the outer call's."""
    inner = simulator.openai(max_retries=2)
    asked: list[bool] = []

    def hook(request: Any) -> None:
        if not asked:
            asked.append(True)
            fail(simulator, 500)
            inner.embeddings.create(model="inner", input="x")
            fail(simulator, 500, 500)
            simulator.raw(b'{"object": "list", "data": []}', 201)
            inner.models.list()
            simulator.reply("x")

    http_client = openai.DefaultHttpxClient(event_hooks={"request": [hook]})
    simulator.openai(max_retries=2, http_client=http_client).chat.completions.create(model="outer", messages=ASK)
    assert {span.name: attributes_of(span, *SEEN) for span in instrumented.spans} == {
        "embeddings inner": {"aiobs.retry.count": 1, "aiobs.http.status_code": 200},
        "chat outer": {"aiobs.http.status_code": 200},
    }
