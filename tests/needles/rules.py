"""Which needle may be where: credentials nowhere, content behind the gate, plain values in the attribute they are for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from aiobs.semconv import names
from aiobs.semconv.registry import CURRENT, Registry
from tests.needles.outputs import Output
from tests.needles.places import found_in

CREDENTIALS = re.compile(
    r"""(?: [.:] (?: api_?key | api_key_(?:string|secret) | authorization | (?:access|id|refresh)_token | password
                   | credential_secret | secret | domain_secrets\[\]:\w+\.value )
          | [.:] (?: extra_headers | headers | extra_query
                   | http_options (?!:HttpOptions\.(?:timeout|retry_options:\w+\.\w+(?:\[\])?)$) ) (?!\.<key>) .*
          | ^credential\b .*
        )$""",
    re.VERBOSE,
)
"""Places that hold credentials, by the names of their fields; names of headers are none, nor are timeouts and retries,
which an SDK quotes when they are no numbers."""

CONFIGURED = (
    "background", "chunking_strategy", "completion_window", "complexity", "endpoint", "include", "input_fidelity",
    "input_file_id", "language", "languages", "moderation", "output_format", "quality", "response_format", "service_tier",
    "size", "stream_format", "style", "timestamp_granularities", "voice",
)  # fmt: skip
"""Parameters that go into ``aiobs.request.config``: words of the provider, none of the user."""

_SCALARS = (
    *("add_watermark", "aspect_ratio", "compression_quality", "edit_mode", "image_size", "language", "mode"),
    *("output_mime_type", "person_generation", "resize_mode", "resolution", "safety_filter_level", "ttl"),
)
"""Parameters of configs of Google that are words of the provider's."""

SESSION_FILE = "the session file's"
"""In the place of an attribute: there is none, but the session file has it."""

