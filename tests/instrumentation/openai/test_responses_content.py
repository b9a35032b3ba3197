"""Content of responses: every kind of item, in requests and in answers, as message parts; and what stays out."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from aiobs import observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.openai.reading import asked, everything, file_events, said, with_content

SCHEMAS = files("aiobs.semconv") / "schemas"
PIXELS = base64.b64encode(b"NEEDLE" * 100).decode()
URL = f"data:image/png;base64,{PIXELS}"
SHA = hashlib.sha256(b"NEEDLE" * 100).hexdigest()
LEFT_OUT = f"[data URL left out by aiobs: image/png, 600 bytes, sha256 {SHA}]"


def blob(modality: str, mime_type: str | None, data: bytes) -> dict[str, Any]:
    """The part of binary content: size and hash, no byte."""
    digest = hashlib.sha256(data).hexdigest()
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": "", "size": len(data), "sha256": digest}  # fmt: skip


def fits(messages: list[dict[str, Any]], kind: str) -> bool:
    """The messages keep to the published schema."""
    jsonschema.validate(messages, json.loads((SCHEMAS / f"gen-ai-{kind}-messages.json").read_text()))
    return True


# Requests


def user(*parts: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "parts": list(parts)}]


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def tool_result(response: Any) -> list[dict[str, Any]]:
    return user({"type": "tool_call_response", "id": "call_1", "response": response}, role="tool")


INPUTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "text": ("Hello", user(text("Hello"))),
    "a message": ([{"role": "developer", "content": "Hello"}], user(text("Hello"), role="developer")),
    "texts": (
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, "b"]}],
        user(text("a"), text("b")),
    ),
    "an answer fed back": (
        [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
          "content": [{"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "No"}]}],
        user(text("a"), {**text("No"), "refusal": True}, role="assistant"),
    ),
    "pictures": (
        [{"role": "user", "content": [
            {"type": "input_image", "image_url": "https://example.com/cat.png"},
            {"type": "input_image", "image_url": URL},
            {"type": "input_image", "file_id": "file-1"},
        ]}],
        user(
            {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://example.com/cat.png"},
            blob("image", "image/png", b"NEEDLE" * 100),
            {"type": "file", "modality": "image", "mime_type": None, "file_id": "file-1"},
        ),
    ),
    "files": (
        [{"role": "user", "content": [
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            {"type": "input_file", "file_id": "file-2"},
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXELS}"},
            {"type": "input_audio", "input_audio": {"data": PIXELS, "format": "mp3"}},
        ]}],
        user(
            {"type": "uri", "modality": "document", "mime_type": None, "uri": "https://example.com/a.pdf"},
            {"type": "file", "modality": "document", "mime_type": None, "file_id": "file-2"},
            blob("document", "application/pdf", b"NEEDLE" * 100),
            blob("audio", "audio/mp3", b"NEEDLE" * 100),
        ),
    ),
    "a function call": (
        [{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at": "cat"}'}],
        user({"type": "tool_call", "id": "call_1", "name": "look", "arguments": {"at": "cat"}}, role="assistant"),
    ),
    "its output": (
        [{"type": "function_call_output", "call_id": "call_1", "output": "a cat"}],
        tool_result("a cat"),
    ),
    "an output with a picture": (
        [{"type": "function_call_output", "call_id": "call_1",
          "output": [{"type": "input_image", "image_url": URL}]}],
        tool_result([{"type": "input_image", "image_url": LEFT_OUT}]),
    ),
    "a screenshot": (
        [{"type": "computer_call_output", "call_id": "call_1",
          "output": {"type": "computer_screenshot", "image_url": URL}}],
        tool_result({"type": "computer_screenshot", "image_url": LEFT_OUT}),
    ),
    "a custom tool's output": (
        [{"type": "custom_tool_call_output", "call_id": "call_1", "output": "ok"}],
        tool_result("ok"),
    ),
    "reasoning fed back": (
        [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
          "content": [{"type": "reasoning_text", "text": " Yes."}], "encrypted_content": "gAAA"}],
        user({"type": "reasoning", "content": "Hm. Yes."}, role="assistant"),
    ),
    "a picture fed back": (
        [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PIXELS}],
        user(
            {"type": "server_tool_call", "id": "ig_1", "name": "image_generation",
             "server_tool_call": {"type": "image_generation_call"}},
            blob("image", "image/png", b"NEEDLE" * 100),
            role="assistant",
        ),
    ),
    "a reference": (
        [{"type": "item_reference", "id": "msg_1"}],
        user({"type": "item_reference", "id": "msg_1"}),
    ),
    "an approval": (
        [{"type": "mcp_approval_response", "approve": True, "approval_request_id": "mcpr_1"}],
        user({"type": "mcp_approval_response", "approve": True, "approval_request_id": "mcpr_1"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), INPUTS.values(), ids=INPUTS.keys())
def test_an_input(simulator: Simulator, signals: InMemoryTelemetry, given, expected) -> None:
    """Every kind of item of a request as a message of the schema; no byte of a picture or file on any signal."""
    with_content(signals)
    simulator.openai().responses.create(model="m", input=given)
    assert asked(signals) == expected
    assert fits(asked(signals), "input")
    assert PIXELS not in everything(signals)


def test_instructions_and_tools(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Instructions apart from the messages; tools by name, a built-in one by its type, a server by its label."""
    with_content(signals)
    simulator.openai().responses.create(
        model="m",
        input="x",
        instructions="Be brief.",
        tools=[
            {"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object"}},
            {"type": "custom", "name": "run"},
            {"type": "web_search"},
            {"type": "mcp", "server_label": "shop", "server_url": "https://u:pw@example.com", "authorization": "sk-x"},
        ],
    )
    attributes: Any = signals.span().attributes
    assert json.loads(attributes["gen_ai.system_instructions"]) == [text("Be brief.")]
    assert json.loads(attributes["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "look"},
        {"type": "custom", "name": "run"},
        {"type": "web_search", "name": "web_search"},
        {"type": "mcp", "name": "shop"},
    ]


# Answers


def server_call(tool: str, kind: str, call_id: str, /, **details: Any) -> dict[str, Any]:
    details = {"type": kind, **details}
    return {"type": "server_tool_call", "id": call_id, "name": tool, "server_tool_call": details}


def server_answer(kind: str, call_id: str, /, **details: Any) -> dict[str, Any]:
    details = {"type": kind, **details}
    return {"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": details}


OUTPUTS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "a search": (
        [{"type": "web_search_call", "id": "ws_1", "status": "completed",
          "action": {"type": "search", "query": "q", "queries": ["q"], "sources": []}}],
        [server_call("web_search", "web_search_call", "ws_1",
                     action={"type": "search", "query": "q", "queries": ["q"], "sources": []})],
    ),
    "files found": (
        [{"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"],
          "results": [{"attributes": {}, "file_id": "f", "filename": "n.txt", "score": 0.9, "text": "A note."}]}],
        [server_call("file_search", "file_search_call", "fs_1", queries=["q"]),
         server_answer("file_search_call", "fs_1", results=[
             {"attributes": {}, "file_id": "f", "filename": "n.txt", "score": 0.9, "text": "A note."}])],
    ),
    "code with a picture": (
        [{"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "plot()",
          "container_id": "c", "outputs": [{"type": "logs", "logs": "42"}, {"type": "image", "url": URL}]}],
        [server_call("code_interpreter", "code_interpreter_call", "ci_1", code="plot()", container_id="c"),
         server_answer("code_interpreter_call", "ci_1", outputs=[
             {"type": "logs", "logs": "42"}, {"type": "image", "url": LEFT_OUT}])],
    ),
    "a picture": (
        [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PIXELS,
          "output_format": "webp", "revised_prompt": "a cat"}],
        [server_call("image_generation", "image_generation_call", "ig_1", output_format="webp", revised_prompt="a cat"),
         blob("image", "image/webp", b"NEEDLE" * 100)],
    ),
    "a server's tool": (
        [{"type": "mcp_call", "id": "mcp_1", "name": "find", "server_label": "shop", "arguments": "{}",
          "output": "found", "error": None, "status": "completed"}],
        [server_call("find", "mcp_call", "mcp_1", arguments="{}", name="find", server_label="shop"),
         server_answer("mcp_call", "mcp_1", output="found")],
    ),
    "a server's tool that failed": (
        [{"type": "mcp_call", "id": "mcp_1", "name": "find", "server_label": "shop", "arguments": "{}",
          "output": None, "error": "no such tool", "status": "failed"}],
        [server_call("find", "mcp_call", "mcp_1", arguments="{}", name="find", server_label="shop"),
         server_answer("mcp_call", "mcp_1", error="no such tool")],
    ),
    "an approval asked for": (
        [{"type": "mcp_approval_request", "id": "mcpr_1", "name": "buy", "server_label": "shop", "arguments": "{}"}],
        [{"type": "mcp_approval_request", "id": "mcpr_1", "name": "buy", "server_label": "shop", "arguments": "{}"}],
    ),
    "a computer call": (
        [{"type": "computer_call", "id": "cu_1", "call_id": "call_1", "status": "completed",
          "pending_safety_checks": [], "action": {"type": "wait"}}],
        [server_call("computer", "computer_call", "call_1", pending_safety_checks=[], action={"type": "wait"})],
    ),
    "compaction": (
        [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}],
        [{"type": "compaction", "id": "cmp_1"}],
    ),
    "a refusal after a text": (
        [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "Well, ", "annotations": []}, {"type": "refusal", "refusal": "no."}]}],
        [text("Well, "), {**text("no."), "refusal": True}],
    ),
    "reasoning with both": (
        [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Short."}],
          "content": [{"type": "reasoning_text", "text": "Long."}]}],
        [{"type": "reasoning", "content": "Short.Long."}],
    ),
    "reasoning without words": ([{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}], []),
    "calls": (
        [{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at": "cat"}'},
         {"type": "function_call", "id": None, "call_id": "call_2", "name": "look", "arguments": "{broken"},
         {"type": "custom_tool_call", "id": "ctc_3", "call_id": "call_3", "name": "run", "input": '{"not": "parsed?"}'}],
        [{"type": "tool_call", "id": "call_1", "name": "look", "arguments": {"at": "cat"}},
         {"type": "tool_call", "id": "call_2", "name": "look", "arguments": "{broken"},
         {"type": "tool_call", "id": "call_3", "name": "run", "arguments": {"not": "parsed?"}}],
    ),
    "in the order it came": (
        [{"type": "message", "id": "a", "role": "assistant", "status": "completed",
          "content": [{"type": "output_text", "text": "First.", "annotations": []}]},
         {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{}"},
         {"type": "message", "id": "b", "role": "assistant", "status": "completed",
          "content": [{"type": "output_text", "text": "Last.", "annotations": []}]}],
        [text("First."), {"type": "tool_call", "id": "call_1", "name": "look", "arguments": {}}, text("Last.")],
    ),
    "nobody knows this one": (
        [{"type": "hologram", "id": "h_1", "url": URL}],
        [{"type": "hologram", "id": "h_1", "url": LEFT_OUT}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("output", "expected"), OUTPUTS.values(), ids=OUTPUTS.keys())
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_an_output(simulator: Simulator, signals: InMemoryTelemetry, output, expected, streams: bool) -> None:
    """Every kind of item of an answer, whole and streamed alike, as a part of the schema; no byte of a picture."""
    with_content(signals)
    simulator.reply("not this", fields={"output": output})
    answer = simulator.openai().responses.create(model="m", input="x", stream=streams)
    assert not streams or list(answer)
    assert said(signals) == expected
    assert fits([{"role": "assistant", "parts": said(signals), "finish_reason": "stop"}], "output")
    assert PIXELS not in everything(signals)


@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call"])
def test_calls_are_the_reason(simulator: Simulator, signals: InMemoryTelemetry, kind: str) -> None:
    """An answer that ends with calls of the program's own tools ended because of them."""
    with_content(signals)
    call = {"type": kind, "id": "x_1", "call_id": "call_1", "name": "f", "arguments": "{}", "input": "ls"}
    simulator.reply("x", fields={"output": [call]})
    simulator.openai().responses.create(model="m", input="x")
    assert (signals.span().attributes or {})["gen_ai.response.finish_reasons"] == ("tool_calls",)


def test_a_compacted_conversation(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """That the provider has shortened the conversation is on the span without any content."""
    observer.observe(tracer_provider=signals.tracer_provider)
    simulator.reply("x", fields={"output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}]})
    simulator.openai().responses.create(model="m", input="x")
    assert (signals.span().attributes or {})["gen_ai.conversation.compacted"] is True


def test_nothing_of_it_without_being_asked_for(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """With the gate closed no item of any kind is on a signal; the file has the request, data URLs left out."""
    observer.observe(tracer_provider=signals.tracer_provider)
    given = [item for items, _ in INPUTS.values() if isinstance(items, list) for item in items]
    output = [item for items, _ in OUTPUTS.values() for item in items]
    simulator.reply("x", fields={"output": output})
    simulator.openai().responses.create(model="m", input=given, instructions="Be NEEDLE.")
    shown = everything(signals)
    assert [word for word in ("cat", "plot", "NEEDLE", PIXELS, "Hm.", "approval") if word in shown] == []
    (event,) = file_events()
    assert len(event["request"]["input"]) == len(given)
    assert event["request"]["input"][3]["content"][1]["image_url"] == LEFT_OUT


def test_credentials_of_a_servers_tool(simulator: Simulator) -> None:
    """Promise 3: what a tool's server is told to be let in is not in the file, however it is told."""
    observer.observe(capture_content="span_and_event")
    tool = {
        "type": "mcp", "server_label": "shop", "server_url": "https://ann:SECRET1@example.com/mcp",
        "authorization": "SECRET2", "headers": {"X-Anything": "SECRET3"},
    }  # fmt: skip
    simulator.openai().responses.create(model="m", input="x", tools=[tool])
    assert simulator.requests[0].json["tools"] == [tool]
    (event,) = file_events()
    assert event["request"]["other"]["tools"] == [
        {"type": "mcp", "server_label": "shop", "server_url": "https://[REDACTED]@example.com/mcp",
         "authorization": "[REDACTED]", "headers": {"X-Anything": "[REDACTED]"}}
    ]  # fmt: skip
