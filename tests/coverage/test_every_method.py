"""Every public method of both SDKs that is not listed as untraced gives one span; the SDKs say which methods there are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from untraced import GOOGLE_UNTRACED, OPENAI_UNTRACED

from aiobs.testing import InMemoryTelemetry, Simulator
from aiobs.testing.socket_server import Script, SocketServer
from tests.coverage.arguments import CONNECTIONS, FIXED, MADE_FIRST, OPTIONAL, RECORDED_AS, STREAMED, VALUES, VERTEX
from tests.coverage.surface import matches, methods
from tests.versions import is_newest

pytestmark = pytest.mark.skipif(not is_newest(), reason="the surface is that of the newest releases")


def _walked(name: str, package: str) -> Mapping[str, Callable[..., Any]]:
    with Simulator() as simulator:
        return dict(methods(getattr(simulator, name)(), package))


def _traced(names: Iterable[str], untraced: Sequence[tuple[str, str]]) -> list[str]:
    return [name for name in names if not matches(name, untraced)]


_GOOGLE = _walked("gemini", "google.genai.")
_SYNC = [name for name in _GOOGLE if not name.startswith("aio.")]
_ASYNC = [name.removeprefix("aio.") for name in _GOOGLE if name.startswith("aio.") and name.count(".") > 1]

OPENAI = _traced(_walked("openai", "openai."), OPENAI_UNTRACED)
ASYNC_OPENAI = _traced(_walked("async_openai", "openai."), OPENAI_UNTRACED)
GOOGLE = _traced(_SYNC, GOOGLE_UNTRACED)
ASYNC_GOOGLE = _traced(_ASYNC, GOOGLE_UNTRACED)


def parts(client: Any, name: str) -> Callable[..., Any]:
    """The method of that name."""
    for part in name.split("."):
        client = getattr(client, part)
    return client  # type: ignore[no-any-return]  # the last part is a method


def arguments(name: str, method: Callable[..., Any], client: Any) -> dict[str, Any]:
    """What is required, by the name of the parameter; and what is required in fact."""
    given = {**FIXED.get(name, {})}
    for parameter in _parameters(method).values():
        is_required = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if (is_required and parameter.name != "self") or parameter.name in OPTIONAL.get(name, ()):
            given.setdefault(parameter.name, MADE_FIRST.get(parameter.name) or VALUES.get(parameter.name))
    return {key: _made(key, value, client) for key, value in given.items()}


def _parameters(method: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(inspect.unwrap(method)).parameters


def _made(name: str, value: Any, client: Any) -> Any:
    assert value is not None, f"no value for {name!r}: add it to VALUES, MADE_FIRST or FIXED"
    if value is MADE_FIRST.get(name):
        return value(client)
    return value() if callable(value) else value


def ways(name: str, method: Callable[..., Any], client: Any) -> Iterator[dict[str, Any]]:
    """Whole, and streamed where there is ``stream=``; ``client`` is a sync one, which makes what it takes."""
    yield arguments(name, method, client)
    if name in STREAMED or ("stream" in _parameters(method) and "parse" not in name):
        yield {**arguments(name, method, client), "stream": True}


def read(result: Any) -> None:
    """What a program does with what it got."""
    if hasattr(result, "__enter__") and not hasattr(result, "__next__"):
        with result as opened:
            list(opened)
    elif hasattr(result, "__next__"):
        list(result)


async def read_async(result: Any) -> None:
    """The same of what an async method gave."""
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aenter__") and not hasattr(result, "__anext__"):
        async with result as opened:
            async for _ in opened:
                pass
    elif hasattr(result, "__anext__"):
        async for _ in result:
            pass


def spans(signals: InMemoryTelemetry) -> list[str]:
    """What was recorded, by ``aiobs.api.name``."""
    return [str((span.attributes or {}).get("aiobs.api.name")) for span in signals.spans]


def _clients(sdk: str, name: str) -> tuple[str, str]:
    if sdk == "openai":
        return "openai", "async_openai"
    return ("vertex", "vertex") if name in VERTEX else ("gemini", "gemini")


def rows(openai: list[str], google: list[str]) -> list[Any]:
    """Each method that makes requests, once."""
    named = [*(("openai", name) for name in openai), *(("google", name) for name in google)]
    return [
        pytest.param(sdk, name, id=f"{sdk}-{name}")
        for sdk, name in named
        if not CONNECTIONS.keys() & {name, f"aio.{name}"}
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore:.*xperimental")
@pytest.mark.parametrize(("sdk", "name"), rows(OPENAI, GOOGLE))
def test_a_sync_call_gives_a_span(simulator: Simulator, instrumented: InMemoryTelemetry, sdk: str, name: str) -> None:
    """Whole and streamed: one, of that method."""
    client = getattr(simulator, _clients(sdk, name)[0])()
    for given in ways(name, parts(client, name), client):
        instrumented.clear()
        read(parts(client, name)(**given))
        assert spans(instrumented) == [RECORDED_AS.get(name, name)], f"of {name}({', '.join(given)})"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore:.*xperimental")
@pytest.mark.parametrize(("sdk", "name"), rows(ASYNC_OPENAI, ASYNC_GOOGLE))
async def test_an_async_call_gives_a_span(
    simulator: Simulator, instrumented: InMemoryTelemetry, sdk: str, name: str
) -> None:
    """Whole and streamed: one, of that method."""
    first, client = (getattr(simulator, kind)() for kind in _clients(sdk, name))
    async with client.aio if sdk == "google" else client as entered:
        for given in ways(name, parts(entered, name), first):
            instrumented.clear()
            await read_async(parts(entered, name)(**given))
            assert spans(instrumented) == [RECORDED_AS.get(name, name)], f"of {name}({', '.join(given)})"


DIALLED = [
    pytest.param(sdk, name, id=f"{sdk}-{name}")
    for sdk, names in (("openai", OPENAI), ("google", [f"aio.{name}" for name in ASYNC_GOOGLE]))
    for name in names
    if name in CONNECTIONS
]
SETUP = Script(lambda message, number: [{"setupComplete": {}}] if "setup" in message else ())


def dialled(sdk: str, server: SocketServer, *, is_async: bool = True) -> Any:
    """A client that dials without TLS."""
    address = server.origin.replace("http", "ws")
    if sdk == "openai":
        return getattr(server, "async_openai" if is_async else "openai")(websocket_base_url=address)
    client = server.gemini()
    client._api_client._websocket_base_url = lambda http_options=None: address
    client._api_client._websocket_ssl_ctx = {}
    return client


@pytest.mark.filterwarnings("ignore:.*xperimental", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("sdk", "name"), DIALLED)
async def test_an_async_connection_gives_a_span(instrumented: InMemoryTelemetry, sdk: str, name: str) -> None:
    """Dialled and closed again."""
    with SocketServer(SETUP) as server:
        client = dialled(sdk, server)
        async with parts(client, name)(**CONNECTIONS[name]):
            assert spans(instrumented) == []
        await (client.close() if sdk == "openai" else client.aio.aclose())
    assert spans(instrumented) == [name.removeprefix("aio.")]


@pytest.mark.parametrize("name", [name for name in OPENAI if name in CONNECTIONS])
def test_a_sync_connection_gives_a_span(instrumented: InMemoryTelemetry, name: str) -> None:
    """Dialled and closed again; Google has none."""
    with (
        SocketServer(SETUP) as server,
        dialled("openai", server, is_async=False) as client,
        parts(client, name)(**CONNECTIONS[name]),
    ):
        assert spans(instrumented) == []
    assert spans(instrumented) == [name]


def test_nothing_is_listed_twice_or_gone() -> None:
    """Each untraced pattern, and each method with a row of its own, is one that the SDK has."""
    names = {*_walked("openai", "openai."), *_GOOGLE, *_ASYNC}
    unused = [
        pattern
        for pattern, _ in (*OPENAI_UNTRACED, *GOOGLE_UNTRACED)
        if not any(matches(name, [(pattern, "")]) for name in names)
    ]
    assert unused == []
    assert names >= {*CONNECTIONS, *FIXED, *OPTIONAL, *RECORDED_AS, *STREAMED, *VERTEX}


def test_sync_and_async_have_the_same_methods() -> None:
    """What one side has and the other has not, somebody has looked at."""
    assert (set(OPENAI) ^ set(ASYNC_OPENAI)) == set()
    assert (set(GOOGLE) ^ set(ASYNC_GOOGLE)) == {"live.connect", "live.music.connect"}