ALLOWED: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((rf"request\.{key}(\[\]|:VoiceID\.id)?$", (f"{names.REQUEST_CONFIG}.{key}",)) for key in CONFIGURED),
    (r"request\.vector_store_id$", ("gen_ai.data_source.id",)),
    (r"-batch request\.src(:BatchJobSource\.file_name)?$", (f"{names.REQUEST_CONFIG}.src",)),
    (r"request\.agent$", ("gen_ai.agent.id", "gen_ai.agent.name")),
    (r"request\.model$", (names.REQUEST_MODEL, names.RESPONSE_MODEL)),  # the simulator answers with the model asked for
    (r"request\.stop(\[\])?$|Config(Param)?\.stop_sequences\[\]$", ("gen_ai.request.stop_sequences",)),
    (
        r"request\.(reasoning_effort|reasoning:\w+\.effort|generation_config:\w+\.thinking_level)$",
        ("gen_ai.request.reasoning.level",),
    ),
    (r"request\.service_tier$", ("openai.request.service_tier",)),
    (r"request\.encoding_format$", ("gen_ai.request.encoding_formats",)),
    (r"request\.previous_(response|interaction)_id$", ("gen_ai.request.previous_response.id",)),
    (r"request\.conversation(:\w+\.id)?$", (names.CONVERSATION_ID,)),
    (r"request\.prompt:\w+\.id$", ("gen_ai.prompt.name",)),
    (r"request\.prompt:\w+\.version$", ("gen_ai.prompt.version",)),
    (r"request\.(response_id|completion_id)$", (names.RESPONSE_ID,)),
    (r"request\.starting_after$", ("gen_ai.request.stream_cursor",)),
    (r"request\.conversation_id$", (names.CONVERSATION_ID,)),
    (r"request\.order$", (f"{names.REQUEST_CONFIG}.order",)),
    (r"answer:\w+\.(id|response_id)$", (names.RESPONSE_ID,)),
    (r"answer:\w+\.status$", (names.RESPONSE_STATUS,)),
    (r"answer:Conversation\w*\.id$", (names.CONVERSATION_ID,)),
    (r"answer:(BatchJob|CachedContent|GenerateVideosOperation)\.name$", (names.RESPONSE_ID,)),
    (r"answer:CachedContent\.model$", (names.RESPONSE_MODEL,)),
    (r"-videos request\.model$", (names.RESPONSE_ID,)),  # an operation is below its model
    (r"request\.upscale_factor$", (f"{names.REQUEST_CONFIG}.upscale_factor",)),
    *((rf"request\.config:\w+Config\.{key}$", (f"{names.REQUEST_CONFIG}.{key}",)) for key in _SCALARS),
    (r"answer:\w+\.(model|model_version)$", (names.RESPONSE_MODEL,)),
    (r"answer:\w+\.service_tier$", (names.SERVICE_TIER,)),
    (r"answer:\w+\.system_fingerprint$", (names.SYSTEM_FINGERPRINT,)),
    (r"answer:\w+\.conversation:Conversation\.id$", (names.CONVERSATION_ID,)),
    (r"answer:\w+\.choices\[\]:\w+\.finish_reason$", (names.FINISH_REASONS,)),
    (r"answer:\w+\.candidates\[\]:\w+\.finish_reason$", (names.FINISH_REASONS,)),
    (r"answer:\w+\.incomplete_details:\w+\.reason$", (names.FINISH_REASONS,)),
    (
        r"answer:((Beta)?Response\w*Event\.response:)?(Beta)?Response\.status$",
        (names.FINISH_REASONS,),
    ),  # and the file's status
    (r"answer:Batch\.(endpoint|completion_window|\w+_file_id)$", (SESSION_FILE,)),
    (r"answer:(\w+\.interaction:)?Interaction\w*\.status$", (names.FINISH_REASONS, names.RESPONSE_STATUS)),
    (r"answer:\w+\.(interaction:\w+\.|interaction_)id$", (names.RESPONSE_ID,)),
    (r"answer:\w+\.interaction:\w+\.model$", (names.RESPONSE_MODEL,)),
    (r"answer:(Beta)?Response\w*Event\.response:(Beta)?Response\.id$", (names.RESPONSE_ID,)),
    (r"answer:(Beta)?Response\w*Event\.response:(Beta)?Response\.model$", (names.RESPONSE_MODEL,)),
    (r"answer:(Beta)?Response\w*Event\.response:(Beta)?Response\.service_tier$", (names.SERVICE_TIER,)),
    (
        r"answer:(Beta)?Response\w*Event\.response:(Beta)?Response\.conversation:Conversation\.id$",
        (names.CONVERSATION_ID,),
    ),
    (
        r"answer:(Beta)?Response\w*Event\.response:(Beta)?Response\.incomplete_details:\w+\.reason$",
        (names.FINISH_REASONS,),
    ),
    (
        r"\b(error\.code|(error|interaction:\w+\.errors\[\]|Interaction\.errors\[\]):\w*Error\.code|\w*ResponseErrorEvent\.code)$",
        (names.ERROR_TYPE, "exception.type"),
    ),
    (r"^error\.request_id$|^answer\.request_id$", (names.REQUEST_ID,)),
    *(
        (rf"^(realtime|responses) {place}$", attributes)  # over a connection, these are within an event
        for place, attributes in (
            (r"request:ResponseCreate\.model", (names.REQUEST_MODEL, names.RESPONSE_MODEL)),
            (r"request:\w+\.service_tier", ("openai.request.service_tier",)),
            (r"request:\w+\.previous_response_id", ("gen_ai.request.previous_response.id",)),
            (r"(request|answer):.*\.conversation(_id|:\w+\.id)?", (names.CONVERSATION_ID,)),
            (r"(request|answer):.*\.prompt:\w+\.id", ("gen_ai.prompt.name",)),
            (r"(request|answer):.*\.prompt:\w+\.version", ("gen_ai.prompt.version",)),
            (r"request:.*\.reasoning:\w+\.effort", ("gen_ai.request.reasoning.level",)),
            (r"request:.*\.output:\w+\.voice(:\w+\.id)?", (f"{names.REQUEST_CONFIG}.voice",)),
            (r"request:.*\.output_modalities\[\]", (f"{names.REQUEST_CONFIG}.modalities",)),
            (r"answer:.*\.transcription:\w+\.model", (f"{names.REQUEST_CONFIG}.transcription_model",)),
            (r"answer:\w+\.response:\w+\.id", (names.RESPONSE_ID,)),
            (r"answer:\w+\.(response|session):\w+\.model", (names.RESPONSE_MODEL,)),
        )
    ),
    *(
        (rf"^live {place}$", attributes)
        for place, attributes in (
            (r"request:\w+\.session:\w+\.model", (names.REQUEST_MODEL, names.RESPONSE_MODEL)),
            (r"(request|answer):.*\.output:\w+\.voice(:\w+\.id)?", (f"{names.REQUEST_CONFIG}.voice",)),
            (r"answer:\w+\.session:\w+\.id", (names.RESPONSE_ID, names.CONVERSATION_ID)),
            (r"answer:\w+\.session:\w+\.model", (names.RESPONSE_MODEL,)),
            (r"answer:DecisionEvent\..*\.decision:Decision\.model", (names.REQUEST_MODEL, names.RESPONSE_MODEL)),
        )
    ),
    (r"^openai-agents request\.agent:\w+\.model$", (names.REQUEST_MODEL, names.RESPONSE_MODEL)),
    (r"^openai-agents request\.agent_id$", (names.AGENT_ID,)),
    (r"^openai-agents request\.review$", (f"{names.REQUEST_CONFIG}.review",)),
    (r"answer:AgentSession\.id$", (names.CONVERSATION_ID,)),
    (r"answer:AgentSession\.agent:Agent\.id$", (names.AGENT_ID,)),
    (r"answer:AgentSession\.agent:Agent\.model$", (names.RESPONSE_MODEL,)),
    (r"answer:AgentSession\.agent:Agent\.name$", (names.AGENT_NAME,)),
    (r"^tool\.name$", (names.TOOL_NAME,)),
    (r"^tool\.description$", ("gen_ai.tool.description",)),
    (r"^tool\.id$", (names.TOOL_CALL_ID,)),
)
"""Places whose value is recorded whatever the gate says → the attributes that are for it; every other is content."""

