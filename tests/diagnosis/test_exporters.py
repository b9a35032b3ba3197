"""The exporters that AIOBS_EXPORTERS names: what is shown of them, what each lacks, and what lies in their spools."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import aiobs
from aiobs import configure, span
from aiobs.diagnosis import exporters, report
from aiobs.diagnosis.exporters import check_exporters, inspect_exporters
from aiobs.diagnosis.pipelines import inspect_pipelines
from aiobs.diagnosis.settings import check_settings, inspect_settings
from aiobs.diagnosis.spools import inspect_spool
from aiobs.exporters import Exporter
from aiobs.testing import OTLPSink

from .conftest import Receiver

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-1"}


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda text: monkeypatch.setenv("AIOBS_EXPORTERS", text)


def codes() -> list[tuple[str, str]]:
    return [(finding.level.value, finding.code) for finding in check_exporters(inspect_exporters())]


def test_options_are_shown_without_secrets(named: Callable[[str], None]) -> None:
    """Neither as they are nor percent-encoded; in the list, in the settings, and in what is wrong with them."""
    header, endpoint = quote("authorization=Bearer%20sesame"), quote("http://user:hunter22@127.0.0.1:9/base?key=qqqqqq")
    named(f"otlp?endpoint={endpoint}&headers={header},langfuse?secret_key=sk-lf-77777777&public_key=pk-lf-1,memory")
    assert [str(state) for state in inspect_exporters()] == [
        "otlp, endpoint=http://127.0.0.1:9/base, headers=********",
        "langfuse, secret_key=********, public_key=********",
        "memory",
    ]
    shown = repr((inspect_exporters(), inspect_pipelines(), inspect_settings()))
    named(f"otlp?headers={header}&nonsense")
    shown += repr((inspect_settings(), list(check_settings(inspect_settings()))))
    assert not [secret for secret in ("sesame", "hunter22", "qqqqqq", "77777777") if secret in shown]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_what_each_needs(
    named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taken_port: int
) -> None:
    """Keys, extras, a file, a port, a folder, a URL: an error for each that is missing, none where all is there."""
    (tmp_path / "file").write_text("")
    missing = {
        "langfuse": "exporter",
        f"otlp-json?path={tmp_path}": "otlp-json",
        f"otlp-json?path={tmp_path}/file/x.jsonl": "otlp-json",
        f"prometheus?host=127.0.0.1&port={taken_port}": "prometheus-port",
        f"otlp?spool={tmp_path}/file": "spool-unwritable",
        "otlp?endpoint=localhost:4318": "endpoint-url",
        "otlp?protocol=http/json": "exporter",
        "phoenix?endpoint=nowhere": "endpoint-url",
    }
    for text, code in missing.items():
        named(text)
        assert codes() == [("error", code)], text
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for text in ("langfuse", f"otlp-json?path={tmp_path}/new/x.jsonl", "prometheus?host=127.0.0.1&port=0",
                 f"otlp?spool={tmp_path}/new", "phoenix", "memory", "console", "json"):  # fmt: skip
        named(text)
        assert codes() == [], text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("text", "blocked", "code"),
    [
        ("otlp?endpoint=http://127.0.0.1:1&protocol=grpc", "opentelemetry.exporter.otlp.proto.grpc", "grpc-missing"),
        ("prometheus", "prometheus_client", "prometheus-missing"),
    ],
)
def test_an_extra_that_is_not_installed(
    named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, text: str, blocked: str, code: str
) -> None:
    """With the pip line."""
    find_spec = exporters.util.find_spec
    monkeypatch.setattr(exporters.util, "find_spec", lambda name: None if name == blocked else find_spec(name))
    named(text)
    (found,) = check_exporters(inspect_exporters())
    assert (found.code, 'pip install "aiobs[' in found.do) == (code, True)


def test_a_test_span_to_each(named: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the endpoint and the credentials of each, and to what the environment says only if one sends there."""
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
    with OTLPSink() as one, Receiver(401) as other:
        monkeypatch.setenv("LANGFUSE_HOST", other.origin)
        named(f"otlp?endpoint={one.endpoint}&headers=x-tenant=acme,langfuse,memory".replace("x-tenant=", "x-tenant%3D"))
        first, second = report._probes(None, 5)
        assert (first.accepted, one.exports[0].headers["x-tenant"]) == (True, "acme")
    assert (second.exporter, second.code, other.received) == ("langfuse", "unauthorized", ["Basic cGs6c2s="])
    assert "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY" in second.do
    assert [place.signal for place in inspect_pipelines().destinations] == ["traces", "metrics", "logs", "traces"]


