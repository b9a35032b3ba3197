"""Exports in object storage (S3, GCS, Azure, anything that fsspec opens)."""

from __future__ import annotations

import importlib
import json
import time
from typing import TYPE_CHECKING, Any

from aiobs.errors import ExportError, MissingExtra, scrub
from aiobs.exporters.base import BaseExporter, ExportResult

if TYPE_CHECKING:
    from aiobs.reading import ObservabilityExport


class StorageExporter(BaseExporter):
    """Writes each export as one object: ``StorageExporter("s3://bucket/traces/{date}/{session_id}.json")``.

    ``{session_id}`` (of the first session, ``unknown`` without one), ``{date}`` (of today, ``2026-11-29``) and
    ``{timestamp}`` (whole seconds since the epoch) are filled in; ``storage_options`` go to fsspec.
    ``flush(exporter=..., url=...)`` writes one export elsewhere. Raises MissingExtra where fsspec is not installed;
    what it needs for a kind of storage (s3fs, gcsfs, adlfs) it says itself.
    """

    name = "storage"

    def __init__(self, url: str, **storage_options: Any) -> None:
        self.url = url
        self.storage_options = storage_options
        try:
            self._fsspec: Any = importlib.import_module("fsspec")
        except ImportError as error:
            text = 'Object storage needs fsspec, which is not installed: pip install "aiobs[media]"'
            raise MissingExtra(text) from error

    def export(self, data: ObservabilityExport, *, url: str | None = None, **kwargs: Any) -> ExportResult:
        """Write the object, whole, as indented JSON; one that is there already is replaced.

        ``metadata`` counts sessions, events and function events. Raises ExportError for what the storage says, without
        the credentials in it.
        """
        self.validate(data)
        place = _filled_in(url or self.url, data)
        text = _text(data)
        try:
            with self._fsspec.open(place, "wb", **self.storage_options) as file:
                file.write(text)
        except Exception as error:  # every kind of storage has exceptions of its own
            raise ExportError(f"{scrub(place)} cannot be written: {scrub(str(error))}", cause=error) from error
        counts = {f"{name}_count": len(getattr(data, name)) for name in ("sessions", "events", "function_events")}
        return ExportResult(True, destination=scrub(place), bytes_written=len(text), metadata=counts)


def _filled_in(url: str, data: ObservabilityExport) -> str:
    values = {
        "session_id": data.sessions[0].id if data.sessions else "unknown",
        "date": time.strftime("%Y-%m-%d"),
        "timestamp": str(int(time.time())),
    }
    for name, value in values.items():
        url = url.replace(f"{{{name}}}", value)
    return url


def _text(data: ObservabilityExport) -> bytes:
    """Without the tree where it is deeper than Python can write; readers make it of the events again."""
    export = data.model_dump()
    try:
        text = json.dumps(export, ensure_ascii=False, indent=2)
    except RecursionError:
        text = json.dumps({**export, "trace_tree": None}, ensure_ascii=False, indent=2)
    return f"{text}\n".encode("utf-8", "replace")
