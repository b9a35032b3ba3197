"""The thread that takes batches from a spool's folder and gives them to an exporter, in order, for as long as it takes.

A batch that fails is tried again, later and later. Three answers are told apart: taken; not taken (dead, slow,
unauthorised: wait); refused (HTTP 400, 413, 422: it is there and will never take this). What is refused is halved until
the items are found that are to blame, and those are set aside, so that they do not stand in the way.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.instrumentation.utils import suppress_instrumentation

from aiobs.exporters.spool.folder import Batch, SpoolFolder
from aiobs.guard import guarded

FAILURES = 10  # without an answer, before the next batch is asked
ADOPT_SECONDS = 15.0
LONGEST_ASKED = 300.0  # of what Retry-After asks for
REFUSING = frozenset({400, 413, 422})

Export = Callable[[Sequence[Any]], Any]


class Drainer:
    """One thread per process; ``set_aside(items, broken_lines, status)`` is told what is not sent, ``on_wait`` when
    the backend has to be waited for, and (False) that it takes something again.

    ``status`` tells, once, the HTTP status of the last answer (None: there was none). Where no status tells it, a batch
    counts as refused when it failed ten times, the one after it goes through, and it fails again.
    """

    def __init__(
        self,
        folder: SpoolFolder,
        export: Export,
        set_aside: Callable[[Sequence[Any], Sequence[bytes], int | None], None],
        *,
        on_wait: Callable[[bool], None] = lambda waits: None,
        status: Callable[[], int | None] | None = None,
        retry_after: Callable[[], float | None] | None = None,
        backoff: tuple[float, float] = (0.5, 30.0),
        name: str = "aiobs-spool",
    ) -> None:
        self._folder = folder
        self._export = export
        self._set_aside = set_aside
        self._on_wait = on_wait
        self._status = status
        self._retry_after = retry_after
        self._first_backoff, self._longest_backoff = backoff
        self._name = name
        self._forget()

    def _forget(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._is_hurried = False
        self._attempt = self._failed_attempt = 0
        self._failures = 0
        self._adopted_at = float("-inf")
        self._batch: Batch | None = None
        self._pieces: deque[Sequence[Any]] = deque()
        self._ahead: Batch | None = None

    @property
    def is_failing(self) -> bool:
        """The last attempt was in vain."""
        return self._failures > 0

    def after_fork(self) -> None:
        """In a child there is no thread, and what it was about to send is the parent's."""
        self._forget()

    def start(self) -> None:
        """Start the thread, or tell it that there is something."""
        with self._changed:
            if self._thread is None and not self._is_stopping:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is going down: the next process sends it
                    self._thread = None
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is delivered; False after that time, or as soon as an attempt fails."""
        self.start()
        with self._changed:
            if self._thread is None:
                return self._folder.is_empty
            began = self._attempt
            self._is_hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._folder.is_empty or self._failed_attempt > began, timeout)
            return self._folder.is_empty

    def stop(self, timeout: float) -> bool:
        """End the thread; False if it is still waiting for the exporter."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    # In the thread

    def _run(self) -> None:
        with suppress_instrumentation():  # what sends telemetry is not to be telemetry
            while not self._is_stopping:
                self._adopt()
                if guarded(self._step) is None and not self._is_stopping:
                    self._failed_attempt = self._attempt
                    guarded(self._on_wait, True)
                    self._wait(self._delay())

    def _adopt(self) -> None:
        """At the start and then now and again; how long ago is told by a clock that nobody sets."""
        if time.monotonic() - self._adopted_at >= ADOPT_SECONDS:
            self._adopted_at = time.monotonic()
            guarded(self._folder.adopt)

    def _step(self) -> bool | None:
        """Deliver one batch, or wait for one; None if the backend has to be waited for."""
        if self._batch is None or self._batch.segment.is_gone:
            self._batch, self._ahead = self._folder.batch(), None
            self._pieces = deque([self._batch.items] if self._batch is not None else [])
        if self._batch is None:
            self._wait(ADOPT_SECONDS, unless=lambda: not self._folder.is_empty)
            return True
        while self._pieces:
            if not self._deliver(self._batch):
                return None
        self._end(self._batch)
        return True

    def _end(self, batch: Batch) -> None:
        if self._failures:
            guarded(self._on_wait, False)
        ahead, self._batch, self._ahead, self._failures = self._ahead, None, None, 0
        for done in (batch, ahead):
            if done is not None:
                if done.broken:
                    self._set_aside((), done.broken, None)
                self._folder.done(done)

    def _wait(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> None:
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_stopping or self._is_hurried or unless(), seconds)
            self._is_hurried = False

    def _delay(self) -> float:
        self._failures += 1
        longest = min(self._longest_backoff, self._first_backoff * 2.0 ** min(self._failures - 1, 30))
        asked = guarded(self._retry_after) if self._retry_after is not None else None
        spread = random.uniform(0.7, 1.0)  # so that a fleet does not come back all at once
        return max(longest * spread, min(asked or 0.0, LONGEST_ASKED))

    def _deliver(self, batch: Batch) -> bool:
        """Send a piece; False if the backend has to be waited for."""
        piece = self._pieces[0]
        if not piece or self._try(piece):
            self._pieces.popleft()
            return True
        status = guarded(self._status) if self._status is not None else None
        if self._is_stopping:
            return False
        if status in REFUSING:
            self._refused(piece, status)
            return True
        if status is not None or self._failures < FAILURES or not self._passes_the_next(batch):
            return False
        self._pieces.popleft()
        if not self._try(piece):
            self._set_aside(piece, (), status)
        return True

    def _refused(self, piece: Sequence[Any], status: int | None) -> None:
        """Halve it; a single item is set aside."""
        self._pieces.popleft()
        if len(piece) == 1:
            self._set_aside(piece, (), status)
            return
        half = len(piece) // 2
        self._pieces.extendleft((piece[half:], piece[:half]))

    def _passes_the_next(self, batch: Batch) -> bool:
        """The batch after this one goes through; it is done as soon as this one is."""
        if self._ahead is None:
            following = self._folder.batch(after=batch)
            if following is None or not following.items or not self._try(following.items):
                return False
            self._ahead = following
        return True

    def _try(self, items: Sequence[Any]) -> bool:
        self._attempt += 1
        if self._status is not None:
            guarded(self._status)  # forgets an earlier answer
        result = guarded(self._export, items)
        return getattr(result, "name", None) == "SUCCESS"
