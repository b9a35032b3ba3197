"""A real Prefect: what it says of itself is what the spans say."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, runtime, task
from prefect.client.orchestration import get_client
from prefect.runner import Runner

from aiobs import Instrumentor, observe
from aiobs.compat.marvin.openai import get_prefect_context, observable
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.orchestrators.deployed import my_pipeline

pytestmark = pytest.mark.usefixtures("prefect_server")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "prefect_observability" / "example.py"
ASK = [{"role": "user", "content": "x"}]


def of_prefect() -> dict[str, Any]:
    """What Prefect's own runtime says here, under our names."""
    told = {
        "flow_run": ("id", "name", "flow_name", "run_count", "parent_flow_run_id"),
        "task_run": ("id", "name", "task_name", "run_count") if runtime.task_run.id else (),
    }
    found = {f"prefect.{of}.{name}": getattr(getattr(runtime, of), name) for of in told for name in told[of]}
    found["prefect.flow_run.tags"] = tuple(runtime.flow_run.tags) or None
    return {key: value for key, value in found.items() if value is not None}


@observe
def work() -> None:
    """An observed function that does nothing."""


def check(expected: list[dict[str, Any]]) -> dict[str, str]:
    """Start a span, and keep what Prefect says."""
    expected.append(of_prefect())
    work()
    return get_prefect_context()


def told(signals: InMemoryTelemetry) -> list[dict[str, Any]]:
    """What the spans say of Prefect."""
    found = [
        {key: value for key, value in span.attributes.items() if key.startswith("prefect.")} for span in signals.spans
    ]
    return sorted(found, key=str)


def test_every_way_to_run_a_task(instrumented: InMemoryTelemetry) -> None:
    """S0-06, S0-07, S0-15: called, submitted, mapped, tried again, in a flow of a flow, in a task's flow."""
    expected: list[dict[str, Any]] = []

    @task(retries=1)
    def retried() -> None:
        check(expected)
        if runtime.task_run.run_count == 1:
            raise ValueError("once")

    @task
    def plain(which: int = 0) -> dict[str, str]:
        return check(expected)

    @flow(flow_run_name="inner-run")
    def inner() -> None:
        check(expected)
        plain.submit().result()

    @task
    def calls_a_flow() -> None:
        inner()

    @flow(name="outer-flow")
    def outer() -> dict[str, str]:
        check(expected)
        plain()
        plain.submit().result()
        [one.result() for one in plain.map(range(5))]
        retried()
        inner()
        calls_a_flow()
        return plain()

    from prefect import tags

    with tags("nightly", "eu"):
        context = outer()
    work()
    seen = told(instrumented)
    assert seen == sorted([*expected, {}], key=str)
    assert len(seen) == 16
    assert {one.get("prefect.task_run.run_count") for one in seen} == {None, 1, 2}
    assert sum("prefect.flow_run.parent_flow_run_id" in one for one in seen) == 4
    assert sorted(context) == [
        f"prefect.{name}"
        for name in (
            "flow_run.flow_name", "flow_run.id", "flow_run.name", "task_run.id", "task_run.name", "task_run.task_name"
        )
    ]  # fmt: skip


def test_async_tasks_do_not_mix(instrumented: InMemoryTelemetry) -> None:
    """S0-15: ten at a time in one loop."""
    expected: list[dict[str, Any]] = []

    @task
    async def ask(which: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            check(expected)

    @flow
    async def many() -> None:
        await asyncio.gather(*(ask(n) for n in range(10)))

    asyncio.run(many())
    assert told(instrumented) == sorted(expected, key=str)
    assert len({one["prefect.task_run.id"] for one in told(instrumented)}) == 10


def test_prefect_is_not_asked_over_its_api(instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-10: nothing of ours waits for a server; a bare thread, which Prefect gives nothing, is of no run."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("asked over the API")

    @flow
    def pipeline() -> None:
        with monkeypatch.context() as patched:
            for module in ("flow_run", "deployment"):
                patched.setattr(f"prefect.runtime.{module}.get_client", refuse)
            work()
            get_prefect_context()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    pipeline()
    assert [one.get("prefect.flow_run.flow_name") for one in told(instrumented)] == ["pipeline", None]


def test_the_metadata_of_a_call(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S0-14, S0-22: a call of a task has its run on the wire, and so has an agent made in the module."""
    Instrumentor(**signals.providers, openai_metadata=True).instrument()

    class Agent:
        model_settings: Any = None

    agent = observable(Agent(), customer_id=7)

    @task
    def ask() -> dict[str, str]:
        client = simulator.openai()
        client.chat.completions.create(model="m", messages=ASK, store=True)
        client.chat.completions.create(model="m", messages=ASK, extra_body=agent.model_settings["extra_body"])
        return get_prefect_context()

    @flow
    def pipeline() -> dict[str, str]:
        return ask()

    run = pipeline()
    found = [request.json["metadata"] for request in simulator.requests]
    traces = [f"{span.context.trace_id:032x}" for span in signals.spans]
    assert found == [{**run, "trace_id": traces[0]}, {**run, "customer_id": "7", "trace_id": traces[1]}]


async def _run_deployed() -> tuple[str, str]:
    runner = Runner(name="runner", pause_on_shutdown=False, query_seconds=1)
    deployment = await runner.aadd_deployment(await my_pipeline.ato_deployment(name="prod-pipeline"))
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment)
    await runner.execute_flow_run(run.id)
    return str(deployment), str(run.id)


def test_a_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-08: a run that Prefect's runner starts in a process of its own has the deployment, its name too.

    So has a bare thread in it, which knows the run at least.
    """
    monkeypatch.setenv("LLM_OBS_OUT", str(tmp_path / "out.json"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    deployment, run = asyncio.run(_run_deployed())
    events = json.loads((tmp_path / "out.json").read_text())["function_events"]
    found = [
        {key.removeprefix("prefect."): value for key, value in event["context"].items() if "count" not in key}
        for event in events
    ]
    of_run = {"flow_run.id": run, "deployment.name": "prod-pipeline"}
    assert found[0].pop("flow_run.name")
    assert found == [of_run | {"deployment.id": deployment, "flow_run.flow_name": "deployed"}, of_run]


def test_the_example(tmp_path: Path) -> None:
    """S0-20: offline; the run, its id, the results, and last the filter line."""
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "home"), "OPENAI_API_KEY": ""}
    command = [sys.executable, str(EXAMPLE), "--fake"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[0].startswith("Flow run: ")
    flow_run = re.fullmatch(r"Flow run ID: ([0-9a-f-]{36})", lines[1])
    assert flow_run is not None
    assert [line.partition(":")[0] for line in lines[2:4]] == ["Summary", "Critique"]
    assert re.search(r"summarize-\w+, critique-\w+", lines[-3])
    assert lines[-1] == f"prefect.flow_run.id = {flow_run[1]}"
