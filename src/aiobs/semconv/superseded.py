"""What the conventions called otherwise until August 2026, for dashboards built on that: ``AIOBS_SEMCONV=dup``.

Only names that are gone since, each beside the one that took its place; ``genai-4a39b6ef.json`` has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from aiobs.call import Call
from aiobs.semconv.encode import Attributes

CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
TOKEN_TYPE = "gen_ai.token.type"


def superseded_attributes(call: Call) -> Attributes:
    """The span attribute that has another name now."""
    usage = call.response.usage if call.response is not None else None
    return {} if usage is None or usage.cache_write is None else {CACHE_CREATION_TOKENS: usage.cache_write}


class SupersededInstruments:
    """The metrics that have other names now."""

    def __init__(self, meter: Meter, duration: Histogram, seconds: tuple[float, ...], tokens: tuple[int, ...]) -> None:
        """``duration`` is that of operations other than inference, which it has been the name of, too."""

        def histogram(name: str, unit: str, brief: str, buckets: Sequence[float]) -> Histogram:
            return meter.create_histogram(name, unit, brief, explicit_bucket_boundaries_advisory=buckets)

        self._duration = duration
        self._tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens of one operation.", tokens)
        self._first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Request to first streamed chunk.", seconds
        )
        self._per_chunk = histogram(
            "gen_ai.client.operation.time_per_output_chunk", "s", "Mean time between streamed chunks.", seconds
        )

    def record_inference(self, seconds: float, timed: Attributes, context: Context | None) -> None:
        """The duration of an inference request; that of other operations has kept its name."""
        self._duration.record(seconds, timed, context)

    def record_chunks(self, first: float, each: float | None, attributes: Attributes, context: Context | None) -> None:
        """Seconds to the first chunk, and between chunks where there were several."""
        self._first_chunk.record(first, attributes, context)
        if each is not None:
            self._per_chunk.record(each, attributes, context)

    def record_tokens(self, call: Call, attributes: Attributes, context: Context | None) -> None:
        """Tokens in and out, of embeddings too."""
        usage = call.response.usage if call.response is not None else None
        if usage is None:
            return
        for kind, tokens in (("input", usage.input), ("output", usage.output)):
            if tokens is not None:
                self._tokens.record(tokens, {**attributes, TOKEN_TYPE: kind}, context)
