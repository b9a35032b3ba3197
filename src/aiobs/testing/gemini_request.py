"""What a request to Gemini's API asks for, over the Developer API and Vertex AI.

What has an odd type counts as absent, so that odd requests can be tested with good answers. Names are read in camel
case and, as the service does, in snake case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from aiobs.testing.improvise import as_dict, as_dicts
from aiobs.testing.script import Fault, Request

_UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)
_UNAUTHENTICATED = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential."
)


# Values of any type


def field(of: Mapping[str, Any], name: str) -> Any:
    """The value of that name, which is in camel case here and may be in snake case there."""
    return of.get(name, of.get(re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)))


# The request itself


def is_vertex(request: Request) -> bool:
    """Whether it went to Vertex AI rather than to the Developer API."""
    return "/projects/" in request.path or "/publishers/" in request.path


def model_of(request: Request) -> str:
    """The model in the path, without what is before and after it."""
    return request.path.rpartition(":")[0].rpartition("/")[2]


def refused(request: Request, *needed: str) -> Fault | None:
    """What the service says to a request without a key, without an object as its body, or without a field it needs."""
    if (refusal := _unidentified(request)) is not None:
        return refusal
    if not isinstance(request.json, dict):
        return Fault(400, message="Invalid JSON payload received. Unexpected token.")
    for name in needed:
        if not field(request.json, name):
            verb = request.path.rpartition(":")[2]
            kind = f"{verb[:1].upper()}{verb[1:]}Request".removeprefix("Stream")
            return Fault(400, message=f"* {kind}.{name}: {name} is not specified\n")
    return None


def _unidentified(request: Request) -> Fault | None:
    headers = request.headers
    if "authorization" in headers or "x-goog-api-key" in headers or parse_qs(request.query).get("key"):
        return None
    if is_vertex(request):
        return Fault(401, message=_UNAUTHENTICATED)
    return Fault(403, message=_UNREGISTERED)


# The conversation


def contents_of(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The turns of the conversation."""
    return as_dicts(field(asked, "contents"))


def parts_of(content: Any) -> list[Mapping[str, Any]]:
    """The parts of one turn."""
    return as_dicts(as_dict(content).get("parts"))


def text_of(content: Any) -> str:
    """The text of one turn on one line."""
    return " ".join(" ".join(str(part["text"]) for part in parts_of(content) if "text" in part).split())


def last_prompt(asked: Mapping[str, Any]) -> str:
    """What the user said last, in words."""
    said = [text_of(content) for content in contents_of(asked) if content.get("role") != "model"]
    return next((text for text in reversed(said) if text), "nothing")


def function_results(asked: Mapping[str, Any]) -> list[str]:
    """What functions have answered since the last user message; text beside an answer is no new message."""
    results: list[str] = []
    for content in contents_of(asked):
        answers = [field(part, "functionResponse") for part in parts_of(content)]
        found = [_result(as_dict(answer).get("response")) for answer in answers if answer is not None]
        if content.get("role") != "model" and not found and text_of(content):
            results.clear()
        results += found
    return results


def _result(response: Any) -> str:
    """The value in a function's response, which by convention is called ``result`` or ``output``."""
    values = as_dict(response)
    value = next((values[name] for name in ("result", "output") if name in values), response)
    return value if isinstance(value, str) else json.dumps(value)


# What may come back


def config_of(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``generationConfig``."""
    return as_dict(field(asked, "generationConfig"))


def thinking_of(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``thinkingConfig`` in it."""
    return as_dict(field(config_of(asked), "thinkingConfig"))


def offers(asked: Mapping[str, Any], tool: str) -> bool:
    """Whether a tool that runs on the server, such as ``googleSearch``, is on offer."""
    return any(field(offered, tool) is not None for offered in as_dicts(asked.get("tools")))


def callable_functions(asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The functions that the model may call now, declared and allowed."""
    calling = as_dict(field(as_dict(field(asked, "toolConfig")), "functionCallingConfig"))
    mode = str(calling.get("mode", "AUTO")).upper()
    if mode == "NONE" or (mode != "ANY" and function_results(asked)):
        return []
    allowed = field(calling, "allowedFunctionNames")
    tools = as_dicts(asked.get("tools"))
    declared = [function for tool in tools for function in as_dicts(field(tool, "functionDeclarations"))]
    return [each for each in declared if "name" in each and (not isinstance(allowed, list) or each["name"] in allowed)]


def wanted_format(asked: Mapping[str, Any]) -> tuple[str, Any]:
    """The MIME type that is asked for, and the JSON schema if there is one."""
    config = config_of(asked)
    formats = [as_dict(each.get("text")) for each in as_dicts(field(config, "responseFormat"))]
    schema = field(config, "responseJsonSchema") or json_schema(field(config, "responseSchema"))
    kind = field(config, "responseMimeType") or ("application/json" if schema else None)
    for each in formats:
        kind, schema = field(each, "mimeType") or kind, each.get("schema") or schema
    return str(kind or "text/plain"), schema


def json_schema(schema: Any) -> Any:
    """A Gemini ``Schema`` as a JSON schema: types in lower case, whole numbers that came as strings as numbers."""
    if isinstance(schema, list):
        return [json_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {name: _keyword(name, value) for name, value in schema.items()}


def _keyword(name: str, value: Any) -> Any:
    match name, value:
        case "type", str():
            return value.lower()
        case "properties", Mapping():
            return {each: json_schema(inner) for each, inner in value.items()}
        case (("items" | "prefixItems" | "anyOf"), _):
            return json_schema(value)
        case _, str() if name.startswith(("min", "max")) and value.isdecimal():
            return int(value)
    return value
