"""Prefect as a source of context, against the shapes of its contexts; the real one is asked in tests/orchestrators."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from aiobs import Instrumentor, observe, observer
from aiobs.ambient.sources import has_sources
from aiobs.cli import app
from aiobs.testing import InMemoryTelemetry, Simulator

FAKES = str(Path(__file__).resolve().parents[1] / "fakes")
ASK = [{"role": "user", "content": "x"}]


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``prefect.context``, imported as a program does."""
    monkeypatch.syspath_prepend(FAKES)
    yield importlib.import_module("prefect.context")
    for name in [name for name in sys.modules if name.partition(".")[0] == "prefect"]:
        del sys.modules[name]


@observe
def work(which: str = "") -> None:
    """An observed function that does nothing."""


def told(signals: InMemoryTelemetry) -> list[dict[str, Any]]:
    """What the spans say of Prefect, in the order of their end."""
    return [
        {key.removeprefix("prefect."): value for key, value in span.attributes.items() if key.startswith("prefect.")}
        for span in signals.spans
    ]


def test_flow_and_task(prefect: Any, instrumented: InMemoryTelemetry, simulator: Simulator) -> None:
    """S0-06, S0-07, S0-08: a flow has its keys, a task those of both, and outside there are none.

    Every span has them, of whichever provider, and without a decorator. S0-15.
    """
    with prefect.flow("my-pipeline", tags=["nightly", "eu"]) as flow:
        work()
        with prefect.task("summarize", flow, run_count=2) as task:
            simulator.gemini().models.generate_content(model="m", contents="x")
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    of_flow = {
        "flow_run.id": str(flow.id),
        "flow_run.name": "my-pipeline-run",
        "flow_run.flow_name": "my-pipeline",
        "flow_run.tags": ("nightly", "eu"),
        "flow_run.run_count": 1,
    }
    of_task = {
        "task_run.id": str(task.id),
        "task_run.name": "summarize-0",
        "task_run.task_name": "summarize",
        "task_run.run_count": 2,
    }
    assert told(instrumented) == [of_flow, of_flow | of_task, {}]


def test_a_task_without_its_flows_context(prefect: Any, instrumented: InMemoryTelemetry) -> None:
    """S0-06, S0-07: the task names its flow run; a task outside of any flow has its own keys."""
    with prefect.flow("f") as flow:
        pass
    with prefect.task("t", flow):
        work()
    with prefect.task("alone", None):
        work()
    ids = [(found.get("flow_run.id"), found["task_run.task_name"]) for found in told(instrumented)]
    assert ids == [(str(flow.id), "t"), (None, "alone")]


def test_late_binding(prefect: Any, instrumented: InMemoryTelemetry) -> None:
    """S0-07, S0-15: what runs when the span starts counts, retries and all."""
    with prefect.flow("f") as flow, prefect.task("t", flow) as task:
        work()
        task.run_count = 2
        task.name = "renamed"
        work()
    found = [(one["task_run.run_count"], one["task_run.name"]) for one in told(instrumented)]
    assert found == [(1, "t-0"), (2, "renamed")]


def test_a_flow_in_a_flow(prefect: Any, instrumented: InMemoryTelemetry) -> None:
    """S0-06: the inner run, and the id of the one that it was called in, also where a thread has a copy of both."""
    with prefect.flow("outer") as outer, prefect.flow("inner", parent_task_run_id=uuid4()) as inner:
        work()
        again = prefect.FlowRunContext(flow=prefect.Named("inner"), flow_run=inner)
        with again.entered(), prefect.task("t", inner):
            work()
        work()
    ids = [(one["flow_run.id"], one["flow_run.parent_flow_run_id"]) for one in told(instrumented)]
    assert ids == [(str(inner.id), str(outer.id))] * 3


def test_a_parent_in_another_process_is_not_told(prefect: Any, instrumented: InMemoryTelemetry) -> None:
    """S0-06: nor is a flow that merely runs around one that nobody called."""
    with prefect.flow("far", parent_task_run_id=uuid4()):
        work()
    with prefect.flow("around"), prefect.flow("own"):
        work()
    assert ["flow_run.parent_flow_run_id" in one for one in told(instrumented)] == [False, False]


