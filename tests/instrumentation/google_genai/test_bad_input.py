"""Odd requests and odder answers: the program sees what it sees without us, one span ends, nothing else is lost.

Annotations are not postponed here: old SDKs cannot read those of functions that are tools.
"""

import asyncio
import enum
import json
import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pydantic
import pytest
from google.genai import types
from PIL import Image

from aiobs import Instrumentor, guard, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import SDK, content_of, file_events
from tests.versions import has, needs

HTTP: Any = import_module("httpx2" if SDK >= (3, 0) else "httpx")
pytestmark = [
    pytest.mark.quiet_guard,  # the readers of odd answers may fail, one step each, and nothing else may
    pytest.mark.filterwarnings("ignore:.*is not a valid"),  # the SDK's own, of words that it does not know
]
READERS = ("fold_chunk", "Tap.first", "partial", "read_response", "read_choices", "read_prompt", "_failure")

CYCLE: dict[str, Any] = {"role": "user", "parts": [{"text": "x"}]}
CYCLE["self"] = CYCLE


class Recipe(pydantic.BaseModel):
    """What the model is to answer with."""

    name: str
    steps: list[str] = []


class Colour(enum.Enum):
    """One of two."""

    RED = "red"
    BLUE = "blue"


class Told(logging.Handler):
    """What the SDK logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, record.getMessage()))


def outcome_of(call: Callable[[], Any]) -> tuple[str, str, list[tuple[str, str]]]:
    """What a program can see of a call: type and text of what it raised or returned, and what the SDK logged."""
    told, log = Told(), logging.getLogger("google_genai")
    log.addHandler(told)
    before = log.level
    log.setLevel(logging.DEBUG)
    try:
        result = call()
    except Exception as error:
        return type(error).__name__, str(error), told.lines
    finally:
        log.removeHandler(told)
        log.setLevel(before)
    return type(result).__name__, repr(result), told.lines


def both_ways(
    simulator: Simulator,
    signals: InMemoryTelemetry,
    prepare: Callable[[], object],
    call: Callable[[], Any],
    spans: int = 1,
) -> None:
    """The same call without and with instrumentation, content on everywhere; so many spans and events."""

    def run() -> Any:
        simulator.requests.clear()
        prepare()
        outcome = outcome_of(call)
        return outcome, [(request.path, request.body) for request in simulator.requests]

    without = run()
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    assert run() == without
    observer.end()
    assert len(file_events()) == spans  # a stream that the SDK itself broke off ends with the flush at the latest
    assert len(signals.spans) == spans
    assert all(cause.startswith(READERS) for cause in guard.errors), guard.errors
    for span in signals.spans:
        span.to_json().encode()


def asking(simulator: Simulator) -> Callable[[], Any]:
    """The call, by the same client each time."""
    client = simulator.gemini()
    return lambda: client.models.generate_content(model="m", contents="q")


def streaming(simulator: Simulator) -> Callable[[], Any]:
    """The same of a stream, read to its end."""
    client = simulator.gemini()
    return lambda: list(client.models.generate_content_stream(model="m", contents="q"))


REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "contents None": lambda: {"contents": None},
    "contents empty": lambda: {"contents": []},
    "contents empty text": lambda: {"contents": ""},
    "contents number": lambda: {"contents": 5},
    "contents of None": lambda: {"contents": [None, "x"]},
    "contents of contents": lambda: {"contents": [["x", ["y"]]]},
    "contents set": lambda: {"contents": {"x"}},
    "contents bytes": lambda: {"contents": b"\xff\x00"},
    "one-shot contents": lambda: {"contents": iter(["x", "y"])},
    "generator contents": lambda: {"contents": (text for text in ["x"])},
    "one-shot parts": lambda: {"contents": [{"role": "user", "parts": iter([{"text": "x"}])}]},
    "dict of other keys": lambda: {"contents": {"a": 1}},
    "content without parts": lambda: {"contents": [types.Content(role="user"), "x"]},
    "parts None": lambda: {"contents": [{"role": "user", "parts": None}, "x"]},
    "empty part": lambda: {"contents": [types.Part(), "x"]},
    "picture": lambda: {"contents": Image.new("RGB", (2, 2))},
    "pictures among texts": lambda: {"contents": ["What?", Image.new("RGB", (2, 2)), "And?"]},
    "lone surrogate": lambda: {"contents": "a\ud800b"},
    "surrogate model": lambda: {"model": "m\ud800"},
    "model None": lambda: {"model": None},
    "model number": lambda: {"model": 5},
    "model empty": lambda: {"model": ""},
    "model with a path": lambda: {"model": "../m?x=1"},
    "2**70": lambda: {"config": {"seed": 2**70, "max_output_tokens": -(2**70)}},
    "NaN": lambda: {"config": {"temperature": float("nan"), "top_k": float("inf"), "top_p": float("-inf")}},
    "config text": lambda: {"config": "hot"},
    "config number": lambda: {"config": 5},
    "config empty": lambda: {"config": {}},
    "config unknown": lambda: {"config": {"nonsense": 1}},
    "config of wrong types": lambda: {"config": {"temperature": "hot", "stop_sequences": 5}},
    "config iterator": lambda: {"config": {"stop_sequences": iter(["a"])}},
    "tools None": lambda: {"config": {"tools": None}},
    "odd tools": lambda: {"config": {"tools": [None, 5, "x"]}},
    "one-shot tools": lambda: {"config": {"tools": iter([{"google_search": {}}])}},
    "cycle": lambda: {"contents": [CYCLE]},
    "deep": lambda: {"contents": [{"role": "user", "parts": [{"functionCall": {"name": "f", "args": _deep()}}]}]},
    "huge": lambda: {"contents": "x" * 2_000_000},
    "schema class": lambda: {"config": {"response_schema": Recipe, "response_mime_type": "application/json"}},
    "schema list": lambda: {"config": {"response_schema": list[Recipe], "response_mime_type": "application/json"}},
    "schema enum": lambda: {"config": {"response_schema": Colour, "response_mime_type": "text/x.enum"}},
    "schema union": lambda: {"config": {"response_schema": int | str, "response_mime_type": "application/json"}},
    "schema instance": lambda: {
        "config": types.GenerateContentConfig(response_schema=Recipe, response_mime_type="application/json")
    },
}


def _deep() -> Any:
    return json.loads('{"a":' * 150 + "1" + "}" * 150)


NO_MODEL = pytest.mark.nonconforming("the request has no model that could be named")
NAMELESS = ("model None", "model number", "model empty")


REFUSED = (
    *("config text", "config number", "config unknown", "config of wrong types"),
    *(("odd tools",) if not has("gemini continuation") else ()),
)
"""What the SDK refuses before it would make a request."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=NO_MODEL if name in NAMELESS else ()) for name in REQUESTS])
def test_odd_requests(simulator: Simulator, signals: InMemoryTelemetry, name: str) -> None:
    """What goes out, what comes back and what the SDK logs are the same with and without us."""
    client = simulator.gemini()

    def call() -> Any:
        return client.models.generate_content(**{"model": "m", "contents": "q", **REQUESTS[name]()})

    both_ways(simulator, signals, lambda: None, call, spans=0 if name in REFUSED else 1)


