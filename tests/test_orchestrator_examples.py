"""The sources in ``examples/orchestrators``, against what the orchestrators keep in memory."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aiobs import observe
from aiobs.ambient.sources import Source, remove_source
from aiobs.testing import InMemoryTelemetry

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytestmark = pytest.mark.nonconforming("attributes of other orchestrators are in no registry")


class Airflow(ModuleType):
    """``airflow.sdk``: the context of the task, or RuntimeError."""

    def __init__(self) -> None:
        super().__init__("airflow.sdk")
        self.running = False

    def get_current_context(self) -> dict[str, Any]:
        if not self.running:
            raise RuntimeError("Current context was requested but no context was found!")
        run = {"dag_id": "etl", "run_id": "manual__1", "task_id": "summarize", "map_index": -1, "try_number": 2}
        return {"ti": SimpleNamespace(**run)}


class Dagster(ModuleType):
    """``dagster``: the context of the op, or an error of its own."""

    def __init__(self) -> None:
        super().__init__("dagster")
        self.running = False
        self.DagsterInvariantViolationError = LookupError
        self.OpExecutionContext = SimpleNamespace(get=self._get)

    def _get(self) -> Any:
        if not self.running:
            raise LookupError("No current OpExecutionContext in scope.")
        return SimpleNamespace(run_id="r-1", job_name="etl", op=SimpleNamespace(name="summarize"), retry_number=0)


class Celery(ModuleType):
    """``celery``: a proxy of the current task, which is false outside of one."""

    def __init__(self) -> None:
        super().__init__("celery")
        self.running = False

    @property
    def current_task(self) -> Any:
        request = SimpleNamespace(id="t-1", root_id="t-0", retries=1, delivery_info={"routing_key": "ai"})
        return SimpleNamespace(name="app.summarize", request=request) if self.running else None


CASES: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "airflow": (
        Airflow,
        "airflow_task",
        {"dag_id": "etl", "run_id": "manual__1", "task_id": "summarize", "try_number": 2},
    ),
    "dagster": (
        Dagster,
        "dagster_op",
        {"run_id": "r-1", "job_name": "etl", "op_name": "summarize", "retry_number": 0},
    ),
    "celery": (
        Celery,
        "celery_task",
        {"task_id": "t-1", "task_name": "app.summarize", "root_id": "t-0", "retries": 1, "queue": "ai"},
    ),
}


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    """The example of the test's case, imported as a program does; it is a source until the test ends."""
    name = request.getfixturevalue("name")
    path = EXAMPLES / "orchestrators" / f"{name}_source.py"
    specification = importlib.util.spec_from_file_location(f"{name}_source", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    function = getattr(module, CASES[name][1])
    yield function
    remove_source(function)


@observe
def work() -> None:
    """An observed function that does nothing."""


@pytest.mark.parametrize("name", CASES)
def test_a_source(name: str, source: Source, instrumented: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-15: nothing where it is not loaded, nothing outside of a run, and in a run what runs."""
    orchestrator, _, expected = CASES[name]
    work()
    fake = orchestrator()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    work()
    fake.running = True
    work()
    told = [{k: v for k, v in span.attributes.items() if k.startswith(f"{name}.")} for span in instrumented.spans]
    assert told == [{}, {}, {f"{name}.{key}": value for key, value in expected.items()}]


@pytest.mark.parametrize("name", CASES)
def test_a_source_is_short(name: str) -> None:
    """Each is less than 40 lines, to be copied."""
    assert len((EXAMPLES / "orchestrators" / f"{name}_source.py").read_text("utf-8").splitlines()) < 40


def test_the_prefect_example_without_prefect(tmp_path: Path) -> None:
    """S0-20: it says what to install, and is no failure; with Prefect it runs in tests/orchestrators."""
    assert importlib.util.find_spec("prefect") is None
    program = [sys.executable, str(EXAMPLES / "prefect_observability" / "example.py"), "--fake"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == 'Skipped: Prefect is not installed; pip install "aiobs[prefect]"'
