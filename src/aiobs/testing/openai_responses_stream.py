"""The events of a streamed response: a pure function of the response as it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiobs.testing.improvise import as_dict, as_dicts, pieces
from aiobs.testing.openai_common import token_logprobs

Event = dict[str, Any]


def events(response: Mapping[str, Any], chunks: int | None = None, *, error: bool = False) -> list[bytes]:
    """Server-sent events from ``response.created`` to the one of its status; with ``error``, to an ``error`` event.

    ``chunks``: into how many pieces text is cut.
    """
    sent = []
    for number, event in enumerate(_events(response, chunks, error)):
        data = json.dumps({**event, "sequence_number": number})
        sent.append(f"event: {event['type']}\ndata: {data}\n\n".encode())
    return sent


def unfinished(response: Mapping[str, Any], status: str) -> dict[str, Any]:
    """The response as it was with that status: without output, usage or end."""
    open_ends = dict.fromkeys(("completed_at", "error", "incomplete_details", "usage"))
    return {**response, **open_ends, "status": status, "output": []}


def _events(response: Mapping[str, Any], chunks: int | None, error: bool) -> Iterator[Event]:
    first = "queued" if response.get("background") else "in_progress"
    yield {"type": "response.created", "response": unfinished(response, first)}
    if first == "queued":
        yield {"type": "response.queued", "response": unfinished(response, "queued")}
    yield {"type": "response.in_progress", "response": unfinished(response, "in_progress")}
    for index, item in enumerate(as_dicts(response.get("output"))):
        yield {"type": "response.output_item.added", "output_index": index, "item": _begun(item)}
        for event in _course(item, chunks):
            yield {**event, "item_id": item.get("id"), "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    if error:
        yield {"type": "error", "param": None, **as_dict(response.get("error"))}
    else:
        yield {"type": f"response.{response.get('status') or 'completed'}", "response": response}


# What a stream tells of an item between its two ends


@dataclass(frozen=True)
class _Call:
    """How a call goes: steps ``before`` and ``after`` the ``text`` (a field of the item) that comes in deltas."""

    before: tuple[str, ...] = ()
    text: str | None = None
    event: str = ""
    after: tuple[str, ...] = ()


_CALLS = {
    "function_call": _Call(text="arguments", event="function_call_arguments"),
    "custom_tool_call": _Call(text="input", event="custom_tool_call_input"),
    "web_search_call": _Call(("in_progress", "searching"), after=("completed",)),
    "file_search_call": _Call(("in_progress", "searching"), after=("completed",)),
    "code_interpreter_call": _Call(
        ("in_progress",), "code", "code_interpreter_call_code", after=("interpreting", "completed")
    ),
    "image_generation_call": _Call(("in_progress", "generating"), after=("completed",)),
    "mcp_list_tools": _Call(("in_progress",), after=("completed",)),
    "mcp_call": _Call(("in_progress",), "arguments", "mcp_call_arguments", after=("completed",)),
}
_EMPTY: Mapping[str, Mapping[str, Any]] = {  # fields that fill up on the way
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "file_search_call": {"queries": [], "results": None},
    "code_interpreter_call": {"code": "", "outputs": []},
    "mcp_list_tools": {"tools": []},
    "mcp_call": {"arguments": "", "output": None},
}
_LATER = {  # fields that are absent at first
    "web_search_call": ("action",),
    "image_generation_call": ("background", "output_format", "quality", "result", "revised_prompt", "size"),
}


def _begun(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(item.get("type"))
    known = {name: value for name, value in item.items() if name not in _LATER.get(kind, ())}
    return {**known, **({"status": "in_progress"} if "status" in item else {}), **_EMPTY.get(kind, {})}


def _course(item: Mapping[str, Any], chunks: int | None) -> Iterator[Event]:
    kind = str(item.get("type"))
    if kind == "message":
        for index, part in enumerate(as_dicts(item.get("content"))):
            yield from ({**event, "content_index": index} for event in _content_part(part, chunks))
    elif kind == "reasoning":
        for index, part in enumerate(as_dicts(item.get("summary"))):
            yield from ({**event, "summary_index": index} for event in _summary_part(part))
    elif kind in _CALLS:
        yield from _call(kind, item)


def _content_part(part: Mapping[str, Any], chunks: int | None) -> Iterator[Event]:
    if part.get("type") == "refusal":
        yield {"type": "response.content_part.added", "part": {**part, "refusal": ""}}
        yield from _deltas("refusal", part, "refusal", chunks)
    else:
        yield {"type": "response.content_part.added", "part": {**part, "text": "", "annotations": [], "logprobs": []}}
        yield from _text(part, chunks)
    yield {"type": "response.content_part.done", "part": part}


def _text(part: Mapping[str, Any], chunks: int | None) -> Iterator[Event]:
    """Deltas, annotations, the whole text; log probabilities with the first and the last if the part has any."""
    logprobs = as_dicts(part.get("logprobs"))
    alternatives = len(as_dicts(logprobs[0].get("top_logprobs"))) if logprobs else 0
    *deltas, done = _deltas("output_text", part, "text", chunks)
    for delta in deltas:
        yield {**delta, "logprobs": token_logprobs([delta["delta"]], alternatives) if logprobs else []}
    for index, annotation in enumerate(as_dicts(part.get("annotations"))):
        added = {"type": "response.output_text.annotation.added", "annotation_index": index}
        yield {**added, "annotation": annotation}
    yield {**done, "logprobs": logprobs}


def _summary_part(part: Mapping[str, Any]) -> Iterator[Event]:
    yield {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}}
    yield from _deltas("reasoning_summary_text", part, "text", None)
    yield {"type": "response.reasoning_summary_part.done", "part": part}


def _call(kind: str, item: Mapping[str, Any]) -> Iterator[Event]:
    call = _CALLS[kind]
    yield from ({"type": f"response.{kind}.{step}"} for step in call.before)
    if call.text is not None:
        yield from _deltas(call.event, item, call.text, 2)
    yield from ({"type": f"response.{kind}.{step}"} for step in call.after)


def _deltas(event: str, part: Mapping[str, Any], field: str, chunks: int | None) -> Iterator[Event]:
    """A field of text in pieces, and then as a whole."""
    for piece in pieces(part.get(field), chunks):
        yield {"type": f"response.{event}.delta", "delta": piece}
    yield {"type": f"response.{event}.done", field: part.get(field)}
