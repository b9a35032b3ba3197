"""What is recorded where others lost or leaked it: the entries of the list that are about signals, not about the program."""

from __future__ import annotations

import json
from importlib.metadata import requires
from typing import Any

import openai
import pytest
from opentelemetry import baggage
from opentelemetry.context import attach, detach
from opentelemetry.trace import StatusCode
from packaging.requirements import Requirement

from aiobs import Instrumentor, observer
from aiobs.capture import telemetry
from aiobs.testing import Answer, Fault, InMemoryTelemetry, Simulator
from tests.contract.outcome import shown
from tests.contract.programs import Stage
from tests.differential.engine import Bench
from tests.versions import aio_of

ASK: Any = [{"role": "user", "content": "What is an API?"}]
KEY = "sk-very-secret-key-0123456789"


@pytest.fixture
def described(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """Recording with content on."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    return signals


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_failed_response_is_an_error(simulator: Simulator, described: InMemoryTelemetry, streams: bool) -> None:
    """A 200 whose response says that it failed: ERROR with the provider's code.

    breaks-apps #27
    """
    simulator.reply("x", finish_reason="error", fault=Fault(code="server_error", message="broken"))
    answer = simulator.openai().responses.create(model="m", input="x", stream=streams)
    events = list(answer) if streams else [answer]
    assert events
    span = described.span("chat m")
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (StatusCode.ERROR, "server_error")


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_custom_tool_calls_are_kept(simulator: Simulator, described: InMemoryTelemetry, streams: bool) -> None:
    """A custom tool's call, and the function's beside it.

    breaks-apps #73
    """
    calls = [("custom:poet", "a line"), ("weather", {"place": "Rome"})]
    client = simulator.openai()
    for create, ask in ((client.chat.completions.create, {"messages": ASK}), (client.responses.create, {"input": "x"})):
        simulator.next(Answer(tool_calls=calls))
        answer = create(model="m", stream=streams, **ask)  # type: ignore[operator]  # two overloads in one loop
        list(answer) if streams else None
    for span in described.spans:
        said = str((span.attributes or {})["gen_ai.output.messages"])
        assert ("poet" in said, "a line" in said, "weather" in said, "Rome" in said) == (True,) * 4


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_parallel_calls_of_gemini_are_kept(simulator: Simulator, described: InMemoryTelemetry, streams: bool) -> None:
    """Every function call of every chunk.

    breaks-apps #72
    """
    simulator.next(Answer(tool_calls=[("weather", {"place": place}) for place in ("Rome", "Oslo", "Lima")]))
    client = simulator.gemini()
    method = client.models.generate_content_stream if streams else client.models.generate_content
    answer = method(model="m", contents="x")
    list(answer) if streams else None
    (message,) = json.loads(str((described.span("generate_content m").attributes or {})["gen_ai.output.messages"]))
    assert [part["arguments"]["place"] for part in message["parts"]] == ["Rome", "Oslo", "Lima"]


def test_two_hundred_messages_evict_nothing(simulator: Simulator, described: InMemoryTelemetry) -> None:
    """Content is one attribute: usage and answer are there however long the history is.

    breaks-apps #67
    """
    simulator.openai().chat.completions.create(model="m", messages=ASK * 200)
    span = described.span("chat m")
    attributes: Any = span.attributes
    assert span.dropped_attributes == 0
    assert len(json.loads(attributes["gen_ai.input.messages"])) == 200
    assert attributes["gen_ai.usage.output_tokens"] > 0


def test_credentials_in_a_url_are_on_no_signal(simulator: Simulator, described: InMemoryTelemetry) -> None:
    """Neither userinfo nor query of the base URL, nor the key, on a span, event, metric or in the session file.

    breaks-apps #83, #84
    """
    observer.observe(tracer_provider=described.tracer_provider)
    base = simulator.origin.replace("//", f"//user:{KEY}@") + "/v1"
    with openai.OpenAI(api_key=KEY, base_url=base, max_retries=0, default_query={"key": KEY}) as client:
        client.chat.completions.create(model="m", messages=ASK, extra_headers={"authorization": f"Bearer {KEY}"})
    assert KEY in str(simulator.requests)
    assert KEY not in shown(described)
    with open(str(observer.flush())) as file:
        assert KEY not in file.read()


def test_no_repr_of_ours_has_a_credential(simulator: Simulator, described: InMemoryTelemetry) -> None:
    """Objects that a program may log: an Instrumentor, its status, the Telemetry, a stream and its iterator.

    breaks-apps #86
    """
    with openai.OpenAI(api_key=KEY, base_url=f"{simulator.origin}/v1", max_retries=0) as client:
        instrumentor = Instrumentor(**described.providers)
        stream = client.chat.completions.create(model="m", messages=ASK, stream=True, extra_headers={"x-key": KEY})
        logged = [
            instrumentor,
            instrumentor.status(),
            telemetry.current(),
            stream,
            stream._iterator,
            client.chat.completions.create,
        ]
        assert KEY not in " ".join(f"{one!r} {one}" for one in logged)
        list(stream)


def test_baggage_is_not_sent(bench: Bench) -> None:
    """What the program puts into OpenTelemetry's baggage stays with it; no trace header is added either.

    breaks-apps #37
    """

    def run(stage: Stage) -> None:
        token = attach(baggage.set_baggage("user", "a name"))
        try:
            with bench.simulator.openai() as client:
                stage.take(client.chat.completions.create(model="m", messages=ASK))
            stage.take(bench.simulator.gemini().models.generate_content(model="m", contents="x"))
        finally:
            detach(token)
        stage.facts.append([sorted(request.headers) for request in bench.simulator.requests])
        stage.facts.append(
            [name for one in bench.simulator.requests for name in one.headers if name in ("baggage", "traceparent")]
        )

    bench.check(run)


def test_no_dependency_is_capped() -> None:
    """aiobs installs beside today's and tomorrow's versions: no requirement has an upper bound or a pin.

    breaks-apps #79, #99
    """
    asked = [Requirement(line) for line in requires("aiobs") or []]
    capped = [
        str(one) for one in asked if any(limit.operator in ("<", "<=", "==", "~=", "===") for limit in one.specifier)
    ]
    assert capped == []
    assert {"openai", "google-genai"} <= {one.name for one in asked}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_ids_of_function_calls_are_kept(
    simulator: Simulator, described: InMemoryTelemetry, is_async: bool
) -> None:
    """The span of a function that the SDK runs has the id of the call, on both clients."""
    called: list[str] = []

    def weather(place: str) -> str:
        called.append(place)
        return "fine"

    def answer(request: Any) -> Answer:
        if b"functionResponse" in request.body:
            return Answer("done")
        return Answer(tool_calls=[("weather", {"place": "Rome"})])

    simulator.on(answer)
    client = simulator.gemini()
    config: Any = {"tools": [weather]}
    if is_async:
        async with aio_of(client) as aio:
            await aio.models.generate_content(model="m", contents="x", config=config)
    else:
        client.models.generate_content(model="m", contents="x", config=config)
    assert called == ["Rome"]
    sent = next(
        part["functionCall"]
        for content in simulator.requests[-1].json["contents"]
        for part in content["parts"]
        if "functionCall" in part
    )
    assert (described.span("execute_tool weather").attributes or {}).get("gen_ai.tool.call.id") == sent.get("id")
    assert sent.get("id")
