"""Connections that stay open: every field of every event, in both directions, and everywhere that it may not be."""

from __future__ import annotations

import importlib
import json
import warnings
from typing import Any, NamedTuple

import pytest

from aiobs.testing import openai_realtime as wire
from aiobs.testing.socket_server import Script, SocketServer
from tests.needles.outputs import SETTINGS, Output, Outputs, Setting
from tests.needles.places import ROUNDS, Planter, needle
from tests.needles.rules import leaks
from tests.versions import needs

pytestmark = [
    pytest.mark.nonconforming("servers say, and programs pass, what no registry has a word for"),
    pytest.mark.timeout(120),
    needs("openai responses over a socket"),
]

END = "the.end"


class Talk(NamedTuple):
    """An API of connections: the types of what goes out and comes in, where they are."""

    api: str
    module: str
    sent: str
    received: str
    connect: dict[str, Any]

    def __str__(self) -> str:
        return self.api


TALKS = (
    Talk(
        "realtime", "openai.types.realtime", "RealtimeClientEventParam", "RealtimeServerEvent",
        {"model": needle("realtime request.model")},
    ),
    Talk("responses", "openai.types.responses", "ResponsesClientEventParam", "ResponsesServerEvent", {}),
    Talk("live", "openai.types.live", "ClientEventParam", "ServerEvent", {}),
)  # fmt: skip


def _planted(talk: Talk, name: str, what: str, form: str) -> list[Any]:
    kind = getattr(importlib.import_module(talk.module), name)
    return Planter(form, by_alias=what == "answer").variants(kind, f"{talk.api} {what}")


def _script(events: list[Any]) -> Script:
    """All of it after the first thing that is said."""
    greeting = [wire.event("session.created", session=wire.session())]
    said: list[Any] = [json.dumps(event) for event in (*events, {"type": END})]
    return Script(lambda event, number: said if number == 1 else (), greeting)


def _options(server: SocketServer) -> dict[str, Any]:
    return {
        "websocket_base_url": server.origin.replace("http", "ws") + f"?key={needle('credential.url')}",
        "api_key": needle("credential.api_key"),
        "default_headers": {"x-secret": needle("credential.header")},
    }


def _sync(talk: Talk, form: str) -> None:
    sent = _planted(talk, talk.sent, "request", form)
    with SocketServer(_script(_planted(talk, talk.received, "answer", form))) as server:
        client = server.openai(**_options(server))
        with client, getattr(client, talk.api).connect(**talk.connect) as connection:
            for event in [{"type": "response.create", "model": "m"}, *sent]:
                connection.send(event)
            for event in connection:
                if event.type == END:
                    break


async def _async(talk: Talk, form: str) -> None:
    sent = _planted(talk, talk.sent, "request", form)
    with SocketServer(_script(_planted(talk, talk.received, "answer", form))) as server:
        client = server.async_openai(**_options(server))
        async with client, getattr(client, talk.api).connect(**talk.connect) as connection:
            for event in [{"type": "response.create", "model": "m"}, *sent]:
                await connection.send(event)
            async for event in connection:
                if event.type == END:
                    break


@pytest.mark.parametrize(
    ("setting", "is_async"), [*((setting, False) for setting in SETTINGS), (SETTINGS[-1], True)], ids=str
)
@pytest.mark.parametrize(
    "talk",
    [pytest.param(talk, marks=needs("openai live decisions") if talk.api == "live" else ()) for talk in TALKS],
    ids=str,
)
async def test_needles_of_connections(
    talk: Talk,
    setting: Setting,
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Content is behind the gate, credentials are nowhere, plain values are in the attribute that is for them."""
    with Outputs(setting, monkeypatch) as outputs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form in ROUNDS:
            if is_async:
                await _async(talk, form)
            else:
                _sync(talk, form)
        assert outputs.spans
        outputs.extra.append(Output("stderr", "", "".join(capfd.readouterr())))
        found = leaks(outputs.collect(), setting.capture)
    assert not found, "\n".join(map(str, found))
