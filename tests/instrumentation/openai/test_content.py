"""Content and credentials: where they go, and where they never do."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import openai
import pytest

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator

NEEDLE = "NEEDLE-in-the-prompt"
KEY = "sk-NEEDLE-credential-1234567890"
SCHEMAS = files("aiobs.semconv") / "schemas"
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "name": "ann", "content": [
        {"type": "text", "text": NEEDLE},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "cat"}'}},
    ]},
    {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
    {"role": "user", "content": "So?"},
]  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}]


def everything(signals: InMemoryTelemetry) -> str:
    """Every byte that left on any signal."""
    spans = [span.to_json() for span in signals.spans]
    logs = [log.to_json() for log in signals.logs]
    return "\n".join([*spans, *logs, repr(signals.metrics())])


def calls_of_every_kind(simulator: Simulator) -> None:
    """Whole, streamed, raw and failing calls with needles everywhere."""
    client = simulator.openai(api_key=KEY, default_headers={"x-secret": KEY})
    options = {"model": "m", "messages": MESSAGES, "user": NEEDLE, "extra_headers": {"authorization2": KEY}}
    simulator.reply(NEEDLE, reasoning=NEEDLE)
    client.chat.completions.create(**options)
    simulator.reply(tool_calls=[("look", {"at": NEEDLE})])
    list(client.chat.completions.create(**options, stream=True))
    client.chat.completions.with_raw_response.create(**options)
    simulator.fail(400, message=f"You said {NEEDLE} with {KEY}")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**options)
    simulator.fault(error_after=1, message=f"{NEEDLE} {KEY}")
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(**options, stream=True))


@pytest.mark.parametrize("mode", [None, "no_content", "false"])
def test_no_content_leaves_with_the_gate_closed(simulator: Simulator, signals: InMemoryTelemetry, mode) -> None:
    """Promise 3: neither prompt nor answer nor a provider's echo of them is on any signal, nor any key.

    breaks-apps #81, #82, #83
    """
    Instrumentor(**signals.providers, capture_content=mode).instrument()
    calls_of_every_kind(simulator)
    assert len(signals.spans) == 5
    assert NEEDLE not in everything(signals)
    assert KEY not in everything(signals)


@pytest.mark.parametrize(
    ("mode", "on_spans", "on_events"),
    [("span_only", True, False), ("true", True, False), ("event_only", False, True), ("span_and_event", True, True)],
)
def test_the_gate_opens_for_what_it_names(
    simulator: Simulator, signals, monkeypatch, mode, on_spans, on_events
) -> None:
    """One variable opens spans, events or both; credentials stay out.

    breaks-apps #81, #83
    """
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", mode)
    Instrumentor(**signals.providers).instrument()
    calls_of_every_kind(simulator)
    for span in signals.spans:
        assert ("gen_ai.input.messages" in span.attributes) == on_spans
    for event in signals.events("gen_ai.client.inference.operation.details"):
        assert ("gen_ai.input.messages" in event.attributes) == on_events
    assert NEEDLE in everything(signals)
    assert KEY not in everything(signals)


def test_an_app_owned_provider_gets_no_content_and_the_file_has_it(simulator: Simulator, signals) -> None:
    """Content for the file travels beside the span: nothing of it reaches the program's own exporter."""
    observer.observe(tracer_provider=signals.tracer_provider)
    simulator.reply("The answer.")
    simulator.openai(api_key=KEY).chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
    observer.end()
    path = observer.flush()
    text = Path(path).read_text()
    assert NEEDLE not in everything(signals)
    assert NEEDLE in text
    assert "The answer." in text
    assert KEY not in text


