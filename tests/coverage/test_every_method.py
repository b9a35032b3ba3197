"""Every public method of both SDKs that is not listed as untraced gives a span; the SDKs say which methods there are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from untraced import GOOGLE_UNTRACED, OPENAI_UNTRACED

from aiobs.testing import InMemoryTelemetry, Simulator
from aiobs.testing.socket_server import Script, SocketServer
from tests.coverage.arguments import CONNECTIONS, FIXED, OPTIONAL, UNREACHABLE, VALUES, VERTEX
from tests.coverage.surface import matches, methods
from tests.versions import is_newest

pytestmark = pytest.mark.skipif(not is_newest(), reason="the surface is that of the newest releases")


def _walked(name: str, package: str) -> Mapping[str, Callable[..., Any]]:
    with Simulator() as simulator:
        return dict(methods(getattr(simulator, name)(), package))


OPENAI = [name for name in _walked("openai", "openai.") if not matches(name, OPENAI_UNTRACED)]
GOOGLE = [
    name
    for name in _walked("gemini", "google.genai.")
    if name.startswith("aio.live.") or not (name.startswith("aio.") or matches(name, GOOGLE_UNTRACED))
]
"""The async side has the same methods, and connections."""


def parts(client: Any, name: str) -> Callable[..., Any]:
    """The method of that name."""
    for part in name.split("."):
        client = getattr(client, part)
    return client  # type: ignore[no-any-return]  # the last part is a method


def arguments(name: str, method: Callable[..., Any]) -> dict[str, Any]:
    """What is required, by the name of the parameter; and what is required in fact."""
    given = {**FIXED.get(name, {})}
    for parameter in inspect.signature(inspect.unwrap(method)).parameters.values():
        required = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if required and parameter.name not in ("self", *given):
            given[parameter.name] = VALUES[parameter.name]
        elif parameter.name in OPTIONAL.get(name, ()):
            given.setdefault(parameter.name, VALUES[parameter.name])
    return {key: value() if callable(value) else value for key, value in given.items()}


def ways(name: str, method: Callable[..., Any]) -> list[dict[str, Any]]:
    """Whole, and streamed where there is ``stream=``."""
    whole = arguments(name, method)
    if "stream" not in inspect.signature(inspect.unwrap(method)).parameters or "parse" in name:
        return [whole]
    return [whole, {**arguments(name, method), "stream": True}]


def read(result: Any) -> None:
    """What a program does with what it got."""
    if hasattr(result, "__enter__") and hasattr(result, "until_done"):
        return
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


REACHABLE = [
    pytest.param(sdk, name, id=f"{sdk}-{name}")
    for sdk, names in (("openai", OPENAI), ("google", GOOGLE))
    for name in names
    if name not in UNREACHABLE and name not in CONNECTIONS
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore:.*xperimental")
@pytest.mark.parametrize(("sdk", "name"), REACHABLE)
def test_a_sync_call_gives_a_span(simulator: Simulator, instrumented: InMemoryTelemetry, sdk: str, name: str) -> None:
    """Whole and streamed."""
    client = getattr(simulator, _clients(sdk, name)[0])()
    for given in ways(name, parts(client, name)):
        instrumented.clear()
        read(parts(client, name)(**given))
        assert spans(instrumented), f"{name}({', '.join(given)}) left no span"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore:.*xperimental")
@pytest.mark.parametrize(("sdk", "name"), REACHABLE)
async def test_an_async_call_gives_a_span(
    simulator: Simulator, instrumented: InMemoryTelemetry, sdk: str, name: str
) -> None:
    """Whole and streamed."""
    client = getattr(simulator, _clients(sdk, name)[1])()
    async with client.aio if sdk == "google" else client as entered:
        for given in ways(name, parts(entered, name)):
            instrumented.clear()
            await read_async(parts(entered, name)(**given))
            assert spans(instrumented), f"{name}({', '.join(given)}) left no span"


DIALLED = [
    pytest.param(sdk, name, id=f"{sdk}-{name}")
    for sdk, names in (("openai", OPENAI), ("google", GOOGLE))
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
    """Each untraced pattern, and each method that cannot be reached, is one that the SDK has."""
    names = {*_walked("openai", "openai."), *_walked("gemini", "google.genai.")}
    unused = [
        pattern
        for pattern, _ in (*OPENAI_UNTRACED, *GOOGLE_UNTRACED)
        if not any(matches(name, [(pattern, "")]) for name in names)
    ]
    assert unused == []
    assert names >= {*UNREACHABLE, *CONNECTIONS, *FIXED, *OPTIONAL, *VERTEX}
