"""Reading a request for a response: what was said, what tools may be called, what is to be included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiobs.testing.improvise import as_count, as_dict, as_dicts
from aiobs.testing.openai_common import text_of

FEWEST_TOKENS = 16  # an answer with less room than that does not get finished


def offered_tools(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tools that may be called, as ``tool_choice`` says; none after results since the last user message."""
    choice = asked.get("tool_choice")
    if choice == "none" or tool_results(asked):
        return []
    choices = as_dicts(as_dict(choice).get("tools")) or [as_dict(choice)]
    wanted = [{key: each[key] for key in ("type", "name", "server_label") if key in each} for each in choices]
    return [tool for tool in as_dicts(asked.get("tools")) if any(each.items() <= tool.items() for each in wanted)]


def input_items(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The input as a list of items; a string is a user message."""
    said = asked.get("input")
    return [{"role": "user", "content": said}] if isinstance(said, str) else as_dicts(said)


def last_prompt(asked: Mapping[str, Any]) -> str:
    """What the user said last, or the instructions if nobody said anything."""
    said = [text_of(item.get("content")) for item in input_items(asked) if item.get("role") == "user"]
    return [text_of(asked.get("instructions") or "nothing"), *said][-1]


def tool_results(asked: Mapping[str, Any]) -> list[str]:
    """What tools have answered since the last user message."""
    results: list[str] = []
    for item in input_items(asked):
        if item.get("role") == "user":
            results.clear()
        elif item.get("type") in ("function_call_output", "custom_tool_call_output"):
            results.append(text_of(item.get("output")))
    return results


def includes(asked: Mapping[str, Any], what: str) -> bool:
    """Whether ``include`` names it."""
    include = asked.get("include")
    return isinstance(include, list) and what in include


def too_few_tokens(asked: Mapping[str, Any]) -> int:
    """``max_output_tokens`` if that is too few for an answer, else 0."""
    most = as_count(asked.get("max_output_tokens"), FEWEST_TOKENS)
    return most if most < FEWEST_TOKENS else 0
