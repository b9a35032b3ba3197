"""Sessions and events on a terminal: trees with bars, and single calls with what they asked and got."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text
from rich.tree import Tree

from aiobs.reading.tree import nested, walk

_PLAIN_WIDTH = 160
_BAR = 16
_DURATION = 12
_LONGEST = 2000
_ASCII = str.maketrans({"◆": "*", "✗": "x", "→": "->", "━": "=", "µ": "u", "…": "...", "·": "-", "ƒ": "f", "─": "-"})


@contextmanager
def page() -> Iterator[Console]:
    """A console that prints at the end, in what the encoding of standard output knows; wide where no terminal is."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    with console.capture() as printed:
        yield console
    console.file.write(_encodable(printed.get(), console.encoding))


def _encodable(text: str, encoding: str) -> str:
    if encoding.lower().replace("-", "").startswith("utf"):
        return text.encode("utf-8", "replace").decode("utf-8")
    return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)


def clean(text: str) -> str:
    """Without control characters, which could move the cursor or change the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text.expandtabs(4))


# Trees


def print_session(
    console: Console, session: dict[str, Any], calls: list[dict[str, Any]], functions: list[dict[str, Any]], left: int
) -> int:
    """One session as a tree of at most ``left`` events; how many are left after that."""
    roots = nested(calls, functions)
    rows = [(depth, node) for depth, node in walk(roots)]
    first = min((node["started_at"] for node in roots), default=0.0)
    scale = max((node["ended_at"] for _, node in rows), default=0.0) - first or 1.0
    shown = rows[: max(0, left)]
    width = max((_label(node).cell_len + 4 * (depth + 1) for depth, node in shown), default=0)
    width = min(width, console.width - _DURATION)
    bars = max(0, min(_BAR, console.width - width - _DURATION))
    tree = Tree(_title(session, calls, functions), guide_style="dim")
    branches = {-1: tree}
    for depth, node in shown:
        line = _label(node)
        line.truncate(max(1, width - 4 * (depth + 1)), overflow="ellipsis", pad=True)
        line.append(f"  {duration(node['duration_ms']):>8}  ", style="bold")
        line.append(_bar(node, first, scale, bars), style="red" if node.get("error") else "cyan")
        branches[depth] = branches[depth - 1].add(line)
    console.print(tree)
    console.print()
    return left - len(shown)


def print_rest(console: Console, count: int, limit: int) -> None:
    """Say what was not shown."""
    if limit and count > limit:
        console.print(Text(clean(f"… {count - limit:,} more events; --limit 0 shows all."), style="dim"))


def _title(session: dict[str, Any], calls: Sequence[dict[str, Any]], functions: Sequence[dict[str, Any]]) -> Text:
    """Name, begin, length, labels of the program; below: what it did in numbers."""
    title = Text(clean(str(session.get("name") or "session")), style="bold")
    facts = [_moment(session.get("started_at"))]
    facts.append(
        "open" if session.get("ended_at") is None else duration(1000 * (session["ended_at"] - session["started_at"]))
    )
    facts += [f"{key}={value}" for key, value in (session.get("labels") or {}).items() if not key.startswith("aiobs_")]
    title.append(clean("  " + "  ".join(filter(None, facts))), style="dim")
    failed = sum(1 for event in (*calls, *functions) if event.get("error"))
    counts = [_count(len(calls), "call"), _count(len(functions), "function")]
    counts += [f"{spent:,} → {made:,} tokens" for spent, made in [_totals(calls)] if spent or made]
    counts += [f"${cost:,.4f}" for cost in [sum(event.get("cost_usd") or 0 for event in calls)] if cost]
    title.append(clean("\n" + " · ".join(counts)), style="dim")
    if failed:
        title.append(clean(f" · {failed:,} failed"), style="red")
    return title


def _label(event: dict[str, Any]) -> Text:
    """A mark for calls of a model, a cross for failures; what it was, and its facts."""
    failed: str | None = event.get("error")
    is_call = event.get("event_type", "provider") == "provider" and "name" not in event
    label = Text(no_wrap=True)
    label.append(
        clean("✗ " if failed else "◆ " if is_call else "ƒ "),
        style="red" if failed else "cyan" if is_call else "dim",
    )
    what = f"{event['api']}  {_model(event) or ''}".rstrip() if is_call else str(event["name"])
    label.append(clean(what).replace("\n", " "), style="red" if failed else "cyan" if is_call else "")
    for fact in _facts(event):
        label.append(clean(f"  {fact}"), style="dim")
    if failed:
        label.append(clean(f"  {failed.partition(chr(10))[0]}"[:90]), style="red")
    return label


def _model(event: dict[str, Any]) -> str | None:
    for part in ("response", "request"):
        found = event.get(part)
        if isinstance(found, dict) and isinstance(found.get("model"), str):
            return str(found["model"])
    return None


def _facts(event: dict[str, Any]) -> list[str]:
    response = event.get("response") if isinstance(event.get("response"), dict) else {}
    facts, (spent, made) = [], tokens(event)
    if spent is not None or made is not None:
        facts.append(f"{_number(spent)} → {_number(made)} tokens")
    if isinstance(event.get("cost_usd"), (int, float)):
        facts.append(f"${event['cost_usd']:.4f}")
    if isinstance(first := (response or {}).get("ttft_ms"), (int, float)):
        facts.append(f"first chunk {duration(first)}")
    if (response or {}).get("incomplete"):
        facts.append("incomplete")
    return facts


_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count")
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count")


def tokens(event: dict[str, Any]) -> tuple[int | None, int | None]:
    """Tokens in and out, in the words of whatever provider; None where it said nothing."""
    response = event.get("response")
    usage = response.get("usage") if isinstance(response, dict) else None
    given = (
        [[usage.get(name) for name in names] for names in (_INPUT, _OUTPUT)] if isinstance(usage, dict) else [[], []]
    )
    found = [next((value for value in values if isinstance(value, int)), None) for values in given]
    return found[0], found[1]


def _totals(calls: Sequence[dict[str, Any]]) -> tuple[int, int]:
    counted = [tokens(call) for call in calls]
    return sum(spent or 0 for spent, _ in counted), sum(made or 0 for _, made in counted)


def _bar(event: dict[str, Any], first: float, scale: float, columns: int) -> str:
    """Where in the session the event lies, on so many cells."""
    if columns <= 0:
        return ""
    left = min(columns - 1, max(0, round((event["started_at"] - first) / scale * columns)))
    cells = min(columns - left, max(1, round((event["ended_at"] - event["started_at"]) / scale * columns)))
    blank = " " * left
    return f"{blank}{'━' * cells}"


def duration(milliseconds: float) -> str:
    """``640 µs``, ``12 ms``, ``1.24 s``, ``2 min 05 s``."""
    seconds = milliseconds / 1000
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def _moment(seconds: Any) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if isinstance(seconds, (int, float)) else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


# Single events


def print_event(console: Console, event: dict[str, Any], session: dict[str, Any], full: bool) -> None:
    """What an event was, where, and its error, request and response (of a function: arguments and result)."""
    title = _label({**event, "error": None})
    title.append(f"  {clean(duration(event['duration_ms']))}", style="bold")
    console.print(Rule(title, align="left", style="dim", characters="─"))
    _pairs(console, _origin(event, session))
    if event.get("error"):
        _section(console, "Error", [(None, event["error"])], full, style="red")
        details = event.get("error_details") or {}
        _pairs(console, [(key, str(value)) for key, value in details.items() if value is not None and key != "message"])
    for heading, rows in _parts(event):
        _section(console, heading, rows, full)
    console.print()


def _origin(event: dict[str, Any], session: dict[str, Any]) -> list[tuple[str, str]]:
    callsite = event.get("callsite") or {}
    rows = [("session", f"{session.get('name')}"), ("started", _moment(event["started_at"]))]
    if callsite:
        rows.append(("called from", f"{callsite.get('file')}:{callsite.get('line')} in {callsite.get('function')}"))
    rows += [(key, str(value)) for key, value in (event.get("context") or {}).items()]
    return [*rows, ("span", str(event.get("span_id")))]


def _pairs(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(key) for key, _ in rows), default=0)
    for key, value in rows:
        console.print(Text(clean(f"    {key:<{width}}  {value}"), style="dim"), soft_wrap=True)


Row = tuple[str | None, str]


def _section(console: Console, heading: str, rows: Sequence[Row], full: bool, style: str = "") -> None:
    console.print(Text(f"  {heading}", style=f"bold {style}".strip()))
    width = max((len(key) for key, _ in rows if key), default=0)
    for key, value in rows:
        indent = f"    {clean(key):<{width}}  " if key else "    "
        for line in Text(clean(_cut(value, full)), style=style).wrap(console, max(20, console.width - len(indent))):
            line.rstrip()
            console.print(Text(indent, style="cyan") + line, soft_wrap=True)
            indent = " " * len(indent)


def _cut(text: str, full: bool) -> str:
    more = len(text) - _LONGEST
    return text if full or more <= 0 else f"{text[:_LONGEST]}… ({more:,} characters more; --full shows all)"


def _parts(event: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    if "name" in event and event.get("provider") == "function":
        yield "Arguments", [*_values(event.get("args")), *_values(event.get("kwargs"))]
        if not event.get("error"):
            yield "Result", [(None, _shown(event.get("result")))]
        return
    yield "Request", _request(event.get("request"))
    if event.get("response") is not None:
        yield "Response", _response(event["response"])


def _values(value: Any) -> list[Row]:
    if isinstance(value, dict):
        return [(str(key), _shown(item)) for key, item in value.items()]
    return [(None, _shown(item)) for item in value or ()]


_SPOKEN = ("system_instruction", "instructions", "messages", "contents", "input", "prompt")


def _request(request: Any) -> list[Row]:
    """What was said, a row a message; then the other parameters."""
    if not isinstance(request, dict):
        return [(None, _shown(request))]
    rows = [row for name in _SPOKEN if request.get(name) for row in _spoken(name, request[name])]
    other = request.get("other")
    rest = {**request, **(other if isinstance(other, dict) else {})}
    left_out = {*_SPOKEN, "other"}
    return rows + [
        (key, _shown(value)) for key, value in rest.items() if key not in left_out and value not in (None, {}, [])
    ]


def _spoken(name: str, value: Any) -> list[Row]:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return [(str(item.get("role") or item.get("type") or name), _said(item)) for item in value]
    return [(name, _said(value))]


def _said(value: Any) -> str:
    """The text of a message in whatever shape; what is no text, in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(_said, value))
    if isinstance(value, dict):
        for name in ("content", "parts", "text", "output"):
            if value.get(name):
                calls = value.get("tool_calls")
                return _said(value[name]) + (f"\n{_shown(calls)}" if calls else "")
        value = {key: item for key, item in value.items() if key != "role" and item is not None}
    return _shown(value)


def _response(response: Any) -> list[Row]:
    """The text first, then what else there is to know."""
    if not isinstance(response, dict):
        return [(None, _shown(response))]
    rows: list[Row] = [(None, response["text"])] if isinstance(response.get("text"), str) else []
    shown = (
        "refusal",
        "tool_calls",
        "finish_reason",
        "operation_name",
        "done",
        "generated_videos",
        "output",
        "incomplete",
    )
    rows += [(name, _shown(response[name])) for name in shown if response.get(name)]
    return rows or [(None, _shown({key: value for key, value in response.items() if key != "usage"}))]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else json.dumps(value, ensure_ascii=False, default=str, indent=2)
