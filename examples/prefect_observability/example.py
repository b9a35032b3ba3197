# /// script
# requires-python = ">=3.11"
# dependencies = ["aiobs[openai,prefect]"]
# ///
"""Two Prefect tasks that ask OpenAI: every call can be found by its flow run, here and in OpenAI's logs.

``python example.py --fake`` runs on this machine alone: aiobs's provider simulator, Prefect's temporary server.
Without it OPENAI_API_KEY is needed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any

from openai import AsyncOpenAI

from aiobs import Instrumentor, observer
from aiobs.compat.marvin.openai import get_prefect_context
from aiobs.testing import Simulator

MODEL = "gpt-4o-mini"
TEXT = "Observability is what lets you ask why, after it has happened."


async def ask(question: str) -> str:
    """One call. store=True has OpenAI keep it in its logs, with the metadata of the run."""
    messages: Any = [{"role": "user", "content": question}]
    async with AsyncOpenAI() as client:
        reply = await client.chat.completions.create(model=MODEL, messages=messages, store=True)
    return reply.choices[0].message.content or ""


def run_pipeline() -> dict[str, Any]:
    """Run the flow; Prefect is imported here, so that one can read on without it."""
    import asyncio

    from prefect import flow, task

    @task
    async def summarize(text: str) -> str:
        return await ask(f"Summarize: {text}")

    @task
    async def critique(summary: str) -> str:
        return await ask(f"What does this leave out? {summary}")

    @flow(name="my-pipeline")
    async def my_pipeline(document: str) -> dict[str, Any]:
        summary = await summarize(document)
        return {"run": get_prefect_context(), "summary": summary, "critique": await critique(summary)}

    return asyncio.run(my_pipeline(TEXT))


def observed() -> None:
    """One session around the flow, and where to look."""
    Instrumentor(openai_metadata=True).instrument()
    observer.observe("prefect-example")
    found = run_pipeline()
    path = observer.flush(end=True)
    with open(str(path), encoding="utf-8") as file:
        calls = [event["context"] for event in json.load(file)["events"]]
    run = found["run"]
    print(f"\nFlow run: {run['prefect.flow_run.name']}")
    print(f"Flow run ID: {run['prefect.flow_run.id']}")
    print(f"Summary: {found['summary']}\nCritique: {found['critique']}")
    print(f"Calls in {path}: " + ", ".join(call["prefect.task_run.name"] for call in calls))
    print("\nFilter https://platform.openai.com/logs by:\n")
    print(f"prefect.flow_run.id = {run['prefect.flow_run.id']}")


def main() -> None:
    """With ``--fake`` OpenAI is on this machine."""
    if importlib.util.find_spec("prefect") is None:
        print('Skipped: Prefect is not installed; pip install "aiobs[prefect]"')
    elif "--fake" in sys.argv[1:]:
        with Simulator() as simulator:
            os.environ |= simulator.environment()
            observed()
    elif not os.environ.get("OPENAI_API_KEY"):
        sys.exit("This talks to OpenAI: set OPENAI_API_KEY, or add --fake.")
    else:
        observed()


if __name__ == "__main__":
    main()