# Spools


def fill(folder: Path, *names: str) -> None:
    """A program leaves spans in a spool, one batch each."""
    configure(exporters=[Exporter("otlp", endpoint="http://127.0.0.1:9", timeout=0.1, spool=str(folder))])
    for name in names:
        with span(name):
            pass
        aiobs.flush()
    aiobs.shutdown()


def test_what_waits(named: Callable[[str], None], tmp_path: Path) -> None:
    """How many and since when, from what a program left; nothing of it is changed."""
    fill(tmp_path / "spool", "a", "b")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    named(f"otlp?spool={tmp_path}/spool")
    state = inspect_spool(tmp_path / "spool")
    assert (state.waiting, state.broken, state.refused, state.problem) == (2, 0, 0, None)
    assert "2 batches wait" in str(state)
    assert codes() == []  # it may be under way
    (segment,) = (tmp_path / "spool" / "traces").glob("*.jsonl")
    begun = time.time_ns() - 3 * 3600 * 10**9
    segment.rename(segment.with_name(f"{begun:020d}-1-1.jsonl"))
    assert codes() == [("warning", "spool-waiting")]
    assert "the oldest 3 hours old" in str(inspect_spool(tmp_path / "spool"))
    assert [path.read_bytes() for path in tmp_path.rglob("*.jsonl")] == [
        text for path, text in before.items() if path.suffix == ".jsonl"
    ]


def test_what_has_been_delivered_does_not_wait(tmp_path: Path) -> None:
    """A segment counts from its cursor on."""
    fill(tmp_path / "spool", "a", "b")
    (segment,) = (tmp_path / "spool" / "traces").glob("*.jsonl")
    first = segment.read_bytes().index(b"\n") + 1
    segment.with_name(f"{segment.name}.at").write_bytes(b"%020d" % first)
    assert inspect_spool(tmp_path / "spool").waiting == 1


def test_what_cannot_be_read_or_sent(named: Callable[[str], None], tmp_path: Path) -> None:
    """Corrupt lines, those that were set aside, and those that were refused; foreign files are nobody's business."""
    folder = tmp_path / "spool"
    (folder / "traces").mkdir(parents=True)
    (folder / "traces" / "1-1-1.jsonl").write_bytes(os.urandom(100).replace(b"\n", b"") + b'\n{"resourceLogs":[]}\n')
    (folder / "traces" / "README").write_text("not ours")
    (folder / "refused").mkdir()
    (folder / "refused" / "traces.jsonl").write_bytes(b"{}\n{}\n")
    (folder / "refused" / "traces.broken").write_bytes(b"x\n")
    named(f"otlp?spool={folder}")
    state = inspect_spool(folder)
    assert (state.waiting, state.broken, state.refused) == (0, 3, 2)
    assert codes() == [("warning", "spool-broken"), ("warning", "spool-refused")]


@pytest.mark.parametrize("place", ["spool", "spool/below"])
def test_a_folder_that_cannot_be_used(place: str, tmp_path: Path) -> None:
    """A file, or one below a file; one that is yet to be made is fine."""
    assert inspect_spool(tmp_path / place).problem is None
    (tmp_path / "spool").write_text("in the way")
    assert inspect_spool(tmp_path / place).problem is not None
