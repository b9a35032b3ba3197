"""The inference metrics: instruments as the registry defines them, and the recording of one call.

Metric attributes are a whitelist, so that no answer can raise a metric's cardinality.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from aiobs.call import MODALITIES, Call, Server, Usage
from aiobs.semconv import names
from aiobs.semconv.encode import Attributes, start_attributes
from aiobs.semconv.serialise import clean_text
from aiobs.semconv.superseded import SupersededInstruments

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))
INFERENCE = frozenset({"chat", "generate_content", "text_completion"})
_USAGE = "gen_ai.client.inference.usage."
_PER_OPERATION = "gen_ai.client.inference.operation."


class Instruments:
    """The instruments of one meter; ``record`` writes one finished call on them.

    ``duplicates``: also under the names that were superseded.
    """

    def __init__(self, meter: Meter, *, duplicates: bool = False) -> None:
        def seconds(name: str, description: str):  # type: ignore[no-untyped-def]  # the API's own Histogram type
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=SECONDS)

        self._inference = seconds("gen_ai.client.inference.duration", "Time of one inference request, retries inside.")
        self._operation = seconds("gen_ai.client.operation.duration", "Time of one client operation.")
        self._first_chunk = seconds("gen_ai.client.inference.time_to_first_chunk", "Request to first streamed chunk.")
        self._per_chunk = seconds("gen_ai.client.inference.time_per_output_chunk", "Mean time between streamed chunks.")
        self._tool = seconds("gen_ai.execute_tool.duration", "Time of one execution of a tool.")
        self._tokens = {
            kind: meter.create_histogram(
                f"{_PER_OPERATION}{kind}_tokens",
                "{token}",
                f"{kind.capitalize()} tokens of one request.",
                explicit_bucket_boundaries_advisory=TOKENS,
            )
            for kind in ("input", "output")
        }
        self._usage = {
            name: meter.create_counter(f"{_USAGE}{name}", "{token}", f"Tokens counted by the provider: {name}.")
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_read.input_tokens",
                "cache_write.input_tokens",
                "reasoning.output_tokens",
            )
        }

        self._unrecorded = meter.create_counter(
            names.BATCH_UNRECORDED, "{result}", "Results of batches that were read and have no span."
        )
        self._superseded = SupersededInstruments(meter, self._operation, SECONDS, TOKENS) if duplicates else None

    def record(self, call: Call, context: Context | None) -> None:
        """Duration but for what is past; chunk times for streams; tokens where the provider reported them."""
        common = metric_attributes(call)
        attributes = _with_tier(common, call)
        timed = {**attributes, names.ERROR_TYPE: clean_text(call.failure.type)} if call.failure else attributes
        seconds = call.duration_ns / 1e9
        if self._superseded is not None:
            self._superseded.record_tokens(call, attributes, context)
        if call.is_past:
            self._record_past(call, attributes, context)
            return
        if call.operation not in INFERENCE:
            self._operation.record(seconds, timed, context)
            if call.job_usage is not None:
                self._record_job(call, call.job_usage, context)
            return
        self._inference.record(seconds, timed, context)
        if self._superseded is not None:
            self._superseded.record_inference(seconds, timed, context)
        self._record_chunks(call, common, context)
        if call.response is not None and call.response.usage is not None:
            self._record_usage(call.response.usage, attributes, context)

    def _record_past(self, call: Call, attributes: Attributes, context: Context | None) -> None:
        """What was used; how long it took nobody knows."""
        if call.operation in INFERENCE and call.response is not None and call.response.usage is not None:
            self._record_usage(call.response.usage, attributes, context)

    def _record_job(self, call: Call, usage: Usage, context: Context | None) -> None:
        """What a job used, as the call would have that submitted it."""
        if call.job_operation in INFERENCE:
            asked = {
                **start_attributes(call.job_operation, call.server, call.job_model),
                **{name: value for name, value in metric_attributes(call).items() if name == names.RESPONSE_MODEL},
            }
            self._record_usage(usage, _with_tier(asked, call), context)

    def record_tool(self, tool: str, duration_ns: int, error_type: Any, context: Context | None) -> None:
        """One execution of a tool; ``tool`` is its name."""
        attributes: Attributes = {names.TOOL_NAME: tool, names.TOOL_TYPE: names.FUNCTION}
        if error_type is not None:
            attributes[names.ERROR_TYPE] = error_type
        self._tool.record(duration_ns / 1e9, attributes, context)

    def record_unrecorded(self, results: int, server: Server, context: Context | None) -> None:
        """Results of a batch that have no span."""
        self._unrecorded.add(results, {names.PROVIDER: server.provider}, context)

    def _record_chunks(self, call: Call, attributes: Attributes, context: Context | None) -> None:
        if call.first_chunk_ns is None:
            return
        first, each = call.first_chunk_ns / 1e9, None
        self._first_chunk.record(first, attributes, context)
        if call.chunks > 1:
            each = (call.duration_ns - call.first_chunk_ns) / (call.chunks - 1) / 1e9
            self._per_chunk.record(each, attributes, context)
        if self._superseded is not None:
            self._superseded.record_chunks(first, each, attributes, context)

    def _record_usage(self, usage: Usage, attributes: Attributes, context: Context | None) -> None:
        for kind, total in (("input", usage.input), ("output", usage.output)):
            if total is not None:
                self._tokens[kind].record(total, attributes, context)
                for modality, share in _shares(usage, kind, total):
                    self._usage[f"{kind}_tokens"].add(share, {**attributes, names.TOKEN_MODALITY: modality}, context)
        if usage.cache_read is not None:
            for modality, share in _shares(usage, "cache_read", usage.cache_read):
                by_modality = {**attributes, names.TOKEN_MODALITY: modality}
                self._usage["cache_read.input_tokens"].add(share, by_modality, context)
        unknown = {**attributes, names.TOKEN_MODALITY: "unknown"}
        for name, value in (
            ("cache_write.input_tokens", usage.cache_write),
            ("reasoning.output_tokens", usage.reasoning),
        ):
            if value is not None:
                self._usage[name].add(value, unknown, context)


def metric_attributes(call: Call) -> Attributes:
    """Operation, provider, both models, server; ``error.type`` is added to durations only."""
    attributes = start_attributes(call.operation, call.server, call.request.model)
    if call.response is not None and call.response.model:
        attributes[names.RESPONSE_MODEL] = clean_text(call.response.model)
    return attributes


def _with_tier(attributes: Attributes, call: Call) -> Attributes:
    """With the service tier, which the conventions have for everything but the times of chunks."""
    tier = call.response.service_tier if call.response is not None else None
    return {**attributes, names.SERVICE_TIER: clean_text(tier)} if tier else attributes


def _shares(usage: Usage, kind: str, total: int) -> Iterator[tuple[str, int]]:
    """The total by modality: what the provider split off, and the rest as ``unknown``."""
    rest = total
    for modality in MODALITIES:
        share = getattr(usage, f"{kind}_{modality}") or 0
        if 0 < share <= rest:
            rest -= share
            yield modality, share
    if rest or rest == total:
        yield "unknown", rest
