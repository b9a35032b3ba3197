"""Automatic function calling: one span per request, the functions between them, one parent around all.

Annotations are not postponed here: old SDKs cannot read those of functions that are tools.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import errors, types
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import SDK, attributes_of, everything, file_events, refused, told, tree_of
from tests.versions import aio_of, needs

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5}
MORE = {"promptTokenCount": 30, "candidatesTokenCount": 7}
SINCE_3 = pytest.mark.skipif(SDK < (3, 0), reason="SDKs before refuse and stop one step later")
HELPER = "automatic_function_calling m"
REQUEST = "generate_content m"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def weather_async(city: str) -> str:
    """The weather in a city."""
    await asyncio.sleep(0)
    return f"sunny in {city}"


weather_async.__name__ = "weather"


def broken(city: str) -> str:
    """Fails."""
    raise LookupError(f"no such city: {city}")


class Oracle:
    """Has a method that is a tool."""

    def oracle(self, city: str) -> str:
        """Ask the oracle."""
        return f"fog in {city}"


def whole(client: Any, **arguments: Any) -> str | None:
    answer: str | None = client.models.generate_content(**arguments).text
    return answer


def streamed(client: Any, **arguments: Any) -> str | None:
    return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(**arguments))


def whole_async(client: Any, **arguments: Any) -> str | None:
    async def call() -> str | None:
        async with aio_of(client) as entered:
            answer: str | None = (await entered.models.generate_content(**arguments)).text
            return answer

    return asyncio.run(call())


def streamed_async(client: Any, **arguments: Any) -> str | None:
    async def call() -> str:
        async with aio_of(client) as entered:
            stream = await entered.models.generate_content_stream(**arguments)
            return "".join([chunk.text or "" async for chunk in stream])

    return asyncio.run(call())


def chat(client: Any, *, model: str, contents: Any, config: Any) -> str | None:
    answer: str | None = client.chats.create(model=model, config=config).send_message(contents).text
    return answer


def chat_streamed(client: Any, *, model: str, contents: Any, config: Any) -> str | None:
    stream = client.chats.create(model=model, config=config).send_message_stream(contents)
    return "".join(chunk.text or "" for chunk in stream)


def chat_async(client: Any, *, model: str, contents: Any, config: Any) -> str | None:
    async def call() -> str | None:
        async with aio_of(client) as entered:
            answer: str | None = (await entered.chats.create(model=model, config=config).send_message(contents)).text
            return answer

    return asyncio.run(call())


def chat_streamed_async(client: Any, *, model: str, contents: Any, config: Any) -> str | None:
    async def call() -> str:
        async with aio_of(client) as entered:
            stream = await entered.chats.create(model=model, config=config).send_message_stream(contents)
            return "".join([chunk.text or "" async for chunk in stream])

    return asyncio.run(call())


APIS: dict[Callable[..., Any], str] = {
    whole: "models.generate_content",
    whole_async: "models.generate_content",
    streamed: "models.generate_content_stream",
    streamed_async: "models.generate_content_stream",
    chat: "chats.send_message",
    chat_async: "chats.send_message",
    chat_streamed: "chats.send_message_stream",
    chat_streamed_async: "chats.send_message_stream",
}
STREAMS = (streamed, streamed_async, chat_streamed, chat_streamed_async)
every_way = pytest.mark.parametrize("call", APIS)


def asks_twice(simulator: Simulator, *calls: tuple[str, Any]) -> None:
    """The model asks for functions, then answers."""
    simulator.reply(tool_calls=list(calls) or [("weather", {"city": "Rome"})], usage=USAGE)
    simulator.reply("It is sunny.", usage=MORE)


def ask(simulator: Simulator, call: Callable[..., Any], *tools: Any, **config: Any) -> Any:
    return call(simulator.gemini(), model="models/m", contents="How is it?", config={"tools": list(tools), **config})


# The spans


@every_way
def test_a_helper_and_its_requests(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """An INTERNAL parent without usage, a span for each request and each function, in the order they came."""
    asks_twice(simulator)
    assert ask(simulator, call, weather) == "It is sunny."
    assert tree_of(instrumented) == [HELPER, [REQUEST, "execute_tool weather", REQUEST]]
    parent = instrumented.span(HELPER)
    assert (parent.kind, parent.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
    assert attributes_of(parent) == {"aiobs.api.name": APIS[call], "gen_ai.request.model": "m"}
    assert (parent.attributes or {})["code.file.path"] == __file__
    first, second = [span for span in instrumented.spans if span.name == REQUEST]
    expected = told(
        {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "m",
            "server.address": "127.0.0.1",
            "aiobs.api.name": "models.generate_content",
            "gen_ai.response.model": "m",
            "gen_ai.response.finish_reasons": ("stop",),
            "aiobs.http.status_code": 200,
            **({"gen_ai.request.stream": True} if call in STREAMS else {}),
        }
    )
    shares = {"gen_ai.usage.text.input_tokens", "gen_ai.usage.text.output_tokens", "gen_ai.response.id"}
    for span, (made, spent) in ((first, (10, 5)), (second, (30, 7))):
        assert span.kind is SpanKind.CLIENT
        found = attributes_of(span)
        assert {key: value for key, value in found.items() if key not in shares} == {
            **expected,
            "gen_ai.usage.input_tokens": made,
            "gen_ai.usage.output_tokens": spent,
        }


@every_way
def test_the_span_of_a_function(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """Name, id, type and description; neither arguments nor result with the gate closed."""
    asks_twice(simulator)
    ask(simulator, call, weather)
    span = instrumented.span("execute_tool weather")
    assert (span.kind, span.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
    assert attributes_of(span) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "The weather in a city.",
        "gen_ai.tool.call.id": "call_simulated00",
    }
    assert "Rome" not in everything(instrumented)


@every_way
def test_parallel_calls(simulator: Simulator, signals: InMemoryTelemetry, call: Callable[..., Any]) -> None:
    """Each call of one answer has a span of its own with its own id; arguments and result under the open gate."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    asks_twice(simulator, ("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"}), ("oracle", {"city": "Bonn"}))
    ask(simulator, call, weather, Oracle().oracle)
    tools = ["execute_tool weather", "execute_tool weather", "execute_tool oracle"]
    assert sorted(tree_of(signals)[1]) == sorted([REQUEST, *tools, REQUEST])
    ran = [attributes_of(span) for span in signals.spans if span.name.startswith("execute_tool")]
    assert [
        (each["gen_ai.tool.call.id"], each["gen_ai.tool.call.arguments"], each["gen_ai.tool.call.result"])
        for each in ran
    ] == [
        ("call_simulated00", '{"city":"Rome"}', '{"result":"sunny in Rome"}'),
        ("call_simulated01", '{"city":"Oslo"}', '{"result":"sunny in Oslo"}'),
        ("call_simulated02", '{"city":"Bonn"}', '{"result":"fog in Bonn"}'),
    ]


