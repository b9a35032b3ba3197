"""The observer: sessions and labels, as a program sees them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from aiobs import runtime
from aiobs.ambient.current import current_session, leave_session, open_sessions, refresh_baggage
from aiobs.ambient.labels import (
    RESERVED_PREFIX,
    check_label,
    check_labels,
    check_total,
    session_labels,
)
from aiobs.ambient.session import Session
from aiobs.errors import InvalidLabel, NoActiveSession
from aiobs.guard import guarded
from aiobs.instrumentation import Instrumentor, custom
from aiobs.settings import CaptureContent, resolve

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from aiobs.exporters import BaseExporter, ExportResult

_log = logging.getLogger("aiobs")


@cache
def _tell_that_a_key_is_ignored() -> None:
    """Once: a server may open a session per request."""
    _log.info("aiobs: api_key is ignored: sessions stay on this machine.")


class Observer:
    """Sessions and their labels. There is one, ``aiobs.observer``; it holds no state of its own."""

    def observe(
        self,
        session_name: str | None = None,
        api_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        tracer_provider: Any = None,
        capture_content: CaptureContent | str | bool | None = None,
        labels_strict: bool | None = None,
    ) -> str:
        """Open a session and instrument the provider SDKs; returns the session's id (a uuid4).

        The session holds for the current context (task, thread) and, until another one opens, for the process.
        Invalid labels raise InvalidLabel before anything has changed. ``api_key`` (``AIOBS_API_KEY``) is accepted for
        programs written for a hosted service and ignored: nothing leaves the machine unless an exporter is configured.
        """
        if api_key is not None or "AIOBS_API_KEY" in os.environ:
            guarded(_tell_that_a_key_is_ignored)
        explicit = check_labels(labels, strict=resolve("labels_strict", labels_strict))
        merged = session_labels(explicit)
        if tracer_provider is not None or capture_content is not None:
            runtime.configure(tracer_provider=tracer_provider, capture_content=capture_content)
        return runtime.open_session(session_name, merged, dict(metadata or {})).id

    def end(self) -> None:
        """End the active session; without one, nothing. Spans that are open keep their session."""
        session = current_session()
        if session is not None:
            leave_session(session)
            runtime.record_session(session)

    def session(
        self, session_name: str | None = None, labels: Mapping[str, str] | None = None, **options: Any
    ) -> SessionBlock:
        """``with observer.session("name") as session_id``, or ``async with``: a session that ends with the block.

        It takes what ``observe`` takes, and opens the session when the block is entered.
        """
        return SessionBlock(lambda: self.observe(session_name, labels=labels, **options))

    @overload
    def flush(
        self,
        path: str | None = None,
        include_trace_tree: bool = True,
        exporter: None = None,
        persist: bool = True,
        *,
        end: bool = False,
        mode: str = "replace",
    ) -> str | None: ...

    @overload
    def flush(
        self,
        path: str | None = None,
        include_trace_tree: bool = True,
        *,
        exporter: BaseExporter | SpanExporter,
        persist: bool = True,
        end: bool = False,
        **exporter_kwargs: Any,
    ) -> ExportResult: ...

    def flush(
        self,
        path: str | None = None,
        include_trace_tree: bool = True,
        exporter: BaseExporter | SpanExporter | None = None,
        persist: bool = True,
        *,
        end: bool = False,
        mode: str = "replace",
        **exporter_kwargs: Any,
    ) -> str | ExportResult | None:
        """Write everything since the last flush into one JSON file and return its path.

        ``path``: else ``LLM_OBS_OUT``, else ``./llm_observability.json``. An open session goes on, unless ``end``;
        ``persist=False`` writes nothing and forgets; ``mode="append"`` adds an export of what is new to the file, one a
        line. What could not be written (a full disk) is logged and kept for the next flush; None is returned then.

        With ``exporter`` (one of ``aiobs.exporters``, or any OpenTelemetry SpanExporter) no file is written: it gets an
        ``ObservabilityExport`` and ``exporter_kwargs``, and its ExportResult is returned. Where it fails nothing is
        raised and nothing lost: the result has the error, and the next flush has the events.
        """
        if exporter is None and exporter_kwargs:
            raise TypeError(f"flush() got {', '.join(exporter_kwargs)}, which only an exporter= could use")
        mode = resolve("mode", mode)
        if end:
            self.end()
        runtime.flush()
        if exporter is not None:
            return runtime.deliver_sessions(exporter, include_trace_tree=include_trace_tree, options=exporter_kwargs)
        return runtime.write_session_file(path, include_trace_tree=include_trace_tree, persist=persist, mode=mode)

    def add_label(self, key: str, value: str) -> None:
        """Set one label; spans started from now on carry it, the session record shows the last value."""
        session = _active()
        check_label(key, value)
        self._replace(session, {**session.labels, key: value})

    def set_labels(self, labels: Mapping[str, str], merge: bool = True) -> None:
        """Set several labels, or (``merge=False``) replace all but the system's."""
        session = _active()
        explicit = check_labels(labels)
        kept = session.labels if merge else _system_part(session)
        self._replace(session, {**kept, **explicit})

    def remove_label(self, key: str) -> None:
        """Remove a label; one that is not there is no error, the system's cannot be removed."""
        session = _active()
        if key.startswith(RESERVED_PREFIX):
            raise InvalidLabel(f"Cannot remove system label {key!r}.")
        self._replace(session, {name: value for name, value in session.labels.items() if name != key})

    def get_labels(self) -> dict[str, str]:
        """A copy of all labels of the active session, the system's included."""
        return dict(_active().labels)

    def register_provider(self, provider: custom.BaseProvider) -> None:
        """Listen to an SDK of your own too, from the next ``observe()`` on; ``reset()`` ends that.

        ``provider`` has ``is_available()`` and ``install(collector)``, which begins to call
        ``collector.record(provider, api, request=..., response=..., usage=...)`` and gives a function that ends it.
        """
        custom.register_provider(provider)

    def reset(self) -> None:
        """End every session without writing it, restore the SDKs, close what aiobs opened."""
        for session in reversed(open_sessions()):
            leave_session(session)
        runtime.write_session_file(None, include_trace_tree=False, persist=False)
        Instrumentor().uninstrument()
        custom.uninstall_registered()
        runtime.shutdown()

    @staticmethod
    def _replace(session: Session, labels: Mapping[str, str]) -> None:
        check_total(len(labels))
        before = session.attributes
        session.set_labels(labels)
        refresh_baggage(session, before)
        runtime.record_session(session)


class SessionBlock:
    """One use of ``with observer.session(...)``."""

    def __init__(self, begin: Callable[[], str]) -> None:
        self._begin = begin
        self._session_id: str | None = None

    def __enter__(self) -> str:
        self._session_id = self._begin()
        return self._session_id

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for session in open_sessions():
            if session.id == self._session_id:
                leave_session(session)
                runtime.record_session(session)

    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)


observer = Observer()


def _active() -> Session:
    session = current_session()
    if session is None:
        raise NoActiveSession("No active session. Call observe() first.")
    return session


def _system_part(session: Session) -> dict[str, str]:
    return {key: value for key, value in session.labels.items() if key.startswith(RESERVED_PREFIX)}
