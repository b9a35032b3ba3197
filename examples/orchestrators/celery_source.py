"""Celery as a source of context: every span of a task says which message it works on, and whose child that is."""

from __future__ import annotations

import sys
from typing import Any

from aiobs.ambient.sources import add_source


@add_source
def celery_task() -> dict[str, Any] | None:
    """The task of this worker's thread; None outside of one, where Celery's proxy is of nothing."""
    module: Any = sys.modules.get("celery")
    task = module.current_task if module is not None else None
    if not task or task.request.id is None:
        return None
    request = task.request
    return {
        "celery.task_id": request.id,
        "celery.task_name": task.name,
        "celery.root_id": request.root_id,
        "celery.retries": request.retries,
        "celery.queue": (request.delivery_info or {}).get("routing_key"),
    }
