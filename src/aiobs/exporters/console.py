"""A tree on the console: one per finished trace, for people.

pipeline                                    1.24 s
├── research                                 820 ms
│   ├── ◆ chat gpt-4o-mini   250 → 120 tokens   410 ms
│   └── search_docs                             2 ms
└── ✗ chat gpt-5         openai.NotFoundError    90 ms
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from aiobs.exporters.registry import Pipelines
from aiobs.guard import guarded
from aiobs.semconv import names

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

MAX_TRACES = 256
MAX_SPANS = 1000
BAR_WIDTH = 16
FILE_WIDTH = 160
_DURATION_COLUMNS = 12


def pipelines() -> Pipelines:
    """The tree on standard error, so that a program's own output stays what it is."""
    return Pipelines(span_processors=(ConsoleTree(),))


@dataclass
class _Trace:
    """The spans of a trace whose root has not ended yet; ``left_out`` counts those beyond the bound."""

    spans: list[ReadableSpan] = field(default_factory=list)
    left_out: int = 0

    def add(self, span: ReadableSpan) -> None:
        if len(self.spans) < MAX_SPANS or _is_root(span):
            self.spans.append(span)
        else:
            self.left_out += 1


class ConsoleTree(SpanProcessor):
    """Collects the spans of a trace and prints them as a tree when its root has ended.

    Holds at most 256 unfinished traces of 1,000 spans: what is beyond is left out, and the tree says so; the trace that
    waits longest makes room by being printed without its root.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self._lock = threading.RLock()  # a finaliser may end a span in the middle of this

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span is shown when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span; print the trace if this was its local root."""
        if span.context is None:
            return
        number, finished = span.context.trace_id, None
        with self._lock:
            self._traces.setdefault(number, _Trace()).add(span)
            if _is_root(span):
                finished = self._traces.pop(number)
            elif len(self._traces) > MAX_TRACES:
                finished = self._traces.popitem(last=False)[1]
        if finished is not None:
            self._print(finished)

    def _print(self, trace: _Trace) -> None:
        guarded(print_tree, trace.spans, self._file or sys.stderr, trace.left_out)

    def shutdown(self) -> None:
        """Print what never got its root."""
        with self._lock:
            left = list(self._traces.values())
            self._traces.clear()
        for trace in left:
            self._print(trace)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits but unfinished traces."""
        return True


def print_tree(spans: Sequence[ReadableSpan], file: IO[str], left_out: int = 0) -> None:
    """Print one trace: in colour on a terminal that has them, in ASCII where the encoding knows no more."""
    from rich.console import Console

    console = Console(file=file, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    with console.capture() as printed:
        console.print(render(spans, console.width, left_out))
    file.write(_encodable(printed.get(), console.encoding))
    file.flush()


def _encodable(text: str, encoding: str) -> str:
    if encoding.lower().replace("-", "").startswith("utf"):
        return text
    return text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)


_IN_ASCII = str.maketrans({"◆": "*", "✗": "x", "→": "->", "━": "=", "µ": "u", "…": "..."})


def _is_root(span: ReadableSpan) -> bool:
    return span.parent is None or span.parent.is_remote


def render(spans: Sequence[ReadableSpan], columns: int = FILE_WIDTH, left_out: int = 0) -> Tree:
    """The tree of one trace: names, tokens, durations with bars that share the root's scale.

    Bars get what ``columns`` leave for them, and go first when there is nothing left.
    """
    from rich.tree import Tree

    known = {span.context.span_id for span in spans if span.context}
    children: dict[int | None, list[ReadableSpan]] = {}
    for span in sorted(spans, key=lambda item: item.start_time or 0):
        parent = span.parent.span_id if span.parent and span.parent.span_id in known else None
        children.setdefault(parent, []).append(span)
    roots = children.get(None, [])
    first = min((span.start_time or 0 for span in roots), default=0)
    scale = max((span.end_time or 0 for span in roots), default=0) - first or 1
    width = max((_label(span).cell_len + 4 * depth for span, depth in _walk(children)), default=0)
    width = min(width, columns - _DURATION_COLUMNS)
    bars = max(0, min(BAR_WIDTH, columns - width - _DURATION_COLUMNS))
    tree = Tree(_title(roots), guide_style="dim")
    stack = [(span, tree, 1) for span in reversed(roots)]
    while stack:
        span, above, depth = stack.pop()
        line = _line(span, width - 4 * depth)
        line.append(_bar(span, first, scale, bars), style="red" if _failed(span) else "cyan")
        branch = above.add(line)
        below = children.get(span.context.span_id, []) if span.context else []
        stack.extend((child, branch, depth + 1) for child in reversed(below))
    if left_out:
        tree.add(f"… {left_out:,} more spans left out", style="dim")
    return tree


def _walk(children: dict[int | None, list[ReadableSpan]]) -> list[tuple[ReadableSpan, int]]:
    found = []
    stack = [(span, 1) for span in children.get(None, [])]
    while stack:
        span, depth = stack.pop()
        found.append((span, depth))
        below = children.get(span.context.span_id, []) if span.context else []
        stack.extend((child, depth + 1) for child in below)
    return found


def _title(roots: Sequence[ReadableSpan]) -> Text:
    from rich.text import Text

    attributes: Any = (roots[0].attributes if roots else None) or {}
    context = roots[0].context if roots else None
    title = Text(_printable(attributes.get("session.name") or "trace"), style="bold")
    if context is not None:
        title.append(f"  trace {context.trace_id:032x}", style="dim")
    return title


def _label(span: ReadableSpan) -> Text:
    """What the span is: a model call has a mark, a failure a cross, and both have their facts."""
    from rich.text import Text

    attributes: Any = span.attributes or {}
    is_model_call, failed = attributes.get(names.OPERATION, names.EXECUTE_TOOL) != names.EXECUTE_TOOL, _failed(span)
    label = Text(no_wrap=True)
    if failed:
        label.append("✗ ", style="bold red")
    elif is_model_call:
        label.append("◆ ", style="cyan")
    label.append(_printable(span.name), style="red" if failed else "cyan" if is_model_call else "")
    for fact in _facts(attributes):
        label.append(f"  {fact}", style="dim")
    if failed:
        label.append(f"  {_printable(attributes.get(names.ERROR_TYPE, 'error'))}", style="red")
    return label


def _printable(text: Any) -> str:
    """Without control characters, which could move the cursor or change the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def _facts(attributes: Any) -> list[str]:
    facts = []
    spent, made = attributes.get(names.INPUT_TOKENS), attributes.get(names.OUTPUT_TOKENS)
    if spent is not None or made is not None:
        facts.append(f"{_number(spent)} → {_number(made)} tokens")
    if (first := attributes.get(names.TIME_TO_FIRST_CHUNK)) is not None:
        facts.append(f"first chunk {_duration(int(first * 1e9))}")
    if attributes.get(names.INCOMPLETE):
        facts.append("incomplete")
    if attributes.get(names.CANCELLED):
        facts.append("cancelled")
    return facts


def _line(span: ReadableSpan, width: int) -> Text:
    label = _label(span)
    label.truncate(max(1, width), overflow="ellipsis", pad=True)
    label.append(f"  {_duration((span.end_time or 0) - (span.start_time or 0)):>8}  ", style="bold")
    return label


def _failed(span: ReadableSpan) -> bool:
    return names.ERROR_TYPE in (span.attributes or {}) or span.status.status_code is StatusCode.ERROR


def _bar(span: ReadableSpan, first: int, scale: int, columns: int) -> str:
    """Where in the trace the span lies, on so many cells."""
    if columns <= 0:
        return ""
    started, ended = span.start_time or 0, span.end_time or 0
    left = min(columns - 1, max(0, round((started - first) / scale * columns)))
    cells = min(columns - left, max(1, round((ended - started) / scale * columns)))
    return " " * left + "━" * cells


def _duration(nanoseconds: int) -> str:
    """``640 µs``, ``12 ms``, ``1.24 s``, ``2 min 05 s``."""
    seconds = nanoseconds / 1e9
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"
