"""Spans say what the recorded exchange says."""

from __future__ import annotations

import pytest

from aiobs import Instrumentor
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.conformance.witness import Witness
from tests.corpus.agreement import KNOWN_GAPS, disagreements
from tests.corpus.calls import call_of, perform, perform_async
from tests.corpus.recordings import SUPPORTED, Recorded, supported
from tests.corpus.serving import serve, socket_clients
from tests.versions import needs

KNOWN_FINDINGS = (
    # Grok on Azure leaves cached tokens out of prompt_tokens: 158 of 78.
    "event 'gen_ai.client.inference.operation.details': 'gen_ai.usage.cache_read.input_tokens' is ",
    "span 'chat grok-4-1-fast-non-reasoning': 'gen_ai.usage.cache_read.input_tokens' is ",
    # A request whose model comes from a prompt template names none.
    "span 'chat': 'gen_ai.request.model' is required",
)
"""What the registries do not allow, and these providers do."""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # google-genai 1.5 closes no async connection

AGREEING = {
    "generate_content": "gemini thoughts and modalities",
    "generate_content_stream": "gemini thoughts and modalities",
    "embed_content": "gemini usage of embeddings",
    "transcriptions": "openai transcripts by speaker",
}
"""What an SDK must know to pass on all that the recordings of a kind say, where that is more than to make the call."""


def exchanges(kind: str) -> list[Recorded]:
    return [exchange for exchange in supported() if exchange.kind == kind]


@pytest.mark.nonconforming("the test looks itself: what a provider answers need not conform")
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=needs(AGREEING.get(kind, feature))) for kind, feature in SUPPORTED.items()]
)
async def test_spans_agree_with_the_recording(
    kind: str, is_async: bool, simulator: Simulator, signals: InMemoryTelemetry, conforming: Witness
) -> None:
    """Usage, ids, models, finish reasons, parameters, errors, and with the gate open what was said and called."""
    Instrumentor(**signals.providers, capture_content="span_and_event").instrument()
    found: dict[str, list[str]] = {}
    async with socket_clients(simulator) as clients:
        for exchange in exchanges(kind):
            signals.clear()
            serve(simulator, exchange)
            call = call_of(exchange)
            client = clients[call.family][is_async]
            outcome = await perform_async(client, call) if is_async else perform(client, call)
            if not simulator.requests:
                continue  # an older SDK refuses to make this request; the newest makes all, says test_recordings
            if differing := disagreements(exchange, call, outcome, list(signals.spans)):
                found[exchange.name] = differing
    gaps = {one.name: KNOWN_GAPS[one.name][0] for one in exchanges(kind) if one.name in KNOWN_GAPS}
    known = {(name, line) for name, gap in gaps.items() for line in found.get(name, []) if line.startswith(gap)}
    assert {name for name, _ in known} == set(gaps), "a gap is closed: take it off KNOWN_GAPS"
    unknown = [f"{name}: {line}" for name, lines in found.items() for line in lines if (name, line) not in known]
    assert not unknown, "\n".join(unknown)
    beyond = [finding for finding in map(str, conforming.findings()) if not finding.startswith(KNOWN_FINDINGS)]
    assert not beyond, "\n".join(["not as the registries say:", *beyond])
