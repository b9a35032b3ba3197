"""Zero code: ``opentelemetry-instrument python app.py`` in environments of its own, with and without the distro."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from aiobs.testing import OTLPSink, Simulator
from aiobs.testing.otlp_sink import attributes_of

ROOT = Path(__file__).resolve().parent.parent
APP = """
from openai import OpenAI
reply = OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "What is an API?"}])
print(type(reply).__name__)
"""


@pytest.fixture(scope="session", params=["without distro", "with distro"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that sees this one's packages, and has the distro or not."""
    path = tmp_path_factory.mktemp("environment")
    venv.create(path, with_pip=False)
    packages = next((path / "lib").glob("python*")) / "site-packages"
    for entry in sys.path:
        if entry.endswith("site-packages"):
            with (packages / "host.pth").open("a") as file:
                file.write(f"import site; site.addsitedir({entry!r})\n")
    if request.param == "with distro":
        target = ["--target", str(packages), "--no-deps", "--constraint", str(ROOT / "constraints.txt")]
        command = [sys.executable, "-m", "pip", "install", "--quiet", *target, "opentelemetry-distro"]
        subprocess.run(command, check=True, capture_output=True)
    return path


def run(environment: Path, app: str, simulator: Simulator, **variables: str) -> subprocess.CompletedProcess[str]:
    Path("app.py").write_text(app)
    instrument = "import sys; from opentelemetry.instrumentation.auto_instrumentation import run; sys.exit(run())"
    python = str(environment / "bin" / "python")
    return subprocess.run(
        [python, "-c", instrument, python, "app.py"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **simulator.environment(), **variables},
        timeout=50,
    )


def test_spans_metrics_and_events_arrive(environment: Path, simulator: Simulator) -> None:
    """SX-03, S1-95: no import of aiobs in the app; everything reaches the endpoint in the environment."""
    with OTLPSink() as sink:
        done = run(
            environment, APP, simulator,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            AIOBS_LABEL_TEAM="ml",
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "ChatCompletion\n"), done.stderr
        assert "Traceback" not in done.stderr
        assert sink.wait_for(lambda sink: bool(sink.spans))
        assert [span.name for span in sink.spans] == ["chat gpt-4o-mini"]
        (span,) = sink.spans
        attributes = attributes_of(span)
        assert span.name == "chat gpt-4o-mini"
        assert attributes["gen_ai.usage.input_tokens"] > 0
        assert attributes["code.file.path"].endswith("app.py")
        assert "gen_ai.input.messages" not in attributes
        assert "gen_ai.client.inference.duration" in {metric.name for metric in sink.metrics}


def test_a_session_is_written(environment: Path, simulator: Simulator) -> None:
    """S1-95: AIOBS_SESSION=auto opens a session at the start and writes its file at the exit."""
    import json

    done = run(environment, APP, simulator, AIOBS_SESSION="auto", OTEL_TRACES_EXPORTER="none",
               OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(Path("llm_observability.json").read_text())
    assert [event["request"]["messages"][0]["content"] for event in found["events"]] == ["What is an API?"]


def test_without_any_variable_nothing_is_configured(environment: Path, simulator: Simulator) -> None:
    """Nothing is sent, nothing is written, the app runs (the distro, where it is installed, sends by its own default)."""
    none: dict[str, Any] = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = run(environment, APP, simulator, **none)
    assert (done.returncode, done.stdout) == (0, "ChatCompletion\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("llm_observability.json").exists()


def test_it_can_be_switched_off(environment: Path, simulator: Simulator) -> None:
    """SX-03: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names our entry point."""
    with OTLPSink() as sink:
        run(
            environment, APP, simulator,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="aiobs_openai",
        )  # fmt: skip
        assert not [span for span in sink.spans if span.name.startswith("chat")]


def test_a_wrong_option_never_stops_the_app(environment: Path, simulator: Simulator) -> None:
    """auto_configure() never raises; it says what is wrong."""
    done = run(environment, APP, simulator, AIOBS_EXPORTERS="nonsense", OTEL_TRACES_EXPORTER="none",
               OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ChatCompletion\n"), done.stderr
    assert "nonsense" in done.stderr
