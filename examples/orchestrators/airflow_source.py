"""Airflow 3 as a source of context: every span of a task says which DAG run and which try it is part of.

Import it where the DAG is defined. In Airflow 2 the module is ``airflow.operators.python``.
"""

from __future__ import annotations

import sys
from typing import Any

from aiobs.ambient.sources import add_source

MODULE = "airflow.sdk"


@add_source
def airflow_task() -> dict[str, Any] | None:
    """What runs in this thread, from memory; None outside of a task, where Airflow raises."""
    module: Any = sys.modules.get(MODULE)
    if module is None:
        return None
    try:
        task = module.get_current_context()["ti"]
    except (RuntimeError, KeyError):
        return None
    return {
        "airflow.dag_id": task.dag_id,
        "airflow.run_id": task.run_id,
        "airflow.task_id": task.task_id,
        "airflow.map_index": task.map_index if task.map_index >= 0 else None,
        "airflow.try_number": task.try_number,
    }
