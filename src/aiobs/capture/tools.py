"""Tools that an SDK runs for the model: one ``execute_tool`` span for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aiobs.capture.function import FunctionRecording, Target, start
from aiobs.semconv import names
from aiobs.semconv.encode import Attributes
from aiobs.semconv.serialise import clean_text


class ToolUse(NamedTuple):
    """One call of a tool, as the model asked for it.

    ``cause_of`` finds what the tool raised in what its runner raises; ``error_of`` gives the ``error.type`` of a result
    that says that the tool failed.
    """

    name: str
    arguments: dict[str, Any]
    call_id: str | None = None
    description: str | None = None
    cause_of: Callable[[BaseException], BaseException] | None = None
    error_of: Callable[[Any], str | None] | None = None


def start_tool(use: ToolUse) -> FunctionRecording | None:
    """Begin to record the execution of a tool, or None when nothing would be recorded."""
    attributes: Attributes = {
        names.OPERATION: names.EXECUTE_TOOL,
        names.TOOL_NAME: clean_text(use.name),
        names.TOOL_TYPE: names.FUNCTION,
    }
    if use.call_id:
        attributes[names.TOOL_CALL_ID] = clean_text(use.call_id)
    if use.description:
        attributes[names.TOOL_DESCRIPTION] = clean_text(use.description)
    target = Target(
        name=clean_text(f"{names.EXECUTE_TOOL} {use.name}"),
        api=f"tool:{use.name}",
        title=f"tool:{use.name}",
        module=None,
        callsite=None,
        attributes=attributes,
        content=(names.TOOL_ARGUMENTS, names.TOOL_RESULT),
        tool=clean_text(use.name),
        cause_of=use.cause_of,
        error_of=use.error_of,
    )
    return start(target, (), use.arguments)
