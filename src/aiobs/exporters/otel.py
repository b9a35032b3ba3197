"""Any OpenTelemetry SpanExporter as an exporter for ``flush()``: the events of an export as spans, without content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from aiobs._version import __version__
from aiobs.errors import ExportError
from aiobs.exporters.base import BaseExporter, ExportResult
from aiobs.semconv import names

if TYPE_CHECKING:
    from aiobs.reading import ObservabilityExport, ObservedEvent, ObservedFunctionEvent, Session

_PROVIDERS = {"gemini": "gcp.gemini"}
_OPERATIONS = {
    "chat.completions.create": "chat",
    "embeddings.create": "embeddings",
    "responses.create": "chat",
    "models.generate_content": "generate_content",
}
_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count")
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count")


class OTelExporter(BaseExporter):
    """``flush(exporter=OTelExporter(OTLPSpanExporter()))``; ``flush()`` takes the SpanExporter itself, too.

    Spans have the ids, times, models, tokens, errors' types, sessions and labels of the events; prompts, outputs and
    the texts of errors stay out of them.
    """

    def __init__(self, span_exporter: SpanExporter) -> None:
        self.span_exporter = span_exporter
        self.name = type(span_exporter).__name__

    def export(self, data: ObservabilityExport, **kwargs: Any) -> ExportResult:
        """Send all spans at once; ``metadata["spans"]`` is their number. An export without events sends nothing.

        Raises ExportError where the SpanExporter does not answer SUCCESS, and what it raises itself.
        """
        self.validate(data)
        spans = spans_of(data)
        if spans and self.span_exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise ExportError(f"{self.name} did not take the spans; its log says why.")
        return ExportResult(True, destination=self.name, metadata={"spans": len(spans)})


def spans_of(data: ObservabilityExport) -> list[ReadableSpan]:
    """Every event as a span that has ended: calls first, then functions, each with its own ids and times.

    Ids that an event has not are 0.
    """
    sessions = {session.id: session for session in data.sessions}
    scope = InstrumentationScope(names.SCOPE, __version__, names.SCHEMA_URL)
    resource = Resource.create()
    events: list[ObservedEvent | ObservedFunctionEvent] = [*data.events, *data.function_events]
    return [_span(event, sessions.get(event.session_id), resource, scope) for event in events]


def _span(
    event: ObservedEvent | ObservedFunctionEvent,
    session: Session | None,
    resource: Resource,
    scope: InstrumentationScope,
) -> ReadableSpan:
    own = _function_attributes(event) if event.provider == "function" else _call_attributes(event)
    attributes = {**_session_attributes(event.session_id, session), **own, **_common_attributes(event)}
    is_call, operation = names.PROVIDER in own, own.get(names.OPERATION)
    name = f"{operation or event.api} {own.get(names.REQUEST_MODEL) or ''}".strip() if is_call else event.api
    return ReadableSpan(
        name=name,
        context=_context(event.trace_id, event.span_id),
        parent=_context(event.trace_id, event.parent_span_id) if event.parent_span_id else None,
        resource=resource,
        attributes={
            key: value for key, value in attributes.items() if isinstance(value, (str, bool, int, float, list))
        },
        kind=SpanKind.CLIENT if is_call else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if event.error else StatusCode.UNSET),
        start_time=round(event.started_at * 1e9),
        end_time=round(event.started_at * 1e9) + round(event.duration_ms * 1e6),
        instrumentation_scope=scope,
    )


def _context(trace_id: str | None, span_id: str | None) -> SpanContext:
    numbers = int(trace_id or "0", 16), int(span_id or "0", 16)
    return SpanContext(*numbers, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _session_attributes(session_id: str, session: Session | None) -> dict[str, Any]:
    labels = (session.labels or {}) if session else {}
    named = {"session.name": session.name} if session else {}
    return {
        "session.id": session_id,
        names.SESSION_ID: session_id,
        **named,
        **{f"label.{key}": value for key, value in labels.items()},
    }


def _common_attributes(event: ObservedEvent | ObservedFunctionEvent) -> dict[str, Any]:
    callsite, details = event.callsite, event.extra.get("error_details") or {}
    kind = details.get("type") or (event.error or "").partition(":")[0]
    return {
        **(event.extra.get("context") or {}),
        **({names.ERROR_TYPE: kind} if event.error else {}),
        names.CODE_FILE: callsite and callsite.file,
        names.CODE_LINE: callsite and callsite.line,
        names.CODE_FUNCTION: callsite and callsite.function,
        "aiobs.cost.usd": event.extra.get("cost_usd"),
    }


def _function_attributes(event: Any) -> dict[str, Any]:
    tool = event.api.removeprefix("tool:")
    return {} if tool == event.api else {names.OPERATION: names.EXECUTE_TOOL, names.TOOL_NAME: tool}


def _call_attributes(event: Any) -> dict[str, Any]:
    request, response = _object(event.request), _object(event.response)
    usage, reason = _object(response.get("usage")), response.get("finish_reason")
    return {
        names.PROVIDER: _PROVIDERS.get(event.provider, event.provider),
        names.OPERATION: _OPERATIONS.get(event.api),
        names.API_NAME: event.api,
        names.REQUEST_MODEL: request.get("model"),
        names.RESPONSE_MODEL: response.get("model"),
        names.RESPONSE_ID: response.get("id"),
        names.FINISH_REASONS: [reason] if isinstance(reason, str) else None,
        names.INPUT_TOKENS: _first(usage, _INPUT),
        names.OUTPUT_TOKENS: _first(usage, _OUTPUT),
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first(usage: Mapping[str, Any], words: tuple[str, ...]) -> int | None:
    return next((usage[word] for word in words if isinstance(usage.get(word), int)), None)
