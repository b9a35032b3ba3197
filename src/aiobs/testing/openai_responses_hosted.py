"""The tools that OpenAI runs itself for a response: web search, file search, code, images, MCP servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiobs.testing.improvise import shortened
from aiobs.testing.openai_responses_request import includes, input_items, last_prompt, offered_tools

Item = dict[str, Any]
_TOKENS_PER_IMAGE = (50, 272)  # of its prompt, of the image
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def hosted_calls(asked: Mapping[str, Any]) -> list[Item]:
    """One call of each hosted tool on offer, in their order; the service runs them before the model answers."""
    calls: list[Item] = []
    for tool in offered_tools(asked):
        kind = "web_search" if str(tool.get("type")).startswith("web_search") else tool.get("type")
        if isinstance(kind, str) and kind in _HOSTED:
            calls.extend(_HOSTED[kind](tool, asked))
    return calls


def tool_usage(output: Sequence[Item]) -> dict[str, Any]:
    """What the hosted tools cost beside the model's own tokens: ``image_gen`` tokens, ``web_search`` requests."""
    kinds = [item["type"] for item in output]
    asked, drawn = (count * kinds.count("image_generation_call") for count in _TOKENS_PER_IMAGE)
    images = {
        "input_tokens": asked,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": asked},
        "output_tokens": drawn,
        "output_tokens_details": {"image_tokens": drawn, "text_tokens": 0},
        "total_tokens": asked + drawn,
    }
    return {"image_gen": images, "web_search": {"num_requests": kinds.count("web_search_call")}}


def _web_search(tool: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Item]:
    query = shortened(last_prompt(asked), 80)
    action: dict[str, Any] = {"type": "search", "query": query, "queries": [query]}
    if includes(asked, "web_search_call.action.sources"):
        action["sources"] = [{"type": "url", "url": "https://example.com/"}]
    return [{"type": "web_search_call", "status": "completed", "action": action}]


def _file_search(tool: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Item]:
    found = {"attributes": {}, "file_id": "file-simulated", "filename": "notes.txt", "score": 0.9, "text": "A note."}
    results = [found] if includes(asked, "file_search_call.results") else None
    queries = [shortened(last_prompt(asked), 80)]
    return [{"type": "file_search_call", "status": "completed", "queries": queries, "results": results}]


def _code_interpreter(tool: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Item]:
    wanted = includes(asked, "code_interpreter_call.outputs")
    container = tool.get("container")
    return [
        {
            "type": "code_interpreter_call",
            "status": "completed",
            "code": "print(6 * 7)",
            "container_id": container if isinstance(container, str) else "cntr_simulated",
            "outputs": [{"type": "logs", "logs": "42\n"}] if wanted else None,
        }
    ]


def _image_generation(tool: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Item]:
    default = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
    chosen = {name: tool.get(name) or value for name, value in default.items()}
    prompt = shortened(last_prompt(asked), 80)
    return [
        {
            "type": "image_generation_call",
            "status": "completed",
            **chosen,
            "result": _PIXEL,
            "revised_prompt": f"A picture of “{prompt}”.",
        }
    ]


def _mcp(tool: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Item]:
    """The server's tools, unless they were listed earlier in the input, and a call of the first."""
    server = tool.get("server_label")
    allowed = tool.get("allowed_tools")
    name = str(allowed[0]) if isinstance(allowed, list) and allowed else "search"
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    listed = {"name": name, "description": "Searches.", "input_schema": schema, "annotations": {"read_only": True}}
    known = any(item.get("type") == "mcp_list_tools" for item in input_items(asked))
    call = {
        "type": "mcp_call",
        "status": "completed",
        "approval_request_id": None,
        "arguments": json.dumps({"query": shortened(last_prompt(asked), 80)}),
        "error": None,
        "name": name,
        "output": "A simulated result.",
        "server_label": server,
    }
    return [*([] if known else [{"type": "mcp_list_tools", "server_label": server, "tools": [listed]}]), call]


_HOSTED: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], list[Item]]] = {
    "web_search": _web_search,
    "file_search": _file_search,
    "code_interpreter": _code_interpreter,
    "image_generation": _image_generation,
    "mcp": _mcp,
}


def _url_citation(text: str) -> dict[str, Any]:
    found = {"title": "An example", "url": "https://example.com/"}
    return {"type": "url_citation", "start_index": 0, "end_index": len(text), **found}


def _file_citation(text: str) -> dict[str, Any]:
    return {"type": "file_citation", "file_id": "file-simulated", "filename": "notes.txt", "index": len(text)}


CITATIONS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "web_search_call": _url_citation,
    "file_search_call": _file_citation,
}
