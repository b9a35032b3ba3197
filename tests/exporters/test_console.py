"""The tree on the console."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from aiobs.exporters import console as module
from aiobs.exporters.console import ConsoleTree, print_tree

MS = 1_000_000


class Traces:
    """Spans with given times, on a real provider."""

    def __init__(self, file: Any = None) -> None:
        self.file = file or io.StringIO()
        self.tree = ConsoleTree(self.file)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.tree)
        self._tracer = self.provider.get_tracer("aiobs")

    def start(self, name: str, at: int, parent: trace.Span | None = None, **attributes: Any) -> trace.Span:
        context = trace.set_span_in_context(parent or trace.INVALID_SPAN)
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        return self._tracer.start_span(name, context, attributes=named, start_time=at * MS)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.file.getvalue().splitlines()]


CHAT = {"gen_ai__operation__name": "chat", "gen_ai__usage__input_tokens": 1250, "gen_ai__usage__output_tokens": 120}


def a_trace(traces: Traces) -> None:
    root = traces.start("pipeline", 0, session__name="demo")
    inner = traces.start("research", 0, root)
    traces.start("chat gpt-4o-mini", 10, inner, **CHAT, gen_ai__response__time_to_first_chunk=0.2).end(500 * MS)
    inner.end(500 * MS)
    failed = traces.start("chat gpt-5", 500, root, gen_ai__operation__name="chat", error__type="model_not_found")
    failed.set_status(Status(StatusCode.ERROR))
    failed.end(600 * MS)
    root.end(1_000 * MS)


def test_a_finished_trace_is_one_tree() -> None:
    """Session, functions, model calls with tokens and first chunk, failures; bars lie where the time went."""
    traces = Traces()
    a_trace(traces)
    assert traces.lines[0].startswith("demo  trace ")
    assert traces.lines[1:] == [
        "└── pipeline                                                              1.00 s  ━━━━━━━━━━━━━━━━",
        "    ├── research                                                          500 ms  ━━━━━━━━",
        "    │   └── ◆ chat gpt-4o-mini  1,250 → 120 tokens  first chunk 200 ms    490 ms  ━━━━━━━━",
        "    └── ✗ chat gpt-5  model_not_found                                     100 ms          ━━",
    ]


def test_nothing_is_printed_before_the_root_has_ended() -> None:
    """A trace is printed once."""
    traces = Traces()
    root = traces.start("root", 0)
    traces.start("child", 1, root).end(2 * MS)
    assert traces.lines == []
    root.end(3 * MS)
    traces.provider.shutdown()
    assert len(traces.lines) == 3


def test_a_span_of_a_remote_parent_is_a_root() -> None:
    """A service that continues another one's trace prints its part."""
    traces = Traces()
    remote = trace.NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    traces.start("served", 0, remote).end(MS)
    assert "served" in traces.lines[1]


def test_a_narrow_terminal_keeps_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars go first, then the ends of labels."""
    monkeypatch.setattr(module, "FILE_WIDTH", 40)
    traces = Traces()
    a_trace(traces)
    assert max(map(len, traces.lines)) <= 40
    assert "    │   └── ◆ chat gpt-4o-m…    490 ms" in traces.lines


def test_an_encoding_without_our_signs_gets_ascii() -> None:
    """LANG=C: the tree is in ASCII, nothing raises."""
    binary = io.BytesIO()
    traces = Traces(io.TextIOWrapper(binary, encoding="ascii"))
    root = traces.start("é", 0, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=1)
    root.end(MS)
    assert binary.getvalue().decode("ascii").splitlines()[1].startswith("`-- * ?  1 -> ? tokens")


def test_names_cannot_change_the_terminal() -> None:
    """Control characters and markup in names are text."""
    traces = Traces()
    traces.start("\x1b[2J[bold]x\n", 0).end(MS)
    assert "\N{REPLACEMENT CHARACTER}[2J[bold]x\N{REPLACEMENT CHARACTER}" in traces.lines[1]


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours on a terminal; none into a file, none with NO_COLOR."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain, file = Traces(Terminal()), Traces(Terminal()), Traces()
    a_trace(coloured)
    a_trace(file)
    monkeypatch.setenv("NO_COLOR", "1")
    a_trace(plain)
    assert "\x1b[31m" in coloured.file.getvalue()
    assert "\x1b[31m" not in plain.file.getvalue()
    assert "\x1b" not in file.file.getvalue()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans beyond the bound are counted; the trace that waits longest is printed to make room."""
    monkeypatch.setattr(module, "MAX_SPANS", 3)
    monkeypatch.setattr(module, "MAX_TRACES", 2)
    traces = Traces()
    root = traces.start("root", 0)
    for number in range(5):
        traces.start(f"child {number}", number, root).end(10 * MS)
    root.end(10 * MS)
    assert "… 2 more spans left out" in traces.lines[-1]
    for number in range(3):
        traces.start("child", 0, traces.start(f"open {number}", 0)).end(MS)
    assert len(traces.tree._traces) == 2
    assert traces.lines[-1].startswith("└── child")
    traces.provider.shutdown()
    assert len(traces.tree._traces) == 0


@pytest.mark.quiet_guard
def test_a_terminal_that_went_away_is_no_problem_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    """One warning; the span ends as ever."""
    file = io.StringIO()
    file.close()
    traces = Traces(file)
    with caplog.at_level(logging.WARNING, "aiobs"):
        traces.start("a", 0).end(MS)
        traces.start("b", 0).end(MS)
    (record,) = caplog.records
    assert "print_tree: ValueError" in record.getMessage()


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(640_000, "640 µs"), (12 * MS, "12 ms"), (1_240 * MS, "1.24 s"), (125_000 * MS, "2 min 05 s")],
)
def test_durations_are_for_people(nanoseconds: int, text: str) -> None:
    """Three units, no more digits than anybody reads."""
    assert module._duration(nanoseconds) == text


def test_no_spans_are_an_empty_tree() -> None:
    """Rendering nothing raises nothing."""
    file = io.StringIO()
    print_tree([], file)
    assert file.getvalue() == "trace\n"
