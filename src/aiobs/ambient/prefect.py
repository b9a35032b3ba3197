"""Prefect as a source of context: which flow, task and deployment run right now, from what Prefect keeps in memory.

Prefect is never imported, and never asked over its API: ``prefect.runtime`` does that for what is not in memory, and
blocks the caller meanwhile. See ``docs/design/012-prefect.md``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import wrapt

from aiobs.ambient.sources import add_source, remove_source
from aiobs.guard import guarded
from aiobs.semconv import names

_MODULE = "prefect.context"
_listening = False
_hooked = False


def listen() -> None:
    """Ask Prefect whenever a span starts, from the moment that the program has imported it."""
    global _hooked, _listening
    _listening = True
    if _MODULE in sys.modules:
        _add_sources()
    elif not _hooked:
        _hooked = True  # hooks cannot be taken back, so there is one at a time
        wrapt.register_post_import_hook(_on_import, _MODULE)


def ignore() -> None:
    """Do not ask it any more."""
    global _listening
    _listening = False
    remove_source(from_environment)
    remove_source(from_memory)


def _on_import(_: ModuleType) -> None:
    """Inside the program's import statement: a failure here must not break it."""
    global _hooked
    _hooked = False
    if _listening:
        guarded(_add_sources)


def _add_sources() -> None:
    add_source(from_environment)
    add_source(from_memory)  # added last, so that it is heard where both know something


def from_environment() -> dict[str, Any] | None:
    """What the process was started for, as Prefect's runners and workers write it into the environment.

    That is all that a bare thread of a flow's process can know. None where no run was named.
    """
    run = os.environ.get("PREFECT__FLOW_RUN_ID")
    if not run:
        return None
    deployment = os.environ.get("PREFECT__DEPLOYMENT_ID")
    name = os.environ.get("PREFECT__DEPLOYMENT_NAME")
    return {names.FLOW_RUN_ID: run, names.DEPLOYMENT_ID: deployment, names.DEPLOYMENT_NAME: name}


def from_memory() -> dict[str, Any] | None:
    """The flow run and task run of this thread and task, as ``prefect.*`` attributes; None where there is none.

    What is not known is None. Raises what Prefect's objects raise where they are not as known: sources are guarded.
    """
    context: Any = sys.modules.get(_MODULE)
    if context is None:
        return None
    flow, task = context.FlowRunContext.get(), context.TaskRunContext.get()
    if flow is None and task is None:
        return None
    return {**_task(task), **_flow(flow), **_deployment(context, flow)}


def _flow(context: Any) -> dict[str, Any]:
    run = getattr(context, "flow_run", None)
    if run is None:
        return {}
    return {
        names.FLOW_RUN_ID: _text(run.id),
        names.FLOW_RUN_NAME: run.name,
        names.FLOW_NAME: _text(getattr(context.flow, "name", None)),
        names.FLOW_RUN_TAGS: list(run.tags) if run.tags else None,
        names.FLOW_RUN_COUNT: run.run_count,
        names.PARENT_FLOW_RUN_ID: _parent(context, run),
    }


def _task(context: Any) -> dict[str, Any]:
    """The task run; it also names the flow run that it is part of, for where nothing else does."""
    run = getattr(context, "task_run", None)
    if run is None:
        return {}
    return {
        names.FLOW_RUN_ID: _text(run.flow_run_id),
        names.TASK_RUN_ID: _text(run.id),
        names.TASK_RUN_NAME: run.name,
        names.TASK_NAME: _text(getattr(context.task, "name", None)),
        names.TASK_RUN_COUNT: run.run_count,
    }


def _parent(context: Any, run: Any) -> str | None:
    """The flow run that a flow was called in: the context that its own took the place of.

    Prefect knows the task run that stands for the call, and which flow run that is part of by its API only. A run that
    another process called has no such context: its parent is not told.
    """
    while run.parent_task_run_id is not None and context is not None:
        context = getattr(getattr(context, "_token", None), "old_value", None)
        above = getattr(context, "flow_run", None)
        if above is None:
            return None
        if above.id != run.id:  # the same run again: a thread of a task runner has a copy
            return _text(above.id)
    return None


def _deployment(module: ModuleType, context: Any) -> dict[str, Any]:
    """The deployment of the run, or of the run that it was called in."""
    variable = getattr(module, "_deployment_id", None)
    found = variable.get() if variable is not None else None
    deployment = _text(found or getattr(getattr(context, "flow_run", None), "deployment_id", None))
    if deployment is None:
        return {}
    return {names.DEPLOYMENT_ID: deployment, names.DEPLOYMENT_NAME: _deployment_name(deployment)}


def _deployment_name(deployment: str) -> str | None:
    """As the runner or worker that started the process wrote it down, else as the program has asked Prefect for it."""
    if os.environ.get("PREFECT__DEPLOYMENT_ID", deployment) == deployment:
        name = os.environ.get("PREFECT__DEPLOYMENT_NAME")
        if name:
            return name
    asked: Mapping[str, Any] = getattr(sys.modules.get("prefect.runtime.deployment"), "CACHED_DEPLOYMENT", {})
    return _text(getattr(asked.get(deployment), "name", None))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
