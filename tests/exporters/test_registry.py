"""Exporters by name, with options, as text and as objects."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aiobs.errors import ConfigurationError
from aiobs.exporters import registry
from aiobs.exporters.registry import Exporter, Pipelines
from aiobs.exporters.sampling import Sampling
from aiobs.settings import CaptureContent

ENDPOINT = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("name", "adds"),
    [
        ("console", {"span_processors"}),
        ("json", set()),
        ("memory", {"span_processors", "log_processors"}),
        ("none", set()),
        ("otlp", {"span_exporter", "log_exporter", "metric_exporter"}),
        ("phoenix", {"span_exporter"}),
    ],
)
def test_our_exporters_have_names(name: str, adds: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name makes its pipelines."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT)
    made = Exporter(name).pipelines()
    assert {field for field, value in vars(made).items() if value} == adds
    for exporter in (made.span_exporter, made.log_exporter, made.metric_exporter):
        if exporter is not None:
            exporter.shutdown()


def test_text_says_what_an_exporter_is_to_get() -> None:
    """Options as in a URL, in AIOBS_EXPORTERS and in configure()."""
    parsed = Exporter.parse(" otlp?capture_content=no_content&sample=0.1&keep_errors=0&endpoint=http://c:4318 ")
    assert parsed == Exporter(
        "otlp", capture_content=CaptureContent.NO_CONTENT, sample=0.1, keep_errors=False, endpoint="http://c:4318"
    )
    assert (parsed.name, parsed.sampling, parsed.options) == (
        "otlp",
        Sampling(0.1, False),
        {"endpoint": "http://c:4318"},
    )
    assert Exporter.parse("otlp?headers=a%3D1%2Cb%3D2").options == {"headers": "a=1,b=2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jaeger", "There is no exporter 'jaeger'. Known are: console, json, "),
        ("otlp?sample=2", "'2' is not a share; use a number from 0 to 1"),
        ("otlp?sample", "write otlp\\?option=value"),
        ("otlp?capture_content=all", "'all' is not a capture mode"),
        ("otlp?keep_errors=perhaps", "'perhaps' is not a switch"),
        ("otlp?endpont=x", "'otlp' has no option 'endpont'. It has: endpoint, headers, protocol"),
        ("none?x=1", "It has: no options of its own; and capture_content"),
    ],
)
def test_a_mistake_is_said_at_once(text: str, said: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=said):
        Exporter.parse(text)


def test_an_exporter_of_the_sdk_is_one_too() -> None:
    """With what it is to get around it; what is no exporter is refused."""
    memory = InMemorySpanExporter()
    assert Exporter(memory, sample=0.5).pipelines() == Pipelines(span_exporter=memory)
    assert Exporter(memory).name == "InMemorySpanExporter"
    with pytest.raises(ConfigurationError, match="no exporter: give a name, or a SpanExporter"):
        Exporter(print).pipelines()  # type: ignore[arg-type]  # the test is of that


def test_options_are_never_shown() -> None:
    """They may hold credentials."""
    assert repr(Exporter("otlp", headers="authorization=Bearer sk-1")) == "Exporter('otlp')"


def test_installed_packages_add_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point group aiobs.exporters."""

    def points(group: str) -> list[Any]:
        return [EntryPoint("mine", "aiobs.exporters.registry:nothing", group)] if group == "aiobs.exporters" else []

    monkeypatch.setattr(registry, "entry_points", points)
    assert Exporter("mine").pipelines() == Pipelines()
    with pytest.raises(ConfigurationError, match=r"no exporter 'x'. Known are: console, json, langfuse, memory, mine"):
        Exporter("x")
