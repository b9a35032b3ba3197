"""Session labels."""

from __future__ import annotations

import json
import logging
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from aiobs import observer
from aiobs.ambient.labels import environment_labels, merge_labels, system_labels
from aiobs.ambient.otel import LabelsResourceDetector
from aiobs.errors import InvalidLabel, NoActiveSession

SYSTEM = {"aiobs_sdk_version", "aiobs_python_version", "aiobs_hostname", "aiobs_os"}


@pytest.mark.parametrize(
    "key", ["Env", "eNv", "1env", "_env", "en-v", "en v", "en.v", "", "e" * 64, "env\n", "é", "né"]
)
def test_bad_keys(key: str) -> None:
    """S1-14: the whole key must match; the message names key and pattern."""
    with pytest.raises(InvalidLabel, match="is invalid. Keys must match pattern") as raised:
        observer.observe(labels={key: "x"})
    assert repr(key) in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("key", ["a", "a" * 63, "env_2"])
def test_good_keys(key: str) -> None:
    """S1-14: 1 to 63 characters."""
    observer.observe(labels={key: "x"})
    assert observer.get_labels()[key] == "x"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x" * 257, "exceeds maximum length of 256 characters"),
        (7, "must be a string, got int"),
        (None, "must be a string, got NoneType"),
        ("a\ud800", "lone surrogate"),
    ],
)
def test_bad_values(value: Any, message: str) -> None:
    """S1-15: length in code points, no coercion, no lone surrogate."""
    with pytest.raises(InvalidLabel, match=message):
        observer.observe(labels={"env": value})


@pytest.mark.parametrize("value", ["", "x" * 256, "🦀" * 256])
def test_good_values(value: str) -> None:
    """S1-15: empty and emoji are fine."""
    observer.observe(labels={"env": value})
    assert observer.get_labels()["env"] == value


def test_reserved_prefix_comes_first() -> None:
    """S1-17: the reserved prefix is named, also where the pattern would match."""
    with pytest.raises(InvalidLabel, match="uses reserved prefix 'aiobs_'"):
        observer.observe(labels={"aiobs_x": "1"})
    with pytest.raises(InvalidLabel, match="uses reserved prefix 'aiobs_'"):
        observer.observe(labels={"aiobs_X y": "1"})


@pytest.mark.parametrize("labels", [["a"], "a", 7])
def test_labels_must_be_a_dictionary(labels: Any) -> None:
    """S1-18: and no session is started."""
    with pytest.raises(InvalidLabel, match=f"Labels must be a dictionary, got {type(labels).__name__}"):
        observer.observe(labels=labels)
    with pytest.raises(InvalidLabel, match="must be a string, got int"):
        observer.observe(labels={5: "x"})
    with pytest.raises(NoActiveSession):
        observer.get_labels()


def test_not_more_than_64_with_the_systems() -> None:
    """S1-16: 60 of one's own fit; 64 do not."""
    observer.observe(labels={f"k{n}": "v" for n in range(60)})
    with pytest.raises(InvalidLabel, match=r"Too many labels \(65\). Maximum allowed is 64."):
        observer.add_label("one_more", "v")
    observer.add_label("k0", "overwriting is fine")
    with pytest.raises(InvalidLabel, match=r"Too many labels \(68\)"):
        observer.observe(labels={f"k{n}": "v" for n in range(64)})


def test_the_environment_gives_way(monkeypatch, caplog) -> None:
    """S1-16: labels of the environment never make observe() fail."""
    monkeypatch.setenv("AIOBS_LABEL_EXTRA", "x")
    observer.observe(labels={f"k{n}": "v" for n in range(60)})
    assert "extra" not in observer.get_labels()
    assert "left out from the environment: extra" in caplog.text


def test_changing_labels() -> None:
    """S1-19 to S1-23: the seed's own sequence."""
    observer.observe(labels={"environment": "staging"})
    observer.add_label("user_tier", "enterprise")
    observer.set_labels({"experiment_id": "exp-42", "feature_flag": "new_model"})
    assert set(observer.get_labels()) == {"environment", "user_tier", "experiment_id", "feature_flag", *SYSTEM}
    observer.set_labels({"environment": "production"}, merge=False)
    observer.remove_label("experiment_id")
    labels = observer.get_labels()
    assert {key: value for key, value in labels.items() if key not in SYSTEM} == {"environment": "production"}
    assert set(labels) >= SYSTEM
    labels["environment"] = "mutated"
    assert observer.get_labels()["environment"] == "production"


def test_a_rejected_change_changes_nothing() -> None:
    """S1-18, S1-20: all or nothing."""
    observer.observe(labels={"a": "1"})
    before = observer.get_labels()
    for change in (
        lambda: observer.set_labels({"b": "2", "C": "3"}),
        lambda: observer.set_labels({f"k{n}": "v" for n in range(64)}),
        lambda: observer.add_label("b", 5),  # type: ignore[arg-type]
        lambda: observer.remove_label("aiobs_os"),
    ):
        with pytest.raises(InvalidLabel):
            change()
    assert observer.get_labels() == before


def test_system_labels_stay() -> None:
    """S1-22, S1-31: they cannot be removed, and a missing label may be."""
    observer.observe()
    with pytest.raises(InvalidLabel, match="Cannot remove system label 'aiobs_os'"):
        observer.remove_label("aiobs_os")
    observer.remove_label("nothing")


