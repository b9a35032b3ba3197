"""Where signals go: the session file and its journal, OTLP, a tree on the console, and exporters for ``flush()``."""

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
