"""Phoenix: spans by OTLP. It reads the GenAI conventions itself; functions are told in OpenInference's names.

>>> configure(exporters=["phoenix"])      # PHOENIX_COLLECTOR_ENDPOINT, default http://localhost:6006
"""

from __future__ import annotations

import os
from functools import partial
from itertools import chain, repeat
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from pydantic_core import from_json

from aiobs.exporters.otlp import Target
from aiobs.exporters.registry import Pipelines
from aiobs.exporters.rewriting.translating import TranslatingExporter
from aiobs.semconv import names
from aiobs.semconv.serialise import to_json
from aiobs.settings import as_seconds

DEFAULT_ENDPOINT = "http://localhost:6006"


def pipelines(
    *,
    endpoint: str | None = None,
    api_key: str | None = None,
    project: str | None = None,
    timeout: float | str | None = None,
    spool: str | None = None,
) -> Pipelines:
    """Traces to ``{endpoint}/v1/traces``.

    Unset: ``PHOENIX_COLLECTOR_ENDPOINT`` (default http://localhost:6006), ``PHOENIX_API_KEY`` and
    ``PHOENIX_PROJECT_NAME`` (default: Phoenix's own). ``timeout``: seconds for an export with its retries, default 10.
    ``spool``: as of ``otlp``.
    """
    to = target(endpoint=endpoint, api_key=api_key, timeout=timeout, spool=spool)
    name = project or os.environ.get("PHOENIX_PROJECT_NAME")
    resource = {"openinference.project.name": name} if name else {}
    around = partial(TranslatingExporter, translate=openinference_attributes, resource=resource)
    return Pipelines(span_exporter=to.exporter("traces", around))


def target(
    *,
    endpoint: str | None = None,
    api_key: str | None = None,
    project: str | None = None,
    timeout: float | str | None = None,
    spool: str | None = None,
) -> Target:
    """Where ``pipelines`` with the same options sends."""
    key = api_key or os.environ.get("PHOENIX_API_KEY")
    return Target(
        endpoint=endpoint or os.environ.get("PHOENIX_COLLECTOR_ENDPOINT") or DEFAULT_ENDPOINT,
        headers={"Authorization": f"Bearer {key}"} if key else None,
        protocol="http/protobuf",
        timeout=None if timeout is None else as_seconds(timeout),
        name="phoenix",
        spool=spool,
        named="PHOENIX_COLLECTOR_ENDPOINT",
        credentials="PHOENIX_API_KEY",
    )


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
    for side, name in (("input", names.INPUT_MESSAGES), ("output", names.OUTPUT_MESSAGES)):
        if messages := _messages(attributes.get(name)):
            found |= {f"{side}.value": _text(messages[-1]), f"{side}.mime_type": "text/plain"}
            if side == "output":
                found[name] = to_json(_with_reasons(messages, attributes.get(names.FINISH_REASONS)))
    return found


def _messages(text: Any) -> list[dict[str, Any]]:
    try:
        found: Any = from_json(text)
    except (TypeError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _text(message: dict[str, Any]) -> str:
    """What it says, or its parts where it says nothing: the page shows one line of it."""
    parts = message.get("parts") or []
    return "".join(part["content"] for part in parts if part.get("type") == "text") or to_json(parts)


def _with_reasons(messages: list[dict[str, Any]], reasons: Any) -> list[dict[str, Any]]:
    """Each with its finish reason, without which Phoenix (20) reads none; the conventions have left it out since."""
    known = chain(reasons or (), repeat("stop"))
    return [{"finish_reason": reason, **message} for message, reason in zip(messages, known, strict=False)]
