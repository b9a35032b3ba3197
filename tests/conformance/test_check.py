"""The check finds what breaks each of its rules, and nothing in signals that keep to them."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanKind, Status, StatusCode

from aiobs._version import __version__
from aiobs.capture.telemetry import Telemetry
from aiobs.errors import MissingExtra
from aiobs.instrumentation import Instrumentor
from aiobs.semconv import metrics as ours
from aiobs.semconv import names
from aiobs.semconv.registry import DUP, Registry
from aiobs.testing import InMemoryTelemetry, Simulator, conformance
from aiobs.testing.conformance import Finding, check, otlp
from tests.conformance.witness import Witness

PACKAGE = Path(conformance.__file__).parent
SCOPE = InstrumentationScope(names.SCOPE, "1", names.SCHEMA_URL)
RESOURCE = Resource({"service.name": "s", "label.team": "ml"})
CUMULATIVE = AggregationTemporality.CUMULATIVE

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "m",
    "server.address": "api.openai.com",
    "server.port": 443,
}
GEMINI = {**CHAT, "gen_ai.provider.name": "gcp.gemini"}
EMBEDDINGS = {**CHAT, "gen_ai.operation.name": "embeddings"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
HELPER = {"aiobs.api.name": "models.generate_content", "gen_ai.request.model": "m"}
EVALUATION = {"gen_ai.evaluation.name": "accuracy", "gen_ai.evaluation.score.value": 0.5}
POINT = {**CHAT, "gen_ai.token.modality": "text"}


def span(name: str = "chat m", base: Any = CHAT, /, **options: Any) -> ReadableSpan:
    """A span with ``set``, without ``unset``; a chat span if nothing is said."""
    attributes = {**base, **options.pop("set", {})}
    for missing in options.pop("unset", ()):
        del attributes[missing]
    kind = options.pop("kind", SpanKind.CLIENT)
    given = {"resource": RESOURCE, "instrumentation_scope": SCOPE, "context": INVALID_SPAN_CONTEXT, **options}
    return ReadableSpan(name, attributes=attributes, kind=kind, **given)


def internal(name: str, base: Any = None, /, **options: Any) -> ReadableSpan:
    return span(name, base or {}, kind=SpanKind.INTERNAL, **options)


def failed(**options: Any) -> ReadableSpan:
    return span(status=Status(StatusCode.ERROR, "timeout"), **options)


def data(metric: Metric, scope: InstrumentationScope = SCOPE) -> MetricsData:
    return MetricsData([ResourceMetrics(RESOURCE, [ScopeMetrics(scope, [metric], "")], "")])


def histogram(
    name: str, base: Any = CHAT, /, *, unit: str = "s", bounds: Any = ours.SECONDS, least: float = 1, **set_: Any
) -> MetricsData:
    counts = [0] * (len(bounds) + 1)
    point = HistogramDataPoint({**base, **set_}, 0, 1, 1, 1, counts, list(bounds), least, 2)
    return data(Metric(name, "", unit, Histogram([point], CUMULATIVE)))


def tokens(name: str, base: Any = POINT, /) -> MetricsData:
    return histogram(name, base, unit="{token}", bounds=ours.TOKENS)


def counter(
    name: str, base: Any = POINT, /, *, unit: str = "{token}", value: int = 1, monotonic: bool = True
) -> MetricsData:
    point = NumberDataPoint(base, 0, 1, value)
    return data(Metric(name, "", unit, Sum([point], CUMULATIVE, monotonic)))


def gauge(name: str, base: Any = POINT, /, *, unit: str = "{token}") -> MetricsData:
    return data(Metric(name, "", unit, Gauge([NumberDataPoint(base, 0, 1, 1)])))


def event(name: str, base: Any, /, severity: int | None = None, **set_: Any) -> ReadableLogRecord:
    number = SeverityNumber(severity) if severity else None
    record = LogRecord(event_name=name, attributes={**base, **set_}, severity_number=number)
    return ReadableLogRecord(record, RESOURCE, SCOPE)


def details(**set_: Any) -> ReadableLogRecord:
    return event(names.DETAILS_EVENT, CHAT, 5, **{key.replace("__", "."): value for key, value in set_.items()})


def findings(signal: Any, registry: Registry | None = None) -> list[Finding]:
    if isinstance(signal, ReadableSpan):
        return check([signal], registry=registry)
    if isinstance(signal, MetricsData):
        return check(metrics=signal, registry=registry)
    return check(logs=[signal], registry=registry)


def text(value: Any) -> str:
    return json.dumps(value)


SAID = [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
CALLED = [{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "search", "arguments": {"q": 1}}]}]
ALIEN = [{"role": "assistant", "parts": [{"type": "hologram", "beam": 1}]}]
NO_TEXT = [{"role": "user", "parts": [{"type": "text", "text": "hello"}]}]
NO_PARTS = [{"role": "user"}]

GOOD = {
    "chat": span(),
    "chat of a model unknown": span("chat", GEMINI, unset=["gen_ai.request.model"]),
    "chat of an OpenAI model": span(set={"openai.api.type": "responses", "openai.response.service_tier": "flex"}),
    "chat on Azure": span(set={"gen_ai.provider.name": "azure.ai.openai", "openai.api.type": "responses"}),
    "custom tier": span(set={"openai.request.service_tier": "flex"}),
    "chat with attributes of ours": span(set={"label.team": "ml", "aiobs.incomplete": True, "session.id": "1"}),
    "chat with content": span(set={"gen_ai.input.messages": text(SAID), "gen_ai.output.messages": text(CALLED)}),
    "part of a type of its own": span(set={"gen_ai.output.messages": text(ALIEN)}),
    "instructions": span(set={"gen_ai.system_instructions": text([{"type": "text", "content": "be brief"}])}),
    "tools offered": span(set={"gen_ai.tool.definitions": text([{"type": "function", "name": "search"}])}),
    "prompt variable": span(set={"gen_ai.prompt.variable.city": "Bern"}),
    "failed": failed(set={"error.type": "timeout"}),
    "embeddings": span("embeddings m", EMBEDDINGS, set={"gen_ai.usage.input_tokens": 3}),
    "tool": internal("execute_tool search", TOOL, set={"gen_ai.tool.call.arguments": text({"q": 1})}),
    "agent in process": internal("invoke_agent", {"gen_ai.operation.name": "invoke_agent"}),
    "hosted agent": span(
        "invoke_agent a", CHAT, set={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
    ),
    "retrieval": span(
        "retrieval docs",
        {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "docs"},
        set={"gen_ai.retrieval.documents": text([{"id": "1", "score": 0.5}])},
    ),
    "function": internal("research", set={"aiobs.input": "{}", "code.line.number": 3, "team.size": 2}),
    "function with an event of the program's": internal("research", events=[Event("step")]),
    "function of a name with spaces": internal("research in depth"),
    "several requests": internal("automatic_function_calling m", HELPER),
    "duration": histogram("gen_ai.client.inference.duration"),
    "duration with a tier": histogram("gen_ai.client.inference.duration", **{"openai.response.service_tier": "flex"}),
    "duration of a failure": histogram("gen_ai.client.inference.duration", **{"error.type": "timeout"}),
    "duration of embeddings": histogram("gen_ai.client.operation.duration", EMBEDDINGS),
    "duration of a tool": histogram("gen_ai.execute_tool.duration", {"gen_ai.tool.name": "search"}),
    "tokens": counter("gen_ai.client.inference.usage.input_tokens"),
    "tokens of a request": tokens("gen_ai.client.inference.operation.input_tokens", CHAT),
    "own failures": counter("aiobs.internal.errors", {}, unit="{error}", value=0),
    "details": details(),
    "details with content": details(gen_ai__input__messages=SAID),
    "exception": event(names.EXCEPTION_EVENT, {"exception.type": "openai.APITimeoutError"}, 13),
    "evaluation": event("gen_ai.evaluation.result", EVALUATION),
    "evaluation with attributes of ours": event("gen_ai.evaluation.result", EVALUATION, **{"session.id": "1"}),
}

BAD: dict[str, tuple[str, Any]] = {
    # attributes
    "attribute of nobody": ("attribute-unknown", span(set={"gen_ai.request.modle": "m"})),
    "attribute of the program on a call": ("attribute-unknown", span(set={"team.size": 2})),
    "attribute of the program in our namespace": ("attribute-unknown", internal("work", set={"aiobs.sesion": "1"})),
    "template without a key": ("attribute-unknown", span(set={"label": "ml"})),
    "attribute of an event, unknown": ("attribute-unknown", details(finish="stop")),
    "attribute of old": ("attribute-deprecated", span(set={"gen_ai.system": "openai"})),
    "attribute of August": ("attribute-deprecated", span(set={"gen_ai.usage.cache_creation.input_tokens": 1})),
    "string for int": ("attribute-type", span(set={"gen_ai.request.max_tokens": "9"})),
    "bool for int": ("attribute-type", span(set={"gen_ai.request.max_tokens": True})),
    "int for double": ("attribute-type", span(set={"gen_ai.request.temperature": 1})),
    "int for bool": ("attribute-type", span(set={"gen_ai.request.stream": 1})),
    "string for string[]": ("attribute-type", span(set={"gen_ai.response.finish_reasons": "stop"})),
    "int[] for string[]": ("attribute-type", span(set={"gen_ai.response.finish_reasons": [1]})),
    "int for string": ("attribute-type", span("chat 5", set={"gen_ai.request.model": 5})),
    "int for template": ("attribute-type", span(set={"label.team": 5})),
    "none": ("attribute-type", span(set={"gen_ai.response.id": None})),
    "no content": ("attribute-type", span(set={"gen_ai.input.messages": None})),
    "not a number": ("attribute-value", span(set={"gen_ai.request.temperature": float("nan")})),
    "no finite number": ("attribute-value", span(set={"gen_ai.request.temperature": float("inf")})),
    "negative tokens": ("attribute-value", span(set={"gen_ai.usage.input_tokens": -1})),
    "provider of its own": ("attribute-value", span(set={"gen_ai.provider.name": "gemini"})),
    "output type of its own": ("attribute-value", span(set={"gen_ai.output.type": "video"})),
    "modality of its own": (
        "attribute-value",
        counter("gen_ai.client.inference.usage.input_tokens", {**CHAT, "gen_ai.token.modality": "video"}),
    ),
    "error code of its own": ("attribute-value", failed(set={"error.type": "oops", "aiobs.error.code": "OOPS"})),
    "flag that says no": ("attribute-value", span(set={"gen_ai.request.stream": False})),
    "one choice asked for": ("attribute-value", span(set={"gen_ai.request.choice.count": 1})),
    "more cached than sent": ("attribute-value", span(set={"gen_ai.usage.input_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 3})),
    "more reasoned than said": ("attribute-value", details(**{"gen_ai.usage.output_tokens": 2, "gen_ai.usage.reasoning.output_tokens": 3})),
    "tier that is the default": ("attribute-value", span(set={"openai.request.service_tier": "auto"})),
    "attribute of another span": ("attribute-not-allowed", span(set={"gen_ai.tool.name": "search"})),
    "content of an exception on a span": ("attribute-not-allowed", span(set={"exception.message": "no"})),
    "usage of another's": ("attribute-not-allowed", internal("automatic_function_calling m", HELPER, set={"gen_ai.usage.input_tokens": 1})),
    "usage on a function": ("attribute-not-allowed", internal("work", set={"gen_ai.usage.input_tokens": 1})),
    "server of an agent in process": ("attribute-not-allowed", internal("invoke_agent", {"gen_ai.operation.name": "invoke_agent"}, set={"server.address": "a"})),
    "another provider's attribute": ("attribute-not-allowed", span(set={"gen_ai.provider.name": "groq", "openai.api.type": "responses"})),
    "attribute of another metric": ("attribute-not-allowed", histogram("gen_ai.client.inference.duration", **{"gen_ai.response.id": "1"})),
    "attribute of ours on a metric": ("attribute-not-allowed", histogram("gen_ai.client.inference.duration", **{"session.id": "1"})),
    "fingerprint on a chunk metric": ("attribute-not-allowed", histogram("gen_ai.client.inference.time_to_first_chunk", **{"openai.response.system_fingerprint": "1"})),
    "attribute of another event": ("attribute-not-allowed", event(names.EXCEPTION_EVENT, {"exception.type": "E", "gen_ai.request.model": "m"}, 13)),
    "no provider": ("attribute-missing", span(unset=["gen_ai.provider.name"])),
    "no model, of OpenAI": ("attribute-missing", span("chat", unset=["gen_ai.request.model"])),
    "no port": ("attribute-missing", span(unset=["server.port"])),
    "first chunk of no stream": ("attribute-missing", span(set={"gen_ai.response.time_to_first_chunk": 0.1})),
    "meaning of no error": ("attribute-missing", span(set={"aiobs.error.code": "TIMEOUT"})),
    "exception of no type": ("attribute-missing", event(names.EXCEPTION_EVENT, {}, 13)),
    "evaluation without a score": ("attribute-missing", event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "accuracy"})),
    "no tool name": ("attribute-missing", internal("execute_tool", TOOL, unset=["gen_ai.tool.name"])),
    "no method name": ("attribute-missing", internal("automatic_function_calling m", HELPER, unset=["aiobs.api.name"])),
    "no modality": ("attribute-missing", counter("gen_ai.client.inference.usage.input_tokens", CHAT)),
    "no port on a metric": ("attribute-missing", histogram("gen_ai.client.operation.duration", {"gen_ai.operation.name": "embeddings", "server.address": "a"})),
    "no evaluation name": ("attribute-missing", event("gen_ai.evaluation.result", {"gen_ai.evaluation.score.value": 0.5})),
    # spans
    "kind": ("span-kind", span(kind=SpanKind.INTERNAL)),
    "kind of a tool": ("span-kind", span("execute_tool search", TOOL)),
    "kind of a function": ("span-kind", span("research", {}, kind=SpanKind.CLIENT)),
    "name without the model": ("span-name", span("chat")),
    "name of another model": ("span-name", span("chat n")),
    "name with more": ("span-name", span("chat m!")),
    "name without the tool": ("span-name", internal("execute_tool", TOOL)),
    "name with an unknown second part": ("span-name", internal("invoke_agent a", {"gen_ai.operation.name": "invoke_agent"})),
    "operation of nobody": ("span-operation", span("juggle m", set={"gen_ai.operation.name": "juggle"})),
    "status ok": ("span-status", span(status=Status(StatusCode.OK))),
    "error without its type": ("span-status", failed()),
    "error type on success": ("span-status", span(set={"error.type": "timeout"})),
    "span event": ("span-event", span(events=[Event("exception", {"exception.type": "E"})])),
    # metrics
    "metric of nobody": ("metric-unknown", counter("gen_ai.client.inference.usage.video_tokens")),
    "name of a refinement": ("metric-unknown", histogram("openai.gen_ai.client.inference.duration")),
    "metric of old": ("metric-renamed", tokens("gen_ai.client.token.usage")),
    "old metric for inference": ("metric-renamed", histogram("gen_ai.client.operation.duration")),
    "embeddings on a metric of inference": ("metric-operation", histogram("gen_ai.client.inference.duration", EMBEDDINGS)),
    "gauge for counter": ("metric-instrument", gauge("gen_ai.client.inference.usage.input_tokens")),
    "sum that falls": ("metric-instrument", counter("gen_ai.client.inference.usage.input_tokens", monotonic=False)),
    "sum for histogram": ("metric-instrument", counter("gen_ai.client.inference.duration", CHAT, unit="s")),
    "milliseconds": ("metric-unit", histogram("gen_ai.client.inference.duration", unit="ms")),
    "buckets of the SDK": ("metric-buckets", histogram("gen_ai.client.inference.duration", bounds=(0, 5, 10))),
    "negative duration": ("metric-value", histogram("gen_ai.client.inference.duration", least=-1)),
    "negative count": ("metric-value", counter("gen_ai.client.inference.usage.input_tokens", value=-1)),
    # events
    "event of nobody": ("event-unknown", event("gen_ai.choice", CHAT)),
    "log record": ("event-unknown", event("", {})),
    "severity of details": ("event-severity", event(names.DETAILS_EVENT, CHAT, 9)),
    "no severity of an exception": ("event-severity", event(names.EXCEPTION_EVENT, {"exception.type": "E"})),
    # content
    "structure on a span": ("content-form", span(set={"gen_ai.input.messages": SAID})),
    "text on an event": ("content-form", details(gen_ai__input__messages=text(SAID))),
    "no JSON": ("content-form", span(set={"gen_ai.input.messages": "hello"})),
    "JSON with NaN": ("content-form", span(set={"gen_ai.input.messages": '[{"role": NaN}]'})),
    "message without parts": ("content-schema", span(set={"gen_ai.input.messages": text(NO_PARTS)})),
    "message without parts on an event": ("content-schema", details(gen_ai__output__messages=NO_PARTS)),
    "arguments that are no object": ("content-schema", internal("execute_tool search", TOOL, set={"gen_ai.tool.call.arguments": "[1]"})),
    "result that is no object": ("content-schema", internal("execute_tool search", TOOL, set={"gen_ai.tool.call.result": '"sunny"'})),
    "documents that are no list": ("content-schema", span("retrieval", {"gen_ai.operation.name": "retrieval"}, set={"gen_ai.retrieval.documents": "{}"})),
    "text part without content": ("content-part", span(set={"gen_ai.input.messages": text(NO_TEXT)})),
    "text part without content on an event": ("content-part", details(gen_ai__input__messages=NO_TEXT)),
    "instruction without content": ("content-part", span(set={"gen_ai.system_instructions": text([{"type": "text"}])})),
    "parameters that are no schema": ("content-part", span(set={"gen_ai.tool.definitions": text([{"type": "function", "name": "f", "parameters": 5}])})),
    # scope and resource
    "schema URL of a span": ("schema-url", span(instrumentation_scope=InstrumentationScope("aiobs", "1", ""))),
    "schema URL of a metric": ("schema-url", data(Metric("aiobs.internal.errors", "", "{error}", Sum([], CUMULATIVE, True)), InstrumentationScope("aiobs"))),
    "resource attribute": ("resource-attribute", span(resource=Resource({"team": "ml"}))),
}  # fmt: skip

BOTH = Registry.load(*DUP)
AUGUST = {
    "tokens": ("metric-renamed", tokens("gen_ai.client.token.usage", {**CHAT, "gen_ai.token.type": "input"})),
    "duration": ("metric-renamed", histogram("gen_ai.client.operation.duration")),
    "first chunk": ("metric-renamed", histogram("gen_ai.client.operation.time_to_first_chunk")),
    "between chunks": ("metric-renamed", histogram("gen_ai.client.operation.time_per_output_chunk")),
    "cache": ("attribute-deprecated", span(set={"gen_ai.usage.cache_creation.input_tokens": 1})),
}


@pytest.mark.parametrize("signal", GOOD.values(), ids=GOOD)
def test_a_signal_that_keeps_to_the_rules(signal: Any) -> None:
    """No finding, in dup mode neither."""
    assert findings(signal) == []
    assert findings(signal, BOTH) == []


@pytest.mark.parametrize(("rule", "signal"), BAD.values(), ids=BAD)
def test_a_signal_that_breaks_a_rule(rule: str, signal: Any) -> None:
    """One finding, by that rule."""
    assert [finding.rule for finding in findings(signal)] == [rule]


def test_every_rule_is_broken_by_a_test() -> None:
    """A rule that no signal of these tests breaks may never have worked."""
    sources = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.glob("*.py"))
    rules = set(re.findall(r'"((?:attribute|span|metric|event|content|schema|resource)-[a-z-]+)"', sources))
    assert rules == {rule for rule, _ in BAD.values()}


@pytest.mark.parametrize(("rule", "signal"), AUGUST.values(), ids=AUGUST)
def test_what_only_august_had(rule: str, signal: Any) -> None:
    """Replaced, unless both states of the conventions are asked for."""
    assert [finding.rule for finding in findings(signal)] == [rule]
    assert findings(signal, BOTH) == []


@pytest.mark.parametrize(
    ("rule", "signal"),
    [
        ("attribute-missing", tokens("gen_ai.client.token.usage", CHAT)),
        ("attribute-missing", counter("gen_ai.client.inference.usage.input_tokens", CHAT)),
        ("metric-unit", histogram("gen_ai.client.operation.duration", unit="ms")),
        ("span-kind", span(kind=SpanKind.INTERNAL)),
        ("attribute-deprecated", span(set={"gen_ai.system": "openai"})),
        ("event-severity", event(names.DETAILS_EVENT, CHAT, 9)),
    ],
)
def test_both_definitions_hold_in_dup_mode(rule: str, signal: Any) -> None:
    """More names are allowed; what each of them says still counts."""
    assert [finding.rule for finding in findings(signal, BOTH)] == [rule]


def test_a_finding_says_what_happened_and_what_the_registry_says() -> None:
    """It reads as one line."""
    (finding,) = findings(span(set={"gen_ai.system": "openai"}))
    assert str(finding) == (
        "span 'chat m': 'gen_ai.system' is deprecated: it is 'gen_ai.provider.name' now [attribute-deprecated]"
    )


def test_a_finding_is_made_once() -> None:
    """However many signals break the rule in the same way; in order."""
    broken = span(set={"b": 1, "a": 1})
    assert [finding.message for finding in check([broken, broken])] == [
        "'a' is in no registry",
        "'b' is in no registry",
    ]


def test_other_scopes_are_not_ours_to_check() -> None:
    """The program's own signals, and those of other instrumentations."""
    other = InstrumentationScope("app")
    assert findings(span("work", {"x": 1}, instrumentation_scope=other)) == []
    assert findings(data(Metric("x", "", "", Sum([], CUMULATIVE, True)), other)) == []
    assert check() == []


