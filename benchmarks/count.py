"""What aiobs costs, counted instead of timed; a test holds the counts against those in ``counts.json``.

Per scenario: the bytecode instructions and the calls into C that a call takes beyond what the SDK alone takes. The
same numbers come out whatever else the machine does, so that a change of a tenth is a change of the code. They say
nothing about how long C runs, which ``make bench`` does.

    python benchmarks/count.py            print the counts
    python benchmarks/count.py --write    and keep them as what later counts are held against, here and in the docs
    python benchmarks/count.py --floor    those of the hand-written span instead
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
BASELINE = HERE / "counts.json"
PAGE = HERE.parent / "docs" / "performance.md"
DEPENDS_ON = ("openai", "google-genai", "opentelemetry-sdk", "pydantic", "wrapt")
WARM_UP = 8
SHORT, LONG = 20, 220

Call = Callable[[], object]
Counts = dict[str, dict[str, int]]


class Count(NamedTuple):
    """How much was done: bytecode instructions, calls into C."""

    instructions: int
    c_calls: int

    def beyond(self, other: Count, per: int = 1) -> dict[str, int]:
        """What this is more than the other, per unit."""
        return {
            "instructions": round((self.instructions - other.instructions) / per),
            "c_calls": round((self.c_calls - other.c_calls) / per),
        }


def counted(call: Call) -> Count:
    """Count one call, after a few that fill the caches."""
    for _ in range(WARM_UP):
        call()
    gc.collect()
    gc.disable()
    try:
        return Count(_instructions(call), _c_calls(call))
    finally:
        gc.enable()


def _instructions(call: Call) -> int:
    seen = 0

    def each(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal seen
        seen += event == "opcode"
        return each

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return each

    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(None)
    return seen


def _c_calls(call: Call) -> int:
    seen = 0

    def each(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen
        seen += event == "c_call"

    sys.setprofile(each)
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen


# The calls


def calls() -> dict[str, Call]:
    """One call of each kind, without a socket."""
    import fake
    import openai
    from google import genai

    transport_of, _ = fake.make_transports(sys.modules[_http_package(openai)])

    def client_of(payload: bytes | list[bytes]) -> openai.OpenAI:
        http = sys.modules[_http_package(openai)].Client(transport=transport_of(payload))
        return openai.OpenAI(api_key="x", http_client=http)

    def gemini_of(payload: bytes | list[bytes]) -> genai.Client:
        http = sys.modules[_http_package(openai)].Client(transport=transport_of(payload))
        return genai.Client(api_key="x", http_options={"httpx_client": http})

    small, large = fake.messages(1_000, 2), fake.messages(50_000, 20)
    options = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 100}
    config = {"temperature": 0.2, "max_output_tokens": 100}
    chat, embed, respond = client_of(fake.chat_body()), client_of(fake.embed_body()), client_of(fake.responses_body())
    gemini = gemini_of(fake.gemini_body())
    contents = fake.text(1_000)
    found: dict[str, Call] = {
        "chat": lambda: chat.chat.completions.create(messages=small, **options),
        "chat 50 kB": lambda: chat.chat.completions.create(messages=large, **options),
        "responses": lambda: respond.responses.create(model="gpt-4o", input=contents),
        "embeddings": lambda: embed.embeddings.create(model="text-embedding-3-small", input="x"),
        "gemini": lambda: gemini.models.generate_content(model="gemini-2.5-flash", contents=contents, config=config),
    }
    for length in (SHORT, LONG):
        chat_stream, gem_stream = client_of(fake.chat_stream(length)), gemini_of(fake.gemini_stream(length))
        answers = client_of(fake.responses_stream(length))
        found |= {
            f"chat chunk {length}": lambda client=chat_stream: _drain(
                client.chat.completions.create(messages=small, stream=True, **options)
            ),
            f"responses event {length}": lambda client=answers: _drain(
                client.responses.create(model="gpt-4o", input=contents, stream=True)
            ),
            f"gemini chunk {length}": lambda client=gem_stream: _drain(
                client.models.generate_content_stream(model="gemini-2.5-flash", contents=contents, config=config)
            ),
        }
    return found


def _http_package(openai: Any) -> str:
    return str(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])


def _drain(stream: Any) -> None:
    for _ in stream:
        pass


def _overheads(alone: dict[str, Count], measured: dict[str, Count]) -> Counts:
    """Per call; of streams per chunk, as the difference of a long one and a short one."""
    found = {name: count.beyond(alone[name]) for name, count in measured.items() if not name.endswith(_LENGTHS)}
    for name in [name.removesuffix(f" {LONG}") for name in measured if name.endswith(f" {LONG}")]:
        long, short = (
            Count(**measured[f"{name} {length}"].beyond(alone[f"{name} {length}"])) for length in (LONG, SHORT)
        )
        found[name] = long.beyond(short, per=LONG - SHORT)
    return found


_LENGTHS = (f" {SHORT}", f" {LONG}")


# The scenarios


def measure_aiobs() -> Counts:
    """What aiobs adds with the content gate closed and open, and where nothing is recorded."""
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    ready = calls()
    alone = {name: counted(call) for name, call in ready.items()}
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    from aiobs import Instrumentor

    found: Counts = {}
    settings: dict[str, dict[str, Any]] = {
        "nothing recorded": {},
        "content off": {"tracer_provider": provider, "capture_content": "no_content"},
        "content on": {"tracer_provider": provider, "capture_content": "span_only"},
    }
    for title, options in settings.items():
        Instrumentor(**options).instrument()
        measured = {name: counted(call) for name, call in ready.items()}
        found |= {f"{name}, {title}": count for name, count in _overheads(alone, measured).items()}
    return found | _observed(provider)


def _observed(provider: Any) -> Counts:
    from aiobs import observe

    def research(query: str, top_k: int = 3) -> dict[str, object]:
        return {"query": query, "hits": top_k}

    observed = observe(research)
    bare = counted(lambda: research("What is an API?", top_k=5))
    return {"@observe": counted(lambda: observed("What is an API?", top_k=5)).beyond(bare)}


def measure_floor() -> Counts:
    """The same of the hand-written span."""
    import floor
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    ready = calls()
    alone = {name: counted(call) for name, call in ready.items()}
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    floor.setup("off", provider, None)
    measured = {name: counted(call) for name, call in ready.items()}
    return {f"{name}, content off": count for name, count in _overheads(alone, measured).items()}


def measure_start() -> Counts:
    """``import aiobs`` and ``instrument()``, beyond what they stand on."""
    from worker import load_foundation

    load_foundation()

    def start() -> None:
        from aiobs import Instrumentor

        Instrumentor().instrument()

    return {"import and instrument()": {"instructions": _instructions(start), "c_calls": 0}}


def measure_lines() -> Counts:
    """A span as OTLP/JSON: what a batch of two hundred takes more than one of a hundred, per span."""
    from lines import spans

    from aiobs.exporters.encoding.encoder import span_lines

    few, many = spans(100), spans(200)
    more = counted(lambda: [*span_lines(many)])
    return {"otlp-json, a span": more.beyond(counted(lambda: [*span_lines(few)]), per=100)}


PARTS = {"aiobs": measure_aiobs, "start": measure_start, "lines": measure_lines, "floor": measure_floor}


def counts(*parts: str) -> Counts:
    """The counts of these parts, each from a process of its own in which nothing is left to chance."""
    found: Counts = {}
    for part in parts:
        found |= _in_a_process(part)
    return found


def _in_a_process(part: str) -> Counts:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AIOBS_", "COV"))}
    environment |= {"PYTHONHASHSEED": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, str(Path(__file__)), "--part", part]
    for _ in range(2 if part == "start" else 1):  # the first one writes bytecode
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
    found: Counts = json.loads(done.stdout)
    return found


def versions() -> dict[str, str]:
    """What the counts depend on beside the code of aiobs."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, **{name: metadata.version(name) for name in DEPENDS_ON}}


