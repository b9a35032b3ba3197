"""Content of generate_content: every kind of part in its neutral shape, and where it goes and never goes.

Annotations are not postponed here: old SDKs cannot read those of functions that are tools.
"""

import base64
import hashlib
import json
from contextlib import suppress
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from google.genai import errors, types

from aiobs import Instrumentor, observer
from aiobs.testing import Answer, InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import content_of, everything, file_events, raises_inside_a_stream
from tests.versions import needs

NEEDLE = "NEEDLE-in-the-prompt"
KEY = "AIzaNEEDLE-credential-1234567890"
SCHEMAS = files("aiobs.semconv") / "schemas"
PNG = b"\x89PNG-bytes"
IMAGE = {
    "type": "blob",
    "modality": "image",
    "mime_type": "image/png",
    "content": "",
    "size": len(PNG),
    "sha256": hashlib.sha256(PNG).hexdigest(),
}
PDF = {"type": "uri", "modality": "document", "mime_type": "application/pdf", "uri": "gs://bucket/a.pdf"}


def look(at: str) -> str:
    """Look at it."""
    raise AssertionError("the model never asks for it")


@pytest.fixture
def open_gate(signals: InMemoryTelemetry) -> InMemoryTelemetry:
    """The SDK instrumented, content on spans and events."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    return signals


# What was asked

CONTENTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "text": ("Why?", [{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}]),
    "texts are one message": (
        ["Why?", "And how?"],
        [{"role": "user", "parts": [{"type": "text", "content": "Why?"}, {"type": "text", "content": "And how?"}]}],
    ),
    "parts among contents": (
        ["Why?", types.Content(role="model", parts=[types.Part(text="So.")]), types.Part(text="Oh.")],
        [
            {"role": "user", "parts": [{"type": "text", "content": "Why?"}]},
            {"role": "assistant", "parts": [{"type": "text", "content": "So."}]},
            {"role": "user", "parts": [{"type": "text", "content": "Oh."}]},
        ],
    ),
    "bytes": (
        [types.Part.from_bytes(data=PNG, mime_type="image/png"), "What is it?"],
        [{"role": "user", "parts": [IMAGE, {"type": "text", "content": "What is it?"}]}],
    ),
    "bytes in a dict": (
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}]},
        [{"role": "user", "parts": [IMAGE]}],
    ),
    "file": (
        types.Part.from_uri(file_uri="gs://bucket/a.pdf", mime_type="application/pdf"),
        [{"role": "user", "parts": [PDF]}],
    ),
    "uploaded file": (
        [types.File(uri="gs://bucket/a.pdf", mime_type="application/pdf", name="files/a")],
        [{"role": "user", "parts": [PDF]}],
    ),
    "camelCase dicts": (
        [{"role": "user", "parts": [{"text": "Go."}]},
         {"role": "model", "parts": [{"text": "Hm.", "thought": True}, {"functionCall": {"id": "c1", "name": "look", "args": {"at": "cat"}}}]},
         {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "look", "response": {"result": 5}}}]}],
        [
            {"role": "user", "parts": [{"type": "text", "content": "Go."}]},
            {"role": "assistant", "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "cat"}},
            ]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"result": 5}}]},
        ],
    ),
    "code": (
        [types.Content(role="model", parts=[
            types.Part.from_executable_code(code="print(1)", language=types.Language.PYTHON),
            types.Part.from_code_execution_result(outcome=types.Outcome.OUTCOME_OK, output="1"),
        ]), "So?"],
        [
            {"role": "assistant", "parts": [
                {"type": "server_tool_call", "id": None, "name": "code_execution",
                 "server_tool_call": {"type": "code_execution", "language": "PYTHON", "code": "print(1)"}},
                {"type": "server_tool_call_response", "id": None,
                 "server_tool_call_response": {"type": "code_execution", "outcome": "OUTCOME_OK", "output": "1"}},
            ]},
            {"role": "user", "parts": [{"type": "text", "content": "So?"}]},
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("contents", "expected"), CONTENTS.values(), ids=CONTENTS.keys())
def test_what_was_asked(simulator: Simulator, open_gate: InMemoryTelemetry, contents: Any, expected: Any) -> None:
    """``contents`` in whatever way the SDK takes them become messages; bytes become size and hash."""
    simulator.gemini().models.generate_content(model="m", contents=contents)
    span = open_gate.span()
    found = content_of(span)["input.messages"]
    assert found == expected
    jsonschema.validate(found, json.loads((SCHEMAS / "gen-ai-input-messages.json").read_text()))
    assert base64.b64encode(PNG).decode() not in span.to_json()


@pytest.mark.parametrize(
    "given",
    ["Be brief.", ["Be brief."], types.Part(text="Be brief."), {"parts": [{"text": "Be brief."}]},
     types.Content(parts=[types.Part(text="Be brief.")])],
)  # fmt: skip
@pytest.mark.parametrize("key", ["system_instruction", "systemInstruction"])
def test_instructions(simulator: Simulator, open_gate: InMemoryTelemetry, key: str, given: Any) -> None:
    """The system instruction is kept apart from the messages, whatever it is made of."""
    simulator.gemini().models.generate_content(model="m", contents="q", config={key: given})
    found = content_of(open_gate.span())
    assert found["system_instructions"] == [{"type": "text", "content": "Be brief."}]
    assert found["input.messages"] == [{"role": "user", "parts": [{"type": "text", "content": "q"}]}]


DECLARED: dict[str, Any] = {"name": "look", "description": "Look at it.", "parameters": {"type": "OBJECT"}}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([{"function_declarations": [DECLARED]}], [{"type": "function", "name": "look"}]),
        ([{"functionDeclarations": [DECLARED]}], [{"type": "function", "name": "look"}]),
        ([types.Tool(function_declarations=[types.FunctionDeclaration(**DECLARED)])],
         [{"type": "function", "name": "look"}]),
        ([look], [{"type": "function", "name": "look"}]),
        ([types.Tool(google_search=types.GoogleSearch()), {"code_execution": {}}],
         [{"type": "google_search", "name": "google_search"}, {"type": "code_execution", "name": "code_execution"}]),
    ],
    ids=["snake_case", "camelCase", "model", "function", "of the provider"],
)  # fmt: skip
def test_tools_on_offer(simulator: Simulator, open_gate: InMemoryTelemetry, tools: Any, expected: Any) -> None:
    """Declared functions, Python functions and the provider's own tools, by type and name."""
    simulator.reply("No need.")
    simulator.gemini().models.generate_content(model="m", contents="q", config={"tools": tools})
    found = content_of(open_gate.span("generate_content m"))["tool.definitions"]
    assert found == expected
    jsonschema.validate(found, json.loads((SCHEMAS / "gen-ai-tool-definitions.json").read_text()))