def test_content_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jsonschema the check of content says what to install; the rest works."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert findings(GOOD["chat"]) == []
    with pytest.raises(MissingExtra, match="pip install jsonschema"):
        findings(GOOD["chat with content"])


def test_what_arrived_over_otlp() -> None:
    """A request is read back as the objects that were exported: good ones give no finding, bad ones the same."""
    spans = [signal for signal in GOOD.values() if isinstance(signal, ReadableSpan)]
    logs = [signal for signal in GOOD.values() if isinstance(signal, ReadableLogRecord)]
    metrics = [signal for signal in GOOD.values() if isinstance(signal, MetricsData)]
    assert len(otlp.spans_of(encode_spans(spans))) == len(spans)
    assert check(otlp.spans_of(encode_spans(spans)), None, otlp.logs_of(encode_logs(logs))) == []
    assert [check(metrics=otlp.metrics_of(encode_metrics(each))) for each in metrics] == [[]] * len(metrics)
    for case in ("kind", "status ok", "span event", "no provider", "int for double", "schema URL of a span"):
        rule, bad = BAD[case]
        assert [finding.rule for finding in check(otlp.spans_of(encode_spans([bad])))] == [rule]
    for case in ("gauge for counter", "sum that falls", "milliseconds", "negative duration"):
        rule, bad = BAD[case]
        assert [finding.rule for finding in check(metrics=otlp.metrics_of(encode_metrics(bad)))] == [rule]
    for case in ("severity of details", "log record", "text part without content on an event"):
        rule, bad = BAD[case]
        assert [finding.rule for finding in check(logs=otlp.logs_of(encode_logs([bad])))] == [rule]