@needs("gemini coroutine functions")
@pytest.mark.parametrize("call", [whole_async, streamed_async, chat_async, chat_streamed_async])
def test_coroutine_functions(simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]) -> None:
    """An async function is awaited inside its span."""
    asks_twice(simulator)
    assert ask(simulator, call, weather_async) == "It is sunny."
    assert tree_of(instrumented) == [HELPER, [REQUEST, "execute_tool weather", REQUEST]]
    assert (instrumented.span("execute_tool weather").attributes or {})["gen_ai.tool.call.id"] == "call_simulated00"


@every_way
def test_a_function_that_raises(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """Its span fails with what the function raised; the model is told as ever, and the helper goes on."""
    asks_twice(simulator, ("broken", {"city": "NEEDLE"}))
    assert ask(simulator, call, broken) == "It is sunny."
    span = instrumented.span("execute_tool broken")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "LookupError")
    assert attributes_of(span)["error.type"] == "LookupError"
    assert instrumented.span(HELPER).status.status_code is StatusCode.UNSET
    assert "NEEDLE" not in everything(instrumented)
    (result,) = simulator.requests[1].json["contents"][-1]["parts"]
    assert "no such city: NEEDLE" in result["functionResponse"]["response"]["error"]


@every_way
def test_an_interrupt_in_a_function(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """What is no Exception goes through to the program; neither function nor helper failed, both are cancelled."""

    class Stop(BaseException):
        pass

    def stop(city: str) -> str:
        raise Stop

    asks_twice(simulator, ("stop", {"city": "Rome"}))
    with pytest.raises(Stop):
        ask(simulator, call, stop)
    for name in ("execute_tool stop", HELPER):
        span = instrumented.span(name)
        assert (span.status.status_code, (span.attributes or {})["aiobs.cancelled"]) == (StatusCode.UNSET, True)


@every_way
def test_arguments_that_do_not_fit(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """Where the SDK finds that arguments do not fit, the function's span has the SDK's error."""
    asks_twice(simulator, ("weather", {"city": {"no": "text"}}))
    ask(simulator, call, weather)
    span = instrumented.span("execute_tool weather")
    assert span.status.status_code is StatusCode.ERROR
    assert attributes_of(span)["error.type"] == "google.genai.errors.UnknownFunctionCallArgumentError"


@every_way
def test_a_function_that_is_not_there(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """The SDK raises KeyError for a call of a function that it does not know: the helper fails with that."""
    simulator.reply(tool_calls=[("nonsense", {})])
    with pytest.raises(KeyError, match="nonsense"):
        ask(simulator, call, weather)
    parent = instrumented.span(HELPER)
    assert (parent.status.status_code, (parent.attributes or {})["error.type"]) == (StatusCode.ERROR, "KeyError")


@refused(*APIS)
def test_a_request_that_fails_half_way(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """The second request fails: its span and the helper's fail with the provider's code, the first one's does not."""
    simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    simulator.fail(503)
    with pytest.raises(errors.ServerError):
        ask(simulator, call, weather)
    assert tree_of(instrumented) == [HELPER, [REQUEST, "execute_tool weather", REQUEST]]
    first, second = [span for span in instrumented.spans if span.name == REQUEST]
    failed = [instrumented.span(HELPER), second]
    assert [(span.status.status_code, span.status.description) for span in failed] == [
        (StatusCode.ERROR, "UNAVAILABLE")
    ] * 2
    assert first.status.status_code is StatusCode.UNSET
    assert len(instrumented.events("gen_ai.client.operation.exception")) == 1


@every_way
def test_usage_is_counted_once(simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]) -> None:
    """The metrics have one point per request, and the sum of what the requests used."""
    asks_twice(simulator)
    ask(simulator, call, weather)
    metrics = instrumented.metrics()
    (duration,) = metrics["gen_ai.client.inference.duration"]
    spent = sum(point.sum for point in metrics["gen_ai.client.inference.operation.input_tokens"])
    made = sum(point.sum for point in metrics["gen_ai.client.inference.operation.output_tokens"])
    assert (duration.count, spent, made) == (2, 40, 12)
    (ran,) = metrics["gen_ai.execute_tool.duration"]
    assert (ran.count, ran.attributes["gen_ai.tool.name"]) == (1, "weather")


# What else runs inside


@every_way
def test_a_call_that_a_function_makes(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """It is a request of its own, below the function that made it, whatever client it uses."""
    other = simulator.gemini()

    def weather(city: str) -> str:
        """Ask another model."""
        simulator.reply("Rain.")
        rain = other.models.generate_content(model="inner", contents=city).text
        return str(rain)

    simulator.on(lambda request: None)
    simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    assert ask(simulator, call, weather) is not None
    assert tree_of(instrumented) == [
        HELPER,
        [REQUEST, "execute_tool weather", ["generate_content inner"], REQUEST],
    ]


def test_a_call_by_the_same_client_inside_a_function(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A function that asks through the helper's own client is not taken for the helper; the file has both events."""
    observer.observe(tracer_provider=signals.tracer_provider)
    client = simulator.gemini()

    def weather(city: str) -> str:
        """Ask the same client, which calls functions again."""
        asks_twice(simulator, ("broken", {"city": "x"}))
        return str(whole(client, model="inner", contents=city, config={"tools": [broken]}))

    simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    whole(client, model="m", contents="q", config={"tools": [weather]})
    inner = ["generate_content inner", "execute_tool broken", "generate_content inner"]
    assert tree_of(signals) == [
        HELPER,
        [REQUEST, "execute_tool weather", ["automatic_function_calling inner", inner], REQUEST],
    ]
    assert [event["api"] for event in file_events()] == ["models.generate_content"] * 2
    assert sorted(event["api"] for event in file_events("function_events")) == ["tool:broken", "tool:weather"]


@pytest.mark.parametrize("call", [whole, whole_async, chat_streamed])
def test_ids_around_a_function_that_has_functions_called(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """The calls of one answer keep their ids, also after the first of them had functions of its own called."""
    other = simulator.gemini()

    def nested(city: str) -> str:
        """Has the weather looked up."""
        simulator.reply(tool_calls=[("weather", {"city": "Bonn"})])
        simulator.reply("Rain.")
        return str(whole(other, model="inner", contents=city, config={"tools": [weather]}))

    simulator.reply(tool_calls=[("nested", {"city": "Rome"}), ("weather", {"city": "Oslo"})])
    ask(simulator, call, nested, weather)
    ran = [attributes_of(span) for span in instrumented.spans if span.name.startswith("execute_tool")]
    assert [(each["gen_ai.tool.name"], each["gen_ai.tool.call.id"]) for each in ran] == [
        ("weather", "call_simulated00"), ("nested", "call_simulated00"), ("weather", "call_simulated01"),
    ]  # fmt: skip


def test_ids_around_a_call_that_is_not_run(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The sync SDK passes over a call without arguments: its id does not go to the next call of that function."""
    simulator.reply(tool_calls=[("weather", None), ("weather", {"city": "Rome"})])
    ask(simulator, whole, weather)
    assert attributes_of(instrumented.span("execute_tool weather"))["gen_ai.tool.call.id"] == "call_simulated01"


@every_way
def test_the_current_span_of_a_function(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """The function's own span; around the call, the program's own."""
    seen: list[Any] = []

    def weather(city: str) -> str:
        """Look around."""
        seen.append(trace.get_current_span())
        return city

    asks_twice(simulator)
    tracer = instrumented.tracer_provider.get_tracer("program")
    with tracer.start_as_current_span("program") as above:
        ask(simulator, call, weather)
        assert trace.get_current_span() is above
    assert [span.name for span in seen] == ["execute_tool weather"]
    assert tree_of(instrumented) == ["program", [HELPER, [REQUEST, "execute_tool weather", REQUEST]]]


# When there is none


@pytest.mark.parametrize(
    "config",
    [
        {"automatic_function_calling": {"disable": True}},
        {"automaticFunctionCalling": {"disable": True}},
        {"automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True)},
        {"automatic_function_calling": {"maximum_remote_calls": 0}},
        pytest.param({"automatic_function_calling": {"maximum_remote_calls": 1}}, marks=SINCE_3),
    ],
    ids=["disabled", "disabled in camelCase", "disabled by a model", "no calls", "one call"],
)
@pytest.mark.parametrize("call", [whole, streamed_async, chat, chat_streamed_async])
def test_function_calling_that_is_off(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any], config: Any
) -> None:
    """One request, one span, no parent, and no function is run."""
    simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    ask(simulator, call, weather, **config)
    assert tree_of(instrumented) == [REQUEST]


@SINCE_3
@every_way
def test_as_many_requests_as_allowed(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """``maximum_remote_calls`` ends the helper; the last call that the model asks for is not run."""
    for _ in range(3):
        simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    ask(simulator, call, weather, automatic_function_calling={"maximum_remote_calls": 3})
    one = [REQUEST, "execute_tool weather"]
    assert tree_of(instrumented) == [HELPER, [*one, *one, REQUEST]]


@every_way
def test_declarations_are_not_run(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """Functions that are only declared are the program's to run: one request, one span."""
    simulator.reply(tool_calls=[("weather", {"city": "Rome"})])
    ask(simulator, call, {"function_declarations": [{"name": "weather", "description": "w"}]})
    assert tree_of(instrumented) == [REQUEST]


@SINCE_3
def test_a_coroutine_function_for_a_sync_client(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The SDK refuses it before it asks anything: the helper fails, and the program is told as ever."""
    with pytest.raises(errors.UnsupportedFunctionError):
        ask(simulator, whole, weather_async)
    assert tree_of(instrumented) == [HELPER]
    attributes: Any = instrumented.span().attributes
    assert attributes["error.type"] == "google.genai.errors.UnsupportedFunctionError"


# Streams that are left


def test_a_helper_that_is_left_between_chunks(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The program breaks off in the second request: it and the helper are incomplete, the first is not."""
    asks_twice(simulator)
    stream = simulator.gemini().models.generate_content_stream(model="m", contents="q", config={"tools": [weather]})
    taken = [next(stream), next(stream)]
    stream.close()
    simulator.gemini().models.generate_content(model="next", contents="q")
    assert len(taken) == 2
    first, second = [span for span in instrumented.spans if span.name == REQUEST]
    parent = instrumented.span(HELPER)
    marks = [(span.attributes or {}).get("aiobs.incomplete") for span in (first, second, parent)]
    assert marks == [None, True, True]
    assert {span.status.status_code for span in (first, second, parent)} == {StatusCode.UNSET}


def test_a_helper_that_is_never_read(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """A stream with functions that nobody reads has made no request: no span."""
    simulator.gemini().models.generate_content_stream(model="m", contents="q", config={"tools": [weather]})
    simulator.gemini().chats.create(model="m", config={"tools": [weather]}).send_message_stream("q")
    assert (simulator.requests, instrumented.spans) == ([], ())


# The session file


@every_way
def test_one_event_for_the_helper(simulator: Simulator, signals: InMemoryTelemetry, call: Callable[..., Any]) -> None:
    """Its identity is the parent's, its usage the sum, its answer the last one; each function is an event below it."""
    observer.observe(tracer_provider=signals.tracer_provider)
    asks_twice(simulator)
    ask(simulator, call, weather)
    (event,) = file_events()
    (tool,) = file_events("function_events")
    parent = signals.span(HELPER)
    assert parent.context is not None
    identity = f"{parent.context.span_id:016x}"
    assert (event["provider"], event["api"], event["error"]) == ("gemini", "models.generate_content", None)
    assert (event["span_id"], event["parent_span_id"], tool["parent_span_id"]) == (identity, None, identity)
    assert (tool["provider"], tool["api"], tool["name"], tool["result"]) == (
        "function", "tool:weather", "tool:weather", "sunny in Rome",
    )  # fmt: skip
    assert event["request"]["model"] == "m"
    assert "How is it?" in json.dumps(event["request"]["contents"])
    assert "sunny in Rome" not in json.dumps(event["request"]["contents"])
    usage = event["response"]["usage"]
    assert event["response"]["text"] == "It is sunny."
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (40, 12, 52)
    assert (usage["prompt_token_count"], usage["candidates_token_count"], usage["total_token_count"]) == (40, 12, 52)
    assert event["callsite"]["file"].endswith("test_function_calling.py")


@refused(*APIS)
def test_one_event_for_a_helper_that_fails(
    simulator: Simulator, signals: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """Its error is that of the second request; as in every event of a failure, there is no response."""
    observer.observe(tracer_provider=signals.tracer_provider)
    simulator.reply(tool_calls=[("weather", {"city": "Rome"})], usage=USAGE)
    simulator.fail(503, message="too busy")
    with pytest.raises(errors.ServerError):
        ask(simulator, call, weather)
    (event,) = file_events()
    assert event["error"].startswith("ServerError: 503 UNAVAILABLE.")
    assert (event["error_details"]["type"], event["response"]) == ("UNAVAILABLE", None)
