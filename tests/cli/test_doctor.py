"""``aiobs doctor`` as a person calls it: in processes of its own; and the samples of docs/doctor.md."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aiobs.cli.doctor import render
from aiobs.diagnosis import Diagnosis
from aiobs.diagnosis.pipelines import inspect_pipelines
from aiobs.diagnosis.providers import OperationState, ProviderState, WrapPoint
from aiobs.diagnosis.report import conclude
from aiobs.diagnosis.settings import inspect_settings
from aiobs.instrumentation import wrap_points
from aiobs.testing import OTLPSink

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"
BLOCK_IMPORTS = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError("blocked", name=name)
sys.meta_path.insert(0, Blocked())
"""
NEXT_GENERATION = """
class Completions:
    def create(self, *, messages, model): ...
    def list(self, *, metadata=None): ...
    def retrieve(self, completion_id): ...
    def update(self, completion_id): ...
class AsyncCompletions:
    async def create(self, *, messages, model, stream=None): ...
    def list(self, *, metadata=None): ...
    async def retrieve(self, completion_id): ...
    async def update(self, completion_id): ...
"""


def doctor(*arguments: str, path: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, piped; ``path`` goes before the installed packages."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error", **variables}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "-m", "aiobs", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=50)


def as_json(*arguments: str, path: Path | None = None, **variables: str) -> dict[str, Any]:
    done = doctor("--json", *arguments, path=path, **variables)
    assert not done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def codes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["level"], finding["code"]) for finding in found["findings"] if finding["level"] != "note"]


def an_sdk(path: Path, source: str, version: str = "99.0.0") -> Path:
    """A package that passes for the SDK."""
    module = path / "openai" / "resources" / "chat" / "completions"
    module.mkdir(parents=True)
    for folder in (module.parents[2], module.parents[1], module.parents[0]):
        (folder / "__init__.py").write_text("")
    (module / "__init__.py").write_text(source)
    return a_distribution(path, "openai", version)


def without(path: Path, *names: str) -> Path:
    """An environment where these modules are not installed."""
    (path / "sitecustomize.py").write_text(BLOCK_IMPORTS.format(names=names))
    return path


def a_distribution(path: Path, name: str, version: str, *lines: str, entry_points: str = "") -> Path:
    """Metadata as pip leaves it."""
    folder = path / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
    )
    (folder / "entry_points.txt").write_text(entry_points)
    return path


def a_rival(path: Path) -> Path:
    return a_distribution(
        path, "openinference-instrumentation-openai", "0.1.66",
        "Provides-Extra: instruments", "Requires-Dist: openai; extra == 'instruments'",
        entry_points="[opentelemetry_instrumentor]\nopenai = openinference.instrumentation.openai:OpenAIInstrumentor\n",
    )  # fmt: skip


# What it finds


def test_a_healthy_set_up() -> None:
    """Every installed SDK is recorded; nothing is wrong, and nothing of what is fine is listed but to who asks."""
    done = doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing is wrong." in done.stdout
    assert "\x1b" not in done.stdout
    assert re.search(r"✓ openai \d+\.\d+\S* +\d+ operations are recorded", done.stdout)
    assert "chat.completions.create" not in done.stdout
    listed = r"✓ openai \d+\.\d+.*\n +chat\.completions\.create +\d of \d wrap points"
    assert re.search(listed, doctor("--verbose").stdout)


def test_ascii_where_that_is_all_there_is() -> None:
    """A terminal or a pipe without UTF-8 gets no character that it cannot show."""
    done = doctor(PYTHONIOENCODING="ascii", PYTHONUTF8="0", AIOBS_LABEL_TEAM="équipe \udcff")
    assert (done.returncode, done.stdout.isascii(), "+ openai" in done.stdout) == (0, True, True)
    assert re.search(r"label team +\?+quipe", done.stdout)


def test_nothing_installed(tmp_path: Path) -> None:
    """A warning: there is nothing to record; with --strict it counts."""
    without(tmp_path, *(package for provider, _ in wrap_points() for package in provider.packages))
    found = as_json(path=tmp_path)
    assert codes(found) == [("warning", "no-provider")]
    assert not any(provider["installed"] for provider in found["providers"])
    assert doctor(path=tmp_path).returncode == 0
    assert doctor("--strict", path=tmp_path).returncode == 1


def test_an_sdk_too_new(tmp_path: Path) -> None:
    """A changed signature names the parameter that is missing."""
    found = as_json(path=an_sdk(tmp_path, NEXT_GENERATION))
    assert codes(found) == [("warning", "signature-changed")]
    (finding,) = (finding for finding in found["findings"] if finding["level"] == "warning")
    assert finding["what"] == "openai 99.0.0: Completions.create has no parameter stream any more."
    chat = next(operation for operation in operations(found) if operation["api"] == "chat.completions.create")
    assert {point["target"]: point["state"] for point in chat["points"] if "beta" not in point["target"]} == {
        "openai.resources.chat.completions:Completions.create": "changed",
        "openai.resources.chat.completions:AsyncCompletions.create": "patched",
        "openai.resources.chat.completions:Completions.parse": "absent",
        "openai.resources.chat.completions:AsyncCompletions.parse": "absent",
    }


