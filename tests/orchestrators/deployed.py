"""A flow that Prefect's runner runs in a process of its own."""

from __future__ import annotations

import threading

from prefect import flow

from aiobs import observe, observer


@observe
def work() -> None:
    """An observed function that does nothing."""


@flow(name="deployed")
def my_pipeline() -> None:
    """Two spans: one in the flow, one in a thread that has no context; the file is where LLM_OBS_OUT says."""
    observer.observe("deployed")
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    observer.flush(end=True)
