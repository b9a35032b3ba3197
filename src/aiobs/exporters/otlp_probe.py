"""One test span to an OTLP receiver, once and synchronously, through the official exporter; and its actual reply."""

from __future__ import annotations

import importlib
import os
import random
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from aiobs._version import __version__
from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters.replies.answers import Reply
from aiobs.exporters.replies.connections import AnsweringSession, reply_of
from aiobs.semconv import names

if TYPE_CHECKING:
    import requests

SPAN_NAME = "aiobs doctor"


class _Replied(BaseException):
    """Leaves the exporter, which catches every Exception and would try again."""


def send_test_span(protocol: str, endpoint: str, timeout: float, headers: Mapping[str, str] | None = None) -> Reply:
    """Send it to the full endpoint with the headers, certificates and compression of the environment, or these headers.

    The thread that sends may be left behind: neither DNS nor a body that drips keeps to a timeout.
    """
    replies: list[Reply] = []
    send = _over_grpc if protocol == "grpc" else _over_http

    def run() -> None:
        try:
            replies.append(send(endpoint, timeout, dict(headers) if headers else None))
        except Exception as error:  # whatever it is, it is what the user wants to know
            replies.append(Reply(error=error))

    thread = threading.Thread(target=run, name="aiobs-otlp-probe", daemon=True)
    thread.start()
    thread.join(timeout)
    return replies[0] if replies else Reply(error=TimeoutError())


def _over_http(endpoint: str, timeout: float, headers: dict[str, str] | None) -> Reply:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = _session()
    replies: list[Reply] = []
    request = session.request

    def once(*args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = request(*args, **kwargs)
        except Exception as error:
            replies.append(Reply(error=error))
        else:
            replies.append(reply_of(response))
        raise _Replied

    session.request = once  # type: ignore[method-assign]  # this object only; the class stays as it is
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=timeout, session=session, headers=headers)
    with session, suppress(_Replied):
        exporter.export([_span()])
    return replies[0]


def _session() -> requests.Session:
    """As the exporter makes it: by the credential provider that the environment names, else a plain one."""
    variables = ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
                 "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER")  # fmt: skip
    variable = next((variable for variable in variables if os.environ.get(variable)), None)
    if variable is None:
        return AnsweringSession()
    for point in entry_points(group="opentelemetry_otlp_credential_provider", name=os.environ[variable]):
        session: requests.Session = point.load()()
        return session
    raise ConfigurationError(f"{variable} names {os.environ[variable]!r}, which no installed package provides.")


def _over_grpc(endpoint: str, timeout: float, headers: dict[str, str] | None) -> Reply:
    """The exporter's own stub and headers: its ``export()`` logs the code and gives nothing but FAILURE."""
    try:
        grpc: Any = importlib.import_module("grpc")
        found: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
    except ImportError as error:
        raise MissingExtra('OTLP over grpc needs an extra: pip install "aiobs[grpc]"') from error
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    exporter = found.OTLPSpanExporter(endpoint=endpoint, headers=headers)
    try:
        answer = exporter._client.Export(encode_spans([_span()]), metadata=exporter._headers, timeout=timeout)
    except grpc.RpcError as error:
        return Reply(grpc_code=error.code().name, detail=error.details() or "")
    finally:
        exporter.shutdown()
    return Reply(grpc_code="OK", body=answer.SerializeToString())


def _span() -> ReadableSpan:
    """Sampled whatever the sampler says, and made also where OTEL_SDK_DISABLED makes no spans."""
    now = time.time_ns()
    ids = random.SystemRandom()
    return ReadableSpan(
        name=SPAN_NAME,
        context=SpanContext(ids.getrandbits(128), ids.getrandbits(64), is_remote=False, trace_flags=TraceFlags(1)),
        resource=Resource.create({"telemetry.distro.name": "aiobs", "telemetry.distro.version": __version__}),
        instrumentation_scope=InstrumentationScope(names.SCOPE, __version__, names.SCHEMA_URL),
        start_time=now,
        end_time=now,
    )