# The table in the docs

ROWS = {
    "chat": "chat",
    "chat, 50 kB": "chat 50 kB",
    "responses": "responses",
    "embeddings": "embeddings",
    "Gemini": "gemini",
    "a chunk of chat": "chat chunk",
    "an event of responses": "responses event",
    "a chunk of Gemini": "gemini chunk",
}
COLUMNS = ("content off", "content on", "nothing recorded")
START, END = "<!-- counts:start -->\n", "<!-- counts:end -->"


def table(kept: dict[str, Any]) -> str:
    """What ``counts.json`` holds, as the table of ``docs/performance.md``."""
    found, floor = kept["counts"], kept["floor"]
    lines = [("instructions (calls into C)", "floor", *COLUMNS), ("---",) * 5]
    for title, name in ROWS.items():
        counts = [floor[f"{name}, content off"], *(found[f"{name}, {column}"] for column in COLUMNS)]
        lines.append((title, *map(_cell, counts)))
    lines.append(("`@observe`", "", "", _cell(found["@observe"]), ""))
    start = found["import and instrument()"]["instructions"]
    lines.append(("import and `instrument()`", "", f"{start:,}", "", ""))
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |").replace("|  |", "| |") for line in lines)


def _cell(count: dict[str, int]) -> str:
    instructions, c_calls = count["instructions"], count["c_calls"]
    return f"{instructions:,} ({c_calls})" if c_calls else f"{instructions:,}"


def in_the_page(kept: dict[str, Any]) -> str:
    """``docs/performance.md`` with this table in it."""
    before, rest = PAGE.read_text("utf-8").split(START)
    return f"{before}{START}{table(kept)}{END}{rest.split(END)[1]}"


def keep(found: Counts) -> None:
    """Write down the counts, and with them those of the floor."""
    kept = {"versions": versions(), "counts": found, "floor": counts("floor")}
    BASELINE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    PAGE.write_text(in_the_page(kept), "utf-8")


def main() -> None:
    """Print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the counts in counts.json and the docs")
    parser.add_argument("--floor", action="store_true", help="count the hand-written span")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part]()))
        return
    found = counts("floor") if arguments.floor else counts("aiobs", "start", "lines")
    for name, count in found.items():
        print(f"{name:40} {count['instructions']:8} instructions {count['c_calls']:6} calls into C")
    if arguments.write:
        keep(found)


if __name__ == "__main__":
    main()
