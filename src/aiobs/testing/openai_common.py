"""What OpenAI's operations have in common: headers, refusals, and reading a request that may be anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiobs.testing.examples_of import example_of
from aiobs.testing.improvise import as_dicts, shortened
from aiobs.testing.script import Reply

CREATED = 1_790_000_000
PREFIX = "(/v1|/openai/v1|/openai/deployments/[^/]+)?"
"""Before the paths of operations, of OpenAI and of Azure."""
JSON_HEADERS = {"content-type": "application/json", "openai-version": "2020-10-01", "openai-processing-ms": "12"}
SSE_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "openai-version": "2020-10-01"}
REASONING_TOKENS = {"none": 0, "minimal": 0, "low": 64, "medium": 128, "high": 256, "xhigh": 512}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Reply:
    """The 400 of a request that the provider refuses, with the parameter that is wrong."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply(400, JSON_HEADERS, json.dumps({"error": error}).encode())


def missing(param: str) -> Reply:
    """The 400 of a request without a parameter that it needs."""
    return bad_request(f"Missing required parameter: {param!r}.", param, "missing_required_parameter")


# Reading the request: what has an odd type counts as absent, so that odd requests can be tested with good answers


def text_of(content: Any) -> str:
    """A message's content on one line, which is text or a list of parts."""
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in as_dicts(content))
    return " ".join(str(content).split())


# What it says, as the request wants it


def json_answer(wanted: Mapping[str, Any], schema: Any, prompt: str) -> str | None:
    """JSON that fits the format wanted (``type``, and ``schema`` for ``json_schema``); None if that is plain text."""
    if wanted.get("type") == "json_schema":
        return json.dumps(example_of(schema or {}, shortened(prompt, 80)))
    if wanted.get("type") == "json_object":
        return json.dumps({"answer": shortened(prompt, 80)})
    return None


def call_of(tool: Mapping[str, Any], custom: bool, prompt: str) -> tuple[str, Any]:
    """A call of the tool as ``Answer.tool_calls`` has it, about the prompt."""
    if custom:
        return f"custom:{tool['name']}", prompt
    return str(tool["name"]), example_of(tool.get("parameters") or {"type": "object"}, shortened(prompt, 80))


def token_logprobs(tokens: Sequence[str], alternatives: int) -> list[dict[str, Any]]:
    """Every token is as likely as the length of it says."""

    def entry(token: str, position: int) -> dict[str, Any]:
        return {"token": token, "logprob": -(len(token) + position) / 16, "bytes": list(token.encode(errors="replace"))}

    def top(token: str) -> list[dict[str, Any]]:
        return [entry(token + "'" * position, position) for position in range(alternatives)]

    return [{**entry(token, 0), "top_logprobs": top(token)} for token in tokens]
