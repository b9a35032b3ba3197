"""Keys, tokens, headers and URLs of clients and requests, echoed by servers in every way: nowhere, whatever the gate."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from aiobs.testing import Simulator
from aiobs.testing.script import Reply, Request
from tests.needles.outputs import Output, Outputs, Setting
from tests.needles.places import needle
from tests.needles.rules import leaks
from tests.needles.running import shown

pytestmark = pytest.mark.nonconforming("servers put credentials where the registry has a code")


def secret(name: str) -> str:
    return needle(f"credential.{name}")


def _located(simulator: Simulator, path: str = "") -> str:
    """The simulator's URL with userinfo."""
    return simulator.origin.replace("://", f"://{secret('userinfo.user')}:{secret('userinfo.password')}@") + path


def _headers(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret(f'{name}.bearer')}", "x-custom": secret(f"{name}.custom")}


def _openai(simulator: Simulator) -> Any:
    return simulator.openai(
        base_url=_located(simulator, "/v1"),
        api_key=secret("api_key"),
        default_headers={"x-default": secret("default_headers")},
        default_query={"key": secret("default_query")},
        organization=secret("organization"),
        project=secret("project"),
    )


def _openai_shaped(simulator: Simulator) -> Any:
    return simulator.openai(api_key=f"sk-proj-{secret('shaped')}")


def _openai_called(simulator: Simulator) -> Any:
    return simulator.openai(api_key=lambda: secret("api_key.callable"))


def _azure(simulator: Simulator) -> Any:
    return simulator.azure_openai(api_key=secret("azure.api_key"))


def _azure_token(simulator: Simulator) -> Any:
    return simulator.azure_openai(api_key=None, azure_ad_token=secret("azure_ad_token"))


def _azure_provider(simulator: Simulator) -> Any:
    return simulator.azure_openai(api_key=None, azure_ad_token_provider=lambda: secret("azure_ad_token_provider"))


def _gemini(simulator: Simulator) -> Any:
    options = {"base_url": _located(simulator), "headers": _headers("http_options")}
    return simulator.gemini(api_key=secret("google.api_key"), http_options=options)


def _vertex(simulator: Simulator) -> Any:
    from google.oauth2.credentials import Credentials

    token = Credentials(secret("google.token"))  # type: ignore[no-untyped-call]  # google-auth has no types for it
    return simulator.vertex(credentials=token, http_options={"headers": {"x-custom": secret("vertex.headers")}})


CLIENTS: Mapping[str, Callable[[Simulator], Any]] = {
    made.__name__.strip("_"): made
    for made in (_openai, _openai_shaped, _openai_called, _azure, _azure_token, _azure_provider, _gemini, _vertex)
}


def _ask(client: Any) -> None:
    """Each operation, whole and streamed, with credentials for this one request."""
    once = {"extra_headers": _headers("extra_headers"), "extra_query": {"sig": secret("extra_query")}}
    calls: list[Callable[[], Any]]
    if hasattr(client, "chat"):
        message = [{"role": "user", "content": "hi"}]
        calls = [
            lambda: client.chat.completions.create(model="m", messages=message),
            lambda: client.chat.completions.create(model="m", messages=message, **once),
            lambda: client.chat.completions.create(model="m", messages=message, stream=True, **once),
            lambda: client.responses.create(model="m", input="hi", **once),
            lambda: client.responses.create(model="m", input="hi", stream=True, **once),
            lambda: client.embeddings.create(model="m", input="hi", **once),
        ]
    else:
        config = {"http_options": {"headers": _headers("request_options")}}
        calls = [
            lambda: client.models.generate_content(model="m", contents="hi"),
            lambda: client.models.generate_content(model="m", contents="hi", config=config),
            lambda: client.models.generate_content_stream(model="m", contents="hi", config=config),
            lambda: client.models.embed_content(model="text-embedding-005", contents="hi", config=config),
        ]
    for call in calls:
        with suppress(Exception):
            list(call())


# What servers echo


def echoed(request: Request) -> str:
    """All that came in: every header, and the query as it was sent."""
    return " ".join([*(f"{name}: {value}" for name, value in request.headers.items()), request.query])


def _key(request: Request) -> str:
    given = request.headers
    key = (
        given.get("authorization", "").rpartition(" ")[2] or given.get("api-key") or given.get("x-goog-api-key") or "k"
    )
    return key


def _error(request: Request, code: Any, **more: Any) -> bytes:
    said = {"message": f"Incorrect API key: {echoed(request)}.", "param": echoed(request), "type": echoed(request)}
    return json.dumps({"error": {**said, "code": code, "status": _key(request), **more}}).encode()


_SSE = {"content-type": "text/event-stream"}
_JSON = {"content-type": "application/json"}

ECHOES: Mapping[str, Callable[[Request], Reply]] = {
    "refused": lambda request: Reply(401, _JSON, _error(request, "invalid_api_key")),
    "code": lambda request: Reply(401, _JSON, _error(request, _key(request))),
    "google": lambda request: Reply(403, _JSON, _error(request, 403, details=[echoed(request)])),
    "page": lambda request: Reply(502, {"content-type": "text/html"}, f"<p>{echoed(request)}</p>".encode()),
    "in 200": lambda request: Reply(200, _JSON, _error(request, _key(request))),
    "in a stream": lambda request: Reply(200, _SSE, [b"data: " + _error(request, _key(request)) + b"\n\n"]),
    "broken": lambda request: Reply(200, _JSON, b'{"x": "' + echoed(request).encode()),
    "masked": lambda request: Reply(
        401, _JSON, json.dumps({"error": {"message": f"Bad key sk-{_key(request)}***xyz"}}).encode()
    ),
}


@pytest.mark.parametrize("capture", [None, "span_and_event"])
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("client", CLIENTS)
def test_credentials(
    client: str, echo: str, capture: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a server echoes of the credentials that it was sent is on no signal, in no file, in no log."""
    with Outputs(Setting(capture), monkeypatch) as outputs, Simulator() as simulator, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator.on(ECHOES[echo])
        _ask(CLIENTS[client](simulator))
        assert simulator.requests, "nothing was sent"
        outputs.extra.append(Output("stderr", "", "".join(capfd.readouterr())))
        found = leaks(outputs.collect(), capture)
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("client", CLIENTS)
def test_credentials_of_calls_that_succeed(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all goes well, credentials are nowhere either; ours on the program's objects do not show them."""
    with (
        Outputs(Setting("span_and_event"), monkeypatch) as outputs,
        Simulator() as simulator,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        _ask(made := CLIENTS[client](simulator))
        outputs.extra += shown(made)
        found = leaks(outputs.collect(), "span_and_event")
        assert outputs.spans
    assert not found, "\n".join(map(str, found))


def test_a_proxy_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there: its password is in no error."""
    proxy = f"http://user:{secret('proxy.password')}@127.0.0.1:9"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with Outputs(Setting("span_and_event"), monkeypatch) as outputs:
        import openai

        with suppress(openai.APIError):
            openai.OpenAI(base_url="http://example.invalid/v1", api_key=secret("api_key"), max_retries=0).models.list()
        with suppress(openai.APIError):
            client = openai.OpenAI(base_url="http://example.invalid/v1", api_key=secret("api_key"), max_retries=0)
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert [span.attributes["error.type"] for span in outputs.spans if span.attributes] == [
            "openai.APIConnectionError"
        ]
        monkeypatch.delenv("HTTP_PROXY")
        found = leaks(outputs.collect(), "span_and_event")
    assert not found, "\n".join(map(str, found))