# That nothing escapes the check after each test


def test_our_scope_is_named_in_three_places() -> None:
    """The check after each test knows our signals by name and version, which each of these places gives.

    The second is the test span of ``aiobs doctor``, the third what ``flush()`` hands to an exporter of spans: events of
    the session file, which no tracer makes.
    """
    source = Path(names.__file__).parents[1]
    ours = {"capture/telemetry.py", "exporters/otel.py", "exporters/otlp_probe.py"}
    copies = {"exporters/rewriting/rewriter.py", "exporters/encoding/decoder.py"}  # of what others made
    makers = {"get_tracer", "get_meter", "get_logger", "InstrumentationScope"}
    callers = {
        file.relative_to(source).as_posix()
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and called(node) in makers and "testing" not in file.parts
    }
    assert callers == ours | copies


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_signals_carry_name_version_and_schema(signals: InMemoryTelemetry) -> None:
    """Tracer, meter and logger alike."""
    telemetry = Telemetry(**signals.providers)
    assert telemetry.instruments is not None
    assert telemetry.logger is not None
    telemetry.tracer.start_span("work").end()
    telemetry.logger.emit(event_name="gen_ai.evaluation.result", attributes=EVALUATION)
    (log,) = signals.logs
    expected = (names.SCOPE, __version__, names.SCHEMA_URL)
    for scope in (signals.span().instrumentation_scope, log.instrumentation_scope):
        assert (scope.name, scope.version, scope.schema_url) == expected


