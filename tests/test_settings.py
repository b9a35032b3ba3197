"""Options: keyword over variable over default, and messages that say what to give instead."""

from __future__ import annotations

import pytest

from aiobs import Instrumentor, configure
from aiobs.errors import AiobsError, ConfigurationError
from aiobs.settings import OPTIONS, CaptureContent, as_capture_content, resolve


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        (None, None),
        ("", None),
        (True, "span_only"),
        ("TRUE", "span_only"),
        (False, "no_content"),
        ("SPAN_AND_EVENT", "span_and_event"),
        (" event_only ", "event_only"),
        (CaptureContent.NO_CONTENT, "no_content"),
    ],
)
def test_capture_modes(given: object, mode: str | None) -> None:
    """The OpenTelemetry values in any case, and true/false."""
    found = as_capture_content(given)
    assert (found.value if found else None) == mode


def test_precedence(monkeypatch) -> None:
    """Keyword > variable > default; an empty variable is unset."""
    assert resolve("max_part_bytes") == 65_536
    monkeypatch.setenv("AIOBS_MAX_PART_BYTES", "10")
    assert resolve("max_part_bytes") == 10
    assert resolve("max_part_bytes", 20) == 20
    monkeypatch.setenv("AIOBS_MAX_PART_BYTES", "")
    assert resolve("max_part_bytes") == 65_536


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "maybe", "use one of no_content, span_only"),
        ("AIOBS_MAX_PART_BYTES", "many", "whole number of 1 or more"),
        ("AIOBS_MAX_CALL_BYTES", "0", "whole number of 1 or more"),
    ],
)
def test_bad_variables_name_themselves(monkeypatch, variable: str, value: str, message: str) -> None:
    """The message names the variable and what would work."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=message) as raised:
        Instrumentor().instrument()
    assert str(raised.value).startswith(variable)
    assert isinstance(raised.value, AiobsError)


@pytest.mark.parametrize(
    ("name", "value"), [("AIOBS_EXIT_TIMEOUT", "-1"), ("AIOBS_EXIT_TIMEOUT", "nan"), ("AIOBS_ATEXIT", "x")]
)
def test_bad_numbers_and_switches(monkeypatch, name: str, value: str) -> None:
    """Not a number of seconds; not a switch."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        resolve(name)


def test_an_unknown_exporter() -> None:
    """SX-06: the message lists the known ones."""
    with pytest.raises(
        ConfigurationError,
        match=r"no exporter 'jaeger'.*console, json, langfuse, memory, none, otlp, otlp-json, phoenix, prometheus",
    ):
        configure(exporters="jaeger")


def test_every_option_is_documented() -> None:
    """One sentence each, and no option twice."""
    assert all(option.help.endswith(".") for option in OPTIONS)
    assert len({option.keyword or option.variable for option in OPTIONS}) == len(OPTIONS)
