"""A first look at aiobs.

One session of a small pipeline through two SDKs: research (Gemini, which calls a function of ours) → summarize
(OpenAI, streamed) → critique (OpenAI, with an error that the program handles).

Runs offline against aiobs's provider simulator; ``--live`` talks to Google and OpenAI with the keys in
``GEMINI_API_KEY`` and ``OPENAI_API_KEY``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import openai
from google import genai

from aiobs import configure, observe, observer

if TYPE_CHECKING:
    from aiobs.testing import Answer, Request

GEMINI = "gemini-2.5-flash"
MODEL = "gpt-4o-mini"
RETIRED = "gpt-4-retired"
SAID = {
    "search_docs": "An API is a contract: what one program may ask of another, how, and what comes back.",
    "Summarize": "An API is the promise that one program makes to another about what it will do when asked.",
    "What does": "It leaves out who keeps the promise: versions, errors and limits are part of the contract too.",
}


class Clients(NamedTuple):
    """One of each SDK."""

    gemini: genai.Client
    openai: openai.OpenAI


def search_docs(query: str) -> list[str]:
    """Search the documentation."""
    return [f"An API is a contract between programs ({query})."]


@observe
def research(client: genai.Client, query: str) -> str:
    """Ask with a function on offer: the SDK runs it when the model calls it, and asks again with its result."""
    chat = client.chats.create(model=GEMINI, config={"tools": [search_docs], "temperature": 0.2})
    return chat.send_message(query).text or ""


@observe
def summarize(client: openai.OpenAI, text: str) -> str:
    """Stream a summary to the terminal."""
    messages = [{"role": "user", "content": f"Summarize in one sentence: {text}"}]
    options = {"include_usage": True}
    words = []
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options=options):
        for choice in chunk.choices:
            words.append(choice.delta.content or "")
            print(choice.delta.content or "", end="", flush=True)
    print()
    return "".join(words)


@observe(enh_prompt=True, auto_enhance_after=10)
def critique(client: openai.OpenAI, summary: str) -> str:
    """Ask a model that does not exist first, and make do with another one."""
    messages = [{"role": "user", "content": f"What does this summary leave out? {summary}"}]
    try:
        reply = client.chat.completions.create(model=RETIRED, messages=messages)
    except openai.NotFoundError:
        reply = client.chat.completions.create(model=MODEL, messages=messages)
    return reply.choices[0].message.content or ""


@observe
def pipeline(clients: Clients, question: str) -> str:
    """The whole run; when it returns its span ends, and with it the trace, which the console shows."""
    said = critique(clients.openai, summarize(clients.openai, research(clients.gemini, question)))
    print(f"\n{said}\n", flush=True)
    return said


@contextmanager
def providers(live: bool) -> Iterator[Clients]:
    """Clients of the real providers, or of the simulator on this machine."""
    if live:
        yield Clients(genai.Client(), openai.OpenAI())
        return
    from aiobs.testing import Simulator

    with Simulator() as simulator:
        simulator.on(simulated)
        yield Clients(simulator.gemini(), simulator.openai())


def simulated(request: Request) -> Answer | None:
    """What the simulator says in this demo; to what is not listed here it finds an answer by itself."""
    from aiobs.testing import Answer, Fault

    asked = request.json
    if asked.get("model") == RETIRED:
        return Answer(fault=Fault(status=404, code="model_not_found", message=f"The model {RETIRED!r} does not exist."))
    last = json.dumps((asked.get("messages") or asked["contents"])[-1])
    for word, text in SAID.items():
        if word in last:
            return Answer(text=text, fault=Fault(silence=0.12, chunk_delay=0.02))
    return None


def main() -> None:
    """Observe one run of the pipeline and say where everything went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", nargs="?", default="What is an API?")
    parser.add_argument("--live", action="store_true", help="talk to Google and OpenAI; needs their keys")
    arguments = parser.parse_args()
    missing = [key for key in ("GEMINI_API_KEY", "OPENAI_API_KEY") if not os.environ.get(key)]
    if arguments.live and missing:
        sys.exit(f"--live talks to Google and OpenAI and needs their keys: set {' and '.join(missing)}.")

    configure(exporters="console")
    observer.observe("quickstart", labels={"team": "ml-platform", "environment": "demo"})
    with providers(arguments.live) as clients:
        print(f"> {arguments.question}\n", flush=True)
        pipeline(clients, arguments.question)
    observer.end()
    path = observer.flush()
    print(f"\nObservability written to: {path}")
    print("Next: put `from aiobs import observer; observer.observe()` into a program of yours, and see its calls.")


if __name__ == "__main__":
    main()
