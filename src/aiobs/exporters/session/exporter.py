"""The session file for programs that set the SDK up themselves: an exporter of spans like any other."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aiobs.exporters.session.files import working_directory
from aiobs.exporters.session.session_file import SessionFile


class SessionFileExporter(SpanExporter):
    """The session file as a plain OpenTelemetry exporter (``OTEL_TRACES_EXPORTER=aiobs_json``).

    It sees spans only, so an event has the content that its span has. Spans of no session go to one of the process.
    The file is written by ``force_flush`` and ``shutdown``.
    """

    def __init__(self, path: str | None = None) -> None:
        self._file = SessionFile(path=path)
        session_id = str(uuid.uuid4())
        self._session: dict[str, Any] = {
            "id": session_id,
            "name": session_id,
            "started_at": time.time(),
            "ended_at": None,
            "meta": {"pid": os.getpid(), "cwd": working_directory()},
            "labels": {},
        }
        self._is_announced = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans to the journal."""
        if spans and not self._is_announced:
            self._is_announced = True
            self._file.session(self._session)
        for span in spans:
            self._file.write_span(span, self._session["id"])
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write the file; the session goes on."""
        if not self._is_announced:
            return True
        self._is_announced = False
        return self._file.flush() is not None

    def shutdown(self) -> None:
        """End the session and write the file."""
        if self._is_announced:
            self._file.session({**self._session, "ended_at": time.time()})
            self.force_flush()
