"""One question to Gemini, observed.

Offline against aiobs's provider simulator; ``--live`` asks Google with the key in ``GEMINI_API_KEY``.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from google import genai

from aiobs import observer


def main() -> None:
    """Ask, print the answer, and say where the record of it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--fake", action="store_true", help="offline (the default)")
    where.add_argument("--live", action="store_true", help="ask Google; needs GEMINI_API_KEY")
    arguments = parser.parse_args()

    observer.observe("gemini")
    with ExitStack() as stack:
        client = genai.Client() if arguments.live else offline(stack)
        response = client.models.generate_content(
            model="gemini-2.0-flash",
            contents="Explain quantum computing in one sentence.",
        )
        print(response.text)
    observer.end()
    print(f"Observability written to: {observer.flush()}")


def offline(stack: ExitStack) -> genai.Client:
    """A client of a provider on this machine, until the stack is closed."""
    from aiobs.testing import Answer, Simulator

    simulator = stack.enter_context(Simulator())
    simulator.on(lambda request: Answer(text="It computes with states that are several values until they are read."))
    return simulator.gemini()


if __name__ == "__main__":
    main()
