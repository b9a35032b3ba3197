"""OpenAI: raw and streaming responses, helpers, odd arguments, odd answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import httpx2
import openai
import pytest
from openai.resources.chat.completions import Completions
from pydantic import BaseModel

from aiobs.testing import Answer, Fault, Simulator
from tests.contract.drivers import DRIVERS, NEEDLE, SAID, Driver
from tests.contract.programs import Program, Stage
from tests.contract.scripts import answered, refused
from tests.differential.engine import Bench
from tests.differential.looks import look, outcome_of
from tests.differential.scene import Scene, both

OPENAI = [driver for driver in DRIVERS if driver.of.sdk.name == "openai"]
CHAT = [driver for driver in OPENAI if driver.of.name == "openai-chat"]
ASK = [{"role": "user", "content": "What is an API?"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Answered(BaseModel):
    """What answers are parsed into."""

    word: str
    number: int


# Raw and streaming responses


def facts_of_response(response: Any) -> list[Any]:
    """What a raw response says without being parsed. While it is open ``close`` is shadowed on the instance."""
    names = ("status_code", "headers", "request_id", "retries_taken", "url", "method", "http_version", "is_closed")
    found = [look(outcome_of(lambda name=name: clean_header(getattr(response, name)))) for name in names]
    state = [response.http_response.is_stream_consumed, response.http_response.is_closed]
    return [look(response), found, state]


def clean_header(value: Any) -> Any:
    return sorted(value) if isinstance(value, Mapping) else value if isinstance(value, (str, int)) else str(value)


@both
async def raw(scene: Scene) -> None:
    """``with_raw_response``: parsed late, twice, and read on if it is a stream."""
    response = await scene.by("with_raw_response")
    scene.note(*facts_of_response(response), response._parsed_by_type)
    parsed = response.parse()
    scene.note(
        hasattr(parsed, "__await__"), response.parse() is parsed, response.http_response is response.http_response
    )
    if hasattr(parsed, "_iterator"):
        scene.note(parsed.response is response.http_response)
        await scene.rest(parsed)
    else:
        scene.take(parsed)
    scene.note(response.http_response.is_stream_consumed, sorted(vars(response)), sorted(vars(response.http_response)))


@both
async def raw_unparsed(scene: Scene) -> None:
    """``with_raw_response`` of which the program looks at the headers only."""
    response = await scene.by("with_raw_response")
    scene.note(*facts_of_response(response))
    scene.note(outcome_of(lambda: response.text) if isinstance(response.text, str) else outcome_of(response.text))


async def streaming_by(scene: Scene, read: Callable[[Any], Any]) -> None:
    async with scene.within(await scene.by("with_streaming_response")) as response:
        scene.note(*facts_of_response(response))
        result = read(response)
        scene.note(hasattr(result, "__await__"), hasattr(result, "__aiter__"), hasattr(result, "__next__"))
        result = await scene.wait(result)
        if hasattr(result, "__next__") or hasattr(result, "__anext__"):
            await scene.rest(result)
        else:
            scene.take(result)
        scene.note(response.http_response.is_stream_consumed)
    scene.note(response.http_response.is_closed, sorted(vars(response.http_response)))


@both
async def streaming(scene: Scene) -> None:
    """``with_streaming_response`` and ``parse()``, which is a coroutine on the async client."""
    await streaming_by(scene, lambda response: response.parse())


@both
async def streaming_bytes(scene: Scene) -> None:
    """The program reads the bytes itself."""
    await streaming_by(scene, lambda response: response.iter_bytes())


@both
async def streaming_lines(scene: Scene) -> None:
    """Or the lines."""
    await streaming_by(scene, lambda response: response.iter_lines())


@both
async def streaming_read(scene: Scene) -> None:
    """Or all of it."""
    await streaming_by(scene, lambda response: response.read())


@both
async def streaming_unread(scene: Scene) -> None:
    """Nothing is read: the body stays on the wire."""
    async with scene.within(await scene.by("with_streaming_response")) as response:
        scene.note(*facts_of_response(response))
    scene.note(response.http_response.is_stream_consumed, response.http_response.is_closed)


RESPONSES = (raw, raw_unparsed, streaming, streaming_bytes, streaming_lines, streaming_read, streaming_unread)


@pytest.mark.parametrize("program", RESPONSES, ids=str)
@pytest.mark.parametrize("driver", OPENAI, ids=str)
def test_raw_and_streaming_responses(bench: Bench, driver: Driver, program: Program) -> None:
    """The contracts of LegacyAPIResponse and APIResponse are kept, lazily.

    breaks-apps #6, #7, #8, #9, #10
    """
    bench.compare(program, driver, answered)


@pytest.mark.parametrize("program", [raw, streaming, streaming_unread], ids=str)
@pytest.mark.parametrize("driver", OPENAI, ids=str)
def test_raw_and_streaming_responses_that_fail(bench: Bench, driver: Driver, program: Program) -> None:
    """The provider refuses.

    breaks-apps #8, #9
    """
    bench.compare(program, driver, refused(429))


def whole_but_held(simulator: Simulator, driver: Driver) -> None:
    """Only the head of the answer is sent: the body waits for ever."""
    simulator.next(Answer(SAID, fault=Fault(cut_after=0)))


@pytest.mark.parametrize("driver", [driver for driver in OPENAI if not driver.streams], ids=str)
def test_a_body_that_never_comes_is_not_waited_for(bench: Bench, driver: Driver) -> None:
    """With_streaming_response gives the head of an answer whose body breaks off; only reading it fails.

    breaks-apps #10
    """
    bench.compare(streaming_unread, driver, whole_but_held)
    bench.compare(streaming, driver, whole_but_held)


# Helpers


def chat_stream(client: openai.OpenAI, stage: Stage, **options: Any) -> Any:
    return client.chat.completions.stream(model="m", messages=ASK, **options)  # type: ignore[arg-type]  # a plain dict


def read_helper(client: Any, stage: Stage) -> None:
    with chat_stream(client, stage) as stream:
        stage.facts.append(look(stream))
        for event in stream:
            stage.take(event)
        stage.facts.append([look(stream.get_final_completion()), look(stream.current_completion_snapshot)])


def until_done(client: Any, stage: Stage) -> None:
    with chat_stream(client, stage) as stream:
        stage.take(stream.until_done().get_final_completion())


def leave_helper(client: Any, stage: Stage) -> None:
    with chat_stream(client, stage) as stream:
        stage.take(next(iter(stream)))
    stage.facts.append(stream._response.is_closed)


def parse_in_helper(client: Any, stage: Stage) -> None:
    with chat_stream(client, stage, response_format=Answered) as stream:
        stage.take(stream.get_final_completion().choices[0].message.parsed)


def responses_helper(client: Any, stage: Stage) -> None:
    with client.responses.stream(model="m", input="What is an API?") as stream:
        for event in stream:
            stage.take(event)
        stage.take(stream.get_final_response())


def responses_until_done(client: Any, stage: Stage) -> None:
    with client.responses.stream(model="m", input="x", text_format=Answered) as stream:
        stage.take(stream.until_done().get_final_response())


def parse(client: Any, stage: Stage) -> None:
    stage.take(client.chat.completions.parse(model="m", messages=ASK, response_format=Answered))
    stage.take(client.responses.parse(model="m", input="x", text_format=Answered))


def parse_cut_off(client: Any, stage: Stage) -> None:
    client.chat.completions.parse(model="m", messages=ASK, response_format=Answered, max_tokens=1)


HELPERS = (
    read_helper, until_done, leave_helper, parse_in_helper, responses_helper, responses_until_done, parse, parse_cut_off,
)  # fmt: skip


@pytest.mark.parametrize("program", HELPERS, ids=lambda program: program.__name__)
def test_helpers(bench: Bench, program: Callable[[Any, Stage], None]) -> None:
    """The SDK's own helpers read, parse and close as they do without us.

    breaks-apps #4, #5
    """

    def run(stage: Stage) -> None:
        with bench.simulator.openai() as client:
            program(client, stage)

    bench.check(run)


async def async_helper(client: Any, stage: Stage) -> None:
    async with client.chat.completions.stream(model="m", messages=ASK) as stream:
        async for event in stream:
            stage.take(event)
        stage.take(await stream.get_final_completion())


async def async_helper_left(client: Any, stage: Stage) -> None:
    async with client.responses.stream(model="m", input="x") as stream:
        async for event in stream:
            stage.take(event)
            break


@pytest.mark.parametrize("program", [async_helper, async_helper_left], ids=lambda program: program.__name__)
def test_async_helpers(bench: Bench, program: Callable[[Any, Stage], Any]) -> None:
    """The helper closes ``stream.response``, which has to be the HTTP response.

    breaks-apps #4, #5
    """

    async def run(stage: Stage) -> None:
        async with bench.simulator.async_openai() as client:
            await program(client, stage)

    bench.check(run)


# What is sent


class Message(BaseModel):
    """A message that is no dictionary."""

    role: str
    content: str


def one_shot(items: list[Any]) -> Iterator[Any]:
    yield from items


HEADERS = {"x-mine": "1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "generator messages #38": lambda: {"messages": one_shot(ASK)},
    "map tools #38": lambda: {"messages": ASK, "tools": map(dict, [TOOL])},
    "iterator content #38": lambda: {"messages": [{"role": "user", "content": one_shot([{"type": "text", "text": "x"}])}]},
    "headers #39, #46": lambda: {"messages": ASK, "extra_headers": HEADERS},
    "read-only headers #39": lambda: {"messages": ASK, "extra_headers": MappingProxyType({"x-mine": "1"})},
    "no stream options #41": lambda: {"messages": ASK, "stream": True},
    "stream is 1 #54": lambda: {"messages": ASK, "stream": 1},
    "stream by extra_body #54": lambda: {"messages": ASK, "extra_body": {"stream": False}},
    "sentinels #60, #62": lambda: {"messages": ASK, "temperature": openai.omit, "tools": openai.NOT_GIVEN, "stop": None},
    "pydantic messages #61": lambda: {"messages": [Message(role="user", content="x")]},
    "odd types #63": lambda: {"messages": ASK, "stop": [None, 1], "metadata": {"a": {"b": None}}, "user": "u"},
    "surrogates #64": lambda: {"messages": [{"role": "user", "content": "a\ud800"}], "model": "m\udfff"},
    "big numbers #65": lambda: {"messages": ASK, "seed": 2**63, "max_tokens": -(2**70)},
    "huge #66": lambda: {"messages": [{"role": "user", "content": "x" * 3_000_000}]},
    "200 messages #67": lambda: {"messages": ASK * 200},
    "image #69": lambda: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 2000}"}}]}]},
}  # fmt: skip


@pytest.mark.parametrize("make", REQUESTS.values(), ids=[f"breaks-apps {name}" for name in REQUESTS])
def test_odd_requests(bench: Bench, make: Callable[[], dict[str, Any]]) -> None:
    """The bytes and headers that go out, and the objects that the program passed, are the same afterwards.

    breaks-apps #37, #38, #39, #40, #41, #46, #60, #61, #62, #63, #65, #66, #67, #69
    """

    def run(stage: Stage) -> None:
        arguments = {"model": "m", **make()}
        headers = arguments.get("extra_headers")
        with bench.simulator.openai() as client:
            answer = client.chat.completions.create(**arguments)
            for item in answer if hasattr(answer, "_iterator") else [answer]:
                stage.take(item)
        stage.facts.append(
            [dict(headers or {}), [look(list(value)) for value in arguments.values() if hasattr(value, "__next__")]]
        )

    bench.check(run)


# What comes back


PLAIN: dict[str, Any] = {
    "id": "x",
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "a"}}],
}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "weather", "arguments": "{"}}
EMBEDDING: dict[str, Any] = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}  # fmt: skip


def choice(**fields: Any) -> dict[str, Any]:
    return {**PLAIN, "choices": [{"index": 0, **fields}]}


CHUNKS: dict[str, Any] = {
    "#47 first chunk of Azure": {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    "#48 choices null": {**PLAIN, "choices": None},
    "#49 delta null": choice(delta=None),
    "#52 tool-call index null": choice(delta={"tool_calls": [{**CALL, "index": None}]}),
    "#53 text null": {"id": "x", "object": "text_completion", "choices": [{"index": 0, "text": None}]},
    "#55 tool call without a function": choice(delta={"tool_calls": [{**CALL, "function": None}, CALL]}),
    "#56 embedding": EMBEDDING,
    "#58 wrong types": {"id": 5, "model": [], "choices": [{"index": "0", "delta": {"content": 7}}], "usage": "many"},
    "#21 error event": {"error": {"message": "no", "code": "server_error"}},
    "no object": [1, 2],
}


@pytest.mark.parametrize("chunk", CHUNKS.values(), ids=[f"breaks-apps {name}" for name in CHUNKS])
@pytest.mark.parametrize("driver", [driver for driver in CHAT if driver.streams], ids=str)
@pytest.mark.quiet_guard
def test_odd_chunks(bench: Bench, driver: Driver, chunk: Any) -> None:
    """An odd chunk first, in between and last: each reaches the program, or fails as it does without us.

    breaks-apps #47, #48, #49, #52, #53, #55, #58
    """
    body = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in (chunk, PLAIN, chunk, PLAIN, chunk)]

    @both
    async def read_all(scene: Scene) -> None:
        stream = await scene.ask()
        for _ in range(7):
            scene.take(await scene.next(stream))

    bench.compare(read_all, driver, lambda simulator, _: simulator.raw([*body, b"data: [DONE]\n\n"]))


ANSWERS: dict[str, bytes] = {
    "#48 choices null": b'{"id": "x", "choices": null}',
    "#50 output null": b'{"id": "x", "object": "response", "output": null}',
    "#50 no output": b'{"id": "x", "object": "response"}',
    "#50 error body": b'{"error": {"message": "no", "code": "server_error"}, "output": null, "status": "failed"}',
    "#52 tool calls null": b'{"choices": [{"index": null, "message": {"tool_calls": [null, {"function": null}]}}]}',
    "#56 another operation's": json.dumps(EMBEDDING).encode(),
    "#58 wrong types": b'{"id": 5, "model": [], "choices": {"a": 1}, "output": 7, "data": "x", "usage": {"prompt_tokens": "7"}}',
    "an array": b"[1, 2]",
    "null": b"null",
    "nothing": b"",
    "half": b'{"id": "x", ',
}


@both
async def call_and_parse(scene: Scene) -> None:
    """Called plainly, and raw."""
    try:
        scene.take(await scene.ask())
    except Exception as error:
        scene.note(error)
    response = await scene.by("with_raw_response")
    scene.note(outcome_of(lambda: look(response.parse())))


def twice(body: bytes, content_type: str = "application/json") -> Callable[[Simulator, Driver], None]:
    def script(simulator: Simulator, driver: Driver) -> None:
        for _ in range(2):
            simulator.raw(body, headers={"content-type": content_type})

    return script


@pytest.mark.parametrize("body", ANSWERS.values(), ids=[f"breaks-apps {name}" for name in ANSWERS])
@pytest.mark.parametrize("driver", [driver for driver in OPENAI if not driver.streams], ids=str)
@pytest.mark.quiet_guard
def test_odd_answers(bench: Bench, driver: Driver, body: bytes) -> None:
    """Whatever a compatible server answers, to whatever operation.

    breaks-apps #48, #50, #56, #58
    """
    bench.compare(call_and_parse, driver, twice(body))


@pytest.mark.parametrize("driver", OPENAI, ids=str)
@pytest.mark.quiet_guard
def test_a_body_that_is_no_json_is_a_str(bench: Bench, driver: Driver) -> None:
    """Of another content type.

    breaks-apps #57
    """
    bench.compare(call_and_parse, driver, twice(b"<html>busy</html>", "text/html"))


# Operations that nobody records


def test_odd_chunks_of_completions_of_old(bench: Bench) -> None:
    """The legacy stream, its odd chunks and its retained objects are the SDK's own.

    breaks-apps #20, #53
    """
    texts: list[Any] = ["a", None, "b"]
    body = [
        b"data: " + json.dumps({"id": "x", "choices": [{"index": 0, "text": text}]}).encode() + b"\n\n"
        for text in texts
    ]

    def run(stage: Stage) -> None:
        bench.simulator.raw([*body, b"data: [DONE]\n\n"])
        with bench.simulator.openai() as client:
            stream = client.completions.create(model="m", prompt="x", stream=True)
            stage.facts.append([look(stream), stream.response.status_code])
            for chunk in stream:
                stage.take(chunk)

    bench.check(run)


class Manager:
    """What an SDK of tomorrow may return."""

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *_: object) -> None:
        """Leave."""


@pytest.mark.quiet_guard
@pytest.mark.parametrize("returned", [Manager(), None, 7, iter([1, 2]), object()], ids=lambda one: type(one).__name__)
def test_what_another_version_returns_is_passed_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, returned: Any
) -> None:
    """The very object, whatever it is.

    breaks-apps #13
    """

    def create(self: Any, *, messages: Any, model: Any, stream: Any = None) -> Any:
        return returned

    monkeypatch.setattr(Completions, "create", create)

    def run(stage: Stage) -> None:
        got = bench.simulator.openai().chat.completions.create(messages=ASK, model="m")
        stage.facts.append([got is returned, look(got), hasattr(got, "__aenter__"), hasattr(got, "__iter__")])

    bench.check(run)


# Exceptions of the program's own


class Unprintable(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Refusing(BaseException):
    """No Exception: what shuts programs down."""


@pytest.mark.parametrize("kind", [Unprintable, Refusing, KeyboardInterrupt, GeneratorExit, StopIteration, MemoryError])
def test_exceptions_of_the_programs_own(bench: Bench, kind: type[BaseException]) -> None:
    """What a transport of the program's raises comes out as the very object, also if it cannot be printed.

    breaks-apps #23, #31, #103, #104
    """
    raised: list[BaseException] = []

    def refuse(request: httpx2.Request) -> None:
        raised.append(kind())
        raise raised[-1]

    def run(stage: Stage) -> None:
        client = bench.simulator.openai(http_client=httpx2.Client(event_hooks={"request": [refuse]}))
        try:
            client.chat.completions.create(model="m", messages=ASK)
        except BaseException as error:
            stage.facts.append([error is raised[-1], error.__cause__ is raised[-1], type(error).__name__])
            stage.error = error
        client.close()

    bench.check(run)


def test_credentials_stay_where_they_are(bench: Bench) -> None:
    """Keys in headers, in the base URL and in arguments arrive at the provider as they were.

    breaks-apps #46
    """

    def run(stage: Stage) -> None:
        base = bench.simulator.origin.replace("//", "//user:word@") + "/v1"
        with openai.OpenAI(api_key="sk-secret", base_url=base, max_retries=0, default_query={"key": NEEDLE}) as client:
            stage.take(client.chat.completions.create(model="m", messages=ASK, extra_headers={"authorization": "mine"}))  # type: ignore[arg-type]  # a plain dict

    bench.check(run)
