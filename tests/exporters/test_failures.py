"""Backends that go wrong in every way, on real sockets: what a program says, what becomes of its data, and doctor."""

from __future__ import annotations

import logging
import os
import string
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from packaging.version import Version

import aiobs
from aiobs import Instrumentor, configure, losses, observe, runtime, span
from aiobs.diagnosis.otlp_probe import probe
from aiobs.exporters import Exporter, memory
from aiobs.exporters.replies.answers import seconds_until
from aiobs.exporters.replies.failures import BY_CODE, RETRIED, TABLE, Failure
from aiobs.losses import Loss
from aiobs.testing import OTLPSink, Simulator
from aiobs.testing.loopback import Exchange
from tests.fakes import wrong_backends
from tests.fakes.otlp_grpc import grpc_receiver
from tests.fakes.wrong_backends import ALL, Refusing, Running, Wrong

TIMEOUT = 0.7
PATIENCE = 60.0
"""Seconds, with a backend that answers: gRPC takes ten to refuse 100 MB on a machine that does something else."""
OTHER_SIGNALS = ("METRICS", "LOGS")


@pytest.fixture(autouse=True)
def traces_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One signal, one line; and no proxy or bundle of this machine in the way."""
    for signal in OTHER_SIGNALS:
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    yield
    aiobs.shutdown()


def patience(wrong: Wrong) -> float:
    """What is tried again is so until the time is over; of anything else there is time enough."""
    if BY_CODE[wrong.code].fate is not RETRIED:
        return 10.0
    return 1.5 if wrong.protocol == "grpc" else TIMEOUT


def rows(which: list[Wrong]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("wrong", [pytest.param(one, id=f"{one.protocol}: {one.name}") for one in which])


@pytest.fixture
def running(wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The backend of a row, and the environment that it needs."""
    with wrong.serve(tmp_path) as found:
        for variable, value in found.variables.items():
            monkeypatch.setenv(variable, value)
        yield found
        aiobs.shutdown()


def emit(*names: str) -> None:
    for name in names:
        with span(name):
            pass


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All that a program with the usual level sees."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def says(text: str, row: Failure) -> bool:
    """The meaning and the remedy of the row, whatever was filled in."""
    constant = [part for template in (row.means, row.do) for part, *_ in string.Formatter().parse(template)]
    return all(part in text for part in constant)


# What a program sees


@rows(ALL)
def test_one_line_for_a_cause(wrong: Wrong, running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """What happened, what it means and what to do, once for two batches; both are counted; nothing else is logged."""
    configure(
        exporters=[Exporter("otlp", endpoint=running.endpoint, protocol=wrong.protocol, timeout=TIMEOUT), "memory"]
    )
    emit("first")
    assert aiobs.flush()
    emit("second")
    assert aiobs.flush()
    (line,) = lines(caplog)
    assert line.startswith("aiobs: the exporter otlp lost 1 span(s): ")
    assert says(line, BY_CODE[wrong.code]) or wrong.name == "a web page", line
    assert {cause[1] for cause in losses.told} == {wrong.code}
    assert losses.lost == {Loss("otlp", "span", "rejected" if wrong.code == "rejected" else "export_failed"): 2}
    assert [each.name for each in memory.spans()][-2:] == ["first", "second"]


@rows(ALL)
def test_doctor_says_the_same(wrong: Wrong, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same row of the same table, after one attempt."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", wrong.protocol)
    found = probe(running.endpoint, 2.0)
    assert (found.accepted, found.code) == (False, wrong.code), found
    assert says(f"{found.means} {found.do}", BY_CODE[wrong.code]) or wrong.name == "a web page", found
    assert "{" not in f"{found.what}{found.means}{found.do}"


def test_every_row_is_tried() -> None:
    """Each failure of the table has a backend that fails like that; those of the spool and of this process are below."""
    below = {"own-process", "own-echo", "proxy", "header"}
    of_spools = {row.code for row in TABLE if row.code.startswith("spool-")}
    assert {row.code for row in TABLE} - {wrong.code for wrong in ALL} == below | of_spools


def test_the_exporters_own_lines_are_there_for_who_wants_them(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG; an exporter of the program's own says what it always said."""
    with Refusing(401) as server, caplog.at_level(logging.DEBUG, "aiobs"):
        configure(exporters=[Exporter("otlp", endpoint=server.origin), OTLPSpanExporter(f"{server.origin}/v1/traces")])
        emit("a")
        aiobs.flush()
        official = [record for record in caplog.records if "Failed to export" in record.getMessage()]
        assert sorted((record.name, record.levelname) for record in official) == [
            ("aiobs", "DEBUG"),
            ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "ERROR"),
        ]


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500, 503])
def test_what_follows_is_sent(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The backend is mended: no restart, no configuration, and the count stands."""
    with Refusing(status, {"retry-after": "60"}) as server:
        configure(exporters=[Exporter("otlp", endpoint=server.origin, timeout=TIMEOUT)])
        emit("lost")
        aiobs.flush()
        server.is_mended = True
        emit("arrived")
        assert aiobs.flush()
        assert [b"arrived" in body for body in server.bodies] == [True]
    assert losses.lost == {Loss("otlp", "span", "export_failed"): 1}


def test_a_new_cause_is_told_anew_and_an_old_one_after_an_hour(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each cause; of one that goes on, one an hour."""
    with Refusing(401) as server:
        configure(exporters=[Exporter("otlp", endpoint=server.origin, timeout=TIMEOUT)])
        for status in (401, 500, 401, 500):
            server.status = status
            emit("a")
            aiobs.flush()
        assert [line.count("401") for line in lines(caplog)] == [1, 0]
        for cause in losses.told:
            losses.told[cause] -= 3600
        emit("a")
        aiobs.flush()
        assert len(lines(caplog)) == 3


IS_OLD = Version(version("opentelemetry-exporter-otlp-proto-http")) < Version("1.45")
RETRYABLE = 503 if IS_OLD else 429  # old exporters do not try that again


def test_retry_after_is_kept_to_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """As long as it is within the timeout, the official exporter waits: no loss, no line."""
    with OTLPSink() as sink:
        sink.refuse(RETRYABLE, retry_after=0.2, times=2)
        sink.refuse(503, retry_after=0.2)
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, timeout=10)])
        emit("a")
        assert aiobs.flush()
        assert ([each.status for each in sink.exports], [each.name for each in sink.spans]) == (
            [RETRYABLE, RETRYABLE, 503, 200],
            ["a"],
        )
    assert (lines(caplog), dict(losses.lost)) == ([], {})


