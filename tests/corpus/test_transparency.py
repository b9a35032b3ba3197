"""A program sees the same of every recorded exchange with and without aiobs."""

from __future__ import annotations

from typing import Any

import pytest

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.corpus.calls import call_of, perform, perform_async
from tests.corpus.recordings import supported
from tests.corpus.serving import serve, socket_clients

VARYING = frozenset({"x-stainless-async"})

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # google-genai 1.5 closes no async connection


async def seen(simulator: Simulator, cut: str, is_async: bool) -> dict[str, Any]:
    """Per exchange: what the program got, and what the server got."""
    facts: dict[str, Any] = {}
    async with socket_clients(simulator) as clients:
        for exchange in supported():
            serve(simulator, exchange, cut)
            call = call_of(exchange)
            client = clients[call.family][is_async]
            outcome = await perform_async(client, call) if is_async else perform(client, call)
            sent = [(one.method, one.path, one.query, one.headers, one.body) for one in simulator.requests]
            facts[exchange.name] = (outcome.seen, sent)
    return facts


@pytest.mark.nonconforming("test_agreement looks")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("cut", ["given", "bytes"])
async def test_a_program_sees_the_same(
    cut: str, is_async: bool, simulator: Simulator, signals: InMemoryTelemetry
) -> None:
    """Values, chunks, exceptions, warnings and the request's bytes, however the answer is cut up on its way."""
    without = await seen(simulator, cut, is_async)
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    observer.observe(tracer_provider=signals.tracer_provider)
    with_aiobs = await seen(simulator, cut, is_async)
    differing = [name for name in without if without[name] != with_aiobs[name]]
    assert not differing, f"{differing[0]}:\n{without[differing[0]]!r:.1500}\n{with_aiobs[differing[0]]!r:.1500}"
    sent = sum(bool(requests) for _, requests in without.values())
    assert sent <= len(signals.spans) <= len(without), "older SDKs refuse some of the arguments, with or without a span"
