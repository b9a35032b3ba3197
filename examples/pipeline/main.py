"""Three chained tasks, one session, one trace: research → summarize → critique.

``python -m examples.pipeline.main "Your prompt here"``. Offline against aiobs's provider simulator; ``--live`` asks
OpenAI with the key in ``OPENAI_API_KEY``.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

import openai

from aiobs import observe, observer

if TYPE_CHECKING:
    from aiobs.testing import Answer, Request

MODEL = "gpt-4o-mini"


def ask(client: openai.OpenAI, task: str, text: str) -> str:
    """One chat completion."""
    messages = [{"role": "system", "content": task}, {"role": "user", "content": text}]
    reply = client.chat.completions.create(model=MODEL, messages=messages)
    return reply.choices[0].message.content or ""


@observe
def research(client: openai.OpenAI, prompt: str) -> str:
    """Collect what is known."""
    return ask(client, "List three facts.", prompt)


@observe
def summarize(client: openai.OpenAI, facts: str) -> str:
    """Make one sentence of it."""
    return ask(client, "Summarize in one sentence.", facts)


@observe(enh_prompt=True, auto_enhance_after=10)
def critique(client: openai.OpenAI, summary: str) -> str:
    """Say what is missing; every tenth call this function's prompts are looked at."""
    return ask(client, "Say what this summary leaves out.", summary)


@observe
def pipeline(client: openai.OpenAI, prompt: str) -> str:
    """The three in a row."""
    return critique(client, summarize(client, research(client, prompt)))


def main() -> None:
    """Run it once, and say where the record of it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt", nargs="?", default="What is an API?")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--fake", action="store_true", help="offline (the default)")
    where.add_argument("--live", action="store_true", help="ask OpenAI; needs OPENAI_API_KEY")
    arguments = parser.parse_args()

    observer.observe("pipeline-example")
    with ExitStack() as stack:
        client = openai.OpenAI() if arguments.live else offline(stack)
        print(pipeline(client, arguments.prompt))
    observer.end()
    print(f"Observability written to: {observer.flush()}")


def offline(stack: ExitStack) -> openai.OpenAI:
    """A client of a provider on this machine, until the stack is closed."""
    from aiobs.testing import Simulator

    simulator = stack.enter_context(Simulator())
    simulator.on(simulated)
    return simulator.openai()


def simulated(request: Request) -> Answer:
    """What the simulator says to each task."""
    from aiobs.testing import Answer

    said = {
        "List": "It is a contract. It has versions. It has errors.",
        "Summarize": "An API is a contract with versions and errors.",
        "Say": "Who keeps the contract.",
    }
    task = request.json["messages"][0]["content"]
    return Answer(text=next(text for word, text in said.items() if task.startswith(word)))


if __name__ == "__main__":
    main()
