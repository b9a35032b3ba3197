"""Automatic prompt enhancement: after every N calls of a function the enhancer looks at them, in the background.

``@observe(enh_prompt=True, auto_enhance_after=N)`` says which function and when, ``set_prompt_enhancer(fn)`` who. The
default enhancer is an analysis on this machine (``analysis.py``): it calls no model and appends its report to
``prompt_enhancements.jsonl``. Nothing starts before the first N calls; what is kept is bounded; a failing enhancer is
logged and never raised; the exit of the process waits for one that runs as long as for an exporter, and no longer.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from aiobs.capture.prompt_trace import ModelCall, PromptTrace
from aiobs.capture.telemetry import Telemetry
from aiobs.errors import public_name
from aiobs.guard import guarded
from aiobs.semconv import names
from aiobs.semconv.serialise import plain_to_json
from aiobs.settings import resolve

__all__ = ["EnhanceRequest", "ModelCall", "PromptTrace", "finish_enhancements", "set_prompt_enhancer"]

MOST_TRACES = 1_000
"""Of one function: what an enhancer gets at most, whatever ``auto_enhance_after`` says; the newest ones."""

MOST_BYTES = 8_388_608
"""Of what the traces of one function say; beyond it the oldest say nothing any more but how they went."""

MOST_WAITING = 16
"""Requests that wait for the enhancer; while so many do, further ones are dropped, with a warning."""

_log = logging.getLogger("aiobs")


@dataclass(frozen=True, slots=True)
class EnhanceRequest:
    """The newest calls of one function, oldest first: as many as ``auto_enhance_after``, at most 1,000.

    ``function`` is its module and qualified name; ``calls`` counts all there have been in this process.
    """

    function: str
    enh_prompt_ids: list[str]
    traces: list[PromptTrace]
    auto_enhance_after: int
    calls: int


Enhancer = Callable[[EnhanceRequest], object]


def set_prompt_enhancer(enhancer: Enhancer | None) -> None:
    """Call this with every request from now on, in a background thread; None: the default analysis.

    What it returns is its own business, what it raises is logged. Model calls that it makes are recorded as any others.
    """
    global _enhancer
    _enhancer = enhancer


_enhancer: Enhancer | None = None


def receive(function: str, after: int, found: PromptTrace, telemetry: Telemetry) -> None:
    """A marked call of a function is over; the N-th sends the last N to the enhancer."""
    if _worker.is_running_this_thread():  # an enhancer that calls what it enhances would never end
        return
    with _lock:
        calls = _functions.get((function, after))
        if calls is None:
            calls = _functions[function, after] = _Calls(after)
        is_due = calls.add(found)
        if is_due:
            ids = [one.enh_prompt_id for one in calls.traces]
            request = EnhanceRequest(function, ids, [*calls.traces], after, calls.count)
            calls.clear()
    if is_due:
        _worker.give(request, telemetry)


def finish_enhancements(timeout: float = 30.0) -> bool:
    """Wait until the enhancer has looked at everything so far; False if that took longer than so many seconds."""
    return _worker.join(timeout)


class _Calls:
    """The newest calls of one function since the enhancer ran last."""

    def __init__(self, after: int) -> None:
        self.count = 0
        self.traces: deque[PromptTrace] = deque(maxlen=min(after, MOST_TRACES))
        self._after = after
        self._sizes: deque[int] = deque(maxlen=self.traces.maxlen)

    def add(self, found: PromptTrace) -> bool:
        """One more; True if the enhancer is due."""
        self.count += 1
        self.traces.append(found)
        self._sizes.append(_size(found))
        over = sum(self._sizes) - MOST_BYTES if len(self._sizes) > 1 else 0
        for position, size in enumerate(self._sizes):
            if over <= 0:
                break
            if size:
                _strip(self.traces[position])
                self._sizes[position] = 0
                over -= size
        return self.count % self._after == 0

    def clear(self) -> None:
        """The next N are others."""
        self.traces.clear()
        self._sizes.clear()


def _size(found: PromptTrace) -> int:
    """About the bytes of what it says."""
    said = sum(len(message["content"]) for call in found.calls for message in call.messages)
    said += sum(len(call.text or "") for call in found.calls)
    return said + len(plain_to_json([found.inputs, found.result]))


def _strip(found: PromptTrace) -> None:
    """Only how it went is left."""
    found.inputs = found.result = None
    for call in found.calls:
        call.messages, call.text = [], None


class _Worker:
    """The background thread: there is one while something waits, and none else."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[EnhanceRequest, Telemetry]] = deque()
        self._thread: threading.Thread | None = None
        self._has_exit_hook = False

    def is_running_this_thread(self) -> bool:
        """The enhancer is who calls."""
        return threading.current_thread() is self._thread

    def give(self, request: EnhanceRequest, telemetry: Telemetry) -> None:
        """Have the enhancer look at it."""
        with _lock:
            if len(self._waiting) >= MOST_WAITING:
                _log.warning("aiobs: the prompt enhancer is slow; %d calls of %s are not looked at",
                             len(request.traces), request.function)  # fmt: skip
                return
            self._waiting.append((request, telemetry))
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="aiobs-enhance", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            self._waiting.clear()
            _log.warning("aiobs: the process ends; its newest prompts are not looked at")
            return
        self._thread = thread
        if not self._has_exit_hook:
            self._has_exit_hook = True
            atexit.register(_at_exit)

    def _run(self) -> None:
        while True:
            with _lock:
                if not self._waiting:
                    self._thread = None
                    return
                request, telemetry = self._waiting.popleft()
            error = _enhance(request)
            guarded(_tell, request, telemetry, error)
            del request, telemetry

    def join(self, timeout: float) -> bool:
        """Wait until nothing waits."""
        end = time.monotonic() + timeout
        while (thread := self._thread) is not None and thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                return False
            if self._thread is thread:  # killed from outside: it had no time to say so
                self._thread = None
        return True


