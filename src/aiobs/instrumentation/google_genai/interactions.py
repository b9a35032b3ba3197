"""Interactions: how requests, answers and events are read.

``create`` with a model is ``generate_content``: the conventions' word for making content of any kind, which is what
Gemini does here as it does in ``models.generate_content`` (``chat`` would be wrong for the pictures and songs that
interactions make too). With an agent it is ``invoke_agent``: the provider runs the agent, tools and all. Asking after
an interaction is ``fetch_response``, which never has usage: the call that made it has.

The SDK asks for the rest of a long answer by itself. That stays one call and one span, whose usage is the sum: the
answer that a program gets is put together from all of them already.
"""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiobs.call import (
    MODALITIES,
    Call,
    Choice,
    Failure,
    Job,
    Part,
    Prompt,
    Request,
    Response,
    ToolCall,
    Usage,
    total_usage,
)
from aiobs.capture.provider import Method, Operation
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import count, fields_of, get, items
from aiobs.instrumentation.google_genai.fields import bare_model, given, plain, word
from aiobs.instrumentation.google_genai.steps import (
    MEDIA,
    fill_call,
    fold_content,
    fold_step,
    known,
    messages_of,
    tool_of,
    tool_part,
    value_of,
    words,
)
from aiobs.instrumentation.records import answer_record, called_record, usage_record, with_extras

if TYPE_CHECKING:
    from google.genai.interactions import Interaction, InteractionSSEEvent

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop_sequences",
    "seed": "seed",
}
_CONFIG = {"background": bool, "store": bool, "service_tier": str}
_FILE_FIELDS = ("model", "input", "system_instruction", "generation_config")
_TRANSPORT = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "api_version", "request"})


# Requests