@pytest.mark.parametrize(
    "call",
    [
        lambda: observer.add_label("a", "b"),
        lambda: observer.set_labels({"a": "b"}),
        lambda: observer.remove_label("a"),
        observer.get_labels,
    ],
)
def test_without_a_session(call) -> None:
    """S1-24: RuntimeError with what to do."""
    with pytest.raises(RuntimeError, match=r"No active session. Call observe\(\) first."):
        call()


def test_labels_of_the_environment(monkeypatch) -> None:
    """S1-25, S1-26: lower-cased, cut to 256, invalid ones ignored, explicit ones win."""
    monkeypatch.setenv("AIOBS_LABEL_ENVIRONMENT", "staging")
    monkeypatch.setenv("AIOBS_LABEL_MY_LABEL", "v" * 300)
    monkeypatch.setenv("AIOBS_LABEL_9", "x")
    monkeypatch.setenv("AIOBS_LABEL_", "x")
    observer.observe(labels={"environment": "production"})
    labels = observer.get_labels()
    assert labels["environment"] == "production"
    assert labels["my_label"] == "v" * 256
    assert len(labels) == 6
    observer.set_labels({}, merge=False)
    assert set(observer.get_labels()) == SYSTEM


def test_what_the_system_says() -> None:
    """S1-27, S1-28, S1-30: the release, the interpreter and the operating system that run, as Python names them."""
    labels = system_labels()
    assert labels["aiobs_sdk_version"] == metadata.version("aiobs")
    assert labels["aiobs_python_version"] == sys.version.split()[0]
    assert labels["aiobs_os"] == os.uname().sysname.lower()


def test_the_environment_cannot_spoof_the_system(monkeypatch, caplog) -> None:
    """S1-17: ignored with a warning."""
    monkeypatch.setenv("AIOBS_LABEL_AIOBS_SDK_VERSION", "6.6.6")
    assert environment_labels() == {}
    assert "AIOBS_LABEL_AIOBS_SDK_VERSION ignored" in caplog.text


def test_bytes_in_the_environment_that_are_no_utf8() -> None:
    """A variable with odd bytes arrives as surrogates; the label shows U+FFFD."""
    assert environment_labels({"AIOBS_LABEL_X": "a\udcffb"}) == {"x": "a�b"}


def test_lenient_labels(monkeypatch, caplog) -> None:
    """S1-18: AIOBS_LABELS_STRICT=0 drops what is invalid, with a warning."""
    monkeypatch.setenv("AIOBS_LABELS_STRICT", "0")
    observer.observe(labels={"good": "1", "BAD": "2"})
    assert set(observer.get_labels()) == {"good", *SYSTEM}
    assert "label dropped" in caplog.text


def test_host_name(monkeypatch) -> None:
    """S1-29: a fixed name, or none; a machine without a name is `unknown`."""
    import socket

    monkeypatch.setenv("AIOBS_HOSTNAME", "front-1")
    observer.observe()
    assert observer.get_labels()["aiobs_hostname"] == "front-1"
    monkeypatch.setenv("AIOBS_HOSTNAME", "off")
    observer.observe()
    assert "aiobs_hostname" not in observer.get_labels()
    monkeypatch.delenv("AIOBS_HOSTNAME")

    def fail() -> str:
        raise OSError

    monkeypatch.setattr(socket, "gethostname", fail)
    observer.observe()
    assert observer.get_labels()["aiobs_hostname"] == "unknown"


def test_labels_on_spans_are_those_of_the_start(signals) -> None:
    """S1-19: a label set while a span is open is on the spans after it; the record shows the last."""
    observer.observe("s", labels={"team": "a"}, tracer_provider=signals.tracer_provider)
    tracer = signals.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("first"):
        observer.add_label("team", "b")
        with tracer.start_as_current_span("second"):
            pass
    assert {span.name: span.attributes["label.team"] for span in signals.spans} == {"first": "a", "second": "b"}
    observer.end()
    export = json.loads(Path(str(observer.flush())).read_text())
    assert export["sessions"][0]["labels"]["team"] == "b"


def test_the_resource_detector(monkeypatch) -> None:
    """SX-05: environment and system labels as label.* of the resource."""
    monkeypatch.setenv("AIOBS_LABEL_TEAM", "ml")
    attributes = LabelsResourceDetector().detect().attributes
    assert attributes["label.team"] == "ml"
    assert {key for key in attributes if key.startswith("label.aiobs_")} == {f"label.{key}" for key in SYSTEM}


def test_the_resource_detector_is_found_by_name(monkeypatch) -> None:
    """S1-25: OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=aiobs_labels puts them on any program's resource."""
    from opentelemetry.sdk.resources import Resource

    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "aiobs_labels")
    monkeypatch.setenv("AIOBS_LABEL_TEAM", "ml")
    assert Resource.create().attributes["label.team"] == "ml"


def test_merging() -> None:
    """S1-26: system < environment < explicit."""
    assert merge_labels({"a": "s"}, {"b": "e", "c": "e"}, {"c": "x"}) == {"a": "s", "b": "e", "c": "x"}
    logging.getLogger("aiobs").debug("nothing else is said")