class Echo(Refusing):
    """Repeats the credentials that it was given, in the reason."""

    def respond(self, exchange: Exchange, body: bytes) -> None:
        exchange.send_response_only(401, f"no good: {exchange.headers['authorization']}")
        exchange.send_header("content-length", "0")
        exchange.end_headers()


@pytest.mark.parametrize(
    ("userinfo", "headers", "secrets"),
    [
        ("", "authorization=Tenant%20open-sesame", ("open-sesame",)),
        ("user:hunter22@", "", ("hunter22", "user", "dXNlcjpodW50ZXIyMg")),
    ],
)
def test_no_secret_is_told(
    userinfo: str, headers: str, secrets: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Not one that the receiver repeats, nor one of the URL."""
    with Echo(401) as server:
        endpoint = server.origin.replace("//", f"//{userinfo}")
        configure(exporters=[Exporter("otlp", endpoint=endpoint, headers=headers)])
        emit("a")
        aiobs.flush()
        (line,) = lines(caplog)
    assert "401 no good: " in line
    assert not [secret for secret in secrets if secret in line], line


def test_header_names_are_as_grpc_takes_them() -> None:
    """In lower case, however they are given: another one is no header there."""
    with grpc_receiver() as (port, receiver):
        options = {"endpoint": f"http://127.0.0.1:{port}", "protocol": "grpc", "headers": {"X-Tenant": "acme"}}
        configure(exporters=[Exporter("otlp", **options)])
        emit("a")
        assert aiobs.flush()
        assert (receiver.names, receiver.metadata[0]["x-tenant"]) == (["a"], "acme")
        aiobs.shutdown()


def test_signals_that_a_backend_does_not_have(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jaeger has no metrics: told with what to set, and traces arrive."""
    monkeypatch.delenv("OTEL_METRICS_EXPORTER")

    class TracesOnly(OTLPSink):
        def respond(self, exchange: Exchange, body: bytes) -> None:
            if exchange.path == "/v1/traces":
                super().respond(exchange, body)
            else:
                exchange.send_whole(404, {}, b"")

    with TracesOnly() as sink, Simulator() as simulator:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint)])
        Instrumentor().instrument()
        simulator.openai().embeddings.create(model="m", input="x")
        aiobs.flush()
        aiobs.shutdown()
        assert [each.name for each in sink.spans] == ["embeddings m"]
    (line,) = lines(caplog)
    assert "No OTLP receiver of metrics" in line
    assert "signals=traces, or OTEL_METRICS_EXPORTER=none" in line


# With a spool


RECOVERING = [401, 404, 429, 500, 503]


