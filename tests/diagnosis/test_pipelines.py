"""Where signals would go, and what keeps them from it or lets too much through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiobs.diagnosis.endpoints import is_loopback
from aiobs.diagnosis.pipelines import Pipelines, check_pipelines, inspect_pipelines
from aiobs.exporters.replies.urls import safe_url

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LOCAL = "http://127.0.0.1:4318"
REMOTE = "https://otlp.example.com"


def inspected(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Pipelines:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return inspect_pipelines()


def codes(found: Pipelines) -> list[tuple[str, str]]:
    return [(finding.level.value, finding.code) for finding in check_pipelines(found)]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pw@host:4318/v1/traces?key=x#y", "http://host:4318/v1/traces"),
        ("https://token@host", "https://host"),
        ("localhost:4317", "localhost:4317"),
        ("user:pw@host:4317?x=y", "host:4317"),
        ("http://[::1", "(not a URL)"),
    ],
)
def test_urls_are_shown_without_credentials(url: str, shown: str) -> None:
    """Neither userinfo nor query nor fragment."""
    assert safe_url(url) == shown


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:4318", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:4318", True),
        ("http://0.0.0.0:4318", True),
        ("localhost:4317", True),
        ("unix:///run/otel.sock", True),
        ("http://collector:4318", False),
        ("https://localhost.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_this_machine_or_another(url: str, local: bool) -> None:
    """By name and address; nothing is looked up."""
    assert is_loopback(url) is local


@pytest.mark.parametrize(
    ("variables", "in_code", "zero_code"),
    [
        ({}, "makes a TracerProvider of its own; exporters: none",
         "nothing: no OTEL_EXPORTER_OTLP_ENDPOINT, AIOBS_EXPORTERS or AIOBS_SESSION"),
        ({"AIOBS_SESSION": "auto"}, "makes a TracerProvider of its own; exporters: none",
         "makes a global TracerProvider; exporters: none"),
        ({ENDPOINT: LOCAL}, "makes a TracerProvider of its own; exporters: otlp",
         "makes a global TracerProvider; exporters: otlp"),
        ({"AIOBS_EXPORTERS": "json,console"}, "makes a TracerProvider of its own; exporters: json, console",
         "makes a global TracerProvider; exporters: json, console"),
        ({"OTEL_SDK_DISABLED": "true"}, "nothing (OTEL_SDK_DISABLED)", "nothing (OTEL_SDK_DISABLED)"),
    ],
)  # fmt: skip
def test_what_would_be_set_up(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], in_code: str, zero_code: str
) -> None:
    """By code, and by opentelemetry-instrument."""
    found = inspected(monkeypatch, **variables)
    assert (found.in_code, found.zero_code) == (in_code, zero_code)


def test_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the official exporters build them, per signal; header names only."""
    found = inspected(
        monkeypatch, **{ENDPOINT: f"{LOCAL}/", TRACES_ENDPOINT: f"{REMOTE}/otlp"},
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="Authorization=Bearer%20x", OTEL_LOGS_EXPORTER="none",
    )  # fmt: skip
    assert [(place.signal, place.url, place.source, place.headers) for place in found.destinations] == [
        ("traces", f"{REMOTE}/otlp", TRACES_ENDPOINT, ("authorization",)),
        ("metrics", f"{LOCAL}/v1/metrics", ENDPOINT, ()),
    ]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({ENDPOINT: LOCAL, CONTENT: "span_and_event"}, []),
        ({ENDPOINT: REMOTE}, []),
        ({ENDPOINT: REMOTE, CONTENT: "no_content"}, []),
        ({ENDPOINT: REMOTE, CONTENT: "event_only"}, [("warning", "content-leaves")]),
        ({ENDPOINT: REMOTE, CONTENT: "event_only", "OTEL_LOGS_EXPORTER": "none"}, []),
        ({CONTENT: "span_only"}, []),
        ({ENDPOINT: "http://127.0.0.1:4317"}, [("warning", "port-mismatch")]),
        ({ENDPOINT: LOCAL, PROTOCOL: "grpc"}, [("warning", "port-mismatch")]),
        ({ENDPOINT: "http://127.0.0.1:4317", PROTOCOL: "grpc"}, []),
        ({ENDPOINT: LOCAL, PROTOCOL: "http/json"}, [("error", "otlp-protocol")]),
        ({ENDPOINT: "localhost:4318"}, [("error", "endpoint-url")]),
        ({ENDPOINT: "http://127.0.0.1:port"}, [("error", "endpoint-url")]),
        ({ENDPOINT: f"{LOCAL}/v1/traces"}, [("warning", "endpoint-path")]),
        ({ENDPOINT: f"{LOCAL}?key=x"}, [("warning", "endpoint-path")]),
        ({ENDPOINT: LOCAL, TRACES_ENDPOINT: LOCAL}, [("warning", "endpoint-path")]),
        ({TRACES_ENDPOINT: f"{LOCAL}/v1/traces"}, [("warning", "endpoint-partial")]),
        ({ENDPOINT: LOCAL, "AIOBS_EXPORTERS": "console"}, [("warning", "endpoint-unused")]),
        ({"OTEL_SDK_DISABLED": "true"}, [("warning", "sdk-disabled")]),
        ({"OTEL_TRACES_EXPORTER": "none"}, [("warning", "traces-off")]),
    ],
)
def test_what_is_found(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    """Each trap once, however many signals fall into it."""
    assert codes(inspected(monkeypatch, **variables)) == expected


def test_a_session_file_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory, a file where a folder should be; a folder that is yet to be made is fine."""
    (tmp_path / "file").write_text("")
    assert codes(inspected(monkeypatch, LLM_OBS_OUT=str(tmp_path))) == [("warning", "session-file")]
    assert codes(inspected(monkeypatch, LLM_OBS_OUT=str(tmp_path / "file" / "x.json"))) == [("warning", "session-file")]
    assert codes(inspected(monkeypatch, LLM_OBS_OUT=str(tmp_path / "new" / "{session_id}.json"))) == []
    assert os.listdir(tmp_path) == ["file"]


def test_a_distro(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own default protocol is grpc, endpoint or not; naming a protocol settles it."""
    folder = tmp_path / "opentelemetry_distro-0.66b1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: opentelemetry-distro\nVersion: 0.66b1\n")
    (folder / "entry_points.txt").write_text(
        "[opentelemetry_configurator]\nconfigurator = opentelemetry.distro:OpenTelemetryConfigurator\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = inspect_pipelines()
    assert found.zero_code == "uses the TracerProvider that opentelemetry-distro 0.66b1 sets"
    assert {(place.url, place.protocol) for place in found.destinations} == {("http://localhost:4317", "grpc")}
    assert codes(found) == [("warning", "distro-grpc")]
    assert codes(inspected(monkeypatch, **{PROTOCOL: "http/protobuf"})) == []
