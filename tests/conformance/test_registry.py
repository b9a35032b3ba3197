"""The registries as data: their shape, how they merge, and that our names are in them."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from aiobs.errors import CODES
from aiobs.semconv import encode, names
from aiobs.semconv.metrics import INFERENCE
from aiobs.semconv.registry import CURRENT, DUP, Attribute, Registry, merged, parse, stricter

KINDS = {"string", "int", "double", "boolean", "string[]", "enum", "any"}
NOT_SIGNAL_NAMES = {"SCOPE", "SCHEMA_URL", "EXECUTE_TOOL", "FUNCTION", "INVOKE_AGENT", "JOB_USAGE", "USAGE"}
OWN = json.loads(files("aiobs.semconv").joinpath("aiobs.json").read_text(encoding="utf-8"))


# The files


@pytest.mark.parametrize("name", DUP)
def test_a_registry_is_consistent(name: str) -> None:
    """SX-04: every attribute that a span, metric or event lists is defined; every type is one that the check knows."""
    registry = Registry.load(*CURRENT) if name == "aiobs" else Registry.load(name)
    signals = [*registry.spans.values(), *registry.metrics.values(), *registry.events.values()]
    assert {attribute for signal in signals for attribute in signal.attributes} <= set(registry.attributes)
    assert {attribute.type for attribute in registry.attributes.values()} <= KINDS
    assert {span.kind for span in registry.spans.values()} <= {"client", "server", "internal"}
    refined = {span.refines for span in registry.spans.values() if span.refines}
    assert refined <= set(registry.spans)


@pytest.mark.parametrize(("name", "given"), OWN["attributes"].items())
def test_an_attribute_of_ours_is_described(name: str, given: dict[str, Any]) -> None:
    """Type, one sentence and stability, and the values of an enum."""
    assert {"type", "brief", "stability"} <= set(given)
    assert given["brief"].endswith((".", ")"))
    assert given["stability"] in ("development", "stable")
    assert (given["type"] == "enum") == ("enum" in given)


@pytest.mark.parametrize("section", ["spans", "metrics"])
def test_a_signal_of_ours_is_described(section: str) -> None:
    """One sentence and stability."""
    for name, given in OWN[section].items():
        assert {"brief", "stability", "attributes"} <= set(given), name


def test_one_line_per_attribute() -> None:
    """aiobs.json is edited by hand: a line is an attribute."""
    text = files("aiobs.semconv").joinpath("aiobs.json").read_text(encoding="utf-8")
    lines = re.findall(r'^  "([^"]+)": \{"type".*\},?$', text, re.MULTILINE)
    assert lines == list(OWN["attributes"])


def test_nothing_is_defined_twice() -> None:
    """What the conventions define is theirs; ours has only what they have not."""
    genai = Registry.load("genai")
    assert set(OWN["attributes"]) & set(genai.attributes) == set()
    assert set(OWN["metrics"]) & set(genai.metrics) == set()


def test_rules_of_ours_are_about_known_names() -> None:
    """Open enums are enums; values that are never written fit their attribute."""
    registry = Registry.load()
    assert {registry.attributes[name].type for name in OWN["open_enums"]} == {"enum"}
    assert set(OWN["never"]) <= set(registry.attributes)
    assert set(OWN["dialects"]) | set(OWN["dialects"].values()) <= set(
        registry.attributes["gen_ai.provider.name"].values
    )


def test_error_codes_are_those_of_the_error_tree() -> None:
    assert Registry.load().attributes["aiobs.error.code"].values == CODES


# Our names


def test_every_name_is_in_a_registry() -> None:
    """What ``names`` spells is an attribute, a metric or an event of one of the registries."""
    registry = Registry.load()
    known = {*registry.attributes, *registry.metrics, *registry.events}
    spelled = {
        value
        for constant, value in vars(names).items()
        if isinstance(value, str) and constant.isupper() and constant not in NOT_SIGNAL_NAMES
    }
    assert spelled - known == set()
    assert registry.attributes["gen_ai.operation.name"].values.count(names.EXECUTE_TOOL) == 1


def test_every_parameter_is_in_a_registry() -> None:
    """What request parameters become is an attribute."""
    assert {key for key, _ in encode.PARAMETERS.values()} <= set(Registry.load().attributes)


def test_inference_is_what_the_registry_says() -> None:
    assert set(Registry.load().spans["gen_ai.client.inference"].operations) == INFERENCE


# Looking up


def test_a_template_stands_for_its_keys() -> None:
    """``label.<key>`` is a string; ``label`` alone is no attribute."""
    registry = Registry.load()
    assert registry.attribute("label.team") == Attribute("label", "string", is_template=True)
    assert registry.attribute("gen_ai.prompt.variable.a.b") == registry.attributes["gen_ai.prompt.variable"]
    assert registry.attribute("label") is None
    assert registry.attribute("labels.team") is None


@pytest.mark.parametrize(
    ("operation", "provider", "expected"),
    [
        ("chat", "gcp.gemini", ["gen_ai.client.inference"]),
        ("chat", "openai", ["openai.gen_ai.client.inference"]),
        ("chat", "azure.ai.openai", ["openai.gen_ai.client.inference"]),
        ("chat", None, ["gen_ai.client.inference"]),
        ("embeddings", "openai", ["gen_ai.embeddings.client"]),
        ("invoke_agent", "openai", ["gen_ai.invoke_agent.client", "gen_ai.invoke_agent.internal"]),
        ("juggle", "openai", []),
    ],
)
def test_the_definitions_of_an_operation(operation: str, provider: str | None, expected: list[str]) -> None:
    """The provider's refinement takes the place of what it refines."""
    assert [span.name for span in Registry.load().spans_of(operation, provider)] == expected


