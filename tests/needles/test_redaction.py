"""What every detector finds, in every attribute of every signal that the registries name: after redaction, nowhere.

Whatever the type of an attribute: other libraries put text anywhere. What leaves is searched as the bytes of OTLP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from aiobs.exporters import redaction
from aiobs.exporters.redaction import ALL, Redaction, Rule
from aiobs.exporters.rewriting.rewriter import Rewriter
from aiobs.semconv.registry import CURRENT, Registry
from tests.exporters.redaction.samples import FOUND, SECRETS

REGISTRY = Registry.load(*CURRENT)
CONTEXT = SpanContext(1, 2, is_remote=False)
EVERY = "\n".join(text for texts in FOUND.values() for text in texts)
RULED = "ruled-out-7"
"""What only a rule knows: under a key, and by a pattern."""

Form = Callable[[str], Any]

FORMS: Mapping[str, Form] = {
    "text": lambda text: f"before {text} after {RULED}",
    "list": lambda text: ("first", text),
    "json": lambda text: json.dumps([{"role": "user", "parts": [{"content": text}], "secret_of_mine": {"a": [RULED]}}]),
    "keys of json": lambda text: json.dumps({"a": {text: {"b": text}}}, ensure_ascii=True),
    "json in json": lambda text: json.dumps({"arguments": json.dumps({"deep": json.dumps([text])})}),
    "broken json": lambda text: json.dumps({"said": text, "secret_of_mine": RULED, "more": "text"})[:-9],
    "bytes": lambda text: text.encode(),
}
NESTED: Mapping[str, Form] = {
    **FORMS,
    "mapping": lambda text: {"a": [{"b": text, text: 1}], "c": {"secret_of_mine": {"x": RULED}}},
    "card as number": lambda text: {"card": json.dumps([4012888888881881]), "text": text},
}


def names_of(*signals: Mapping[str, Any]) -> list[str]:
    """Every attribute that a signal of these may carry, those of all signals and those that no signal has included."""
    named = {name for signal in signals for each in signal.values() for name in each.attributes}
    return sorted(_key(name) for name in {*named, *REGISTRY.attributes})


def _key(name: str) -> str:
    definition = REGISTRY.attributes.get(name)
    return f"{name}.some_key" if definition is not None and definition.is_template else name


def _planted(names: list[str], form: Form, text: str) -> dict[str, Any]:
    return {name: form(text) for name in names}


def spans(form: Form, text: str) -> list[ReadableSpan]:
    """One for each place: attributes, events, links, resource, scope, name and status, each with every attribute."""
    planted = _planted(names_of(REGISTRY.spans, REGISTRY.events), form, text)
    few = _planted(["user.id", "label.team", "gen_ai.input.messages"], form, text)
    return [
        ReadableSpan(
            f"chat {text}",
            CONTEXT,
            resource=Resource(_planted([f"{namespace}.name" for namespace in REGISTRY.resource], form, text)),
            attributes=planted,
            events=[Event(f"event {text}", few, 1)],
            links=[Link(CONTEXT, few)],
            status=Status(StatusCode.ERROR, f"failed for {text} {RULED}"),
            instrumentation_scope=InstrumentationScope("scope", attributes=few),
            start_time=1,
            end_time=2,
        )
    ]


def logs(form: Form, text: str) -> list[ReadableLogRecord]:
    """A record with every attribute of an event, and a body."""
    record = LogRecord(timestamp=1, body=form(text), attributes=_planted(names_of(REGISTRY.events), form, text))
    return [ReadableLogRecord(record, Resource({"host.name": text}), InstrumentationScope("scope"))]


def metrics(form: Form, text: str) -> Any:
    """Each kind of instrument, with a data point for each attribute of a metric; exemplars too."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False)
    meter = provider.get_meter("needles", attributes={"scope": text})
    histogram, counter = meter.create_histogram("h"), meter.create_counter("c")
    for name in names_of(REGISTRY.metrics):
        histogram.record(1.0, {name: form(text)})
    counter.add(1, _planted(["gen_ai.request.model", "label.team"], form, text))
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def sent(form: Form, text: str, rewriter: Rewriter, signal: str) -> bytes:
    """What an OTLP exporter would send of that signal."""
    if signal == "spans":
        return encode_spans([*map(rewriter.span, spans(form, text))]).SerializeToString()
    if signal == "logs":
        return encode_logs([*map(rewriter.log, logs(form, text))]).SerializeToString()
    return encode_metrics(rewriter.metrics(metrics(form, text))).SerializeToString()


def found(output: bytes) -> list[str]:
    """The needles that are left, however JSON spells them."""
    text = output.decode("utf-8", "replace")
    for _ in range(4):
        text = text.replace("\\\\", "\\").replace('\\"', '"').replace("\\n", "\n")
    secrets = {secret: f"{name}: {secret}" for name, texts in SECRETS.items() for secret in texts}
    secrets |= {RULED: "by rule", "4012888888881881": "card as a number"}
    spelled = {json.dumps(secret)[1:-1]: place for secret, place in secrets.items()}
    return sorted({place for secret, place in {**secrets, **spelled}.items() if secret in text})