@pytest.mark.parametrize("status", RECOVERING)
def test_a_spool_keeps_what_a_backend_does_not_take(
    status: int, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """One line that says so and why; when it is mended everything arrives, in order, and that is told too."""
    caplog.set_level(logging.INFO, "aiobs")
    with Refusing(status) as server:
        configure(exporters=[Exporter("otlp", endpoint=server.origin, timeout=TIMEOUT, spool=str(tmp_path / "spool"))])
        for name in ("first", "second"):
            emit(name)
            assert not aiobs.flush()
        (line,) = lines(caplog)
        assert line.startswith(f"aiobs: the backend takes nothing, and the spool {tmp_path / 'spool'} keeps what comes")
        assert str(status) in line
        server.is_mended = True
        assert aiobs.flush() or aiobs.flush()
        arrived = b"".join(server.bodies)
        assert arrived.index(b"first") < arrived.index(b"second")
    assert losses.lost == {}
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        f"aiobs: the backend takes what the spool {tmp_path / 'spool'} has kept for it"
    ]


def test_a_spool_comes_again_when_it_was_asked_to(tmp_path: Path) -> None:
    """Longer than the exporter itself would wait: meanwhile there is no other request, but by a flush."""
    with Refusing(429, {"retry-after": "200"}) as server:
        configure(exporters=[Exporter("otlp", endpoint=server.origin, timeout=TIMEOUT, spool=str(tmp_path / "spool"))])
        emit("a")
        assert not aiobs.flush()
        asked = server.requests
        emit("b")
        runtime._runtime.outputs.spans.processors[0]._batch.force_flush()  # type: ignore[attr-defined]  # to the spool only
        assert not server.wait_for(lambda server: server.requests > asked, 1.5)  # the first backoff is half a second
        server.is_mended = True
        assert aiobs.flush()
    assert losses.lost == {}


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30.0), ("0", 0.0), ("", None), ("soon", None), ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0)]
)
def test_what_retry_after_says(text: str, seconds: float | None) -> None:
    """Seconds, or a date, which may be past; else nothing."""
    assert seconds_until(text) == seconds


