"""The output items of a response: reasoning, calls of hosted tools, the message, calls of the program's own tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiobs.testing.improvise import as_count, as_dict, pieces, sentence, shortened, token_count
from aiobs.testing.openai_common import REASONING_TOKENS, call_of, json_answer, token_logprobs
from aiobs.testing.openai_responses_hosted import CITATIONS, Item, hosted_calls
from aiobs.testing.openai_responses_request import includes, last_prompt, offered_tools, too_few_tokens, tool_results
from aiobs.testing.script import Answer

_BROKEN = ("failed", "error")
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
}


def output_of(answer: Answer, asked: Mapping[str, Any], number: int, status: str) -> list[Item]:
    """Every item of the answer (which is filled in), in the order of the real service, with ids of that request."""
    hosted = [] if answer.finish_reason in _BROKEN else hosted_calls(asked)
    message = _message(answer, asked, hosted)
    items = [*_reasoning(answer, asked), *hosted, *message, *_calls(answer, number)]
    if items and status != "completed" and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    return [
        {"id": f"{_PREFIXES.get(item['type'], 'item')}_simulated{number:06d}{place:02d}", **item}
        for place, item in enumerate(items)
    ]


def filled_in(answer: Answer, asked: Mapping[str, Any]) -> Answer:
    """The answer with what was left open made up from the request."""
    said = any(part is not None for part in (answer.text, answer.tool_calls, answer.refusal))
    if not said and answer.finish_reason not in _BROKEN:
        call = _tool_to_call(asked)
        answer = replace(answer, tool_calls=[call]) if call else replace(answer, text=_text(asked))
    if answer.fault.padding:
        answer = replace(answer, text=(answer.text or "") + "." * answer.fault.padding)
    return replace(answer, finish_reason=answer.finish_reason or ("length" if too_few_tokens(asked) else "stop"))


def reasoning_tokens(answer: Answer, asked: Mapping[str, Any]) -> int:
    """As many as the scripted reasoning has, or as the effort costs; a summary alone means medium effort."""
    if answer.reasoning:
        return token_count(answer.reasoning)
    wanted = as_dict(asked.get("reasoning"))
    effort = wanted.get("effort") or ("medium" if wanted.get("summary") else None)
    return REASONING_TOKENS.get(str(effort), 0)


# The items of the model


def _reasoning(answer: Answer, asked: Mapping[str, Any]) -> Iterator[Item]:
    if not reasoning_tokens(answer, asked):
        return
    summary = answer.reasoning
    if summary is None and as_dict(asked.get("reasoning")).get("summary"):
        summary = f"**Thinking it over**\n\nThe question is “{shortened(last_prompt(asked), 60)}”."
    parts = [{"type": "summary_text", "text": summary}] if summary else []
    item: Item = {"type": "reasoning", "summary": parts}
    yield {**item, "encrypted_content": "gAAAAABsimulated"} if includes(asked, "reasoning.encrypted_content") else item


def _message(answer: Answer, asked: Mapping[str, Any], hosted: Sequence[Item]) -> list[Item]:
    content: list[dict[str, Any]] = []
    if answer.text is not None:
        content.append(
            {
                "type": "output_text",
                "annotations": [CITATIONS[call["type"]](answer.text) for call in hosted if call["type"] in CITATIONS],
                "logprobs": _logprobs(answer.text, asked),
                "text": answer.text,
            }
        )
    if answer.refusal is not None:
        content.append({"type": "refusal", "refusal": answer.refusal})
    message = {"type": "message", "status": "completed", "content": content, "role": "assistant", **answer.message}
    return [message] if content else []


def _logprobs(text: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not includes(asked, "message.output_text.logprobs"):
        return []
    return token_logprobs(pieces(text), as_count(asked.get("top_logprobs"), 20))


def _calls(answer: Answer, number: int) -> Iterator[Item]:
    for place, (name, arguments) in enumerate(answer.tool_calls or ()):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        said = {"status": "completed", "call_id": f"call_simulated{number:06d}{place:02d}"}
        if name.startswith("custom:"):
            yield {"type": "custom_tool_call", **said, "input": text, "name": name.removeprefix("custom:")}
        else:
            yield {"type": "function_call", **said, "arguments": text, "name": name}


def _tool_to_call(asked: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The function or custom tool that is forced, or the first on offer, unless tools have answered already."""
    for tool in offered_tools(asked):
        if tool.get("type") in ("function", "custom") and "name" in tool:
            return call_of(tool, tool["type"] == "custom", last_prompt(asked))
    return None


def _text(asked: Mapping[str, Any]) -> str:
    wanted = as_dict(as_dict(asked.get("text")).get("format"))
    prompt = last_prompt(asked)
    text = json_answer(wanted, wanted.get("schema"), prompt) or sentence(prompt, tool_results(asked))
    room = too_few_tokens(asked)
    return text[: 4 * room] if room else text