def test_a_deployment(prefect: Any, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-08: the id from the run, the name from the environment that Prefect's runners and workers make.

    A flow that is called in a deployed one is part of its deployment.
    """
    deployment = uuid4()
    monkeypatch.setenv("PREFECT__DEPLOYMENT_NAME", "prod-pipeline")
    with prefect.flow("f", deployment_id=deployment):
        work()
        prefect._deployment_id.set(deployment)
        with prefect.flow("called"):
            work()
        prefect._deployment_id.set(None)
    with prefect.flow("not deployed"):
        work()
    found = [(one.get("deployment.id"), one.get("deployment.name")) for one in told(instrumented)]
    assert found == [(str(deployment), "prod-pipeline")] * 2 + [(None, None)]


def test_the_name_of_another_deployment_is_not_taken(
    prefect: Any, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S0-08: where the environment is of another deployment, only what the program asked Prefect for itself counts."""
    deployment = uuid4()
    monkeypatch.setenv("PREFECT__DEPLOYMENT_ID", str(uuid4()))
    monkeypatch.setenv("PREFECT__DEPLOYMENT_NAME", "another")
    with prefect.flow("f", deployment_id=deployment):
        work()
        asked = importlib.import_module("prefect.runtime.deployment")
        asked.CACHED_DEPLOYMENT[str(deployment)] = prefect.Named("mine")
        work()
    found = [(one["deployment.id"], one.get("deployment.name")) for one in told(instrumented)]
    assert found == [(str(deployment), None), (str(deployment), "mine")]


def test_a_bare_thread(prefect: Any, signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-15: it has no context of Prefect's: it knows the run that the process was started for, and no task."""
    observer.observe(tracer_provider=signals.tracer_provider)
    with prefect.flow("f") as flow, prefect.task("t", flow):
        for environment in ({}, {"PREFECT__FLOW_RUN_ID": str(flow.id), "PREFECT__DEPLOYMENT_NAME": "prod"}):
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert told(signals) == [{}, {"flow_run.id": str(flow.id), "deployment.name": "prod"}]


def test_the_environment_never_stands_over_what_runs(
    prefect: Any, signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S0-06: a flow called in the flow that the process was started for has its own id, also in a bare thread below."""
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context

    observer.observe(tracer_provider=signals.tracer_provider)
    tracer = signals.tracer_provider.get_tracer("app")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "the-process")
    with prefect.flow("called") as called:
        parent = tracer.start_span("parent")
    tracer.start_span("child", set_span_in_context(parent, Context())).end()
    parent.end()
    assert [one["flow_run.id"] for one in told(signals)] == [str(called.id)] * 2


def test_tasks_and_threads_do_not_mix(prefect: Any, instrumented: InMemoryTelemetry) -> None:
    """S0-15: concurrent tasks of a flow, in one loop and in threads that Prefect gives a context to."""

    def run(name: str, flow: Any) -> None:
        with prefect.task(name, flow):
            for _ in range(3):
                work(name)

    async def task(name: str, flow: Any) -> None:
        with prefect.task(name, flow):
            for _ in range(3):
                await asyncio.sleep(0)
                work(name)

    async def gathered(flow: Any) -> None:
        await asyncio.gather(*(task(f"async-{n}", flow) for n in range(8)))

    with prefect.flow("f") as flow, ThreadPoolExecutor(4) as pool:
        asyncio.run(gathered(flow))
        jobs = [pool.submit(contextvars.copy_context().run, run, f"thread-{n}", flow) for n in range(8)]
        [job.result() for job in jobs]
    names = [one["task_run.task_name"] for one in told(instrumented)]
    expected = [f"{kind}-{n}" for kind in ("async", "thread") for n in range(8) for _ in range(3)]
    assert sorted(names) == sorted(expected)
    assert {one["flow_run.id"] for one in told(instrumented)} == {str(flow.id)}


def test_the_file_has_the_run(prefect: Any, simulator: Simulator) -> None:
    """S0-15, S0-18: an event of the session file says which task run made the call, what came back, and what failed.

    ``aiobs show --where prefect.task_run.id=ID`` finds it.
    """
    observer.observe()
    with prefect.flow("f") as flow, prefect.task("t", flow) as task:
        simulator.reply("It went well.")
        simulator.openai().chat.completions.create(model="m", messages=ASK)
        simulator.fail(status=401, code="invalid_api_key")
        with pytest.raises(Exception, match="invalid_api_key|401"):
            simulator.openai().chat.completions.create(model="m", messages=ASK)
    with prefect.task("another", flow):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    file = str(observer.flush(end=True))
    events = json.loads(Path(file).read_text())["events"]
    assert [event["context"]["prefect.task_run.id"] == str(task.id) for event in events] == [True, True, False]
    shown = CliRunner().invoke(app, ["show", "--where", f"prefect.task_run.id={task.id}", "--json", file])
    chosen = json.loads(shown.stdout)["events"]
    assert [event["response"] and event["response"]["text"] for event in chosen] == ["It went well.", None]
    assert [event["request"]["messages"] for event in chosen] == [ASK] * 2
    assert "401" in chosen[1]["error"]


# Before and without Prefect


def test_imported_after_us(signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-10: there is no source, and nobody is asked, until the program imports Prefect; reset takes it away."""
    Instrumentor(**signals.providers).instrument()
    assert not has_sources()
    monkeypatch.syspath_prepend(FAKES)
    context = importlib.import_module("prefect.context")
    try:
        assert has_sources()
        with context.flow("f"):
            work()
        observer.reset()
        assert not has_sources()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "prefect"]:
            del sys.modules[name]
    assert told(signals)[0]["flow_run.flow_name"] == "f"


def test_prefect_is_never_imported(tmp_path: Path) -> None:
    """S0-10: not by a session and its calls either, in a process that could."""
    program = (
        "import sys, aiobs\n"
        "aiobs.observer.observe()\n"
        "aiobs.observe(lambda: None)()\n"
        "from aiobs.compat.marvin.openai import get_prefect_context, openai_request_kwargs\n"
        "print(get_prefect_context(), openai_request_kwargs())\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('prefect', 'marvin', 'openai')])\n"
    )
    made = [sys.executable, "-c", program]
    done = subprocess.run(made, cwd=tmp_path, env={"PYTHONPATH": FAKES}, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["{} {'store': True}", "[]"], done.stderr


@pytest.mark.quiet_guard
def test_a_prefect_that_has_changed(prefect: Any, instrumented: InMemoryTelemetry) -> None:
    """S0-10: one whose contexts look different costs its own attributes only."""
    context = prefect.FlowRunContext(flow=None, flow_run=object())
    with context.entered():
        work()
    with prefect.FlowRunContext(flow=None, flow_run=None).entered():
        work()
    assert told(instrumented) == [{}, {}]
