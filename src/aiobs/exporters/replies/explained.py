"""The official OTLP exporters, which tell why they fail: to aiobs, which says it once and with a remedy.

What they log themselves, for every batch, is at DEBUG then, under ``aiobs``.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from aiobs.exporters.replies.answers import Answers, NotSent, Reply, Verdict, explain
from aiobs.exporters.replies.echo import Echo
from aiobs.exporters.replies.failures import BY_CODE, of_grpc
from aiobs.exporters.replies.own_process import listens
from aiobs.exporters.replies.untraced import TRACEPARENT
from aiobs.exporters.replies.urls import safe_url
from aiobs.guard import guarded
from aiobs.losses import is_news, lose

_RESULTS: dict[str, Any] = {
    "traces": SpanExportResult, "metrics": MetricExportResult, "logs": LogRecordExportResult,
}  # fmt: skip
ITEMS = {"traces": "span", "metrics": "metric", "logs": "log"}

_log = logging.getLogger("aiobs")


class _Explained:
    """Mixed into an official exporter by ``explained``; ``why()`` is None as long as it works."""

    answers: Answers
    title: str
    item: str
    results: Any
    echo: Echo

    def export(self, *items: Any, **options: Any) -> Any:
        """Export, quietly; what the receiver did not store is counted, and what it did not understand has failed."""
        self.answers.forget()
        if self.item == "span" and self.echo.begin(items[0]):
            self._tell_of_echo()
        official: Any = super()
        with _quiet(self.answers):
            try:
                result = official.export(*items, **options)
            except Exception as error:  # exporters before 1.40 raise, the answer as well as what cannot be encoded
                if self.answers.reply() is None:
                    self.answers.note(Reply(error=NotSent(f"Failed to encode a batch: {type(error).__name__}")))
                result = self.results.FAILURE
        self.echo.end()
        return self._accepted(result) if result is self.results.SUCCESS else self._failed()

    def _tell_of_echo(self) -> None:
        place = self.answers.place
        if place is not None and listens(place.url) and is_news("own-echo", place.url):
            text = BY_CODE["own-echo"].sentences(url=safe_url(place.url))
            guarded(_log.warning, "aiobs: the exporter %s: %s %s %s", self.title, *text)  # a handler may raise

    def why(self) -> Verdict | None:
        """Why it does not work at the moment."""
        return self.answers.why()

    def _accepted(self, result: Any) -> Any:
        reply, place = self.answers.reply(), self.answers.place
        verdict = explain(reply, place) if reply and place else None
        if verdict is None or verdict.accepted:
            return result
        if not verdict.rejected:
            return self.results.FAILURE
        lose(self.title, self.item, "rejected", verdict.rejected, str(verdict), verdict.cause)
        return result

    def _failed(self) -> Any:
        if self.answers.reply() is None:
            self.answers.note(Reply(error=NotSent(self.answers.words or "the exporter does not say why")))
        return self.results.FAILURE


class _ExplainedGRPC(_Explained):
    """The exporter makes its stub anew after a failure; each one is listened to."""

    _stub_in_use: Any = None

    @property
    def _client(self) -> Any:
        return self._stub_in_use

    @_client.setter
    def _client(self, stub: Any) -> None:
        if stub is not None:
            stub.Export = _noting(stub.Export, self.answers)
        self._stub_in_use = stub


def _noting(call: Callable[..., Any], answers: Answers) -> Callable[..., Any]:
    """The call, with its answer noted, and part of no trace."""

    def export(request: Any, metadata: Any = None, **options: Any) -> Any:
        answers.asked()
        try:
            answer = call(request, metadata=(*(metadata or ()), ("traceparent", TRACEPARENT)), **options)
        except Exception as error:
            reply = _reply(error)
            answers.note(reply)
            if reply.grpc_code and of_grpc(reply.grpc_code, reply.detail).code == "too-large":
                _make_final(error)
            raise
        answers.note(Reply(grpc_code="OK", body=answer.SerializeToString()))
        return answer

    return export


def _make_final(error: Any) -> None:
    """RESOURCE_EXHAUSTED is tried again, by sending the same 100 MB until the time is over; this it is not for."""
    grpc: Any = importlib.import_module("grpc")
    error.code = lambda: grpc.StatusCode.INVALID_ARGUMENT


def _reply(error: Exception) -> Reply:
    grpc: Any = importlib.import_module("grpc")
    if not isinstance(error, grpc.RpcError):
        return Reply(error=error)
    told: Any = error
    return Reply(grpc_code=told.code().name, detail=told.details() or "")


def explained(cls: type, title: str, answers: Answers, options: dict[str, Any]) -> Any:
    """An exporter of that official class, with its own name; ``title`` is the exporter's name of the registry."""
    is_grpc = any("grpc" in one.__module__ for one in cls.__mro__)
    mixin = _ExplainedGRPC if is_grpc else _Explained
    signal = answers.place.signal if answers.place else "traces"
    told = {"answers": answers, "title": title, "item": ITEMS[signal], "results": _RESULTS[signal], "echo": Echo()}
    made = type(cls.__name__, (mixin, cls), {**told, "__module__": cls.__module__})
    for name in {one.__module__ for one in cls.__mro__ if one.__module__.startswith("opentelemetry.exporter.")}:
        logging.getLogger(name).addFilter(_FILTER)  # adds it once
    return made(**options)


# What the official exporters say

_attempts = threading.local()


@contextmanager
def _quiet(answers: Answers) -> Iterator[None]:
    """In this thread, what they log goes to DEBUG, and the last of it to ``answers.words``."""
    before, _attempts.answers = getattr(_attempts, "answers", None), answers
    try:
        yield
    finally:
        _attempts.answers = before


class _Filter(logging.Filter):
    """Lets through what is not of an export of ours: the program's own exporters say what they always said."""

    def filter(self, record: logging.LogRecord) -> bool:
        answers = getattr(_attempts, "answers", None)
        if answers is None:
            return True
        answers.words = record.getMessage()
        guarded(_log.debug, "aiobs: %s", answers.words)  # a handler of the program's may raise
        return False


_FILTER = _Filter()
