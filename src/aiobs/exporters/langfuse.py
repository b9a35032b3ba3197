"""Langfuse: spans by OTLP to a project, with the names that its pages read added at export. No package of Langfuse.

>>> configure(exporters=["langfuse"])      # LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY, LANGFUSE_HOST

``langfuse.*`` is on no span but those that go there.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from aiobs.errors import ConfigurationError
from aiobs.exporters.otlp import Target
from aiobs.exporters.registry import Pipelines
from aiobs.exporters.rewriting.translating import TranslatingExporter
from aiobs.semconv import names
from aiobs.semconv.serialise import to_json
from aiobs.settings import as_seconds

DEFAULT_HOST = "https://cloud.langfuse.com"
INGESTION_VERSION = "4"

_TYPES = {
    "chat": "generation",
    "generate_content": "generation",
    "text_completion": "generation",
    "embeddings": "embedding",
    "retrieval": "retriever",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "chain",
}
_RENAMED = {
    "langfuse.observation.model.name": (names.RESPONSE_MODEL, names.REQUEST_MODEL),
    "langfuse.observation.input": (names.INPUT_MESSAGES, names.TOOL_ARGUMENTS, names.RETRIEVAL_QUERY, names.INPUT),
    "langfuse.observation.output": (names.OUTPUT_MESSAGES, names.TOOL_RESULT, names.RETRIEVAL_DOCUMENTS, names.OUTPUT),
    "langfuse.observation.prompt.name": ("gen_ai.prompt.name",),
    "langfuse.observation.prompt.version": ("gen_ai.prompt.version",),
    "langfuse.trace.tags": (names.TAGS,),
}
_USAGE = {
    "input": names.INPUT_TOKENS,
    "output": names.OUTPUT_TOKENS,
    "cache_read_input_tokens": names.CACHE_READ_TOKENS,
    "cache_creation_input_tokens": names.CACHE_WRITE_TOKENS,
    "output_reasoning_tokens": names.REASONING_TOKENS,
}
_PARTS_OF = {
    "cache_read_input_tokens": "input",
    "cache_creation_input_tokens": "input",
    "output_reasoning_tokens": "output",
}
"""Langfuse adds up what it is given, so a share that is told is taken off what it is a share of."""
_PARAMETERS = "gen_ai.request."


def pipelines(
    *,
    public_key: str | None = None,
    secret_key: str | None = None,
    host: str | None = None,
    environment: str | None = None,
    release: str | None = None,
    timeout: float | str | None = None,
    spool: str | None = None,
) -> Pipelines:
    """Traces to ``{host}/api/public/otel/v1/traces`` with Basic authentication.

    Unset: ``LANGFUSE_PUBLIC_KEY``, ``LANGFUSE_SECRET_KEY``, ``LANGFUSE_HOST`` (or ``LANGFUSE_BASE_URL``; default the
    cloud's in Europe), ``LANGFUSE_TRACING_ENVIRONMENT``, ``LANGFUSE_RELEASE``. ``timeout``: seconds for an export with
    its retries, default 10. ``spool``: as of ``otlp``. Raises ConfigurationError without keys.
    """
    to = target(public_key=public_key, secret_key=secret_key, host=host, timeout=timeout, spool=spool)
    described = {
        "langfuse.environment": environment or os.environ.get("LANGFUSE_TRACING_ENVIRONMENT"),
        "langfuse.release": release or os.environ.get("LANGFUSE_RELEASE"),
    }
    resource = {name: value for name, value in described.items() if value}
    around = partial(TranslatingExporter, translate=langfuse_attributes, resource=resource)
    return Pipelines(span_exporter=to.exporter("traces", around))


def target(
    *,
    public_key: str | None = None,
    secret_key: str | None = None,
    host: str | None = None,
    environment: str | None = None,
    release: str | None = None,
    timeout: float | str | None = None,
    spool: str | None = None,
) -> Target:
    """Where ``pipelines`` with the same options sends."""
    keys = public_key or os.environ.get("LANGFUSE_PUBLIC_KEY"), secret_key or os.environ.get("LANGFUSE_SECRET_KEY")
    if not all(keys):
        raise ConfigurationError(
            "The exporter 'langfuse' needs keys: set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY "
            "(Langfuse: Settings, API Keys), and LANGFUSE_HOST unless your project is at cloud.langfuse.com."
        )
    place = host or os.environ.get("LANGFUSE_HOST") or os.environ.get("LANGFUSE_BASE_URL") or DEFAULT_HOST
    credentials = b64encode(f"{keys[0]}:{keys[1]}".encode()).decode()
    return Target(
        endpoint=f"{place.rstrip('/')}/api/public/otel",
        headers={"Authorization": f"Basic {credentials}", "x-langfuse-ingestion-version": INGESTION_VERSION},
        protocol="http/protobuf",
        timeout=None if timeout is None else as_seconds(timeout),
        name="langfuse",
        spool=spool,
        named="LANGFUSE_HOST",
        credentials="LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY, of a project at that LANGFUSE_HOST",
    )


def langfuse_attributes(span: ReadableSpan) -> dict[str, Any]:
    """What Langfuse reads of a span, by its names; those that the program gave itself are not there."""
    attributes: Mapping[str, Any] = span.attributes or {}
    found = {
        "langfuse.observation.type": _type(attributes),
        "langfuse.observation.usage_details": _json(_usage(attributes)),
        "langfuse.observation.cost_details": _json(_cost(attributes)),
        "langfuse.observation.model.parameters": _json(dict(_parameters(attributes))),
        **{name: _first(attributes, sources) for name, sources in _RENAMED.items()},
        **dict(_metadata(attributes)),
        **_failure(span),
    }
    if span.parent is None or span.parent.is_remote:
        found["langfuse.trace.name"] = span.name
    return {name: value for name, value in found.items() if value is not None and name not in attributes}


def _type(attributes: Mapping[str, Any]) -> str:
    operation = str(attributes.get(names.OPERATION, ""))
    return _TYPES.get(operation, "generation" if names.INPUT_TOKENS in attributes else "span")


def _usage(attributes: Mapping[str, Any]) -> dict[str, int]:
    found = {word: attributes[name] for word, name in _USAGE.items() if isinstance(attributes.get(name), int)}
    for part, whole in _PARTS_OF.items():
        if part in found and whole in found:
            found[whole] = max(0, found[whole] - found[part])
    return found


def _cost(attributes: Mapping[str, Any]) -> dict[str, float]:
    cost = attributes.get("aiobs.cost.usd")
    return {"total": cost} if isinstance(cost, (int, float)) else {}


def _parameters(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in attributes.items():
        if name.startswith(_PARAMETERS) and name != names.REQUEST_MODEL:
            yield name.removeprefix(_PARAMETERS), value


def _metadata(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in attributes.items():
        if name.startswith(f"{names.METADATA}."):
            yield f"langfuse.trace.metadata.{name.removeprefix(f'{names.METADATA}.')}", value


def _failure(span: ReadableSpan) -> dict[str, Any]:
    if span.status.status_code is not StatusCode.ERROR:
        return {}
    text = span.status.description or (span.attributes or {}).get(names.ERROR_TYPE)
    return {"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": text}


def _first(attributes: Mapping[str, Any], sources: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in sources if name in attributes), None)


def _json(value: Mapping[str, Any]) -> str | None:
    return to_json(value) if value else None
