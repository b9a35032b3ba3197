"""Dagster as a source of context: every span of an op says which run and step it is part of."""

from __future__ import annotations

import sys
from typing import Any

from aiobs.ambient.sources import add_source


@add_source
def dagster_op() -> dict[str, Any] | None:
    """What runs in this thread, from memory; None outside of an op, where Dagster raises."""
    module: Any = sys.modules.get("dagster")
    if module is None:
        return None
    try:
        context = module.OpExecutionContext.get()
    except module.DagsterInvariantViolationError:
        return None
    return {
        "dagster.run_id": context.run_id,
        "dagster.job_name": context.job_name,
        "dagster.op_name": context.op.name,
        "dagster.retry_number": context.retry_number,
    }