def test_a_date_is_seconds_from_now() -> None:
    """The other form of Retry-After."""
    assert 50 < (seconds_until(wrong_backends.in_a_while(60)) or 0) <= 60


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_span_that_is_too_large_costs_no_other(
    protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a spool it is set aside at once, with both protocols; those beside it arrive."""
    with wrong_backends.SMALL[protocol](tmp_path) as backend:
        options = {"endpoint": backend.endpoint, "protocol": protocol, "timeout": PATIENCE}
        configure(exporters=[Exporter("otlp", spool=str(tmp_path / "spool"), **options)])
        emit("before", "x" * 100_000, "after")
        assert any(aiobs.flush() for _ in range(3))
        assert backend.server.names == ["before", "after"]
        aiobs.shutdown()
    (line,) = lines(caplog)
    assert "the backend refuses some traces" in line
    assert (tmp_path / "spool" / "refused" / "traces.jsonl").read_bytes().count(b"x" * 100_000) == 1


HUGE = 100_000_000


@pytest.mark.parametrize(("protocol", "spool"), [("http/protobuf", ""), ("http/protobuf", "spool"), ("grpc", "")])
def test_a_span_of_100_mb(protocol: str, spool: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One attribute of that size: the program is told why and what to do; the spans beside it arrive."""
    with wrong_backends.SMALL[protocol](tmp_path) as backend:
        options = {
            "endpoint": backend.endpoint,
            "protocol": protocol,
            "timeout": PATIENCE,
            **({"spool": str(tmp_path / spool)} if spool else {}),
        }
        configure(exporters=[Exporter("otlp", **options)], redact=False)
        tracer = runtime._runtime.provider.get_tracer("program")
        for name, value in (("before", ""), ("huge", "x" * HUGE), ("after", "")):
            tracer.start_span(name, attributes={"text": value}).end()
        assert any(aiobs.flush() for _ in range(3))
        assert backend.server.names == ["before", "after"]
        aiobs.shutdown()
    (line,) = lines(caplog)
    assert says(line, BY_CODE["spool-refused" if spool else "too-large"])
    assert losses.lost == ({} if spool else {Loss("otlp", "span", "export_failed"): 1})
    assert not spool or (tmp_path / "spool" / "refused" / "traces.jsonl").stat().st_size > HUGE


def test_a_span_of_100_mb_in_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of lines takes it as it is."""
    configure(exporters=[Exporter("otlp-json", path=tmp_path / "otlp.jsonl")], redact=False)
    tracer = runtime._runtime.provider.get_tracer("program")
    tracer.start_span("huge", attributes={"text": "x" * HUGE}).end()
    assert aiobs.flush()
    aiobs.shutdown()
    assert (tmp_path / "otlp.jsonl").stat().st_size > HUGE
    assert lines(caplog) == []


# The end of a program


def ended(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program by itself; what it prints, and what it says."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **variables}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.mark.parametrize(
    "serve",
    [wrong_backends.silence, wrong_backends.drips, wrong_backends.nobody],
    ids=["silence", "drips", "nobody"],
)
def test_the_end_of_a_program(serve: Callable[..., object], tmp_path: Path) -> None:
    """It ends in time, as it would, and the one line has the reason and the remedy."""
    with serve(tmp_path) as backend:  # type: ignore[attr-defined]  # a context manager
        done = ended(
            """
            from aiobs import configure, span
            configure(exporters=["otlp"])
            with span("a"):
                print("the program")
            raise SystemExit(7)
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint,
            AIOBS_EXIT_TIMEOUT="1.2",
        )
    assert (done.returncode, done.stdout) == (7, "the program\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("aiobs: the exporter otlp lost 1 span(s): there was no time left to send them.")
    assert "no answer within" in line or "connection refused" in line


def test_the_end_of_a_program_with_a_spool(tmp_path: Path) -> None:
    """Also where a backend drips: nothing is lost, and nothing needs to be said."""
    with wrong_backends.drips(tmp_path) as backend:
        done = ended(
            """
            from aiobs import configure, span
            configure(exporters=["otlp?spool=spool"])
            with span("a"):
                print("the program")
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint,
            AIOBS_EXIT_TIMEOUT="1.2",
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the program\n", "")
    (left,) = Path("spool", "traces").glob("*.jsonl")
    assert b'"name":"a"' in left.read_bytes()


# An endpoint in this process


def test_a_receiver_that_is_this_process_and_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """It is told apart from any other that does not answer."""
    with OTLPSink(silence=60) as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, timeout=TIMEOUT)])
        emit("a")
        aiobs.flush()
    (line,) = lines(caplog)
    assert "which is in this process" in line
    assert says(line, BY_CODE["own-process"])


@observe
def handled() -> int:
    """What a receiver does."""
    return 1


class Traced(OTLPSink):
    """A receiver that is a route of a program whose server is instrumented, as such instrumentations do it."""

    def respond(self, exchange: Exchange, body: bytes) -> None:
        provider = runtime._runtime.provider
        context = propagate.extract({name.lower(): value for name, value in exchange.headers.items()})
        with provider.get_tracer("server").start_as_current_span("POST", context, SpanKind.SERVER) as received:
            received.set_status(StatusCode.ERROR)  # which is kept, whatever the share
            handled()
            super().respond(exchange, body)


class Observed(OTLPSink):
    """One whose handler makes a span of its own, of no trace that came."""

    def respond(self, exchange: Exchange, body: bytes) -> None:
        handled()
        super().respond(exchange, body)


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "always_on"])
def test_an_export_is_no_trace_of_the_receivers(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrumented server in this process makes nothing of it that is exported, whatever the sampler."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with Traced() as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint)])
        emit("a")
        for _ in range(3):
            assert aiobs.flush()
        assert ([each.name for each in sink.spans], len(sink.exports)) == (["a"], 1)
        aiobs.shutdown()


def test_a_flush_ends_though_every_request_makes_a_span(caplog: pytest.LogCaptureFixture) -> None:
    """It sends what was there when it began; the span of the request is for the next one. What goes on is told once."""
    with Observed() as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint)])
        emit("a")
        assert aiobs.flush()
        assert len(sink.exports) == 1
        assert aiobs.flush()
        assert [each.name.rpartition(".")[2] for each in sink.spans] == ["a", "handled"]
        assert lines(caplog) == []
        for _ in range(4):
            assert aiobs.flush()
        (line,) = lines(caplog)
        assert says(line, BY_CODE["own-echo"])
        configure(exporters=["none"])


def test_spans_of_the_program_are_no_echo(caplog: pytest.LogCaptureFixture) -> None:
    """A receiver in this process that makes none: nothing is told of a program that does nothing but work and flush."""
    with OTLPSink() as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint)])
        for _ in range(6):
            emit("a")
            assert aiobs.flush()
        assert lines(caplog) == []
        aiobs.shutdown()


# A spool that is not as it should be


CORRUPT = {
    "random bytes": os.urandom(4096).replace(b"\n", b"") + b"\n",
    "half a UTF-8": '{"resourceSpans":"é'.encode()[:-1] + b"\n",
    "no JSON": b"{'resourceSpans': []}\n",
    "another JSON": b'{"resourceLogs":[]}\n[1]\n"x"\nnull\n7\n',
    "NUL bytes": b"\x00" * 4096 + b"\n",
    "NUL bytes at the end": b"\x00" * 4096,
    "nothing": b"",
    "a torn line": b'{"resourceSpans":[{"scopeSp',
    "a huge line": b'{"resourceSpans":[' + b" " * 3_000_000 + b"x\n",
    "deep nesting": b'{"resourceSpans":' + b"[" * 100_000 + b"\n",
    "numbers out of range": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":Infinity,"name":"a"}]}]}]}\n'
                            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"-1","name":"a"}]}]}]}\n',
    "a name that is no text": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":1}]}]}]}\n',
    "half a pair of surrogates": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}\n',
}  # fmt: skip


@pytest.mark.parametrize("corrupt", CORRUPT)
def test_a_corrupt_spool(corrupt: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a process left is broken: told once, set aside as it is; what it left besides and what comes arrive."""
    folder = tmp_path / "spool" / "traces"
    folder.mkdir(parents=True)
    (folder / "README").write_text("not ours")
    (folder / "folder.jsonl").mkdir()
    for number in (1, 2):
        (folder / f"{number:020d}-1-{number}.jsonl").write_bytes(CORRUPT[corrupt])
    with OTLPSink() as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, spool=str(tmp_path / "spool"))])
        emit("a")
        assert aiobs.flush()
        assert [each.name for each in sink.spans] == ["a"]
        aiobs.shutdown()
    broken = tmp_path / "spool" / "refused" / "traces.broken"
    expected = [] if corrupt == "nothing" else [BY_CODE["spool-broken"]]
    assert [says(line, row) for line, row in zip(lines(caplog), expected, strict=True)] == [True] * len(expected)
    assert (broken.read_bytes() if broken.exists() else b"").count(CORRUPT[corrupt].rstrip(b"\n")) >= 2 * len(expected)
    assert {path.name for path in folder.iterdir()} == {"README", "folder.jsonl"}