def as_sent(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The fields of the body: keywords, or those of a request object, with ``extra_body`` over them."""
    request, extra = kwargs.get("request"), kwargs.get("extra_body")
    body = kwargs if request is None else given(get(request, "body"))
    return {**body, **extra} if isinstance(extra, dict) else body


def model_of(kwargs: dict[str, Any]) -> str | None:
    """The model that goes out, of any call of this SDK."""
    sent = as_sent(kwargs) if "request" in kwargs or "extra_body" in kwargs else kwargs
    return bare_model(words(sent.get("model")))


def agent_of(kwargs: dict[str, Any]) -> str | None:
    """The agent that is to act, if it is one."""
    return words(as_sent(kwargs).get("agent"))


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model or agent, and parameters."""
    sent = as_sent(kwargs)
    config = sent.get("generation_config")
    params = {name: value for key, name in _PARAMETERS.items() if (value := get(config, key)) is not None}
    found = {
        "reasoning_level": words(get(config, "thinking_level")),
        "previous_response": words(sent.get("previous_interaction_id")),
        "output_type": _output_type(sent),
    }
    agent = words(sent.get("agent"))
    if agent is not None:
        found.update(agent_name=agent, agent_id=agent)
    params.update((name, value) for name, value in found.items() if value is not None)
    return Request(
        model=bare_model(words(sent.get("model"))),
        params=params,
        stream=sent.get("stream") is True,
        config={key: value for key, kind in _CONFIG.items() if isinstance(value := sent.get(key), kind)},
    )


def _output_type(sent: dict[str, Any]) -> str | None:
    """What was asked for: a modality beyond text, or a format."""
    wanted = [word(item) for item in items(sent.get("response_modalities"))]
    for modality, output in (("image", "image"), ("audio", "speech")):
        if modality in wanted:
            return output
    formats = sent.get("response_format")
    kinds = {word(get(item, "type")) for item in (formats if isinstance(formats, (list, tuple)) else [formats])}
    if "image" in kinds or "audio" in kinds:
        return "image" if "image" in kinds else "speech"
    mime_type = words(sent.get("response_mime_type")) or words(get(formats, "mime_type"))
    if mime_type is None and isinstance(formats, dict) and formats:
        return "json"  # a schema
    return None if mime_type is None else "json" if mime_type == "application/json" else "text"


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Instructions, input and tools; a one-shot iterator is left to the SDK."""
    sent = as_sent(kwargs)
    told = words(sent.get("system_instruction"))
    return Prompt(
        messages=messages_of(sent.get("input")),
        instructions=[{"type": "text", "content": told}] if told else [],
        tools=[tool for item in items(sent.get("tools")) if (tool := tool_of(item))],
    )


def read_stored(kwargs: dict[str, Any]) -> Request:
    """Which interaction is asked after, and from where on its events are wanted."""
    asked = words(kwargs.get("id"))
    found = {"response": asked, "stream_cursor": words(kwargs.get("last_event_id"))}
    params = {name: value for name, value in found.items() if value is not None}
    return Request(params=params, stream=kwargs.get("stream") is True, job=asked)


# Answers


def read_response(result: Interaction | Any) -> Response:
    """Ids, usage, how far it is and why it ended."""
    response = Response()
    _read(response, result)
    response.usage = read_usage(fields_of(result).get("usage"))
    response.native = result
    return response


def read_fetched(result: Interaction | Any) -> Response:
    """The same of an interaction that was asked after; what it used was counted when it was made."""
    response = read_response(result)
    settle_fetched(response)
    response.status = words(fields_of(result).get("status"))
    return response


def _read(response: Response, result: Any) -> None:
    """What an interaction says of itself, also as it stands in the middle of a stream."""
    fields = fields_of(result)
    status = words(fields.get("status"))
    response.id = words(fields.get("id")) or response.id
    response.model = bare_model(words(fields.get("model"))) or response.model
    if status is not None:
        _read_status(response, status)
    if status == "failed":
        response.failure = _failure(next(iter(items(fields.get("errors"))), None))


def _read_status(response: Response, status: str) -> None:
    reason = None if status in _GOES_ON else _REASONS.get(status, status)
    response.finish_reasons = [] if reason is None else [reason]
    response.job = None if response.id is None else Job(response.id, status not in _GOES_ON)


_GOES_ON = ("in_progress", "queued")
_REASONS = {
    "completed": "stop",
    "requires_action": "tool_calls",
    "requires_continuation": "continuation",
    "failed": "error",
}
"""Status → finish reason in the words of other operations; any other status is a reason itself."""


def _failure(error: Any) -> Failure:
    return answered_error(words(get(error, "code")), words(get(error, "message")))


def read_usage(usage: Any) -> Usage | None:
    """Tokens by the conventions: what tools put into the prompt is input, thoughts are output."""
    counts = fields_of(usage)
    asked, tools = count(counts.get("total_input_tokens")), count(counts.get("total_tool_use_tokens"))
    said, thoughts = count(counts.get("total_output_tokens")), count(counts.get("total_thought_tokens"))
    native = {name: value for name, value in counts.items() if type(value) is int}
    if not native:
        return None
    return Usage(
        input=_sum(asked, tools),
        output=_sum(said, thoughts),
        cache_read=count(counts.get("total_cached_tokens")),
        reasoning=thoughts,
        native=native,
        **_split(counts),
    )


def _split(counts: Any) -> dict[str, int]:
    split: dict[str, int] = {}
    for name, kind in _DETAILS:
        for detail in items(counts.get(name)):
            modality, tokens = word(get(detail, "modality")), count(get(detail, "tokens"))
            if modality in MODALITIES and tokens is not None:
                share = f"{kind}_{modality}"
                split[share] = split.get(share, 0) + tokens
    return split


_DETAILS = (
    ("input_tokens_by_modality", "input"),
    ("tool_use_tokens_by_modality", "input"),
    ("output_tokens_by_modality", "output"),
    ("cached_tokens_by_modality", "cache_read"),
)


def _sum(*counts: int | None) -> int | None:
    known_counts = [tokens for tokens in counts if tokens is not None]
    return sum(known_counts) if known_counts else None


def read_choices(result: Interaction | Any) -> dict[int, Choice]:
    """The steps as one choice."""
    choice = Choice()
    fields = fields_of(result)
    for step in items(fields.get("steps")) or items(fields.get("outputs")):
        fold_step(choice, step)
    return {0: choice} if choice.parts else {}


# Streams


@dataclass(slots=True)
class Told:
    """What a stream has told so far.

    ``hops`` is the usage of each request that has ended, ``running`` that of the one which goes on, ``open`` the step
    of each index, as it is filled, ``hashed`` the bytes of pictures and sound that come in pieces.
    """

    hops: list[Usage] = field(default_factory=list)
    running: Usage | None = None
    open: dict[Any, Any] = field(default_factory=dict)
    hashed: dict[Any, Any] = field(default_factory=dict)


def fold_chunk(response: Response, chunk: InteractionSSEEvent | Any) -> None:
    """Add one event."""
    event = known(chunk)
    if response.native is None:
        response.native = Told()
    kind = get(event, "event_type")
    if kind in _PIECES:
        if response.wants_content:
            _fold_piece(response, get(event, "index"), known(get(event, "delta")))
    elif (read := _EVENTS.get(kind)) is not None:
        read(response, response.native, event)
    elif get(event, "error") is not None:
        _fold_error(response, response.native, event)


def _fold_created(response: Response, told: Told, event: Any) -> None:
    """A request has begun; the first one, or one that asks for the rest."""
    _read(response, get(event, "interaction"))
    told.open.clear()
    response.choices.setdefault(0, Choice()).finish_reason = None


def _fold_status(response: Response, told: Told, event: Any) -> None:
    response.id = words(get(event, "interaction_id")) or response.id
    if (status := words(get(event, "status"))) is not None:
        _read_status(response, status)
        _end_choice(response)
    told.running = read_usage(get(event, "usage")) or told.running


def _fold_completed(response: Response, told: Told, event: Any) -> None:
    """A request has ended."""
    interaction = get(event, "interaction")
    _read(response, interaction)
    _end_choice(response)
    used, told.running = read_usage(get(interaction, "usage")) or told.running, None
    if used is not None:
        told.hops.append(used)


def _end_choice(response: Response) -> None:
    reasons = response.finish_reasons
    response.choices.setdefault(0, Choice()).finish_reason = reasons[0] if reasons else None


def _fold_error(response: Response, told: Told, event: Any) -> None:
    response.failure = _failure(get(event, "error"))
    response.choices.setdefault(0, Choice()).finish_reason = "error"


def _fold_start(response: Response, told: Told, event: Any) -> None:
    """A step begins; of a call, its name."""
    if not response.wants_content:
        return
    step = known(get(event, "step") or get(event, "content"))
    kind, choice = words(get(step, "type")) or "", response.choices.setdefault(0, Choice())
    before = len(choice.parts)
    fold_step(choice, step)
    told.open[get(event, "index")] = choice.parts[-1] if len(choice.parts) > before else kind


def _fold_stop(response: Response, told: Told, event: Any) -> None:
    told.running = read_usage(get(event, "usage")) or told.running


_PIECES = frozenset({"step.delta", "content.delta"})
_EVENTS = {
    "interaction.created": _fold_created,
    "interaction.start": _fold_created,
    "interaction.status_update": _fold_status,
    "interaction.completed": _fold_completed,
    "interaction.complete": _fold_completed,
    "step.start": _fold_start,
    "content.start": _fold_start,
    "step.stop": _fold_stop,
    "error": _fold_error,
}


def _fold_piece(response: Response, index: Any, delta: Any) -> None:
    """A piece of a step: text, mostly."""
    choice, kind = response.choices.setdefault(0, Choice()), get(delta, "type")
    if kind == "text":
        choice.say("text", words(get(delta, "text")) or "")
    elif kind == "thought_summary":
        choice.say("reasoning", words(get(known(get(delta, "content")), "text")) or "")
    elif kind in ("arguments_delta", "function_call"):
        _fold_arguments(response.native.open.get(index), delta)
    elif not isinstance(kind, str):
        return
    elif kind in MEDIA:
        _fold_media(response.native, choice, index, delta)
    elif kind.endswith(("_call", "_result")):
        _fold_tool(response.native, choice, index, delta)


def _fold_arguments(call: Any, delta: Any) -> None:
    if not isinstance(call, ToolCall):
        return
    if isinstance(piece := get(delta, "arguments"), str):
        call.arguments.append(piece)
    else:
        fill_call(call, delta)


def _fold_tool(told: Told, choice: Choice, index: Any, delta: Any) -> None:
    """What a tool of the provider's was asked, or found: the last word on it counts."""
    part = tool_part(words(get(delta, "type")) or "", delta)
    begun = told.open.get(index)
    if isinstance(begun, dict) and begun["type"] == part["type"]:
        begun.update({key: value for key, value in part.items() if value is not None})
    else:
        choice.parts.append(part)


def _fold_media(told: Told, choice: Choice, index: Any, delta: Any) -> None:
    """A piece of a picture or a sound: all pieces of a step are one blob."""
    data = get(delta, "data")
    if not isinstance(data, str):
        fold_content(choice, delta)
        return
    part, seen = told.hashed.get(index) or _begin_blob(told, choice, index, delta)
    try:
        piece = binascii.a2b_base64(data)
    except ValueError:
        piece = data.encode("utf-8", "replace")
    seen.update(piece)
    part["size"] += len(piece)
    part["sha256"] = seen.hexdigest()


def _begin_blob(told: Told, choice: Choice, index: Any, delta: Any) -> tuple[Part, Any]:
    part: Part = {
        "type": "blob",
        "modality": words(get(delta, "type")) or "document",
        "mime_type": words(get(delta, "mime_type")),
        "content": "",
        "size": 0,
    }
    choice.parts.append(part)
    told.hashed[index] = begun = part, hashlib.sha256()
    return begun


def settle(response: Response) -> None:
    """The usage of all requests, those that were broken off included."""
    told = response.native
    if isinstance(told, Told):
        response.usage = total_usage([*told.hops, *([told.running] if told.running is not None else [])])


def settle_fetched(response: Response) -> None:
    """Of an interaction that was asked after: how far it is; what it used belongs to the job."""
    if isinstance(response.native, Told):
        settle(response)
    if response.job is not None and response.job.is_done:
        response.job.usage = response.usage
    response.usage = None


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, system_instruction, generation_config, other``: the request as it was passed."""
    sent = as_sent(call.request.kwargs)
    other = {key: plain(value) for key, value in sent.items() if key not in (*_FILE_FIELDS, *_TRANSPORT)}
    return {**{key: plain(sent.get(key)) for key in _FILE_FIELDS}, "model": call.request.model, "other": other}


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, text, usage, finish_reason, status`` and what else the answer had; None without an answer."""
    response = call.response
    if response is None:
        return None
    choice = response.choices.get(0, Choice())
    whole = None if isinstance(response.native, Told) else fields_of(response.native)
    record = answer_record(
        response,
        choice.said("text"),
        usage=usage_record(response.usage or call.job_usage),
        finish_reasons=response.finish_reasons,
        status=words(whole.get("status")) if whole is not None else response.status,
    )
    return with_extras(
        record,
        call,
        tool_calls=[called_record(part) for part in choice.parts if isinstance(part, ToolCall)],
        reasoning=choice.said("reasoning"),
        steps=_kept(whole) if whole is not None and response.wants_content else None,
    )


def _kept(whole: Any) -> list[Any]:
    """The steps as they came, where they hold more than text."""
    steps = items(whole.get("steps")) or items(whole.get("outputs"))
    return [value_of(step) for step in steps if words(get(known(step), "type")) not in ("thought", "text")]


# The table

_NEW = "google.genai._gaos.google_genai"
_OLD = "google.genai._interactions.resources.interactions"
"""Where they are since 2.9, and where they were from 1.55 on. Importing either takes most of a second, so they are
wrapped when the program imports them. The generated classes below the first make one request of a continuation each.
"""


def _methods(name: str, *requires: str) -> tuple[Method, ...]:
    return (
        Method(_NEW, f"GeminiNextGenInteractions.{name}", requires=requires),
        Method(_NEW, f"AsyncGeminiNextGenInteractions.{name}", is_async=True, requires=requires),
        Method(_OLD, f"InteractionsResource.{name}"),
        Method(_OLD, f"AsyncInteractionsResource.{name}", is_async=True),
    )


_CREATES: dict[str, Any] = {
    "api": "interactions.create",
    "read_request": read_request,
    "read_response": read_response,
    "read_prompt": read_prompt,
    "read_choices": read_choices,
    "fold_chunk": fold_chunk,
    "settle": settle,
    "session_request": session_request,
    "session_response": session_response,
    "has_jobs": True,
}
_AGENT = Operation(name="invoke_agent", methods=(), named_after=agent_of, **_CREATES)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="generate_content",
        methods=_methods("create"),
        instead=lambda kwargs: _AGENT if agent_of(kwargs) is not None else None,
        **_CREATES,
    ),
    Operation(
        name="fetch_response",
        api="interactions.get",
        methods=_methods("get", "id", "stream"),
        read_request=read_stored,
        read_response=read_fetched,
        read_choices=read_choices,
        fold_chunk=fold_chunk,
        settle=settle_fetched,
        session_response=session_response,
        positional=("id",),
        has_jobs=True,
    ),
    Operation(
        name="cancel_response",
        api="interactions.cancel",
        methods=_methods("cancel", "id"),
        read_request=read_stored,
        read_response=read_fetched,
        session_response=session_response,
        positional=("id",),
        has_jobs=True,
    ),
)