ANSWERS: dict[str, bytes] = {
    "no candidates": b'{"modelVersion": "m"}',
    "candidates null": b'{"candidates": null, "usageMetadata": null}',
    "candidates empty": b'{"candidates": [], "promptFeedback": {}}',
    "candidate empty": b'{"candidates": [{}]}',
    "content null": b'{"candidates": [{"content": null, "finishReason": null, "index": null}]}',
    "content without parts": b'{"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}',
    "parts null": b'{"candidates": [{"content": {"parts": null}}]}',
    "part empty": b'{"candidates": [{"content": {"parts": [{}]}}]}',
    "part unknown": b'{"candidates": [{"content": {"parts": [{"holograph": {"data": "x"}}]}}]}',
    "call without a name": b'{"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}',
    "call without arguments": b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": null}}]}}]}',
    "same index twice": b'{"candidates": [{"index": 0, "content": {"parts": [{"text": "a"}]}}, {"index": 0}]}',
    "reason unknown": b'{"candidates": [{"finishReason": "TOMORROW", "content": {"parts": [{"text": "a"}]}}]}',
    "reason unspecified": b'{"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}]}',
    "usage odd": b'{"usageMetadata": {"promptTokenCount": -1, "candidatesTokenCount": 0, "promptTokensDetails": null}}',
    "usage huge": b'{"usageMetadata": {"promptTokenCount": 99999999999999999999999}}',
    "usage text": b'{"usageMetadata": {"promptTokenCount": "7"}}',
    "modality unknown": b'{"usageMetadata": {"promptTokenCount": 7, "promptTokensDetails": [{"modality": "SMELL", "tokenCount": 7}, {}]}}',
    "grounding empty": b'{"candidates": [{"groundingMetadata": {}, "content": {"parts": [{"text": "a"}]}}]}',
    "grounding odd": b'{"candidates": [{"groundingMetadata": {"groundingChunks": [{}, {"maps": {}}], "webSearchQueries": null}}]}',
    "surrogate": b'{"responseId": "\\ud800", "modelVersion": "\\udfff", "candidates": [{"content": {"parts": [{"text": "\\ud800"}]}}]}',
    "array": b"[1, 2, 3]",
    "array of answers": b'[{"candidates": [{"content": {"parts": [{"text": "a"}]}}]}]',
    "number": b"5",
    "null": b"null",
    "text": b'"text"',
    "empty object": b"{}",
    "no json": b"<html>",
    "nothing": b"",
    "types": b'{"candidates": {"a": 1}, "responseId": 5, "modelVersion": []}',
    "error empty": b'{"error": {}}',
    "error text": b'{"error": "no"}',
    "error cut": b'{"error": {"message": "no',
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
def test_odd_answers(simulator: Simulator, signals: InMemoryTelemetry, body: bytes) -> None:
    """Whatever a proxy or a service of tomorrow answers."""
    both_ways(simulator, signals, lambda: simulator.raw(body), asking(simulator))


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
def test_odd_chunks(simulator: Simulator, signals: InMemoryTelemetry, body: bytes) -> None:
    """Each of them as a chunk between two ordinary ones."""
    plain = b'{"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}, "index": 0}]}'
    chunks = [b"data: " + data + b"\r\n\r\n" for data in (plain, body, plain)]
    both_ways(simulator, signals, lambda: simulator.raw(chunks), streaming(simulator))


EMBEDDINGS: dict[str, bytes] = {
    "embeddings null": b'{"embeddings": null}',
    "embedding empty": b'{"embeddings": [{}]}',
    "values null": b'{"embeddings": [{"values": null, "statistics": {"token_count": null}}]}',
    "tokens odd": b'{"embeddings": [{"values": [1], "statistics": {"token_count": 1.5}}, {"statistics": {"tokenCount": -1}}]}',
    "empty object": b"{}",
    "null": b"null",
}


@pytest.mark.parametrize("body", EMBEDDINGS.values(), ids=EMBEDDINGS.keys())
@pytest.mark.parametrize("contents", ["x", ["x", None], None], ids=["text", "texts", "None"])
def test_odd_embeddings(simulator: Simulator, signals: InMemoryTelemetry, body: bytes, contents: Any) -> None:
    """The same for embeddings."""
    client = simulator.gemini()
    both_ways(
        simulator,
        signals,
        lambda: simulator.raw(body),
        lambda: client.models.embed_content(model="gemini-embedding-001", contents=contents),
    )


@pytest.mark.nonconforming("a call without a model")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("method", ["generate_content", "generate_content_stream", "embed_content"])
def test_wrong_arguments(simulator: Simulator, signals: InMemoryTelemetry, method: str, is_async: bool) -> None:
    """What Python says about arguments that are missing, unknown or not keywords is what it says without us."""
    client = simulator.gemini()
    models = client.aio.models if is_async else client.models

    async def awaited(*given: Any, **named: Any) -> Any:
        made = getattr(models, method)(*given, **named)
        made = await made if hasattr(made, "__await__") else made
        return [chunk async for chunk in made] if hasattr(made, "__aiter__") else made

    def call(*given: Any, **named: Any) -> Any:
        if is_async:
            return asyncio.run(awaited(*given, **named))
        made = getattr(models, method)(*given, **named)
        return list(made) if hasattr(made, "__next__") else made

    def failures() -> list[str]:
        texts = []
        for given, named in (
            ((), {"model": "m"}),
            ((), {}),
            ((), {"model": "m", "contents": "q", "nonsense": 1}),
            (("m", "q"), {}),
        ):
            with pytest.raises(TypeError) as raised:
                call(*given, **named)
            texts.append(str(raised.value))
        return texts

    without = failures()
    Instrumentor(**signals.providers).instrument()
    assert failures() == without
    assert simulator.requests == []


@pytest.mark.parametrize("make", [lambda: iter(["x", "y"]), lambda: (text for text in ["x", "y"])])
def test_what_can_be_read_only_once_is_left_to_the_sdk(
    simulator: Simulator, signals: InMemoryTelemetry, make: Callable[[], Iterator[str]]
) -> None:
    """A call that fails before it is sent leaves the program its iterator; one that is sent has all that was in it."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    models, contents = simulator.gemini().models, make()
    with pytest.raises(ValueError, match="nonsense"):
        models.generate_content(model="m", contents=contents, config={"nonsense": 1, "tools": [look]})
    models.generate_content(model="m", contents=contents)
    (request,) = simulator.requests
    assert request.json["contents"][0]["parts"] == [{"text": "x"}, {"text": "y"}]
    file_events()


def test_a_picture_is_named_and_not_encoded(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A PIL image is a blob without content: encoding it again would cost what the SDK's encoding costs."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    simulator.gemini().models.generate_content(model="m", contents=["What?", Image.new("RGB", (2, 2))])
    assert content_of(signals.span())["input.messages"] == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What?"},
                {"type": "blob", "modality": "image", "mime_type": None, "content": ""},
            ],
        }
    ]


def look(at: str) -> str:
    """Look at it."""
    return f"a {at}"


CONFIGS: dict[str, Callable[[], Any]] = {
    "dict": lambda: {"tools": [look, {"google_search": {}}], "temperature": 0.5, "stop_sequences": ["a"]},
    "model": lambda: types.GenerateContentConfig(tools=[look], temperature=0.5, system_instruction="Be brief."),
    "typed dict": lambda: types.GenerateContentConfigDict(tools=[look], response_modalities=["TEXT"]),
}


@pytest.mark.parametrize("make", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("is_chat", [False, True], ids=["models", "chat"])
def test_a_config_is_never_rewritten(
    simulator: Simulator, signals: InMemoryTelemetry, make: Callable[[], Any], is_chat: bool
) -> None:
    """A config that is used again and again is what the SDK alone leaves of it, with the same list of the same tools."""
    without = make()
    use_twice(simulator, without, is_chat)
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    config = make()
    tools = config["tools"] if isinstance(config, dict) else config.tools
    members = list(tools)
    use_twice(simulator, config, is_chat)
    assert config == without
    assert (config["tools"] if isinstance(config, dict) else config.tools) is tools
    assert [one is other for one, other in zip(tools, members, strict=True)] == [True] * len(members)
    assert len([span for span in signals.spans if span.name == "execute_tool look"]) == 2


def use_twice(simulator: Simulator, config: Any, is_chat: bool) -> None:
    client = simulator.gemini()
    for _ in range(2):
        simulator.reply(tool_calls=[("look", {"at": "cat"})])
        simulator.reply("A cat.")
        if is_chat:
            client.chats.create(model="m", config=config).send_message("q")
        else:
            client.models.generate_content(model="m", contents="q", config=config)


def test_contents_are_never_rewritten(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Neither the list of contents nor what is in it changes, and answers are not read into by us."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    contents: list[Any] = [{"role": "user", "parts": [{"text": "q"}]}, types.Part(text="r"), "s"]
    before = [dict(contents[0]), contents[1].model_copy(deep=True), "s"]
    simulator.reply("Yes.")
    answer = simulator.gemini().models.generate_content(model="m", contents=contents)
    assert contents == before
    assert answer.candidates[0].content.model_fields_set == {"parts", "role"}


def test_what_the_program_appends_while_it_streams_is_not_recorded(
    simulator: Simulator, signals: InMemoryTelemetry
) -> None:
    """The request is what was sent, not what the history became."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    history: list[Any] = ["first"]
    for _ in simulator.gemini().models.generate_content_stream(model="m", contents=history):
        history.append("later")
    assert "later" not in str(content_of(signals.span())["input.messages"])


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_sdk_is_not_made_to_warn(
    simulator: Simulator, signals: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, is_async: bool
) -> None:
    """Answers with parts that are no text: nothing of ours reads ``.text``, which logs a warning for them."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    answer = {"text": "x", "tool_calls": [("f", {})], "reasoning": "Hm.", "audio": "la"}
    client = simulator.gemini()
    with caplog.at_level(logging.DEBUG, "google_genai"):
        simulator.reply(**answer)
        simulator.reply(**answer)
        if is_async:
            asyncio.run(_both(client.aio.models))
        else:
            client.models.generate_content(model="m", contents="q")
            list(client.models.generate_content_stream(model="m", contents="q"))
        file_events()
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def _both(models: Any) -> None:
    await models.generate_content(model="m", contents="q")
    [chunk async for chunk in await models.generate_content_stream(model="m", contents="q")]


class Unprintable(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@needs("gemini clients of httpx")
def test_an_exception_that_cannot_be_printed(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """The program gets its own exception, and later calls are still recorded."""

    def refuse(request: Any) -> None:
        raise Unprintable

    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    broken = HTTP.Client(event_hooks={"request": [refuse]})
    with broken, pytest.raises(Unprintable):
        simulator.gemini(http_options={"httpx_client": broken}).models.generate_content(model="m", contents="q")
    simulator.gemini().models.generate_content(model="next", contents="q")
    assert [span.name for span in signals.spans] == ["generate_content m", "generate_content next"]
    assert (signals.spans[0].attributes or {})["error.type"].endswith("Unprintable")  # type: ignore[union-attr]  # a str