# What came back

THOUGHT_AND_CALLS: dict[str, Any] = {
    "text": "Yes, it is.",
    "reasoning": "Hm. Hm.",
    "tool_calls": [("look", {"at": "a dog"}), ("look", {"at": "a cat"})],
}
SAID = [
    {"role": "assistant", "parts": [
        {"type": "reasoning", "content": "Hm. Hm."},
        {"type": "text", "content": "Yes, it is."},
        {"type": "tool_call", "id": "call_simulated00", "name": "look", "arguments": {"at": "a dog"}},
        {"type": "tool_call", "id": "call_simulated01", "name": "look", "arguments": {"at": "a cat"}},
    ]}
]  # fmt: skip
RAN = [
    {"role": "assistant", "parts": [
        {"type": "server_tool_call", "id": None, "name": "code_execution",
         "server_tool_call": {"type": "code_execution", "language": "PYTHON", "code": "print('q')\n"}},
        {"type": "server_tool_call_response", "id": None,
         "server_tool_call_response": {"type": "code_execution", "outcome": "OUTCOME_OK", "output": "q\n"}},
        {"type": "text", "content": "One."},
    ]}
]  # fmt: skip
FOUND = [
    {"role": "assistant", "parts": [
        {"type": "text", "content": "Found it."},
        {"type": "server_tool_call", "id": "google_search", "name": "google_search",
         "server_tool_call": {"type": "google_search", "queries": ["q"]}},
        {"type": "server_tool_call_response", "id": "google_search",
         "server_tool_call_response": {"type": "google_search", "sources": [
             {"uri": "https://example.com/simulated", "title": "example.com"}]}},
    ]}
]  # fmt: skip
HEARD = [
    {"role": "assistant", "parts": [
        {"type": "blob", "modality": "audio", "mime_type": "audio/L16;codec=pcm;rate=24000", "content": "",
         "size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()},
    ]}
]  # fmt: skip
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "thoughts, text and calls": (THOUGHT_AND_CALLS, {}, SAID),
    "code that ran": ({"text": "One."}, {"tools": [{"code_execution": {}}]}, RAN),
    "search": ({"text": "Found it."}, {"tools": [{"google_search": {}}]}, FOUND),
    "sound": ({"audio": "hello"}, {"response_modalities": ["AUDIO"]}, HEARD),
    "two candidates": (
        {"choices": [Answer("one"), Answer("two")]},
        {"candidate_count": 2},
        [{"role": "assistant", "parts": [{"type": "text", "content": text}]} for text in ("one", "two")],
    ),
    "nothing": ({"finish_reason": "SAFETY"}, {}, [{"role": "assistant", "parts": []}]),
}


