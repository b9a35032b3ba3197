"""What aiobs says about itself: doctor, its log lines when a reader fails."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import pytest
from typer.testing import CliRunner

from aiobs.cli import app
from aiobs.instrumentation.openai import PROVIDER
from aiobs.testing import OTLPSink, Simulator
from tests.needles.outputs import Outputs, Setting
from tests.needles.places import found_in, needle
from tests.needles.rules import leaks


def _secret(name: str) -> str:
    return needle(f"credential.{name}")


def _environment(endpoint: str) -> dict[str, str]:
    located = endpoint.replace("://", f"://{_secret('otlp.user')}:{_secret('otlp.password')}@")
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{located}/v1/traces?key={_secret('otlp.query')}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": located,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{_secret('otlp.header')},x-key={_secret('otlp.key')}",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": f"api-key={_secret('otlp.logs')}",
        "OPENAI_API_KEY": f"sk-{_secret('openai')}",
        "GEMINI_API_KEY": _secret("gemini"),
        "GOOGLE_API_KEY": _secret("google"),
        "AZURE_OPENAI_AD_TOKEN": _secret("azure"),
        "HTTPS_PROXY": f"http://user:{_secret('proxy')}@127.0.0.1:9",
        "AIOBS_LABEL_API_KEY": _secret("label"),
        "AIOBS_TOKEN": _secret("unknown variable"),
        "OPENAI_BASE_URL": f"http://user:{_secret('base url')}@127.0.0.1:9/v1?key={_secret('base url')}",
    }


@pytest.mark.parametrize("options", [[], ["--json"], ["--verbose"], ["--otlp"], ["--otlp", "--json", "--verbose"]])
@pytest.mark.parametrize("status", [200, 401, 500])
def test_doctor(options: list[str], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No value of a header, no userinfo, no query and no key of the environment, in text and in JSON."""
    with OTLPSink(status) as sink:
        for name, value in _environment(sink.endpoint).items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(app, ["doctor", *options])
    assert "OTEL_EXPORTER_OTLP" in result.output
    assert not set(found_in(result.output))


class Hostile(dict[str, Any]):
    """A message that breaks whoever reads it, with what it says in the exception."""

    def get(self, key: str, default: Any = None) -> Any:
        raise ValueError(f"{needle('hostile.message')} {_secret('hostile.key')}")

    __repr__ = __str__ = __iter__ = items = get  # type: ignore[assignment]  # whatever is tried


READERS = ("read_request", "read_response", "read_prompt", "read_choices", "session_request", "session_response")


@pytest.mark.quiet_guard
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("capture", [None, "no_content", "span_and_event"])
def test_a_reader_that_fails(reader: str, capture: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard's log line has neither the exception's text nor what it was about."""
    for operation in PROVIDER.operations:
        monkeypatch.setattr(operation.__class__, "__setattr__", object.__setattr__)
        monkeypatch.setattr(operation, reader, _fail)
    with Outputs(Setting(capture), monkeypatch) as outputs, Simulator() as simulator:
        simulator.reply(needle("hostile.answer"))
        simulator.openai(api_key=_secret("hostile.api_key")).chat.completions.create(
            model="m", messages=[{"role": "user", "content": needle("hostile.prompt")}]
        )
        found = outputs.collect()
    logged = [output for output in found if output.kind == "aiobs log"]
    assert logged or capture != "span_and_event", "nothing was logged"
    assert not leaks(found, capture), "\n".join(map(str, leaks(found, capture)))


def _fail(given: Any) -> None:
    raise ValueError(f"{needle('hostile.error')} {given!r}")


@pytest.mark.quiet_guard
@pytest.mark.parametrize("capture", [None, "span_and_event"])
def test_payloads_that_break_readers(capture: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages whose own methods raise: what they say in it is in no log."""
    logging.getLogger("openai").setLevel(logging.CRITICAL)
    with Outputs(Setting(capture), monkeypatch) as outputs, Simulator() as simulator:
        for messages in ([Hostile(role="user")], [{"role": "user", "content": Hostile(a=1)}], Hostile()):
            with suppress(Exception):
                simulator.openai().chat.completions.create(model="m", messages=messages)
        assert outputs.spans
        found = leaks(outputs.collect(), capture)
    assert not found, "\n".join(map(str, found))
