"""A provider of ours in the child of a fork: it tells of that process, and counts from zero.

The SDK copies both. Spans of a child would name its parent as the process, and the child's totals would have the calls
that its parent made before, once more. Locks, which a thread of the parent may have held, are made anew.
"""

from __future__ import annotations

import os
import threading
from typing import Any
from weakref import ref

from opentelemetry.sdk.resources import Resource

from aiobs.guard import guarded


def follow_forks(provider: Any) -> None:
    """Call it once the provider is made: the SDK's own hooks have to run first, as theirs make its locks usable."""
    reference = ref(provider)
    os.register_at_fork(after_in_child=lambda: guarded(_after_fork, reference()))


def _after_fork(provider: Any) -> None:
    if provider is None:
        return
    process = Resource({"process.pid": os.getpid()})
    update = getattr(provider, "_update_resource", None)
    if update is not None:
        update(process)
    else:
        _change_resource(provider, process)
    consumer = getattr(provider, "_measurement_consumer", None)
    if consumer is not None:
        consumer._lock = threading.Lock()
        for reader, storage in consumer._reader_storages.items():
            reader._export_lock = threading.Lock()  # of a parent that is exporting, it would never be free
            storage._lock = threading.RLock()
            storage._instrument_view_instrument_matches = {}


def _change_resource(provider: Any, added: Resource) -> None:
    """In older releases of the SDK: tracers, loggers and readers share the resource, so that it has to be changed."""
    resource = getattr(provider, "resource", None) or provider._sdk_config.resource
    resource._attributes = resource.merge(added)._attributes
