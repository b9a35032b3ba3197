"""A call as span and event attributes, by the GenAI semantic conventions.

Pure functions of a ``Call``: no span, no clock, no gate. Attributes that the answer does not carry are left out; a
value whose type does not fit the convention (a NaN temperature, a seed beyond 64 bits) is left out too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from opentelemetry.util.types import AttributeValue
from pydantic_core import from_json

from aiobs.call import MODALITIES, UNITS, Call, Callsite, Choice, Failure, Message, Part, Said, Server, ToolCall, Usage
from aiobs.semconv import names
from aiobs.semconv.serialise import clean_text

Attributes = dict[str, AttributeValue]


@lru_cache(maxsize=1024)
def span_name(operation: str, model: str | None) -> str:
    """``{operation} {model}``, or the operation alone when the model is unknown."""
    return f"{operation} {clean_text(model)}" if model else operation


def start_attributes(operation: str, server: Server, model: str | None) -> Attributes:
    """What samplers need, set when the span starts."""
    return _start_attributes(operation, server, model).copy()


@lru_cache(maxsize=1024)
def _start_attributes(operation: str, server: Server, model: str | None) -> Attributes:
    attributes: Attributes = {names.OPERATION: operation, names.PROVIDER: server.provider}
    if model:
        attributes[names.REQUEST_MODEL] = clean_text(model)
    if server.address:
        attributes[names.SERVER_ADDRESS] = server.address
        if server.port is not None:
            attributes[names.SERVER_PORT] = server.port
    return attributes


def end_attributes(call: Call) -> Attributes:
    """Everything else that is not content, in one dict for one ``set_attributes``."""
    attributes: Attributes = {names.API_NAME: call.api}
    _write_request(call, attributes)
    _write_response(call, attributes)
    _write_end(call, attributes)
    return attributes


def _write_end(call: Call, attributes: Attributes) -> None:
    if call.incomplete:
        attributes[names.INCOMPLETE] = True
    if call.cancelled:
        attributes[names.CANCELLED] = True
    if call.attempts > 1:
        attributes[names.RETRY_COUNT] = call.retries
    if call.status_code is not None:
        attributes[names.HTTP_STATUS] = call.status_code
    if call.polls:
        attributes[names.JOB_POLLS] = call.polls
    if call.job_duration_ns is not None:
        attributes[names.JOB_DURATION] = call.job_duration_ns / 1e9
    if call.job_usage is not None:
        _write_job_usage(call.job_usage, attributes)
    if (told := call.request_id) is not None:
        attributes[names.REQUEST_ID] = told if told.isascii() else clean_text(told)
    if call.failure is not None:
        _write_failure(call.failure, attributes)
    if call.callsite is not None:
        attributes.update(callsite_attributes(call.callsite))


def helper_attributes(call: Call) -> Attributes:
    """Of a call that made several requests: what it was, and how it went; what was asked and used is theirs."""
    attributes: Attributes = {names.API_NAME: call.api}
    if call.request.model:
        attributes[names.REQUEST_MODEL] = clean_text(call.request.model)
    _write_end(call, attributes)
    return attributes


@lru_cache(maxsize=4096)
def callsite_attributes(callsite: Callsite) -> Attributes:
    """``code.*`` of a line that makes calls. Remembered: not to be changed."""
    return {
        names.CODE_FILE: clean_text(callsite.file),
        names.CODE_LINE: callsite.line,
        names.CODE_FUNCTION: clean_text(callsite.function),
    }


def _double(value: Any) -> float | None:
    if type(value) is float and math.isfinite(value):
        return value
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def _int(value: Any) -> int | None:
    return value if type(value) is int and _SMALLEST <= value <= _LARGEST else None


_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def _count_above_one(value: Any) -> int | None:
    count = _int(value)
    return None if count == 1 else count


def _true(value: Any) -> bool | None:
    return True if value is True else None


def _string(value: Any) -> str | None:
    return clean_text(value) if isinstance(value, str) and value else None


def _strings(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, (list, tuple)):
        return None
    return tuple(clean_text(item) for item in value if isinstance(item, str)) or None


PARAMETERS: dict[str, tuple[str, Callable[[Any], AttributeValue | None]]] = {
    "temperature": ("gen_ai.request.temperature", _double),
    "top_p": ("gen_ai.request.top_p", _double),
    "top_k": ("gen_ai.request.top_k", _int),
    "max_tokens": ("gen_ai.request.max_tokens", _int),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", _double),
    "presence_penalty": ("gen_ai.request.presence_penalty", _double),
    "stop_sequences": ("gen_ai.request.stop_sequences", _strings),
    "seed": ("gen_ai.request.seed", _int),
    "choice_count": ("gen_ai.request.choice.count", _count_above_one),
    "reasoning_level": ("gen_ai.request.reasoning.level", _string),
    "output_type": ("gen_ai.output.type", _string),
    "dimensions": ("gen_ai.embeddings.dimension.count", _int),
    "encoding_formats": ("gen_ai.request.encoding_formats", _strings),
    "previous_response": ("gen_ai.request.previous_response.id", _string),
    "conversation": (names.CONVERSATION_ID, _string),
    "prompt_name": ("gen_ai.prompt.name", _string),
    "prompt_version": ("gen_ai.prompt.version", _string),
    "api_type": ("openai.api.type", _string),
    "service_tier": ("openai.request.service_tier", _string),
    "stream_cursor": ("gen_ai.request.stream_cursor", _string),
    "response": (names.RESPONSE_ID, _string),
    "data_source": ("gen_ai.data_source.id", _string),
    "retrieval_top_k": ("gen_ai.retrieval.top_k", _int),
    "has_image": ("aiobs.video.has_image", _true),
    "agent_id": ("gen_ai.agent.id", _string),
    "agent_name": ("gen_ai.agent.name", _string),
}
"""Request parameter → attribute and the coercion that makes its value fit; None leaves it out."""


def _write_request(call: Call, attributes: Attributes) -> None:
    for name, given in call.request.params.items():
        key, coerce = PARAMETERS[name]
        value = coerce(given)
        if value is not None:
            attributes[key] = value
    for name, given in call.request.config.items():
        if (value := _plain(given, is_number=name in _NUMBERS)) is not None:
            attributes[f"{names.REQUEST_CONFIG}.{name}"] = value
    if call.request.stream and call.operation != _UNSTREAMED:
        attributes[names.REQUEST_STREAM] = True
        if call.first_chunk_ns is not None:
            attributes[names.TIME_TO_FIRST_CHUNK] = call.first_chunk_ns / 1e9


_UNSTREAMED = "fetch_response"
"""The conventions know no streams of a stored response, though it can be read as one."""


_NUMBERS = frozenset(
    [
        "add_watermark",
        "base_steps",
        "best_of",
        "binary_color_threshold",
        "confidence_threshold",
        "duration_seconds",
        "echo",
        "enhance_input_image",
        "enhance_prompt",
        "fps",
        "frame_count",
        "frame_duration_ms",
        "generate_audio",
        "guidance_scale",
        "image_preservation_factor",
        "include_rai_reason",
        "include_safety_attributes",
        "limit",
        "logprobs",
        "mask_dilation",
        "max_predictions",
        "number_of_images",
        "number_of_videos",
        "output_compression",
        "output_compression_quality",
        "partial_images",
        "rewrite_query",
        "speed",
    ]
)
"""Parameters of ``Request.config`` that are numbers or truth values: a text in their place may be anybody's."""


