"""SX-03: one test span, and what the receiver's answer means, against receivers on this machine."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
import requests
import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from aiobs.diagnosis.otlp_probe import Probe, probe
from aiobs.exporters.replies.answers import Place, Reply, explain
from aiobs.testing import OTLPSink
from aiobs.testing.otlp_sink import attributes_of
from tests.fakes.otlp_grpc import GrpcReceiver, grpc_receiver

from .conftest import Receiver

HTTP2_SETTINGS = bytes.fromhex("000000040000000000")


def test_accepted() -> None:
    """The span has a name and a resource, and nothing else; headers and compression are those of the environment."""
    with OTLPSink() as sink:
        found = probe(sink.endpoint, 5)
    (span,) = sink.spans
    assert (found.accepted, found.what) == (True, "accepted")
    assert (found.endpoint, found.protocol) == (f"{sink_origin(found)}/v1/traces", "http/protobuf")
    assert (span.name, attributes_of(span), len(span.events)) == ("aiobs doctor", {}, 0)
    assert sink.resources[0]["telemetry.distro.name"] == "aiobs"


def sink_origin(found: Probe) -> str:
    return found.endpoint.removesuffix("/v1/traces")


def test_the_settings_in_effect_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoint, headers and compression come from the variables that the exporter reads in the program."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20sesame,x-tenant=acme")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with OTLPSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{sink.endpoint}/v1/traces?key=12345")
        found = probe(None, 5)
    (export,) = sink.exports
    assert (export.headers["authorization"], export.headers["content-encoding"]) == ("Bearer sesame", "gzip")
    assert (found.source, found.headers) == ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ("authorization", "x-tenant"))
    assert not [secret for secret in ("sesame", "12345", "acme") if secret in repr(found)]


@pytest.mark.parametrize(
    ("status", "what", "do"),
    [
        (302, "302 Found.", "final URL"),
        (400, "400 Bad Request.", "receiver's log"),
        (401, "401 Unauthorized.", "OTEL_EXPORTER_OTLP_HEADERS"),
        (403, "403 Forbidden.", "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "404 Not Found.", "gets /v1/traces appended"),
        (405, "405 Method Not Allowed.", "usually 4318"),
        (415, "415 Unsupported Media Type.", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        (429, "429 Too Many Requests.", "Try again"),
        (500, "500 Internal Server Error.", "receiver's log"),
        (503, "503 Service Unavailable.", "Try again"),
    ],
)
def test_refused_with_a_status(status: int, what: str, do: str) -> None:
    """Each status says what to look at; the span is sent once, whatever the exporter would retry."""
    with Receiver(status) as receiver:
        found = probe(receiver.origin, 5)
    assert (found.accepted, found.what) == (False, what)
    assert do in found.do
    assert len(receiver.received) == 1


def test_404_at_the_signals_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is."""
    with Receiver(404) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.origin)
        found = probe(None, 5)
    assert (
        found.do == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it is: it needs the whole path, usually /v1/traces."
    )


@pytest.mark.parametrize(
    ("rejected", "message", "accepted", "what"),
    [
        (1, "quota", False, "rejected by the receiver: quota"),
        (1, "", False, "rejected by the receiver: no reason given"),
        (0, "attribute x is deprecated", True, "accepted, and the receiver says: attribute x is deprecated"),
    ],
)
def test_partial_success(rejected: int, message: str, accepted: bool, what: str) -> None:
    """200 may still mean that nothing was stored."""
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with Receiver(body=body) as receiver:
        found = probe(receiver.origin, 5)
    assert (found.accepted, found.what) == (accepted, what)


def test_what_a_receiver_says_is_printable() -> None:
    """It cannot steer the terminal, nor fill it."""
    partial = ExportTracePartialSuccess(rejected_spans=1, error_message="\x1b]0;title\x07\n" + "x" * 1000)
    with Receiver(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString()) as receiver:
        found = probe(receiver.origin, 5)
    assert (found.what.isprintable(), len(found.what)) == (True, 302)


def test_a_web_page() -> None:
    """200 of something that is no OTLP receiver."""
    with Receiver(body=b"<html>Welcome</html>", content_type="text/html; charset=utf-8") as receiver:
        found = probe(receiver.origin, 5)
    assert (found.accepted, found.what) == (False, "200 with a web page.")


def test_a_json_answer_is_fine() -> None:
    """Some receivers answer in JSON whatever they were sent."""
    with Receiver(body=b"{}", content_type="application/json") as receiver:
        assert probe(receiver.origin, 5).accepted


def test_nothing_listens(unused_port: int) -> None:
    """Connection refused, at once: not after the exporter's retries."""
    started = time.monotonic()
    found = probe(f"http://127.0.0.1:{unused_port}", 10)
    assert (found.accepted, found.what) == (False, "connection refused.")
    assert time.monotonic() - started < 5