EMIT: dict[str, Callable[[Any], None]] = {
    "span": lambda telemetry: telemetry.tracer.start_span("work", attributes={"aiobs.sesion": "1"}).end(),
    "metric": lambda telemetry: telemetry.instruments.record_tool("search", 1, 5, None),
    "event": lambda telemetry: telemetry.logger.emit(event_name="work"),
}


@pytest.mark.nonconforming("shows that it is found")
@pytest.mark.parametrize("signal", EMIT)
def test_the_check_after_each_test_sees_every_provider(conforming: Witness, signal: str) -> None:
    """Also of signals that the test itself forgets."""
    with InMemoryTelemetry() as telemetry:
        EMIT[signal](Telemetry(**telemetry.providers))
        telemetry.clear()
    assert [finding.signal for finding in conforming.findings()] == [signal]


def test_a_program_that_asks_for_both_names(
    conforming: Witness, simulator: Simulator, signals: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AIOBS_SEMCONV=dup, as the environment of the test has it, decides what it is checked against."""
    monkeypatch.setenv("AIOBS_SEMCONV", "dup")
    Instrumentor(**signals.providers).instrument()
    simulator.openai().embeddings.create(model="text-embedding-3-small", input="a")
    assert "gen_ai.client.token.usage" in signals.metrics()
    assert conforming.findings() == []
    monkeypatch.delenv("AIOBS_SEMCONV")
    assert [finding.rule for finding in conforming.findings()] == ["metric-renamed"]
    monkeypatch.setenv("AIOBS_SEMCONV", "dup")


def test_spans_made_by_hand_are_not_ours(conforming: Witness) -> None:
    """Under our name, but without a version."""
    with InMemoryTelemetry() as telemetry:
        telemetry.tracer_provider.get_tracer("aiobs").start_span("chat").end()
    assert conforming.findings() == []
