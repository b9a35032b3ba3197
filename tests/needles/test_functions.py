"""Observed functions and the tools that an SDK runs: arguments, results, exceptions."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from aiobs import observe
from aiobs.testing import Simulator
from tests.needles.outputs import SETTINGS, Outputs, Setting
from tests.needles.places import found_in, needle
from tests.needles.rules import leaks


@dataclass
class Account:
    name: str
    api_key: str


def _secret(name: str) -> str:
    return needle(f"credential.{name}")


def _fails(text: str) -> None:
    text = f"bad key sk-{_secret('error.key')}, Bearer {_secret('error.bearer')}, {text}"
    try:
        raise KeyError(needle("function.cause"))
    except KeyError as cause:
        error = ValueError(text, needle("function.error"))
        error.add_note(needle("function.note"))
        raise error from cause


@observe
def plain(text: str, **more: Any) -> Any:
    return {"result": needle("function.result"), "deep": [{"password": _secret("result.password")}]}


@observe
def failing(text: str) -> None:
    _fails(text)


@observe
def secretive(text: str, password: str, api_key: str, token: str, **more: Any) -> str:
    return needle("function.result")


@observe
def generating(text: str) -> Iterator[str]:
    yield needle("function.yielded")
    _fails(text)


@observe(capture_args=False, capture_result=False)
def closed(text: str) -> str:
    return needle("function.closed result")


@observe(capture_args=False)
def closed_failing(text: str) -> None:
    _fails(needle("function.closed error"))


def _run() -> None:
    keys = {"access_token": _secret("kwargs.access_token"), "clientSecret": _secret("kwargs.client_secret")}
    headers = {"headers": {"Authorization": _secret("kwargs.authorization"), "X-Api-Key": _secret("kwargs.x-api-key")}}
    plain(needle("function.argument"), said=needle("function.keyword"), deep={"a": [keys]}, **keys, **headers)
    plain(text="", account=Account(needle("function.account"), _secret("dataclass.api_key")))
    secretive(
        "", _secret("password"), _secret("api_key"), token=_secret("token"), authorization=_secret("authorization")
    )
    closed(needle("function.closed argument"))
    for call in (failing, closed_failing):
        with suppress(ValueError):
            call(needle("function.argument"))
    with suppress(ValueError):
        list(generating(needle("function.argument")))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_observed_functions(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the gate; parameters and keys named like secrets, keys in exceptions and what is switched off: nowhere."""
    with Outputs(setting, monkeypatch) as outputs:
        _run()
        found = outputs.collect()
    seen = {place for output in found for place in found_in(output.text)}
    assert not leaks(found, setting.capture), "\n".join(map(str, leaks(found, setting.capture)))
    assert not {place for place in seen if place.startswith("function.closed ")}
    assert ("function.argument" in seen) is (setting.capture != "no_content")


# Tools


def tool(city: str) -> dict[str, str]:
    return {"weather": needle("tool.result")}


def broken_tool(city: str) -> dict[str, str]:
    error = LookupError(needle("tool.error"))  # the SDK tells the model: no place for credentials
    error.add_note(needle("tool.note"))
    raise error


def _calls(name: str, city: str) -> bytes:
    call = {"functionCall": {"name": name, "args": {"city": city}, "id": needle("tool.id")}}
    return json.dumps({"candidates": [{"content": {"role": "model", "parts": [call]}, "index": 0}]}).encode()


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_tools_that_the_sdk_runs(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments, results and exceptions of tools are content, on their spans and in the requests that follow."""
    with Outputs(setting, monkeypatch) as outputs, Simulator() as simulator, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for function in (tool, broken_tool):
            simulator.raw(_calls(function.__name__, needle("tool.argument")))
            simulator.reply(needle("tool.answer"))
            simulator.gemini().models.generate_content(
                model="m", contents=needle("tool.prompt"), config={"tools": [function]}
            )
        assert {span.name for span in outputs.spans} >= {"execute_tool tool", "execute_tool broken_tool"}
        found = leaks(outputs.collect(), setting.capture)
    assert not found, "\n".join(map(str, found))


# Parsed answers


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_answers_that_do_not_parse(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ValidationError quotes the answer: that is content."""
    from pydantic import BaseModel

    class Wanted(BaseModel):
        number: int

    with Outputs(setting, monkeypatch) as outputs, Simulator() as simulator:
        client = simulator.openai()
        for answer in ({"text": json.dumps({"number": needle("parse.value")})}, {"text": needle("parse.text")}):
            for call in (client.chat.completions.parse, client.responses.parse):
                simulator.reply(**answer)
                name = "messages" if "completions" in str(call) else "input"
                asked = {name: [{"role": "user", "content": needle("parse.prompt")}]}
                form = {"response_format" if name == "messages" else "text_format": Wanted}
                with suppress(ValueError):
                    call(model="m", **asked, **form)
        simulator.reply(needle("parse.cut"), finish_reason="length")
        with suppress(Exception):
            client.chat.completions.parse(
                model="m", messages=[{"role": "user", "content": "x"}], response_format=Wanted
            )
        assert len(outputs.spans) == 5
        found = leaks(outputs.collect(), setting.capture)
    assert not found, "\n".join(map(str, found))
