"""Sessions of the Model Context Protocol as tools: the server is real and in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import attributes_of, everything, tree_of
from tests.versions import aio_of

pytest.importorskip("mcp", reason="not in the environments of old SDKs")

from mcp import types  # only where it is installed
from mcp.client import Client
from mcp.server import Server

REQUEST = "generate_content m"


async def _list_tools(context: Any, given: Any) -> types.ListToolsResult:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    return types.ListToolsResult(
        tools=[types.Tool(name="weather", description="The weather in a city.", inputSchema=schema)]
    )


async def _call_tool(context: Any, given: Any) -> types.CallToolResult:
    city = given.arguments["city"]
    text = types.TextContent(type="text", text=f"nothing of {city}" if city == "Atlantis" else f"sunny in {city}")
    return types.CallToolResult(content=[text], isError=city == "Atlantis")


async def whole(client: Any, config: Any) -> Any:
    return await client.models.generate_content(model="m", contents="q", config=config)


async def streamed(client: Any, config: Any) -> Any:
    return [
        chunk async for chunk in await client.models.generate_content_stream(model="m", contents="q", config=config)
    ]


every_way = pytest.mark.parametrize("call", [whole, streamed])  # chats copy their config, which a session cannot be


def ask(simulator: Simulator, call: Callable[..., Any], *cities: str) -> None:
    """The model asks the server's tool about each city, then answers."""

    async def program() -> None:
        server = Server("weather", on_list_tools=_list_tools, on_call_tool=_call_tool)
        async with Client(server) as protocol, aio_of(simulator.gemini()) as client:
            await call(client, {"tools": [protocol.session]})

    simulator.reply(tool_calls=[("weather", {"city": city}) for city in cities])
    simulator.reply("It is sunny.")
    asyncio.run(program())


@every_way
def test_a_tool_of_a_session(simulator: Simulator, signals: InMemoryTelemetry, call: Callable[..., Any]) -> None:
    """A span as a function has: name, id, type, description; arguments and result under the open gate."""
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    ask(simulator, call, "Rome")
    assert tree_of(signals) == ["automatic_function_calling m", [REQUEST, "execute_tool weather", REQUEST]]
    found = attributes_of(signals.span("execute_tool weather"))
    assert "sunny in Rome" in found.pop("gen_ai.tool.call.result")
    assert found == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "The weather in a city.",
        "gen_ai.tool.call.id": "call_simulated00",
        "gen_ai.tool.call.arguments": '{"city":"Rome"}',
    }


@every_way
def test_a_tool_that_says_that_it_failed(
    simulator: Simulator, instrumented: InMemoryTelemetry, call: Callable[..., Any]
) -> None:
    """MCP answers with an error instead of raising: the tool's span fails, the helper's does not, nothing leaks."""
    ask(simulator, call, "Rome", "Atlantis")
    good, failed = [span for span in instrumented.spans if span.name == "execute_tool weather"]
    assert (good.status.status_code, failed.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert (failed.status.description, attributes_of(failed)["error.type"]) == ("tool_error", "tool_error")
    assert instrumented.span("automatic_function_calling m").status.status_code is StatusCode.UNSET
    assert "Atlantis" not in everything(instrumented)
    points = instrumented.metrics()["gen_ai.execute_tool.duration"]
    assert sorted(str(point.attributes.get("error.type")) for point in points) == ["None", "tool_error"]