def test_no_content_closes_the_file_too(simulator: Simulator, signals, monkeypatch) -> None:
    """An explicit no_content is obeyed by the session file."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "no_content")
    observer.observe(tracer_provider=signals.tracer_provider)
    simulator.reply(NEEDLE)
    simulator.openai().chat.completions.create(model="m", messages=MESSAGES)
    simulator.reply(NEEDLE)
    list(simulator.openai().chat.completions.create(model="m", messages=MESSAGES, stream=True))
    text = Path(observer.flush()).read_text()
    assert '"model": "m"' in text
    assert NEEDLE not in text


def content_of(signals: InMemoryTelemetry) -> dict:
    return {
        key.removeprefix("gen_ai."): json.loads(value)
        for key, value in signals.span().attributes.items()
        if key.endswith((".messages", "definitions", "instructions"))
    }


def test_messages_fit_the_schemas(simulator: Simulator, signals) -> None:
    """Every kind of part, checked against the published schemas, and literally."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    simulator.reply("Yes.", reasoning="Hm.", refusal=None, tool_calls=[("look", {"at": "dog"}), ("custom:run", "ls")])
    simulator.openai().chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
    content = content_of(signals)
    for key, schema in (("input.messages", "input"), ("output.messages", "output")):
        jsonschema.validate(content[key], json.loads((SCHEMAS / f"gen-ai-{schema}-messages.json").read_text()))
    jsonschema.validate(content["tool.definitions"], json.loads((SCHEMAS / "gen-ai-tool-definitions.json").read_text()))
    assert content["tool.definitions"] == [{"type": "function", "name": "look"}]
    assert content["output.messages"] == [{"role": "assistant", "parts": [
        {"type": "reasoning", "content": "Hm."},
        {"type": "text", "content": "Yes."},
        {"type": "tool_call", "id": "call_simulated00", "name": "look", "arguments": {"at": "dog"}},
        {"type": "tool_call", "id": "call_simulated01", "name": "run", "arguments": "ls"},
    ]}]  # fmt: skip
    system, user, assistant, tool, _last = content["input.messages"]
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
    assert [part["type"] for part in user["parts"]] == ["text", "uri", "blob", "blob", "file"]
    assert user["name"] == "ann"
    blob = user["parts"][2]
    assert (blob["mime_type"], blob["modality"], blob["content"], blob["size"]) == ("image/png", "image", "", 8)
    assert len(blob["sha256"]) == 64
    assert assistant["parts"] == [{"type": "tool_call", "id": "call_1", "name": "look", "arguments": {"at": "cat"}}]
    assert tool["parts"] == [{"type": "tool_call_response", "id": "call_1", "response": "a cat"}]
    (event,) = signals.events("gen_ai.client.inference.operation.details")
    assert event.attributes["gen_ai.output.messages"][0]["parts"][1]["content"] == "Yes."


def test_a_stream_is_put_together(simulator: Simulator, signals) -> None:
    """Text, refusal, reasoning and parallel tool calls of a stream are what a whole answer has.

    breaks-apps #74
    """
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    answer = {"reasoning": "Hm. Hm.", "tool_calls": [("look", {"at": "a dog"}), ("custom:run", "ls -la")]}
    simulator.reply("Yes, it is.", **answer)
    simulator.reply("Yes, it is.", **answer)
    client = simulator.openai()
    client.chat.completions.create(model="m", messages=MESSAGES)
    list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    whole, streamed = (span.attributes["gen_ai.output.messages"] for span in signals.spans)
    assert json.loads(streamed) == json.loads(whole)


def test_what_the_program_appends_while_it_streams_is_not_recorded(simulator: Simulator, signals) -> None:
    """The request is what was sent, not what the history became."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    history = [{"role": "user", "content": "first"}]
    for _ in simulator.openai().chat.completions.create(model="m", messages=history, stream=True):
        history.append({"role": "assistant", "content": "later"})
    assert "later" not in signals.span().attributes["gen_ai.input.messages"]


def test_long_content_is_cut_and_says_so(simulator: Simulator, signals) -> None:
    """66: a part is cut at its limit, a call at its own, visibly, and the rest of the span stays.

    breaks-apps #66
    """
    Instrumentor(
        **signals.providers, capture_content="span_only", max_part_bytes=100, max_call_bytes=20_000
    ).instrument()
    simulator.reply("y" * 500)
    messages = [{"role": "user", "content": "x" * 1000}] * 300
    simulator.openai().chat.completions.create(model="m", messages=messages)
    attributes = signals.span().attributes
    assert "truncated" in attributes["gen_ai.output.messages"]
    assert "left out" in attributes["gen_ai.input.messages"]
    assert len(attributes["gen_ai.input.messages"]) < 40_000
    assert attributes["gen_ai.usage.input_tokens"] > 0
