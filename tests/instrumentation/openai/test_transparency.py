"""With and without: what a program can see of a call is the same."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import subprocess
import sys
import threading
import warnings
from typing import Any

import openai
import pytest

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import classes_with_parse, needs

ASK = [{"role": "user", "content": "What is an API?"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def seen(simulator: Simulator) -> list[Any]:
    """Everything a program can look at, over every way of calling."""
    facts: list[Any] = []
    headers = {"x-mine": "1"}
    with simulator.openai() as client:
        chat = client.chat.completions
        whole = chat.create(model="m", messages=ASK, extra_headers=headers, tools=[TOOL])
        facts += [type(whole), whole.model_dump(exclude={"id"}), sorted(vars(whole)), whole._request_id is not None]
        stream = chat.create(model="m", messages=ASK, stream=True)
        facts += [type(stream), dir(stream), hasattr(stream, "__anext__"), hasattr(stream, "__aenter__")]
        facts += [type(stream.response), dir(stream.response), stream.response.is_closed]
        facts += [[chunk.model_dump(exclude={"id"}) for chunk in stream], stream.response.is_closed]
        raw = chat.with_raw_response.create(model="m", messages=ASK)
        facts += [type(raw), dir(raw), raw.status_code, type(raw.parse()), raw.retries_taken]
        with chat.with_streaming_response.create(model="m", messages=ASK) as response:
            facts += [type(response), dir(response), response.http_response.is_stream_consumed]
        simulator.fail(429, code="rate_limit_exceeded", retry_after=2)
        with pytest.raises(openai.RateLimitError) as raised:
            chat.create(model="m", messages=ASK)
        error = raised.value
        facts += [type(error), str(error), error.code, error.body, error.response.headers["retry-after"], error.__notes__
                  if hasattr(error, "__notes__") else None]  # fmt: skip
    facts += [headers, TOOL, ASK]
    return facts


@needs("openai arguments and ids of late 2024")
def test_what_a_program_can_see_is_the_same(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Promise 1: values, types, dir(), errors, arguments and request bodies, with content and a session on."""
    without = seen(simulator)
    sent = [(request.path, request.body, request.headers.keys()) for request in simulator.requests]
    simulator.requests.clear()
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    assert seen(simulator) == without
    assert [(request.path, request.body, request.headers.keys()) for request in simulator.requests] == sent
    assert len(signals.spans) == 5


def test_methods_look_the_same(signals: InMemoryTelemetry) -> None:
    """Signature, name, documentation and coroutine-ness of the wrapped methods."""
    from openai.resources.chat.completions import AsyncCompletions, Completions

    def looks() -> list[Any]:
        return [
            (inspect.signature(method), method.__name__, method.__doc__, inspect.iscoroutinefunction(method),
             inspect.isfunction(method), asyncio.iscoroutinefunction(method))
            for method in (Completions.create, AsyncCompletions.create, *(cls.parse for cls in classes_with_parse()))
        ]  # fmt: skip

    without = looks()
    Instrumentor(**signals.providers).instrument()
    assert looks() == without


async def test_async_calls_give_coroutines(simulator: Simulator, instrumented) -> None:
    """What create() returns is awaitable in the same way, and does nothing before it is awaited."""
    async with simulator.async_openai() as client:
        pending = client.chat.completions.create(model="m", messages=ASK)
        assert inspect.iscoroutine(pending)
        assert simulator.requests == []
        assert instrumented.spans == ()
        await pending
    assert len(instrumented.spans) == 1


def test_nothing_is_said_or_left_behind(simulator: Simulator, signals, caplog, capfd) -> None:
    """105: no warning, no log record, no output, no environment change, no thread, no descriptor."""
    with simulator.openai() as warm_up:
        warm_up.chat.completions.create(model="m", messages=ASK)
    before = dict(os.environ), threading.active_count(), len(os.listdir("/proc/self/fd"))
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
        with simulator.openai() as client:
            client.chat.completions.create(model="m", messages=ASK)
            list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    assert [record for record in caplog.records if record.name.startswith(("aiobs", "opentelemetry"))] == []
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before[0]
    assert len(os.listdir("/proc/self/fd")) <= before[2] + 2  # the simulator's own connections close when they like
    assert threading.active_count() <= before[1] + 2


def test_the_callers_span_stays_current_around_and_during_a_stream(simulator: Simulator, instrumented) -> None:
    """30: spans that the program starts between chunks are not children of the call."""
    tracer = instrumented.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("app") as app:
        for _ in simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True):
            with tracer.start_as_current_span("between"):
                pass
    spans = {span.name: span for span in instrumented.spans}
    assert spans["between"].parent.span_id == app.get_span_context().span_id
    assert spans["chat m"].parent.span_id == app.get_span_context().span_id


def test_the_users_traceback_starts_in_his_code(simulator: Simulator, instrumented) -> None:
    """An error's traceback has the program's frame first and the SDK's last."""
    simulator.fail(500)
    with pytest.raises(openai.InternalServerError) as raised:
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    files = [entry.path for entry in raised.traceback]
    assert str(files[0]) == __file__
    assert "openai" in str(files[-1])


def test_a_client_made_before_instrument_is_recorded(simulator: Simulator, signals) -> None:
    """S1-33: classes are patched, so clients made before and after are both seen."""
    client = simulator.openai()
    client.chat.completions.create(model="before", messages=ASK)
    Instrumentor(**signals.providers).instrument()
    client.chat.completions.create(model="after", messages=ASK)
    assert [span.name for span in signals.spans] == ["chat after"]


def test_importing_the_sdk_after_instrument(simulator: Simulator) -> None:
    """The SDK is not imported by us, and instrumented when the program imports it; dict order of modules is its own."""
    program = """
import sys
from aiobs import Instrumentor
from aiobs.testing import InMemoryTelemetry
telemetry = InMemoryTelemetry()
instrumentor = Instrumentor(**telemetry.providers).instrument()
assert "openai" not in sys.modules
import openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="k")
client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
assert instrumentor.status()["openai"]["patched"]
print([span.name for span in telemetry.spans])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, f"{simulator.origin}/v1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("['chat m']\n", "")