def operations(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for provider in found["providers"] for operation in provider["operations"]]


def test_a_wrap_point_is_missing(tmp_path: Path) -> None:
    """The asynchronous client is gone: a warning, for the rest is recorded."""
    source = "class Completions:\n    def create(self, *, messages, model, stream=None): ...\n"
    found = as_json(path=an_sdk(tmp_path, source))
    assert codes(found) == [("warning", "operation-missing")] * 4  # creating, listing, fetching, updating
    assert "AsyncCompletions.create not found" in doctor(path=tmp_path).stdout


def test_nothing_can_be_wrapped(tmp_path: Path) -> None:
    """An SDK of which nothing is recorded is an error: never a silent no-op."""
    an_sdk(tmp_path, "")
    assert codes(as_json(path=tmp_path)) == [("error", "not-patched")]
    assert doctor(path=tmp_path).returncode == 1


def test_an_sdk_that_cannot_be_imported(tmp_path: Path) -> None:
    """What the import said, in the report rather than as a traceback."""
    found = as_json(path=an_sdk(tmp_path, "import nothing_of_this_name"))
    assert codes(found) == [("error", "provider-import")]
    assert "No module named 'nothing_of_this_name'" in found["findings"][0]["what"]


def test_an_sdk_too_old(tmp_path: Path) -> None:
    """Below the version that aiobs's own extra asks for."""
    source = NEXT_GENERATION.replace("model)", "model, stream=None)")
    found = as_json(path=an_sdk(tmp_path, source, version="1.2.3"))
    assert codes(found) == [("warning", "old-provider")]
    assert found["findings"][0]["what"] == "openai 1.2.3 is older than what aiobs is tested with (>=1.40)."


def test_another_instrumentation(tmp_path: Path) -> None:
    """Installed and active, as opentelemetry-instrument finds it; switched off it is no news."""
    a_rival(tmp_path)
    assert codes(as_json(path=tmp_path)) == [("warning", "recorded-twice")]
    disabled = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    assert codes(as_json(path=tmp_path, **{disabled: "requests, openai"})) == []
    assert codes(as_json(path=tmp_path, **{disabled: "aiobs_openai, openai"})) == [("warning", "disabled")]


def test_an_instrumentation_that_leaves_this_version_out(tmp_path: Path) -> None:
    """Its own version range keeps opentelemetry-instrument from loading it."""
    a_distribution(
        tmp_path, "opentelemetry-instrumentation-openai-v2", "2.4b0",
        "Provides-Extra: instruments", "Requires-Dist: openai<0.1; extra == 'instruments'",
        entry_points="[opentelemetry_instrumentor]\nopenai = opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor\n",
    )  # fmt: skip
    assert codes(as_json(path=tmp_path)) == []


def test_a_library_that_records_when_it_is_called(tmp_path: Path) -> None:
    """A note, which only --verbose shows."""
    a_distribution(tmp_path, "langfuse", "5.0.4")
    assert "langfuse" not in doctor(path=tmp_path).stdout
    assert "langfuse 5.0.4 is installed." in doctor("--verbose", path=tmp_path).stdout


def test_an_invalid_setting() -> None:
    """An error that says what to give instead."""
    done = doctor(AIOBS_MAX_PART_BYTES="many", AIOBS_SESION="x")
    assert done.returncode == 1
    assert "AIOBS_MAX_PART_BYTES: 'many' is not a size in bytes; use a whole number of 1 or more." in done.stdout
    assert "Did you mean AIOBS_SESSION?" in done.stdout


def test_grpc_without_its_exporter(tmp_path: Path) -> None:
    """An error: configure() would raise."""
    without(tmp_path, "opentelemetry.exporter.otlp.proto.grpc")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    found = as_json("--otlp", path=tmp_path, **variables)
    assert codes(found) == [("error", "grpc-missing"), ("error", "otlp")]
    assert found["probes"][0]["what"] == 'OTLP over grpc needs an extra: pip install "aiobs[grpc]"'


