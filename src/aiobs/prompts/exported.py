"""Marked calls of session files, any number of them: the same traces as those that an enhancer gets in the process.

A span that is in several files (a run that was flushed twice, files that were merged) counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aiobs.capture.prompt_trace import ModelCall, PromptTrace
from aiobs.errors import UnreadableFile
from aiobs.reading import entries

_LISTS = ("events", "function_events")

_COUNTS = {
    "input_tokens": ("prompt_tokens", "input_tokens", "prompt_token_count"),
    "output_tokens": ("completion_tokens", "output_tokens", "candidates_token_count"),
}
"""What each count is called in the usage of the SDKs."""

_ASKED = ("messages", "contents", "input", "prompt")
_INSTRUCTIONS = ("system_instruction", "instructions")
_FORMS = ("response_format", "response_schema", "response_json_schema", "response_mime_type", "text_format")

Event = dict[str, Any]


def marked_calls(files: Iterable[Path]) -> dict[str, list[PromptTrace]]:
    """The marked calls of each function, by its qualified name, oldest first.

    Plain or gzip, of any size: the files are read twice, and of their events only the marked ones and the model calls
    in them are in memory. Raises UnreadableFile (a ValueError), which names the file and says what is wrong with it.
    """
    files = [*files]
    above: dict[str, Any] = {}
    marked: dict[str, Event] = {}
    for _, event in _events(files):
        above[event["span_id"]] = event.get("parent_span_id")
        if event.get("enh_prompt_id"):
            marked[event["span_id"]] = event
    traces = {event["span_id"]: _trace(event) for event in sorted(marked.values(), key=_started)}
    for event in sorted(_calls_in(files, above, traces), key=_started):
        _owner(event["span_id"], above, traces).calls.append(_model_call(event))
    found: dict[str, list[PromptTrace]] = {}
    for span_id, trace in traces.items():
        found.setdefault(str(marked[span_id].get("api")), []).append(trace)
    return found


def _events(files: Iterable[Path]) -> Iterator[tuple[str, Event]]:
    """Name of the list and event, of all files."""
    for file in files:
        for name, event in entries(file):
            if name not in _LISTS:
                continue
            if not isinstance(event, dict) or not isinstance(event.get("span_id"), str):
                raise UnreadableFile(f"{file} has an event without span_id. Call `aiobs validate {file}` to see where.")
            yield name, event


def _calls_in(files: Iterable[Path], above: dict[str, Any], traces: dict[str, PromptTrace]) -> Iterable[Event]:
    """The model calls that were made in one of these, each once."""
    events = (event for name, event in _events(files) if name == "events")
    return {
        event["span_id"]: event for event in events if _owner(event["span_id"], above, traces) is not _NOBODY
    }.values()


def _started(event: Event) -> float:
    value = event.get("started_at")
    return value if isinstance(value, (int, float)) else 0.0


def _owner(span: str, above: dict[str, Any], traces: dict[str, PromptTrace]) -> PromptTrace:
    """The innermost marked call around a span, or _NOBODY."""
    seen = set()
    parent = above.get(span)
    while parent is not None and parent not in seen:
        if parent in traces:
            return traces[parent]
        seen.add(parent)
        parent = above.get(parent)
    return _NOBODY


_NOBODY = PromptTrace("")


def _trace(event: Event) -> PromptTrace:
    has_inputs = event.get("args") is not None or event.get("kwargs") is not None
    return PromptTrace(
        enh_prompt_id=str(event["enh_prompt_id"]),
        inputs={"args": event.get("args"), "kwargs": event.get("kwargs")} if has_inputs else None,
        result=event.get("result"),
        error=event.get("error"),
        duration_ms=_number(event.get("duration_ms")),
        trace_id=str(event.get("trace_id")),
        span_id=event["span_id"],
    )


def _model_call(event: Event) -> ModelCall:
    request, response = _mapping(event.get("request")), _mapping(event.get("response"))
    error = event.get("error")
    options = {**request, **_mapping(request.get("other")), **_mapping(request.get("config"))}
    text = response.get("text")
    return ModelCall(
        model=request.get("model") or response.get("model"),
        messages=_messages(options),
        text=text if isinstance(text, str) else None,
        usage=_usage(_mapping(response.get("usage"))),
        error=str(error).partition(":")[0] if error else None,
        duration_ms=_number(event.get("duration_ms")),
        output_type=next(("json" for name in _FORMS if options.get(name)), None),
    )


def _usage(given: Event) -> dict[str, int]:
    found = {name: next((given[key] for key in keys if key in given), None) for name, keys in _COUNTS.items()}
    return {name: count for name, count in found.items() if type(count) is int}


def _messages(request: Event) -> list[dict[str, str]]:
    """What was said, as role and text, whatever the SDK calls it."""
    instructions = [request[name] for name in _INSTRUCTIONS if request.get(name)]
    asked: Any = next((request[name] for name in _ASKED if request.get(name)), [])
    said = asked if isinstance(asked, list) else [asked]
    return [
        *({"role": "system", "content": _text(item)} for item in instructions),
        *({"role": _role(item), "content": _text(item)} for item in said),
    ]


def _role(item: Any) -> str:
    role = item.get("role") if isinstance(item, dict) else None
    return role if isinstance(role, str) else "user"


def _text(item: Any) -> str:
    """The texts in a message of any SDK, one per line; what is no text by the name of its type."""
    if isinstance(item, str):
        return item
    if isinstance(item, list):
        return "\n".join(map(_text, item))
    if not isinstance(item, dict):
        return ""
    inner = next((item[key] for key in ("content", "parts", "text") if item.get(key) is not None), None)
    return f"[{item.get('type', 'part')}]" if inner is None else _text(inner)


def _mapping(value: Any) -> Event:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
