"""Leaks made on purpose: the suite reports each, so that it would report one made by mistake."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from aiobs import guard
from aiobs.call import Call, Server
from aiobs.capture import function, recording, telemetry
from aiobs.capture.recording import Recording
from aiobs.exporters.session import record as session_record
from aiobs.instrumentation.openai import PROVIDER, responses
from aiobs.semconv import credentials, encode
from aiobs.semconv.superseded import SupersededInstruments
from aiobs.testing import Simulator
from tests.contract.drivers import DRIVERS
from tests.needles.exchanges import exchanges
from tests.needles.outputs import Outputs, Setting
from tests.needles.places import needle
from tests.needles.rules import Leak, leaks
from tests.needles.running import run
from tests.needles.test_functions import plain

pytestmark = [
    pytest.mark.quiet_guard,
    pytest.mark.nonconforming("it leaks on purpose"),
    pytest.mark.timeout(120),
]

Break = Callable[[pytest.MonkeyPatch], None]


def _prompt_on_span(patch: pytest.MonkeyPatch) -> None:
    original = Recording._span_attributes

    def leaky(self: Recording) -> Any:
        self.wants_content = True
        return {**original(self), "gen_ai.prompt.name": repr(self._given)}

    patch.setattr(Recording, "_span_attributes", leaky)


def _exception_text_in_status(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Recording,
        "_set_status",
        lambda self: self.span.set_status(recording.StatusCode.ERROR, self.call.failure.message),
    )


def _headers_in_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session_record, "TRANSPORT_KEYS", frozenset())
    patch.setattr(credentials, "_HEADERS", frozenset())


def _keys_of_tools_in_file(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(credentials, "_redacted", lambda key, value: value)


def _no_scrub(patch: pytest.MonkeyPatch) -> None:
    for module in (recording, session_record, telemetry, function):
        patch.setattr(module, "scrub", lambda text, secrets=(): text)


def _message_in_log(patch: pytest.MonkeyPatch) -> None:
    def fails(kwargs: dict[str, Any]) -> Any:
        raise ValueError(repr(kwargs))

    for operation in PROVIDER.operations:
        object.__setattr__(operation, "read_request", fails)
    patch.setattr(guard, "_where", str)


def _userinfo_in_address(patch: pytest.MonkeyPatch) -> None:
    object.__setattr__(PROVIDER, "server_of", lambda client: Server("openai", str(client.base_url), 1))


def _exception_in_metrics(patch: pytest.MonkeyPatch) -> None:
    original = Recording._failure

    def leaky(self: Recording, error: Exception) -> Any:
        failure = original(self, error)
        failure.type = str(error)
        return failure

    patch.setattr(Recording, "_failure", leaky)


def _prompt_in_superseded_metric(patch: pytest.MonkeyPatch) -> None:
    original = SupersededInstruments.record_tokens

    def leaky(self: SupersededInstruments, call: Call, attributes: Any, context: Any) -> None:
        original(self, call, {**attributes, "gen_ai.prompt.name": repr(call.request.kwargs)}, context)

    patch.setattr(SupersededInstruments, "record_tokens", leaky)


def _anything_for_a_number(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(responses, "counts", lambda *values: values)


def _any_parameter(patch: pytest.MonkeyPatch) -> None:
    for name, (key, _) in encode.PARAMETERS.items():
        patch.setitem(encode.PARAMETERS, name, (key, lambda value: str(value)))


BREAKS: dict[str, tuple[Break, set[str]]] = {
    "prompt on span": (_prompt_on_span, {"span", "otlp", "console"}),
    "exception text in status": (_exception_text_in_status, {"span.status", "otlp"}),
    "exception text as error.type": (_exception_in_metrics, {"span", "metric", "log", "tree"}),
    "headers in session file": (_headers_in_file, {"file", "journal"}),
    "keys of tools in session file": (_keys_of_tools_in_file, {"file", "journal"}),
    "no scrub": (_no_scrub, {"file", "journal"}),
    "message in log line": (_message_in_log, {"aiobs log"}),
    "prompt in a superseded metric": (_prompt_in_superseded_metric, {"metric", "otlp"}),
    "what is no number as usage": (_anything_for_a_number, {"span", "otlp"}),
    "what is no number as parameter": (_any_parameter, {"span", "otlp"}),
    "userinfo in server.address": (_userinfo_in_address, {"span", "metric", "otlp"}),
}


@pytest.fixture(autouse=True)
def provider_as_before() -> Any:
    """The tables that some of these change are the process's."""
    before = [(operation, operation.read_request) for operation in PROVIDER.operations]
    server_of = PROVIDER.server_of
    yield
    object.__setattr__(PROVIDER, "server_of", server_of)
    for operation, read in before:
        object.__setattr__(operation, "read_request", read)


def _found(monkeypatch: pytest.MonkeyPatch) -> list[Leak]:
    """What the suite finds of one operation that works, and one that fails and is told its key."""
    driver = next(driver for driver in DRIVERS if str(driver) == "openai-responses-sync-whole")
    with Outputs(Setting(None, "dup"), monkeypatch) as outputs:
        run(driver, exchanges(driver), outputs)
        plain(needle("function.argument"))
        with Simulator() as simulator, suppress(Exception):
            url = simulator.origin.replace("://", f"://u:{needle('credential.url')}@") + "/v1"
            client = simulator.openai(base_url=url, api_key=needle("credential.key"))
            simulator.fail(401, message=f"bad key {needle('credential.key')}")
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        return leaks(outputs.collect(), None)


def test_nothing_is_found_where_nothing_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same program, unbroken."""
    assert _found(monkeypatch) == []


@pytest.mark.parametrize("broken", BREAKS)
def test_a_leak_is_found(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each output that it comes out of."""
    breaks, where = BREAKS[broken]
    breaks(monkeypatch)
    found = _found(monkeypatch)
    assert {leak.kind for leak in found} >= where, "\n".join(map(str, found))
