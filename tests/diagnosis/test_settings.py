"""Every setting with its source; what is unknown, invalid or secret."""

from __future__ import annotations

import pytest

from aiobs.diagnosis.settings import MASK, Setting, check_settings, inspect_settings, masked
from aiobs.settings import OPTIONS, resolve_with_source


def found() -> dict[str, Setting]:
    return {setting.name: setting for setting in inspect_settings()}


def findings() -> list[tuple[str, str]]:
    return [(finding.code, finding.what) for finding in check_settings(inspect_settings())]


def test_the_source_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyword over variable over default."""
    assert resolve_with_source("max_part_bytes") == (65_536, "default")
    monkeypatch.setenv("AIOBS_MAX_PART_BYTES", "10")
    assert resolve_with_source("max_part_bytes") == (10, "AIOBS_MAX_PART_BYTES")
    assert resolve_with_source("max_part_bytes", 20) == (20, "keyword")


def test_every_option_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the table, the environment's labels among them."""
    monkeypatch.setenv("AIOBS_LABEL_TEAM", "ml")
    names = [option.keyword or option.variable for option in OPTIONS]
    expected = ["label team" if name == "AIOBS_LABEL_<KEY>" else name for name in names]
    assert [setting.name for setting in inspect_settings()] == expected
    assert found()["label team"] == Setting("label team", "ml", "AIOBS_LABEL_TEAM")


def test_values_are_shown_as_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words, not Python."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "TRUE")
    monkeypatch.setenv("AIOBS_EXPORTERS", "otlp, console")
    assert (found()["capture_content"].value, found()["exporters"].value) == ("span_only", "otlp,console")
    assert findings() == []


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AIOBS_EXIT_TIMEOUT", "soon", "AIOBS_EXIT_TIMEOUT: 'soon' is not a number of seconds; use 0 or more."),
        (
            "AIOBS_EXPORTERS",
            "jaeger",
            "AIOBS_EXPORTERS: There is no exporter 'jaeger'. Known are: console, json, langfuse, memory, none, otlp, "
            "otlp-json, phoenix, prometheus.",
        ),
    ],
)
def test_an_invalid_value(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str) -> None:
    """An error with what to give instead; also for what is only found to be wrong later."""
    monkeypatch.setenv(variable, value)
    assert findings() == [("invalid-setting", message)]


def test_an_invalid_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program goes on without it; a value that is too long is only cut."""
    monkeypatch.setenv("AIOBS_LABEL_1ST", "x")
    monkeypatch.setenv("AIOBS_LABEL_LONG", "x" * 1000)
    ((code, what),) = findings()
    assert (code, what.startswith("AIOBS_LABEL_1ST is left out: Label key '1st' is invalid.")) == (
        "invalid-label",
        True,
    )


@pytest.mark.parametrize(
    ("variable", "do"),
    [
        ("AIOBS_EXPORTER", "Did you mean AIOBS_EXPORTERS?"),
        ("AIOBS_LABELS_TEAM", "Did you mean AIOBS_LABEL_NAME?"),
        ("LLM_OBS_OUTPUT", "Did you mean LLM_OBS_OUT?"),
        ("AIOBS_ZZZZZZZZZZZZZZZZZZ", "Unset it."),
    ],
)
def test_an_unknown_variable(monkeypatch: pytest.MonkeyPatch, variable: str, do: str) -> None:
    """A warning with the nearest name that exists."""
    monkeypatch.setenv(variable, "x")
    ours = [finding for finding in check_settings(inspect_settings()) if variable in finding.what]
    assert [(finding.code, finding.do) for finding in ours] == [("unknown-variable", do)]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("label api_key", "abc", MASK),
        ("label token", "abc", MASK),
        ("label monkey", "abc", "abc"),
        ("path", "s3://me:hunter22@bucket/x.json", "s3://[REDACTED]@bucket/x.json"),
        ("AIOBS_SESSION", "sk-abcdefghijkl", "[REDACTED]"),
    ],
)
def test_what_may_be_secret_is_masked(name: str, value: str, shown: str) -> None:
    """By its name or by its shape."""
    assert masked(name, value) == shown