_IN_NAMES = {names.AGENT_NAME, names.REQUEST_MODEL, names.TOOL_NAME, "gen_ai.data_source.id"}
_ERROR_TEXTS = {"exception.message", "exception.stacktrace"}
_OURS = {names.INPUT, names.OUTPUT}
_FILES = ("file", "journal")
_WHOLE = ("otlp", "console", "tree")


class Leak(NamedTuple):
    """A needle where it may not be."""

    place: str
    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.place}  in  {self.kind} {self.key}"


def leaks(outputs: Iterable[Output], capture: str | None) -> list[Leak]:
    """Every needle that is where it may not be, with the content gate like this (None: nobody says)."""
    found = {
        Leak(place, output.kind, output.key)
        for output in outputs
        for place in found_in(output.text)
        if not may_be(place, output, capture)
    }
    return sorted(found)


def may_be(place: str, output: Output, capture: str | None) -> bool:
    """Whether the needle of a place may be in that output."""
    if is_credential(place):
        return False
    if (attributes := allowed(place)) and _is_plain_place(output, attributes):
        return True
    return _is_open_to(output, capture)


@cache
def is_credential(place: str) -> bool:
    """It holds a credential."""
    return CREDENTIALS.search(place) is not None


@cache
def allowed(place: str) -> frozenset[str]:
    """The attributes that are for the value of this place."""
    return frozenset(name for pattern, given in ALLOWED if re.search(pattern, place) for name in given)


def _is_plain_place(output: Output, attributes: frozenset[str]) -> bool:
    if output.kind in ("span", "log", "metric"):
        return output.key in attributes
    if output.kind == "span.name":
        return bool(attributes & _IN_NAMES)
    if output.kind == "span.status":
        return names.ERROR_TYPE in attributes
    return output.kind in (*_FILES, *_WHOLE)


def _is_open_to(output: Output, capture: str | None) -> bool:
    if output.kind in _FILES:
        return capture != "no_content"
    if capture in (None, "no_content"):
        return False
    if output.kind in ("otlp", "console") or output.kind == "span.status" or output.key in _ERROR_TEXTS:
        return True
    carriers = {"span_only": ("span",), "event_only": ("log",), "span_and_event": ("span", "log")}[capture]
    return output.kind in carriers and is_content(output.key)


@cache
def is_content(attribute: str) -> bool:
    """The registries have it as opt-in, or it is what an observed function got and gave."""
    registry = Registry.load(*CURRENT)
    definition = registry.attribute(attribute)
    signals = (*registry.spans.values(), *registry.events.values())
    opted = {name for signal in signals for name, level in signal.attributes.items() if level == "opt_in"}
    return attribute in _OURS or (definition is not None and definition.name in opted)