def test_a_refinement_is_no_metric_of_its_own() -> None:
    """``openai.gen_ai.…`` names the refinement in the registry; on the wire the metric has the name it refines."""
    registry = Registry.load()
    name = "gen_ai.client.inference.duration"
    assert [metric.name for metric in registry.metrics_of(name, "gcp.gemini")] == [name]
    assert [metric.name for metric in registry.metrics_of(name, "openai")] == [f"openai.{name}"]
    assert registry.metrics_of(f"openai.{name}", "openai") == []


# Merging


def test_the_stricter_level_counts() -> None:
    """An attribute that two definitions list has to satisfy both."""
    one = {"a": "recommended", "b": "opt_in"}
    assert stricter(one, {"a": "required", "c": "opt_in"}) == {"a": "required", "b": "opt_in", "c": "opt_in"}


def test_a_definition_of_ours_adds_to_that_of_the_conventions() -> None:
    """The same name in two registries is one definition with the attributes of both."""
    ours = parse({"events": {"gen_ai.evaluation.result": {"attributes": {"session.id": "recommended"}}}})
    both = merged([Registry.load("genai"), ours]).events["gen_ai.evaluation.result"]
    assert both.attributes["session.id"] == "recommended"
    assert both.attributes["gen_ai.evaluation.name"] == "required"


def test_both_states_of_the_conventions() -> None:
    """With both, what the newer one replaced is there again, and an inference has to satisfy either definition."""
    now, both = Registry.load(), Registry.load(*DUP)
    assert "gen_ai.token.type" in now.deprecated
    assert "gen_ai.token.type" not in both.deprecated
    assert "gen_ai.system" in both.deprecated
    assert "gen_ai.client.operation.duration" in now.renamed_metrics
    assert both.renamed_metrics == {}
    assert [span.name for span in both.spans_of("chat", "openai")] == [
        "openai.inference.client",
        "openai.gen_ai.client.inference",
    ]
    assert both.events["gen_ai.client.inference.operation.details"].severity == 5


def test_two_states_do_not_contradict_each_other() -> None:
    """Merging takes the first definition's kind, unit and buckets: they are the same in both."""
    old, new = Registry.load("genai-4a39b6ef"), Registry.load("genai")
    for name in set(old.metrics) & set(new.metrics):
        mine, theirs = old.metrics[name], new.metrics[name]
        assert (mine.instrument, mine.unit, mine.buckets) == (theirs.instrument, theirs.unit, theirs.buckets)
    for name in set(old.spans) & set(new.spans):
        assert (old.spans[name].kind, old.spans[name].name_pattern) == (
            new.spans[name].kind,
            new.spans[name].name_pattern,
        )
    for name in set(old.attributes) & set(new.attributes):
        assert old.attributes[name] == new.attributes[name]
