"""One chat completion, observed.

Offline against aiobs's provider simulator; ``--live`` asks OpenAI with the key in ``OPENAI_API_KEY``.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

import openai

from aiobs import observer


def main() -> None:
    """Ask, print the reply, and say where the record of it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--fake", action="store_true", help="offline (the default)")
    where.add_argument("--live", action="store_true", help="ask OpenAI; needs OPENAI_API_KEY")
    arguments = parser.parse_args()

    observer.observe("simple-chat-completion")
    with ExitStack() as stack:
        client = openai.OpenAI() if arguments.live else offline(stack)
        reply = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[
                {"role": "system", "content": "You answer in one sentence."},
                {"role": "user", "content": "What is an API?"},
            ],
        )
        print(reply.choices[0].message.content)
    observer.end()
    print(f"Observability written to: {observer.flush()}")


def offline(stack: ExitStack) -> openai.OpenAI:
    """A client of a provider on this machine, until the stack is closed."""
    from aiobs.testing import Answer, Simulator

    simulator = stack.enter_context(Simulator())
    simulator.on(lambda request: Answer(text="An API is a promise about what a program does when it is asked."))
    return simulator.openai()


if __name__ == "__main__":
    main()
