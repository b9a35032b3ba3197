"""What was recorded and did not get to where it should: counted, and logged once for each exporter and reason."""

from __future__ import annotations

import logging
import os
import time
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


def lose(
    exporter: str, signal: str, reason: str, count: int, message: str, cause: tuple[str, ...] | None = None
) -> None:
    """Count what is lost, and log the first of its kind with the message, which says what to do about it.

    ``cause``: what went wrong where, if that is known: the first of each cause is logged then.
    """
    loss = Loss(exporter, signal, reason)
    is_first = loss not in lost
    lost[loss] += count
    if is_first if cause is None else is_news(exporter, *cause):
        with suppress(Exception):  # a logging handler or filter of the program's may itself raise
            _log.warning("aiobs: the exporter %s lost %d %s(s): %s", exporter, count, signal, message)


told: dict[tuple[str, ...], float] = {}
"""When each cause was told, by a clock that nobody sets."""

AGAIN_SECONDS = 3600.0


def is_news(*cause: str) -> bool:
    """Nobody was told of this cause yet, or not for an hour; from now on somebody is."""
    now = time.monotonic()
    if now - told.get(cause, float("-inf")) < AGAIN_SECONDS:
        return False
    told[cause] = now
    return True
