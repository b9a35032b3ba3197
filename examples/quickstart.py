"""A first look at aiobs.

One session of a small pipeline: research → summarize → critique, with a tool call, a stream and an
error that the program handles.

Runs offline against aiobs's provider simulator; ``--live`` talks to OpenAI with the key in ``OPENAI_API_KEY``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai

from aiobs import configure, observe, observer

if TYPE_CHECKING:
    from aiobs.testing import Answer, Request

MODEL = "gpt-4o-mini"
RETIRED = "gpt-4-retired"
SAID = {
    '["': "An API is a contract: what one program may ask of another, how, and what comes back.",
    "Summarize": "An API is the promise that one program makes to another about what it will do when asked.",
    "What does": "It leaves out who keeps the promise: versions, errors and limits are part of the contract too.",
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search_docs",
        "description": "Search the documentation.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


@observe
def search_docs(query: str) -> list[str]:
    """The tool that the model may call."""
    return [f"An API is a contract between programs ({query})."]


@observe
def research(client: openai.OpenAI, query: str) -> str:
    """Ask with a tool on offer, run the tool, ask again with its result."""
    messages: list[Any] = [{"role": "user", "content": query}]
    reply = client.chat.completions.create(model=MODEL, messages=messages, tools=[SEARCH], temperature=0.2)
    message = reply.choices[0].message
    if not message.tool_calls:
        return message.content or ""
    messages.append(message)
    for call in message.tool_calls:
        found = search_docs(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)})
    return (
        client.chat.completions.create(model=MODEL, messages=messages, tools=[SEARCH]).choices[0].message.content or ""
    )


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
def pipeline(client: openai.OpenAI, question: str) -> str:
    """The whole run; when it returns its span ends, and with it the trace, which the console shows."""
    said = critique(client, summarize(client, research(client, question)))
    print(f"\n{said}\n", flush=True)
    return said


@contextmanager
def provider(live: bool) -> Iterator[openai.OpenAI]:
    """A client of the real provider, or of the simulator on this machine."""
    if live:
        yield openai.OpenAI()
        return
    from aiobs.testing import Simulator

    with Simulator() as simulator:
        simulator.on(simulated)
        yield simulator.openai()


def simulated(request: Request) -> Answer | None:
    """What the simulator says in this demo; to what is not listed here it finds an answer by itself."""
    from aiobs.testing import Answer, Fault

    if request.json["model"] == RETIRED:
        return Answer(fault=Fault(status=404, code="model_not_found", message=f"The model {RETIRED!r} does not exist."))
    last = request.json["messages"][-1]
    for start, text in SAID.items():
        if str(last["content"]).startswith(start):
            return Answer(text=text, fault=Fault(silence=0.12, chunk_delay=0.02))
    return None


def main() -> None:
    """Observe one run of the pipeline and say where everything went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", nargs="?", default="What is an API?")
    parser.add_argument("--live", action="store_true", help="talk to OpenAI; needs OPENAI_API_KEY")
    arguments = parser.parse_args()
    if arguments.live and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("--live talks to OpenAI and needs a key: set OPENAI_API_KEY.")

    configure(exporters="console")
    observer.observe("quickstart", labels={"team": "ml-platform", "environment": "demo"})
    with provider(arguments.live) as client:
        print(f"> {arguments.question}\n", flush=True)
        pipeline(client, arguments.question)
    observer.end()
    path = observer.flush()
    print(f"\nObservability written to: {path}")
    print("Next: put `from aiobs import observer; observer.observe()` into a program of yours, and see its calls.")


if __name__ == "__main__":
    main()