UNWRITABLE = {
    "a file": lambda path: path.write_text("in the way"),
    "below a file": lambda path: path.parent.write_text("in the way"),
    "read-only": lambda path: path.symlink_to("/proc/self"),
}


@pytest.mark.parametrize("kind", UNWRITABLE)
def test_a_spool_that_cannot_be_written(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line; what comes is sent at once, and what is not taken then is counted."""
    folder = tmp_path / "below" / "spool"
    if kind != "below a file":
        folder.parent.mkdir()
    UNWRITABLE[kind](folder)
    with Refusing(500) as server:
        server.is_mended = True
        configure(exporters=[Exporter("otlp", endpoint=server.origin, spool=str(folder))])
        emit("a")
        aiobs.flush()
        server.is_mended = False
        emit("b")
        aiobs.flush()
        assert [b"a" in body for body in server.bodies] == [True]
    unwritable, failing = lines(caplog)
    assert says(unwritable, BY_CODE["spool-unwritable"])
    assert says(failing, BY_CODE["failing"])
    assert losses.lost == {Loss("otlp", "span", "export_failed"): 1}


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """The kernel refuses to write: one line, and everything is sent at once."""
    with OTLPSink() as sink:
        done = ended(
            """
            import resource
            import aiobs
            from aiobs import configure, span
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY))
            configure(exporters=["otlp?spool=spool"])
            for number in range(5):
                with span(f"span {number}"):
                    pass
                aiobs.flush()
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
        )
        assert done.returncode == 0, done.stderr
        assert sorted(each.name for each in sink.spans) == [f"span {number}" for number in range(5)]
    (line,) = done.stderr.splitlines()
    assert says(line, BY_CODE["spool-unwritable"])


def test_an_sdk_call_in_an_exporter_is_not_recorded() -> None:
    """What runs in an export is suppressed: an exporter that asks a model makes no span of it."""

    class Asking(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            ask = [{"role": "user", "content": "x"}]
            simulator.openai().chat.completions.create(model="m", messages=ask)  # type: ignore[arg-type]  # a plain dict
            handled()
            return SpanExportResult.SUCCESS

    with Simulator() as simulator:
        configure(exporters=[Asking(), "memory"])
        Instrumentor().instrument()
        before = len(memory.spans())
        emit("a")
        assert aiobs.flush()
        assert aiobs.flush()
        assert [each.name for each in memory.spans()][before:] == ["a"]
        aiobs.shutdown()
