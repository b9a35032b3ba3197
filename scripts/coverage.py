"""docs/coverage.md: which methods of the SDKs are traced, from the tables that are patched in.

``--check`` fails when the page differs from the tables, ``--write`` rewrites it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import peers
from untraced import GOOGLE_UNTRACED, OPENAI_UNTRACED

from aiobs.capture.provider import Method, Provider
from aiobs.instrumentation.google_genai import PROVIDER as GOOGLE_GENAI
from aiobs.instrumentation.openai import PROVIDER as OPENAI

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
HEAD = """# What is traced

Written by `make fmt` from the tables that aiobs patches in; `make check` compares. A test calls every public method of
both SDKs that is not listed under *Not traced*, whole, streamed, sync and async, and finds its span.

● one span of the conventions with model, usage and output · ◐ a span that is generic or lacks some of it · – nothing.
The peers were run in November 2026.
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        *_side("OpenAI", "openai 3.52", OPENAI, peers.OPENAI, OPENAI_UNTRACED),
        *_side("Google GenAI", "google-genai 3.4", GOOGLE_GENAI, peers.GOOGLE, GOOGLE_UNTRACED),
    ]
    return "\n".join(parts)


def _side(
    title: str, version: str, provider: Provider, rows: Iterable[peers.Row], untraced: Iterable[tuple[str, str]]
) -> Iterator[str]:
    yield f"## {title}\n\n### Beside others ({version})\n"
    yield from _table(
        ("method", "aiobs", *peers.PEERS), [(row.method, _cell(row, provider), *row.peers) for row in rows]
    )
    yield "\n### What is wrapped\n"
    yield from _table(("api", "operation", "wrapped"), _wrapped(provider))
    yield "\n### Not traced\n"
    yield from _table(("methods", "why"), [(f"`{pattern}`", reason) for pattern, reason in untraced])
    yield ""


def traced(provider: Provider) -> set[str]:
    """Every name that ``aiobs.api.name`` can have."""
    return {what.api for what in (*provider.operations, *provider.helpers, *provider.sockets)} | (
        {"batches.results"} if provider.results else set()
    )


def _cell(row: peers.Row, provider: Provider) -> str:
    if not row.apis:
        return "not traced"
    return f"● {row.ours}".rstrip() if traced(provider).issuperset(row.apis) else "–"


def _wrapped(provider: Provider) -> list[tuple[str, ...]]:
    found: dict[tuple[str, str], list[Method]] = {}
    for what in (*provider.operations, *provider.helpers):
        found.setdefault((what.api, what.name), []).extend(what.methods)
    for socket in provider.sockets:
        found[socket.api, socket.session.name] = [*socket.methods]
    return [
        (f"`{api}`", operation, ", ".join(dict.fromkeys(f"`{method.qualname}`" for method in methods)))
        for (api, operation), methods in sorted(found.items())
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def main() -> None:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/coverage.md is out of date; run: make fmt")


if __name__ == "__main__":
    main()