def _plain(value: Any, *, is_number: bool) -> AttributeValue | None:
    """A number, a truth value or words, as they are."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, list, tuple)):
        return None if is_number else _strings(value) if not isinstance(value, str) else _string(value)
    return _int(value) if isinstance(value, int) else _double(value)


def _write_response(call: Call, attributes: Attributes) -> None:
    response = call.response
    if response is None:
        return
    for key, name in _IDENTITY:
        if text := getattr(response, name):
            attributes[key] = clean_text(text)
    if response.finish_reasons:
        attributes[names.FINISH_REASONS] = tuple([finish_reason(reason) for reason in response.finish_reasons])
    if response.conversation is not None:
        attributes[names.CONVERSATION_ID] = clean_text(response.conversation)
    if response.agent_id is not None:
        attributes[names.AGENT_ID] = clean_text(response.agent_id)
    if response.agent_name is not None:
        attributes[names.AGENT_NAME] = clean_text(response.agent_name)
    if response.compacted:
        attributes[names.COMPACTED] = True
    if response.status is not None:
        attributes[names.RESPONSE_STATUS] = clean_text(response.status)
    if response.token_count is not None:
        attributes[names.TOKEN_COUNT] = response.token_count
    if response.flagged is not None:
        attributes[names.MODERATION_FLAGGED] = response.flagged
    if response.listed is not None:
        attributes[names.RESPONSE_ITEMS] = response.listed
    for name, number in response.requests.items():
        attributes[_REQUESTS[name]] = number
    if response.usage is not None:
        _write_usage(response.usage, attributes)


_IDENTITY = (
    (names.RESPONSE_ID, "id"),
    (names.RESPONSE_MODEL, "model"),
    (names.SERVICE_TIER, "service_tier"),
    (names.SYSTEM_FINGERPRINT, "system_fingerprint"),
)
_REQUESTS = {"requests": names.BATCH_REQUESTS, "completed": names.BATCH_COMPLETED, "failed": names.BATCH_FAILED}


def finish_reason(reason: Any) -> str:
    """The provider's word for why a choice ended; ``error`` for a reason that was expected and never came."""
    return clean_text(reason) if isinstance(reason, str) and reason else "error"