def complete(action: str = "replace") -> Redaction:
    """Every detector, and rules for what they do not know."""
    return Redaction(
        rules=(Rule(key="secret_of_mine.*"), Rule(key="secret_of_mine"), Rule(pattern=RULED)), action=action
    )


CASES = [
    *((signal, form) for signal in ("spans", "logs") for form in FORMS),
    *(("logs", form) for form in NESTED if form not in FORMS),
    *(("metrics", form) for form in FORMS if form != "bytes"),
]


@pytest.mark.parametrize("action", ["replace", "hash", "drop"])
@pytest.mark.parametrize(("signal", "form"), CASES)
def test_nothing_that_is_planted_leaves(signal: str, form: str, action: str) -> None:
    """S2-45: 0 found, whatever becomes of it."""
    output = sent(NESTED[form], EVERY, Rewriter([complete(action)]), signal)
    assert len(output) > (1_000 if action != "drop" else 30)
    assert found(output) == []


@pytest.mark.parametrize(("signal", "form"), CASES)
def test_without_the_step_all_of_it_is_found(signal: str, form: str) -> None:
    """The search sees each needle, in every form."""
    expected = {f"{name}: {secret}" for name, texts in SECRETS.items() for secret in texts}
    assert expected <= set(found(sent(NESTED[form], EVERY, Rewriter([]), signal)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("signal", ["spans", "logs", "metrics"])
def test_one_needle_in_one_attribute_is_seen_and_gone(signal: str, name: str) -> None:
    """Alone, with no other needle beside it that would take it along."""
    for text, secret in zip(FOUND[name], SECRETS[name], strict=True):
        output = sent(FORMS["text"], text, Rewriter([complete()]), signal)
        assert secret.encode() not in output


# The suite sees a step that is broken


def _without(name: str) -> Callable[[pytest.MonkeyPatch], Redaction]:
    return lambda patch: Redaction([each for each in ALL if each != name], rules=complete().rules)


def _patched(method: str, instead: Any) -> Callable[[pytest.MonkeyPatch], Redaction]:
    def broken(patch: pytest.MonkeyPatch) -> Redaction:
        patch.setattr(Redaction, method, instead)
        return complete()

    return broken


def _no_json(patch: pytest.MonkeyPatch) -> Redaction:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ValueError

    patch.setattr(redaction.json, "loads", refuse)
    return Redaction(rules=(Rule(key="secret_of_mine"),))


def _no_members(patch: pytest.MonkeyPatch) -> Redaction:
    patch.setattr(redaction, "members", lambda text, path: iter(()))
    return Redaction(rules=(Rule(key="secret_of_mine"),))


BROKEN: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], Redaction], str, str]] = {
    **{f"without {name}": (_without(name), "text", "spans") for name in ALL},
    "lists are not looked at": (_patched("_items", lambda self, items, *rest: items), "list", "spans"),
    "keys are not looked at": (_patched("_has_nothing", lambda self, key: True), "keys of json", "spans"),
    "mappings are not looked at": (_patched("_mapping", lambda self, value, *rest: value), "mapping", "logs"),
    "bytes are not looked at": (_patched("_bytes", lambda self, value, *rest: value), "bytes", "spans"),
    "numbers are not looked at": (_patched("_number", lambda self, value: value), "card as number", "logs"),
    "JSON is text": (_no_json, "json in json", "spans"),
    "rules by key do not look into broken JSON": (_no_members, "broken json", "spans"),
    "no rules": (lambda patch: Redaction(), "json", "metrics"),
    "the step gives back what it got": (_patched("_value", lambda self, value, *rest: value), "json", "metrics"),
}


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_broken_step_is_found_out(breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its parts, taken away, leaves needles behind."""
    breaks, form, signal = BROKEN[breakage]
    assert found(sent(NESTED[form], EVERY, Rewriter([breaks(monkeypatch)]), signal)) != []


@pytest.mark.parametrize(
    ("part", "signal"),
    [
        ("_event", "spans"),
        ("_status", "spans"),
        ("_text", "spans"),
        ("resource", "spans"),
        ("_scope", "spans"),
        ("_point", "metrics"),
    ],
)
def test_a_broken_wrapper_is_found_out(part: str, signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place of a signal that it would not look at."""
    unchanged = {"_status": lambda self, span: span.status, "_text": lambda self, name, text: text}
    monkeypatch.setattr(Rewriter, part, unchanged.get(part, lambda self, given: given))
    assert found(sent(FORMS["text"], EVERY, Rewriter([complete()]), signal)) != []


@pytest.mark.quiet_guard
def test_a_step_that_fails_closes_its_attribute() -> None:
    """What could not be looked at does not leave, in any signal."""

    def fails(name: str, value: Any) -> Any:
        raise OSError

    for signal in ("spans", "logs", "metrics"):
        output = sent(FORMS["json"], EVERY, Rewriter([fails]), signal)
        assert [place for place in found(output) if place != "by rule"] == []