def test_an_unknown_host() -> None:
    """DNS; names below .invalid exist nowhere."""
    found = probe("http://collector.invalid:4318", 10)
    assert (found.accepted, found.what) == (
        False,
        "the host name of http://collector.invalid:4318/v1/traces is not known.",
    )


def test_tls_to_a_port_without_it() -> None:
    """https:// where http:// is spoken."""
    with Receiver() as receiver:
        found = probe(receiver.origin.replace("http:", "https:"), 5)
    assert (found.accepted, found.what.startswith("TLS failed: ")) == (False, True)
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in found.do


def test_a_certificate_that_nobody_trusts() -> None:
    """Wrapped as HTTP clients wrap it."""
    inner = ssl.SSLCertVerificationError("certificate verify failed: self-signed certificate")
    raised = requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(None, "/", inner))  # type: ignore[arg-type]  # no pool
    verdict = explain(Reply(error=raised), Place("https://host/v1/traces", "argument", "http/protobuf"))
    assert "certificate verify failed: self-signed certificate" in verdict.what
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in verdict.do


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x=a%0Ab", "a header cannot be sent."),
        ("HTTP_PROXY", "http://127.0.0.1:1", "the proxy failed: "),
        (
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
            "vault",
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER names 'vault', which no installed package provides.",
        ),
    ],
)
def test_the_environment_is_wrong(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, what: str) -> None:
    """Nothing arrives, and it says why."""
    monkeypatch.setenv(variable, value)
    found = probe("http://collector.invalid:4318", 5)
    assert (found.accepted, found.what.startswith(what)) == (False, True), found


def test_silence() -> None:
    """A receiver that does not answer is waited for no longer than asked."""
    started = time.monotonic()
    with OTLPSink(silence=30) as sink:
        found = probe(sink.endpoint, 0.3)
    assert (found.accepted, found.what) == (False, "no answer within 0.3 s.")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (HTTP2_SETTINGS, "the answer is not HTTP/1.1."),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is not HTTP/1.1."),
        (b"", "the connection was closed without an answer."),
    ],
)
def test_another_service(raw_server: Callable[[bytes], int], answer: bytes, what: str) -> None:
    """A gRPC port seen over HTTP/1.1, and other things that listen."""
    found = probe(f"http://127.0.0.1:{raw_server(answer)}", 5)
    assert (found.accepted, found.what) == (False, what)
    assert "4318" in found.do


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_not_a_url(url: str) -> None:
    """The forms people forget the scheme or the host in."""
    found = probe(url, 5)
    assert (found.accepted, found.what.endswith("is not a URL for HTTP.")) == (False, True), found


def test_an_unknown_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """http/json is not there in Python."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    assert probe(None, 5).what == "OTLP protocol 'http/json' is not supported; use http/protobuf or grpc."


def test_what_is_echoed_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential that the receiver repeats in its answer is not printed."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20open-sesame")
    with Receiver(401) as receiver:
        receiver.echo = True
        found = probe(receiver.origin, 5)
    assert receiver.received == ["Bearer open-sesame"]
    assert "sesame" not in repr(found)
    assert found.means == "The receiver does not take these credentials (headers sent: authorization)."


@pytest.fixture
def grpc_server() -> Iterator[tuple[int, GrpcReceiver]]:
    """A real gRPC receiver."""
    with grpc_receiver() as started:
        yield started


def test_a_real_grpc_port_over_http(grpc_server: tuple[int, GrpcReceiver]) -> None:
    """The commonest mix-up: http/protobuf to port 4317."""
    found = probe(f"http://127.0.0.1:{grpc_server[0]}", 5)
    assert (found.accepted, found.what) == (False, "the answer is not HTTP/1.1.")


def test_grpc_accepted(grpc_server: tuple[int, GrpcReceiver], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same span over grpc."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    port, receiver = grpc_server
    found = probe(f"http://127.0.0.1:{port}", 5)
    assert (found.accepted, found.what) == (True, "accepted")
    assert receiver.names == ["aiobs doctor"]


@pytest.mark.parametrize(
    ("code", "do"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "OTEL_EXPORTER_OTLP_HEADERS"),
        (grpc.StatusCode.UNIMPLEMENTED, "host and port"),
        (grpc.StatusCode.UNAVAILABLE, "http/protobuf"),
        (grpc.StatusCode.INTERNAL, "receiver's log"),
    ],
)
def test_grpc_refused(
    grpc_server: tuple[int, GrpcReceiver], monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode, do: str
) -> None:
    """The code and what to look at, after one attempt."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    port, receiver = grpc_server
    receiver.code = code
    found = probe(f"http://127.0.0.1:{port}", 5)
    assert (found.accepted, found.what) == (False, f"{code.name}: said the receiver.")
    assert do in found.do
    assert len(receiver.requests) == 1


def test_grpc_to_an_http_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other mix-up: grpc to port 4318."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with OTLPSink() as sink:
        found = probe(sink.endpoint, 5)
    assert (found.accepted, found.what.startswith("UNAVAILABLE: ")) == (False, True), found
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in found.do