def test_a_zero_code_start_is_seen() -> None:
    """``opentelemetry-instrument aiobs doctor`` shows the providers that are set."""
    instrument = "import sys; from opentelemetry.instrumentation.auto_instrumentation import run; sys.exit(run())"
    with OTLPSink() as sink:
        done = subprocess.run(
            [sys.executable, "-c", instrument, sys.executable, "-m", "aiobs", "doctor", "--json"],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
            capture_output=True, text=True, check=True, timeout=50,
        )  # fmt: skip
        found = json.loads(done.stdout)["pipelines"]
    assert [(provider["signal"], provider["is_ours"]) for provider in found["providers"]] == [
        ("traces", True), ("metrics", True), ("logs", True),
    ]  # fmt: skip
    assert found["providers"][0]["cls"] == "opentelemetry.sdk.trace.TracerProvider"
    assert found["providers"][0]["exporters"] == [f"OTLPSpanExporter to {sink_url(found)}"]
    assert found["in_code"] == "uses the TracerProvider that is set"


def sink_url(found: dict[str, Any]) -> str:
    return str(found["destinations"][0]["url"])


# The test span


def test_otlp_accepted() -> None:
    """Exit code 0, one span, and where it went."""
    with OTLPSink() as sink:
        done = doctor("--otlp", OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
        assert (done.returncode, [span.name for span in sink.spans]) == (0, ["aiobs doctor"])
        assert f"sent to   {sink.endpoint}/v1/traces (http/protobuf, OTEL_EXPORTER_OTLP_ENDPOINT)" in done.stdout


def test_otlp_with_an_endpoint() -> None:
    """The argument wins over the environment, and implies --otlp."""
    with OTLPSink() as sink:
        done = doctor(sink.endpoint, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4318")
        assert (done.returncode, len(sink.spans)) == (0, 1)


def test_otlp_refused(unused_port: int) -> None:
    """Exit code 1, and why."""
    done = doctor("--otlp", f"http://127.0.0.1:{unused_port}")
    assert (done.returncode, done.stderr) == (1, "")
    assert "The test span was not accepted: connection refused." in done.stdout


@pytest.fixture
def unused_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_no_credential_is_shown() -> None:
    """Not from headers, userinfo, query or settings; neither as text nor as JSON."""
    secrets = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hunter22@collector.invalid:4318/base?key=qqqqqq",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame1,x-api-key=sesame2",
        "AIOBS_LABEL_API_KEY": "sesame3",
        "AIOBS_SESSION": "sk-abcdefghijkl",
    }
    for arguments in (["--otlp", "--verbose"], ["--otlp", "--json"]):
        shown = doctor(*arguments, **secrets).stdout
        assert "collector.invalid" in shown
        assert "x-api-key" in shown
        assert not re.findall("hunter22|user:|qqqqqq|sesame|sk-abc", shown)


# The samples


def points(module: str, *names: str, state: str = "patched") -> tuple[WrapPoint, ...]:
    return tuple(WrapPoint(f"{module}:{name}", name.startswith("Async"), state) for name in names)


OPENAI, BETA = "openai.resources.chat.completions", "openai.resources.beta.chat.completions"
CREATE = points(OPENAI, "Completions.create", "AsyncCompletions.create")
PARSE = points(OPENAI, "Completions.parse", "AsyncCompletions.parse")
OLD_PARSE = points(BETA, "Completions.parse", "AsyncCompletions.parse", state="no module")
TOO_NEW = (
    WrapPoint(f"{OPENAI}:Completions.create", False, "changed", ("stream",)),
    *points(OPENAI, "AsyncCompletions.create", state="absent"),
    *PARSE,
    *OLD_PARSE,
)


def openai(version: str, *found: WrapPoint) -> ProviderState:
    chat = OperationState("chat.completions.create", "Operation", found)
    return ProviderState("openai", "openai", True, version, ">=1.40", None, (chat,))


def diagnosis(*providers: ProviderState) -> Diagnosis:
    versions = {"aiobs": "0.1.0", "Python": "3.12.8", "opentelemetry-api": "1.45.1", "opentelemetry-sdk": "1.45.1"}
    return conclude(versions, providers, inspect_pipelines(), inspect_settings(), ())


HEALTHY = openai("3.52.0", *CREATE, *PARSE, *OLD_PARSE)
MISSING = ProviderState("openai", "openai", False, None, ">=1.40", None, ())
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
SAMPLES: dict[str, tuple[ProviderState, dict[str, str], Callable[[Path], object] | None]] = {
    "healthy": (HEALTHY, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, None),
    "nothing installed": (MISSING, {}, None),
    "too new": (openai("9.0.0", *TOO_NEW), {}, None),
    "content": (
        HEALTHY,
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example.com",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20key",
            CONTENT: "span_only",
        },
        None,
    ),
    "two instrumentations": (HEALTHY, {}, a_rival),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_of_the_page(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """docs/doctor.md shows what is printed."""
    provider, variables, prepare = SAMPLES[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    if prepare is not None:
        prepare(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
    written = io.StringIO()
    render(diagnosis(provider), Console(file=written, highlight=False, width=100))
    block = re.search(rf"<!-- sample: {name} -->\n+```\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    assert written.getvalue() == block[1]
