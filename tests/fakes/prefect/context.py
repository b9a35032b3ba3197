"""Prefect's contexts, each in a context variable, with the token that leads to what it took the place of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4


@dataclass
class Named:
    """A flow or a task."""

    name: str


@dataclass
class FlowRun:
    """What Prefect knows of a flow run."""

    name: str
    id: UUID = field(default_factory=uuid4)
    tags: list[str] = field(default_factory=list)
    run_count: int = 1
    deployment_id: UUID | None = None
    parent_task_run_id: UUID | None = None


@dataclass
class TaskRun:
    """What Prefect knows of a task run."""

    name: str
    flow_run_id: UUID | None
    id: UUID = field(default_factory=uuid4)
    run_count: int = 1


class _Context:
    variable: ClassVar[ContextVar[Any]]

    def __init__(self, **fields: Any) -> None:
        self._token: Token[Any] | None = None
        vars(self).update(fields)

    @classmethod
    def get(cls) -> Self | None:
        """The current one."""
        return cls.variable.get(None)

    @contextmanager
    def entered(self) -> Iterator[Self]:
        """Current in this block."""
        self._token = self.variable.set(self)
        try:
            yield self
        finally:
            self.variable.reset(self._token)


class FlowRunContext(_Context):
    """A flow runs."""

    variable = ContextVar("flow_run")
    flow: Named | None
    flow_run: FlowRun | None


class TaskRunContext(_Context):
    """A task runs."""

    variable = ContextVar("task_run")
    task: Named
    task_run: TaskRun


_deployment_id: ContextVar[UUID | None] = ContextVar("deployment_id", default=None)


@contextmanager
def flow(name: str, **fields: Any) -> Iterator[FlowRun]:
    """A flow runs in this block."""
    run = FlowRun(f"{name}-run", **fields)
    with FlowRunContext(flow=Named(name), flow_run=run).entered():
        yield run


@contextmanager
def task(name: str, flow_run: FlowRun | None, **fields: Any) -> Iterator[TaskRun]:
    """A task of the flow run runs in this block."""
    run = TaskRun(f"{name}-0", flow_run.id if flow_run else None, **fields)
    with TaskRunContext(task=Named(name), task_run=run).entered():
        yield run
