"""Automatic function calling: when a call makes several requests, and the functions that the SDK runs in between."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from aiobs.capture import wrappers
from aiobs.capture.function import FunctionRecording
from aiobs.capture.tools import ToolUse, start_tool
from aiobs.guard import guarded
from aiobs.instrumentation.fields import items
from aiobs.instrumentation.google_genai.fields import bare_model, field

_asked: ContextVar[list[tuple[str, str | None]]] = ContextVar("aiobs-google-function-calls")
"""Name and id of the calls in the answer whose functions the SDK is about to run, in their order."""


def model_with_functions(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The model of a call that was given functions to run; None for any other."""
    return (bare_model(kwargs.get("model")) or "") if _runs_functions(kwargs.get("config")) else None


def model_of_chat(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The same for a message of a chat, whose config stands in for one that is not given."""
    config = kwargs.get("config") or (args[1] if len(args) > 1 else None) or getattr(instance, "_config", None)
    return (bare_model(getattr(instance, "_model", None)) or "") if _runs_functions(config) else None


def may_continue(kwargs: dict[str, Any]) -> bool:
    """The SDK asks for the rest of an answer that is to be continued, unless it is told not to."""
    return field(kwargs.get("config"), "automatic_continuation") is not False


def _runs_functions(config: Any) -> bool:
    """Functions among the tools, which are not mixed with declarations, and the SDK may run them."""
    tools = items(field(config, "tools"))
    if not any(callable(tool) or _is_mcp_session(tool) for tool in tools):
        return False
    if any(field(tool, "function_declarations") for tool in tools):
        return False
    options = field(config, "automatic_function_calling")
    most = field(options, "maximum_remote_calls")
    return not field(options, "disable") and not (isinstance(most, int) and most < 2)


def _is_mcp_session(tool: Any) -> bool:
    return any(base.__name__ == "ClientSession" for base in type(tool).__mro__)


# What the SDK runs


def note_calls(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Keep the ids of the calls while they are run: what runs them knows but names and arguments."""
    token = guarded(_note_calls, args, kwargs)
    try:
        return wrapped(*args, **kwargs)
    finally:
        guarded(_forget_calls, token)


async def note_calls_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The same of the async client."""
    token = guarded(_note_calls, args, kwargs)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        guarded(_forget_calls, token)


def _note_calls(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Token[Any]:
    response = args[0] if args else kwargs.get("response")
    first = next(iter(items(field(response, "candidates"))), None)
    parts = items(field(field(first, "content"), "parts"))
    calls = [call for part in parts if (call := field(part, "function_call")) is not None]
    return _asked.set([(str(field(call, "name")), field(call, "id")) for call in calls])


def _forget_calls(token: Token[Any] | None) -> None:
    if token is not None:
        _asked.reset(token)


def run_function(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function inside its span."""
    return wrappers.call(wrapped, _begin_function)(*args, **kwargs)


def run_coroutine(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a coroutine function inside its span."""
    return wrappers.coroutine(wrapped, _begin_function)(*args, **kwargs)


def run_mcp_tool(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a tool of an MCP session inside its span."""
    return wrappers.coroutine(wrapped, _begin_mcp_tool)(*args, **kwargs)


def _begin_function(args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionRecording | None:
    given = dict(zip(("args", "function_to_invoke"), args, strict=False)) | kwargs
    function = given.get("function_to_invoke")
    name = str(getattr(function, "__name__", type(function).__name__))
    arguments = given.get("args")
    arguments = dict(arguments) if isinstance(arguments, dict) else {}
    return start_tool(ToolUse(name, arguments, _id_of(name), inspect.getdoc(function), _cause))


def _begin_mcp_tool(args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionRecording | None:
    call = args[0] if args else kwargs.get("function_call")
    name, arguments = str(field(call, "name") or ""), field(call, "args")
    return start_tool(ToolUse(name, dict(arguments) if isinstance(arguments, dict) else {}, _id_of(name)))


def _id_of(name: str) -> str | None:
    """The id of the first call of this name that has not been run."""
    asked = _asked.get([])
    for position, (called, call_id) in enumerate(asked):
        if called == name:
            del asked[position]
            return call_id if isinstance(call_id, str) else None
    return None


def _cause(error: BaseException) -> BaseException:
    """What the function raised; the SDK puts an error of its own around it."""
    inner = error.__context__
    return inner if type(error).__name__ == "FunctionInvocationError" and inner is not None else error