@pytest.mark.parametrize(("answer", "config", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_what_came_back(
    simulator: Simulator, open_gate: InMemoryTelemetry, answer: Any, config: Any, expected: Any, is_stream: bool
) -> None:
    """Every kind of part an answer can have, whole or put together from chunks, in the order it came."""
    simulator.reply(**answer)
    models = simulator.gemini().models
    if is_stream:
        list(models.generate_content_stream(model="m", contents="q", config=config))
    else:
        models.generate_content(model="m", contents="q", config=config)
    found = content_of(open_gate.span())["output.messages"]
    assert found == expected
    jsonschema.validate(found, json.loads((SCHEMAS / "gen-ai-output-messages.json").read_text()))
    (event,) = open_gate.events("gen_ai.client.inference.operation.details")
    assert len(event.attributes["gen_ai.output.messages"]) == len(expected)


@needs("gemini streamed arguments")
def test_function_arguments_that_are_streamed(simulator: Simulator, open_gate: InMemoryTelemetry) -> None:
    """A call whose arguments come in pieces is one call, with its pieces in their order."""
    pieces: list[dict[str, Any]] = [
        {"name": "look", "id": "c1", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.at", "stringValue": "a ", "willContinue": True}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.at", "stringValue": "dog"}]},
    ]
    bodies = [
        {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": piece}]}, "index": 0}]}
        for piece in pieces
    ]
    bodies[-1]["candidates"][0]["finishReason"] = "STOP"
    simulator.raw([b"data: " + json.dumps(body).encode() + b"\r\n\r\n" for body in bodies])
    list(simulator.vertex().models.generate_content_stream(model="m", contents="q"))
    (message,) = content_of(open_gate.span())["output.messages"]
    (part,) = message["parts"]
    assert (part["type"], part["id"], part["name"]) == ("tool_call", "c1", "look")
    assert [json.loads(line) for line in part["arguments"].splitlines()] == [{"$.at": "a "}, {"$.at": "dog"}]


# Where it goes


def calls_of_every_kind(simulator: Simulator) -> None:
    """Whole, streamed, tool-running and failing calls with needles everywhere."""

    def search(what: str) -> str:
        """Search."""
        return f"{NEEDLE} {what}"

    client = simulator.gemini(api_key=KEY, http_options={"headers": {"x-secret": KEY}})
    options: dict[str, Any] = {"model": "m", "contents": [NEEDLE, types.Part.from_bytes(data=b"N", mime_type="a/b")]}
    config = {"system_instruction": NEEDLE, "stop_sequences": ["s"]}
    simulator.reply(NEEDLE, reasoning=NEEDLE)
    client.models.generate_content(**options, config=config)
    simulator.reply(NEEDLE, tool_calls=[("search", {"what": NEEDLE})])
    list(client.models.generate_content_stream(**options, config=config))
    simulator.reply(tool_calls=[("search", {"what": NEEDLE})])
    simulator.reply(NEEDLE)
    client.models.generate_content(**options, config={**config, "tools": [search]})
    simulator.fail(400, message=f"You said {NEEDLE} with {KEY}")
    with pytest.raises(errors.ClientError):
        client.models.generate_content(**options, config=config)
    simulator.fault(error_after=1, message=f"{NEEDLE} {KEY}")
    with raises_inside_a_stream():
        list(client.models.generate_content_stream(**options, config=config))


@pytest.mark.parametrize("mode", [None, "no_content", "false"])
def test_no_content_leaves_with_the_gate_closed(
    simulator: Simulator, signals: InMemoryTelemetry, mode: str | None
) -> None:
    """Promise 3: neither prompt, answer, arguments nor an echo of them is on any signal, nor any key."""
    Instrumentor(**signals.providers, capture_content=mode).instrument()
    calls_of_every_kind(simulator)
    assert len(signals.spans) == 8
    assert NEEDLE not in everything(signals)
    assert KEY not in everything(signals)


@pytest.mark.parametrize(
    ("mode", "on_spans", "on_events"),
    [("span_only", True, False), ("event_only", False, True), ("span_and_event", True, True)],
)
def test_the_gate_opens_for_what_it_names(
    simulator: Simulator, signals: InMemoryTelemetry, mode: str, on_spans: bool, on_events: bool
) -> None:
    """Content on spans, events or both; credentials stay out."""
    Instrumentor(**signals.providers, capture_content=mode).instrument()
    calls_of_every_kind(simulator)
    requests = [span for span in signals.spans if span.name == "generate_content m"]
    assert len(requests) == 6
    for span in requests:
        assert ("gen_ai.input.messages" in (span.attributes or {})) == on_spans
    for event in signals.events("gen_ai.client.inference.operation.details"):
        assert ("gen_ai.input.messages" in event.attributes) == on_events
    assert NEEDLE in everything(signals)
    assert KEY not in everything(signals)


def test_the_program_sees_no_content_on_its_own_provider(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Content for the session file travels beside the spans; bytes and credentials are not in the file either."""
    observer.observe(tracer_provider=signals.tracer_provider)
    calls_of_every_kind(simulator)
    assert NEEDLE not in everything(signals)
    text = json.dumps(file_events())
    assert NEEDLE in text
    assert KEY not in text
    assert base64.b64encode(PNG).decode() not in text


SECRETIVE: dict[str, Any] = {
    "http_options": {"headers": {"authorization": KEY}},
    "tools": [
        {
            "mcp_servers": [
                {"name": "s", "streamable_http_transport": {"url": "http://h", "headers": {"x-secret": KEY}}}
            ]
        },
        {"google_maps": {"auth_config": {"api_key_config": {"api_key_string": KEY}}}},
        {"googleMaps": {"authConfig": {"apiKeyConfig": {"apiKeyString": KEY}, "oauthConfig": {"accessToken": KEY}}}},
    ],
}


def is_known(tool: Any) -> bool:
    """The SDK has this tool; a request with another one is refused before it is one."""
    return next(iter(tool)) in {*types.Tool.model_fields, *(field.alias for field in types.Tool.model_fields.values())}


@needs("gemini maps")
@pytest.mark.parametrize("client", ["gemini", "vertex"])
def test_credentials_in_a_config(simulator: Simulator, signals: InMemoryTelemetry, client: str) -> None:
    """Those of tools and of the connection are neither on a signal nor in the file, sent or refused."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    for tool in SECRETIVE["tools"]:
        with suppress(ValueError):
            getattr(simulator, client)().models.generate_content(
                model="m", contents="q", config={**SECRETIVE, "tools": [tool]}
            )
    assert len(signals.spans) == sum(map(is_known, SECRETIVE["tools"])) >= 2
    assert KEY not in everything(signals) + json.dumps(file_events())
