"""Phoenix: spans by OTLP; it reads the GenAI conventions itself, and functions are told in OpenInference's names.

>>> configure(exporters=["phoenix"])      # PHOENIX_COLLECTOR_ENDPOINT, default http://localhost:6006
"""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from aiobs.exporters.otlp import Target
from aiobs.exporters.registry import Pipelines
from aiobs.exporters.translating import TranslatingExporter
from aiobs.semconv import names
from aiobs.settings import as_seconds

DEFAULT_ENDPOINT = "http://localhost:6006"


def pipelines(
    *,
    endpoint: str | None = None,
    api_key: str | None = None,
    project: str | None = None,
    timeout: float | str | None = None,
) -> Pipelines:
    """Traces to ``{endpoint}/v1/traces``.

    Unset: ``PHOENIX_COLLECTOR_ENDPOINT`` (default http://localhost:6006), ``PHOENIX_API_KEY`` and
    ``PHOENIX_PROJECT_NAME`` (default: Phoenix's own). ``timeout``: seconds for an export with its retries, default 10.
    """
    key = api_key or os.environ.get("PHOENIX_API_KEY")
    name = project or os.environ.get("PHOENIX_PROJECT_NAME")
    target = Target(
        endpoint=endpoint or os.environ.get("PHOENIX_COLLECTOR_ENDPOINT") or DEFAULT_ENDPOINT,
        headers={"Authorization": f"Bearer {key}"} if key else None,
        protocol="http/protobuf",
        timeout=None if timeout is None else as_seconds(timeout),
    )
    resource = {"openinference.project.name": name} if name else {}
    return Pipelines(span_exporter=TranslatingExporter(target.exporter("traces"), openinference_attributes, resource))


def openinference_attributes(span: ReadableSpan) -> dict[str, Any]:
    """What Phoenix does not read of a span by itself: functions, sessions' and users' names, metadata."""
    attributes = span.attributes or {}
    found: dict[str, Any] = {}
    if names.OPERATION not in attributes:
        found["openinference.span.kind"] = "CHAIN"
    for side in ("input", "output"):
        if (value := attributes.get(f"aiobs.{side}")) is not None:
            found |= {f"{side}.value": value, f"{side}.mime_type": "application/json"}
    if (tags := attributes.get(names.TAGS)) is not None:
        found["tag.tags"] = tags
    return found