def _enhance(request: EnhanceRequest) -> str | None:
    """Run the enhancer; the ``error.type`` of what it raised. It is the program's: it may raise anything."""
    try:
        (_enhancer or write_report)(request)
    except BaseException as error:
        kind = public_name(type(error))
        _log.warning("aiobs: the prompt enhancer failed on %s: %s", request.function, kind)
        return kind
    return None


def write_report(request: EnhanceRequest) -> None:
    """The default enhancer: append the report of the local analysis to ``AIOBS_PROMPT_ENHANCEMENTS``, as a line."""
    from aiobs.prompts.analysis import report  # for the background thread

    append_line(resolve("AIOBS_PROMPT_ENHANCEMENTS"), report(request.function, request.traces))


def append_line(path: str, found: dict[str, Any]) -> None:
    """One line of JSON more, in one write; the file is for its owner only, as it has prompts in it."""
    line = plain_to_json(found).encode() + b"\n"
    if folder := os.path.dirname(path):
        os.makedirs(folder, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        while line:
            line = line[os.write(file, line) :]
    finally:
        os.close(file)


def _tell(request: EnhanceRequest, telemetry: Telemetry, error: str | None) -> None:
    """The event, in the span of the newest call; it names the others, and has no content."""
    logger = telemetry.logger
    if logger is None:
        return
    attributes: dict[str, Any] = {
        names.ENHANCEMENT_FUNCTION: request.function,
        names.ENHANCEMENT_PROMPTS: tuple(request.enh_prompt_ids),
        names.ENHANCEMENT_SPANS: tuple(one.span_id for one in request.traces),
        names.ENHANCEMENT_TRACES: tuple(one.trace_id for one in request.traces),
    }
    if error is not None:
        attributes[names.ERROR_TYPE] = error
    newest = request.traces[-1]
    where = SpanContext(int(newest.trace_id, 16), int(newest.span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))
    logger.emit(
        context=trace.set_span_in_context(NonRecordingSpan(where)),
        severity_number=SeverityNumber.INFO,
        event_name=names.ENHANCEMENT_EVENT,
        attributes=attributes,
    )


def _at_exit() -> None:
    given = guarded(resolve, "AIOBS_EXIT_TIMEOUT")
    _worker.join(2.0 if given is None else given)


_lock = threading.RLock()  # a signal handler may call what is observed, also while this is held
_functions: dict[tuple[str, int], _Calls] = {}
_worker = _Worker()


def forget() -> None:
    """Start anew: what has been counted and what waits is forgotten. In a forked child: it is the parent's."""
    global _lock, _worker
    _lock = threading.RLock()
    _functions.clear()
    has_exit_hook = _worker._has_exit_hook
    _worker = _Worker()
    _worker._has_exit_hook = has_exit_hook


os.register_at_fork(after_in_child=forget)
