"""Every recorded exchange has a kind, and every exchange of a supported kind is replayed."""

from __future__ import annotations

import json
import pkgutil
from collections import Counter
from typing import Any

import pytest

from aiobs.instrumentation.google_genai import PROVIDER as GOOGLE
from aiobs.instrumentation.openai import PROVIDER as OPENAI
from aiobs.testing import InMemoryTelemetry, Simulator
from aiobs.testing.multipart import parse_form
from tests.corpus.calls import OWN, call_of, perform
from tests.corpus.conftest import MISSING
from tests.corpus.recordings import KINDS, SUPPORTED, UNSUPPORTED, folder, load, supported
from tests.corpus.serving import serve, socket_clients
from tests.versions import needs

if folder() is None:
    pytest.skip(MISSING, allow_module_level=True)


def test_every_interaction_is_loaded() -> None:
    """Nothing in the folder is passed over."""
    root = folder()
    assert root is not None
    files = [json.loads(path.read_text(encoding="utf-8")) for path in root.rglob("*.json")]
    assert len(load()) == sum(len(file["interactions"]) for file in files) > 0


def test_every_kind_is_decided() -> None:
    """A kind is replayed, or the table says why not."""
    assert set(KINDS) == {*SUPPORTED, *UNSUPPORTED, "not a model call"}


@needs("openai requests of every recording", "gemini requests of every recording")
@pytest.mark.nonconforming("test_agreement looks")
async def test_as_many_replay_as_are_recorded(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Each exchange of a supported kind is one call, one request and one span."""
    recorded = Counter(exchange.kind for exchange in load() if exchange.kind in SUPPORTED)
    replayed: Counter[str] = Counter()
    async with socket_clients(simulator) as clients:
        for exchange in supported():
            instrumented.clear()
            serve(simulator, exchange)
            call = call_of(exchange)
            perform(clients[call.family][0], call)
            if not exchange.name.endswith("~events"):
                replayed[exchange.kind] += len(simulator.requests) == len(instrumented.spans) == 1
    assert replayed == recorded
    assert set(recorded) == set(SUPPORTED), "a supported kind has no recording"


def test_the_sdk_sends_what_was_recorded(simulator: Simulator) -> None:
    """The call is the one that was recorded: what OpenAI gets is what it got, but for the encoding of embeddings."""
    with simulator.openai() as openai, simulator.azure_openai() as azure:
        clients = {"openai": openai, "azure_openai": azure}
        for exchange in supported():
            call = call_of(exchange)
            if call.family in clients and exchange.kind not in OWN:
                serve(simulator, exchange)
                perform(clients[call.family], call)
                arrived = received(simulator) if simulator.requests else exchange.request
                assert arrived == {"encoding_format": "base64", **exchange.request} or arrived == exchange.request


def received(simulator: Simulator) -> Any:
    """The JSON, or the fields of the form."""
    request = simulator.requests[-1]
    return parse_form(request.headers.get("content-type", ""), request.body) or request.json or {}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_is_not_replayed_is_not_instrumented(kind: str) -> None:
    """A kind that gets a row in a provider's table moves to ``SUPPORTED``."""
    if (function := _resolved(UNSUPPORTED[kind])) is None:
        pytest.skip(f"this SDK has no {UNSUPPORTED[kind]}")
    wrapped = [
        _resolved(f"{method.module}:{method.qualname}")
        for provider in (OPENAI, GOOGLE)
        for operation in provider.operations
        for method in operation.methods
    ]
    assert function not in wrapped, f"{kind} is instrumented: move it to SUPPORTED and replay it"


def _resolved(name: str) -> object | None:
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return None