def _write_usage(usage: Usage, attributes: Attributes) -> None:
    for key, count in zip(_USAGE_NAMES, usage[1:]):  # noqa: B905  # as many; a keyword costs
        if count is not None:
            attributes[key] = count


_USAGE_NAMES = (
    names.INPUT_TOKENS,
    names.OUTPUT_TOKENS,
    names.CACHE_READ_TOKENS,
    names.CACHE_WRITE_TOKENS,
    *(f"gen_ai.usage.{modality}.input_tokens" for modality in MODALITIES),
    names.REASONING_TOKENS,
    *(f"gen_ai.usage.{modality}.output_tokens" for modality in MODALITIES),
    *(f"gen_ai.usage.{modality}.cache_read.input_tokens" for modality in MODALITIES),
    *(f"{names.USAGE}.{unit}" for unit in UNITS),
)
"""Attributes of the counts of ``Usage``, in their order."""


def _write_job_usage(usage: Usage, attributes: Attributes) -> None:
    for name in _OF_JOBS:
        if (tokens := getattr(usage, name)) is not None:
            attributes[f"{names.JOB_USAGE}.{_OF_JOBS[name]}"] = tokens


_OF_JOBS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read.input_tokens",
    "cache_write": "cache_write.input_tokens",
    "reasoning": "reasoning.output_tokens",
}


def _write_failure(failure: Failure, attributes: Attributes) -> None:
    attributes[names.ERROR_TYPE] = clean_text(failure.type)
    attributes[names.ERROR_CODE] = failure.code
    attributes[names.ERROR_RETRYABLE] = failure.retryable
    if failure.status_code is not None:
        attributes[names.HTTP_STATUS] = failure.status_code


def exception_attributes(failure: Failure, *, described: bool) -> Attributes:
    """``exception.*`` of a failure; message and stack trace, which can quote a prompt, only if ``described``."""
    attributes: Attributes = {names.EXCEPTION_TYPE: clean_text(failure.exception_type)}
    if described:
        attributes[names.EXCEPTION_MESSAGE] = clean_text(failure.message)
        if failure.stacktrace:
            attributes[names.EXCEPTION_STACKTRACE] = clean_text(failure.stacktrace)
    return attributes


def output_messages(choices: Iterable[Choice]) -> list[Message]:
    """One message per choice, in order, in the shape of the output messages schema."""
    return [{"role": choice.role, "parts": _parts(choice)} for choice in choices]


def _parts(choice: Choice) -> list[Part]:
    return [_part(part) for part in choice.parts]


def _part(part: Said | ToolCall | Part) -> Part:
    if isinstance(part, Said):
        text = "".join(part.fragments)
        return (
            {"type": "text", "content": text, "refusal": True}
            if part.kind == "refusal"
            else {"type": part.kind, "content": text}
        )
    return tool_call_part(part) if isinstance(part, ToolCall) else part


def tool_call_part(tool: ToolCall) -> Part:
    """A tool call as a message part; arguments that are JSON text become the value they spell."""
    return {
        "type": "tool_call",
        "id": tool.id,
        "name": tool.name,
        "arguments": parsed_arguments("".join(tool.arguments)),
    }


def parsed_arguments(text: str) -> Any:
    """JSON text as the value it spells; text that is no JSON (a stream cut short) stays text."""
    try:
        return from_json(text) if text else None
    except ValueError:
        return text
