"""What was recorded and did not get to where it should: counted, and logged once for each exporter and reason."""

from __future__ import annotations

import logging
import os
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

_log = logging.getLogger("aiobs")


class Loss(NamedTuple):
    """What was lost where, and why: ``span``, ``log`` or ``metric``; ``queue_full``, ``export_failed``, …"""

    exporter: str
    signal: str
    reason: str


lost: Counter[Loss] = Counter()
"""Since the process started: the source of the metric ``aiobs.exporter.dropped``."""
os.register_at_fork(after_in_child=lost.clear)  # what the parent lost, the parent tells


def lose(exporter: str, signal: str, reason: str, count: int, message: str) -> None:
    """Count what is lost, and log the first of its kind with the message, which says what to do about it."""
    loss = Loss(exporter, signal, reason)
    is_first = loss not in lost
    lost[loss] += count
    if is_first:
        with suppress(Exception):  # a logging handler or filter of the program's may itself raise
            _log.warning("aiobs: the exporter %s lost %d %s(s): %s", exporter, count, signal, message)
