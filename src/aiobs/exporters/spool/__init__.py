"""A folder between an exporter and its backend: what the backend does not take now is delivered later."""

from aiobs.exporters.replies.connections import AnsweringSession
from aiobs.exporters.spool.exporters import SpoolingLogExporter, SpoolingSpanExporter

__all__ = ["AnsweringSession", "SpoolingLogExporter", "SpoolingSpanExporter"]
