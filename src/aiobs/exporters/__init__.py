"""Where signals go: the session file and its journal, OTLP, a tree on the console, and exporters for ``flush()``.

Each name that ``registry`` knows has a module; ``base``, ``otel`` and ``storage`` are for ``flush()``. What these are
made of has folders: ``delivery`` (queues, and what stands on the providers), ``rewriting`` and ``redaction`` (what is
changed on the way out), ``encoding`` and ``lines`` (OTLP/JSON, and files of it), ``spool``, ``session`` (the session
file).
"""

from aiobs.errors import ExportError
from aiobs.exporters.base import BaseExporter, CompositeExporter, CustomExporter, ExportResult
from aiobs.exporters.otel import OTelExporter
from aiobs.exporters.registry import Exporter
from aiobs.exporters.storage import StorageExporter

__all__ = [
    "BaseExporter",
    "CompositeExporter",
    "CustomExporter",
    "ExportError",
    "ExportResult",
    "Exporter",
    "OTelExporter",
    "StorageExporter",
]
