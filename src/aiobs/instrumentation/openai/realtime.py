"""Realtime and Live: how the events of their connections are read. Beta and today's interface differ in names only.

A response of Realtime is one choice, put together from its pieces and, at ``response.done``, from its items. Sound is
never kept: its size and hash are, where content is wanted. Live counts seconds for the session as a whole; responses in
it are those that it delegates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiobs.call import (
    MODALITIES,
    Call,
    Choice,
    Message,
    Part,
    Prompt,
    Request,
    Response,
    Said,
    Tool,
    Usage,
    total_usage,
)
from aiobs.capture.inputs import LONGEST, Sound
from aiobs.capture.provider import NOTHING, Ending, Method, Operation, Seam, Sign, Socket, Step
from aiobs.capture.sockets import close
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import count, fields_of, get, items, text
from aiobs.instrumentation.openai import items as response_items
from aiobs.instrumentation.openai import responses
from aiobs.instrumentation.openai.items import fold_item
from aiobs.instrumentation.openai.media import image_part
from aiobs.instrumentation.records import units_record, usage_record
from aiobs.semconv.encode import parsed_arguments

Reader = Callable[[Any], Sign]


def read_ending(error: BaseException) -> Ending | None:
    """What the websockets library raises for a connection that is no more; by name, as it need not be installed."""
    names = {base.__name__ for base in type(error).__mro__}
    if "ConnectionClosedOK" in names:
        return Ending.CLOSED
    return Ending.BROKEN if "ConnectionClosed" in names else None


def initial(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The model, where the address names it."""
    model = text(kwargs.get("model"))
    return {"model": model} if model else {}


# What the program sends


def read_sent(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], wants_content: bool) -> Sign:
    """Of what one client event tells."""
    event = args[0] if args else kwargs.get("event")
    read = _SENT.get(text(get(event, "type")) or "")
    if read is None:
        return NOTHING
    return read(event) if wants_content or read not in _OF_CONTENT else NOTHING


def _asked(event: Any) -> Sign:
    given = get(event, "response")
    asked = {key: value for key, value in fields_of(given).items() if value is not None}
    return Sign(Step.ASKED, text(get(event, "event_id")), asked=asked)


def _update(event: Any) -> Sign:
    return Sign(settings=fields_of(get(event, "session")))


def _item(event: Any) -> Sign:
    return Sign(messages=tuple(messages_of([get(event, "item")])))


def _append(event: Any) -> Sign:
    audio = get(event, "audio")
    return Sign(sound=(None, audio)) if isinstance(audio, (str, bytes)) else NOTHING


def _clear(event: Any) -> Sign:
    return Sign(clears=True)


def _told(event: Any) -> Sign:
    content = get(event, "content")
    part: Part = {"type": "text", "content": content}
    return Sign(messages=({"role": "developer", "parts": [part]},)) if isinstance(content, str) else NOTHING


_SENT: dict[str, Reader] = {
    "response.create": _asked,
    "session.start": _update,
    "session.update": _update,
    "conversation.item.create": _item,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.clear": _clear,
    "session.input_audio_buffer.append": _append,
    "session.instructions.append": _told,
    "session.thinking.append": _told,
    "session.commentary.append": _told,
}
_OF_CONTENT = (_item, _append, _clear, _told)


def messages_of(given: Any) -> list[Message]:
    """Items of a conversation as messages."""
    return [message for item in items(given) for message in _messages(item)]


def _messages(item: Any) -> list[Message]:
    kind = get(item, "type")
    if kind == "message":
        parts = [part for each in items(get(item, "content")) if (part := _part(each)) is not None]
        return [{"role": str(get(item, "role") or "user"), "parts": parts}]
    if kind == "function_call_output":
        output = get(item, "output")
        answer = parsed_arguments(output) if isinstance(output, str) else output
        return [{"role": "tool", "parts": [{"type": "tool_call_response", "id": _call_id(item), "response": answer}]}]
    if kind == "function_call":
        return [{"role": "assistant", "parts": [_call_part(item)]}]
    return [{"role": "user", "parts": [{"type": str(kind)}]}] if isinstance(kind, str) else []


def _call_id(item: Any) -> str | None:
    return text(get(item, "call_id"))


def _call_part(item: Any) -> Part:
    arguments = get(item, "arguments")
    return {
        "type": "tool_call",
        "id": _call_id(item),
        "name": str(get(item, "name") or ""),
        "arguments": parsed_arguments(arguments) if isinstance(arguments, str) else None,
    }


def _part(part: Any) -> Part | None:
    kind = get(part, "type")
    if kind == "input_image":
        return image_part(get(part, "image_url"))
    if isinstance(said := get(part, "text") or get(part, "transcript"), str):
        return {"type": "text", "content": said}
    if isinstance(audio := get(part, "audio"), (str, bytes)):
        sound = Sound(None)
        sound.add(audio)
        return sound.part()
    return {"type": str(kind)} if isinstance(kind, str) else None


# What the program receives


def read_received(event: Any, wants_content: bool) -> Sign:
    """Of what one server event tells."""
    kind = text(get(event, "type")) or ""
    read = _RECEIVED.get(kind)
    if read is not None:
        return read(event)
    return Sign(Step.GOES_ON, text(get(event, "response_id"))) if kind.startswith("response.") else NOTHING


def _created(event: Any) -> Sign:
    return Sign(Step.CREATED, text(get(get(event, "response"), "id")))


def _done(event: Any) -> Sign:
    response = get(event, "response")
    is_cut = get(response, "status") == "cancelled"
    return Sign(Step.BREAKS_OFF if is_cut else Step.ENDS, text(get(response, "id")))


def _session(event: Any) -> Sign:
    return Sign(Step.SESSION, settings=fields_of(get(event, "session")))


def _about_session(event: Any) -> Sign:
    return Sign(Step.SESSION)


def _committed(event: Any) -> Sign:
    return Sign(item=text(get(event, "item_id")))


def _transcribed(event: Any) -> Sign:
    return Sign(Step.SESSION, item=text(get(event, "item_id")), transcript=text(get(event, "transcript")))


def _trouble(event: Any) -> Sign:
    return Sign(Step.TROUBLE, text(get(get(event, "error"), "event_id")) or text(get(event, "client_event_id")))


_RECEIVED: dict[str, Reader] = {
    "session.created": _session,
    "session.updated": _session,
    "conversation.created": _about_session,
    "input_audio_buffer.committed": _committed,
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "response.created": _created,
    "response.done": _done,
    "error": _trouble,
}


# Settings: a session's, with what a response asked for over them


def read_session(kwargs: dict[str, Any]) -> Request:
    """The model that the address names, and the newest settings."""
    return Request(
        model=text(kwargs.get("model")), params=_params(kwargs["settings"]), config=_config(kwargs["settings"])
    )


def read_request(kwargs: dict[str, Any]) -> Request:
    """What was asked for, over the session's settings."""
    settings = _in_effect(kwargs)
    return Request(model=text(kwargs.get("model")), params=_params(settings), config=_config(settings), stream=True)


def _in_effect(kwargs: dict[str, Any]) -> Mapping[str, Any]:
    return {**kwargs["settings"], **(kwargs.get("asked") or {})}


def _params(settings: Mapping[str, Any]) -> dict[str, Any]:
    modalities = _modalities(settings)
    prompt = settings.get("prompt")
    found = {
        "temperature": _number(settings.get("temperature")),
        "max_tokens": _limit(_first(settings, "max_output_tokens", "max_response_output_tokens")),
        "output_type": "speech" if "audio" in modalities else "text" if "text" in modalities else None,
        "reasoning_level": get(settings.get("reasoning"), "effort"),
        "prompt_name": get(prompt, "id"),
        "prompt_version": get(prompt, "version"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _config(settings: Mapping[str, Any]) -> dict[str, Any]:
    made, heard = get(settings.get("audio"), "output"), get(settings.get("audio"), "input")
    both = get(settings.get("audio"), "format")
    voice = settings.get("voice") or get(made, "voice")
    detection = settings.get("turn_detection") or get(heard, "turn_detection")
    transcription = settings.get("input_audio_transcription") or get(heard, "transcription")
    found = {
        "modalities": _modalities(settings) or None,
        "voice": voice if isinstance(voice, str) else get(voice, "id"),
        "speed": settings.get("speed") or get(made, "speed"),
        "language": get(made, "language"),
        "input_audio_format": _format(settings.get("input_audio_format") or get(heard, "format") or both),
        "output_audio_format": _format(settings.get("output_audio_format") or get(made, "format") or both),
        "turn_detection": get(detection, "type"),
        "transcription_model": get(transcription, "model"),
    }
    return {name: value for name, value in found.items() if isinstance(value, (str, int, float, tuple))}


def _modalities(settings: Mapping[str, Any]) -> tuple[str, ...]:
    given = _first(settings, "output_modalities", "modalities")
    return tuple(item for item in items(given) if isinstance(item, str))


def _first(settings: Mapping[str, Any], *names: str) -> Any:
    return next((value for name in names if (value := settings.get(name)) is not None), None)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None


def _limit(value: Any) -> Any:
    """A number, or the word for none; any other text may be anybody's."""
    return value if value == "inf" else _number(value)


def _format(given: Any) -> str | None:
    return given if isinstance(given, str) else text(get(given, "type"))


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Instructions and tools that hold for a response, and what was put in since the one before it."""
    settings = _in_effect(kwargs)
    instructions, variables = settings.get("instructions"), get(settings.get("prompt"), "variables")
    asked = kwargs.get("asked") or {}
    return Prompt(
        messages=[*kwargs["inputs"].messages, *messages_of(asked.get("input"))],
        instructions=[{"type": "text", "content": instructions}] if isinstance(instructions, str) else [],
        tools=[_tool(item) for item in items(settings.get("tools"))],
        variables=dict(variables) if isinstance(variables, dict) else {},
    )


def _tool(item: Any) -> Tool:
    return {
        "type": str(get(item, "type") or "function"),
        "name": str(get(item, "name") or get(item, "server_label") or ""),
        "description": get(item, "description"),
        "parameters": get(item, "parameters"),
    }


# Responses


def fold_chunk(response: Response, event: Any) -> None:
    """Add one event of a response."""
    kind = text(get(event, "type")) or ""
    if kind in ("response.created", "response.done"):
        _read(response, get(event, "response"))
    elif kind == "error":
        _fail(response, get(event, "error"))
    elif response.wants_content and (read := _PIECES.get(kind)) is not None:
        read(response.choices.setdefault(0, Choice()), event)


def _say(choice: Choice, event: Any) -> None:
    if isinstance(delta := get(event, "delta"), str):
        choice.say("text", delta)


def _argue(choice: Choice, event: Any) -> None:
    if isinstance(delta := get(event, "delta"), str):
        choice.call(text(get(event, "item_id"))).arguments.append(delta)


def _added(choice: Choice, event: Any) -> None:
    item = get(event, "item")
    if get(item, "type") == "function_call":
        call = choice.call(text(get(item, "id")))
        call.id, call.name = _call_id(item), str(get(item, "name") or "")


def _sound(choice: Choice, event: Any) -> None:
    if not isinstance(delta := get(event, "delta"), (str, bytes)):
        return
    sound = next((part for part in choice.parts if isinstance(part, Sounding)), None)
    if sound is None:
        choice.parts.insert(0, sound := Sounding())  # first, so that what is said stays one run of text
    sound.sound.add(delta)


class Sounding(Said):
    """Sound that is still coming, among the parts of a choice."""

    def __init__(self) -> None:
        super().__init__("sound", [])
        self.sound = Sound(None)


_PIECES: dict[str, Callable[[Choice, Any], None]] = {
    "response.output_text.delta": _say,
    "response.text.delta": _say,
    "response.output_audio_transcript.delta": _say,
    "response.audio_transcript.delta": _say,
    "response.function_call_arguments.delta": _argue,
    "response.output_item.added": _added,
    "response.output_audio.delta": _sound,
    "response.audio.delta": _sound,
}


def _read(response: Response, answer: Any) -> None:
    """Ids, usage and why it ended."""
    fields = fields_of(answer)
    response.id = text(fields.get("id")) or response.id
    response.conversation = text(fields.get("conversation_id")) or response.conversation
    response.usage = read_usage(fields.get("usage")) or response.usage
    response.native = answer
    status, details = text(fields.get("status")), fields.get("status_details")
    choice = response.choices.setdefault(0, Choice())
    if status == "failed":
        _fail(response, get(details, "error"))
    else:
        choice.finish_reason = _finish_reason(status, details, fields.get("output"))


def _finish_reason(status: str | None, details: Any, output: Any) -> str | None:
    """In the words of chat completions; None while it is made."""
    if status == "completed":
        calls = any(get(item, "type") == "function_call" for item in items(output))
        return "tool_calls" if calls else "stop"
    if status == "incomplete":
        reason = text(get(details, "reason"))
        return "length" if reason == "max_output_tokens" else reason
    return "cancelled" if status == "cancelled" else None


def _fail(response: Response, error: Any) -> None:
    response.failure = answered_error(get(error, "code") or get(error, "type"), get(error, "message"))
    response.choices.setdefault(0, Choice()).finish_reason = "error"


def read_usage(usage: Any) -> Usage | None:
    """Tokens in and out, cached, and by modality; what was cached is part of what went in."""
    if usage is None:
        return None
    spent, made = get(usage, "input_token_details"), get(usage, "output_token_details")
    cached = get(spent, "cached_tokens_details")
    shares = {"input": spent, "output": made, "cache_read": cached}
    counts = {name: get(usage, name) for name in ("input_tokens", "output_tokens", "total_tokens")}
    return Usage(
        input=count(counts["input_tokens"]),
        output=count(counts["output_tokens"]),
        cache_read=count(get(spent, "cached_tokens")),
        native={name: value for name, value in counts.items() if type(value) is int},
        **{share: count(get(shares[kind], name)) for share, kind, name in _SHARES},
    )


_SHARES = tuple(
    (f"{kind}_{modality}", kind, f"{modality}_tokens")
    for kind in ("input", "output", "cache_read")
    for modality in MODALITIES
)


def settle(response: Response) -> None:
    """A response that came to its end has all its items in it, which count more than the pieces; sound has not."""
    choice = response.choices.get(0)
    if choice is None or not response.wants_content:
        return
    sounds = [part.sound.part() for part in choice.parts if isinstance(part, Sounding)]
    choice.parts = [part for part in choice.parts if not isinstance(part, Sounding)]
    whole = Choice()
    for item in items(get(response.native, "output")):
        _fold_item(whole, item)
    if whole.parts:
        choice.parts, choice.calls = whole.parts, whole.calls
    choice.parts.extend(sounds)


def _fold_item(choice: Choice, item: Any) -> None:
    if get(item, "type") != "message":
        fold_item(choice, item)
        return
    for part in items(get(item, "content")):
        if isinstance(said := get(part, "text") or get(part, "transcript"), str):
            choice.say("text", said)


# Sessions


def fold_session(response: Response, event: Any) -> None:
    """What is learned of a session: who it is, what it used beside its responses."""
    kind = get(event, "type")
    if kind in ("session.created", "session.updated", "session.started", "session.closed"):
        session = get(event, "session")
        response.id = text(get(session, "id")) or response.id
        response.model = text(get(session, "model")) or response.model
        response.conversation = response.conversation or response.id
    elif kind == "conversation.created":
        response.conversation = text(get(get(event, "conversation"), "id")) or response.conversation
    read = _USED.get(str(kind))
    if read is not None:
        read(response, event)


def _transcription(response: Response, event: Any) -> None:
    """Transcripts are made by a model of their own and counted apart from the responses."""
    usage = get(event, "usage")
    used = read_usage(usage) if get(usage, "type") == "tokens" else Usage(seconds=_seconds(usage))
    if used is not None:
        response.usage = total_usage([response.usage, used]) if response.usage is not None else used


def _so_far(response: Response, event: Any) -> None:
    """Seconds are totals of the session."""
    if (seconds := _seconds(get(event, "usage"))) is not None:
        response.usage = Usage(seconds=seconds)


def _seconds(usage: Any) -> float | None:
    given = get(usage, "seconds")
    return float(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else None


def _spoken(response: Response, event: Any) -> None:
    """A piece of what was said; a session can go on for long, so that what is kept is bounded."""
    delta, kept = get(event, "delta"), response.native or 0
    if response.wants_content and isinstance(delta, str) and kept < LONGEST:
        response.choices.setdefault(0, Choice()).say("text", delta[: LONGEST - kept])
        response.native = kept + len(delta)


_USED: dict[str, Callable[[Response, Any], None]] = {
    "conversation.item.input_audio_transcription.completed": _transcription,
    "session.usage.updated": _so_far,
    "session.closed": _so_far,
    "session.output_transcript.delta": _spoken,
}


def read_session_prompt(kwargs: dict[str, Any]) -> Prompt:
    """What a session was told that had no response of its own."""
    inputs = kwargs.get("inputs")
    return read_prompt({**kwargs, "asked": None}) if inputs is not None else Prompt([])


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, instructions, input, other``: what holds for the response and what was put in."""
    given = call.request.kwargs
    settings = _in_effect(given) if given else {}
    inputs = given.get("inputs")
    asked = given.get("asked") or {}
    put_in = [*inputs.messages, *messages_of(asked.get("input"))] if inputs is not None else []
    return {
        "model": call.request.model,
        "instructions": settings.get("instructions"),
        "input": put_in,
        "other": {**call.request.config, **call.request.params},
    }


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, text, usage, finish_reason``, tool calls; None without an answer."""
    response = call.response
    if response is None:
        return None
    choice = response.choices.get(0, Choice())
    record: dict[str, Any] = {
        "id": response.id,
        "model": response.model or call.request.model,
        "text": choice.said("text"),
        "usage": usage_record(response.usage),
        "finish_reason": response.finish_reasons[0] if response.finish_reasons else None,
    }
    extra = {
        "conversation": response.conversation,
        "units": units_record(response.usage),
        "tool_calls": [
            {"id": call.id, "type": call.type, "function": {"name": call.name, "arguments": "".join(call.arguments)}}
            for call in choice.calls.values()
        ],
        "media": [part for part in choice.parts if isinstance(part, dict) and part.get("type") == "blob"],
        "ttft_ms": round(call.first_chunk_ns / 1e6, 3) if call.first_chunk_ns is not None else None,
        "incomplete": call.incomplete or None,
    }
    return {**record, **{key: value for key, value in extra.items() if value}}


# Responses over a connection: the answers and events of the Responses API


def read_sent_of_responses(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], wants_content: bool) -> Sign:
    """A request is one event."""
    event = args[0] if args else kwargs.get("event")
    if get(event, "type") != "response.create":
        return NOTHING
    asked = {key: value for key, value in fields_of(event).items() if value is not None and key != "type"}
    return Sign(Step.ASKED, text(asked.get("stream_id")), asked=asked)


def read_received_of_responses(event: Any, wants_content: bool) -> Sign:
    """The events of the Responses API; those of a lane have its name."""
    step = _STEPS.get(kind := text(get(event, "type")) or "")
    if step is None and not kind.startswith("response."):
        return NOTHING
    return Sign(step or Step.GOES_ON, text(get(event, "stream_id")))


_STEPS = {
    "response.created": Step.CREATED,
    "response.completed": Step.ENDS,
    "response.incomplete": Step.ENDS,
    "response.failed": Step.ENDS,
    "error": Step.FAILS,
}


def fold_response(response: Response, event: Any) -> None:
    """An event of the Responses API; over a connection an error lies one level deeper."""
    if get(event, "type") == "error":
        _fail(response, get(event, "error") or event)
    else:
        responses.fold_chunk(response, event)


def _request_of_response(kwargs: dict[str, Any]) -> Request:
    request = responses.read_request(kwargs.get("asked") or {})
    request.model, request.stream = request.model or text(kwargs.get("model")), True
    return request


def _prompt_of_response(kwargs: dict[str, Any]) -> Prompt:
    return response_items.read_prompt(kwargs.get("asked") or {})


def _session_request_of_response(call: Call) -> dict[str, Any]:
    given = call.request.kwargs
    call.request.kwargs = given.get("asked") or {}
    return responses.session_request(call)


# Live


def read_received_of_live(event: Any, wants_content: bool) -> Sign:
    """The session's events, and those of responses that it delegates, which lie one level deeper."""
    kind = text(get(event, "type")) or ""
    if kind == "response.event":
        return _delegated(event, get(event, "event"))
    if kind == "session.input_transcript.delta":
        return Sign(transcript=text(get(event, "delta")))
    read = _RECEIVED_OF_LIVE.get(kind)
    return read(event) if read is not None else NOTHING


def _delegated(event: Any, inner: Any) -> Sign:
    sign = read_received_of_responses(inner, False)
    if sign is NOTHING:
        return NOTHING
    model = text(get(get(inner, "response"), "model"))
    return sign._replace(key=text(get(event, "delegation_id")), chunk=inner, asked={"model": model} if model else None)


_RECEIVED_OF_LIVE: dict[str, Reader] = {
    "session.created": _session,
    "session.started": _session,
    "session.updated": _session,
    "session.closed": _session,
    "session.usage.updated": _about_session,
    "session.output_transcript.delta": _about_session,
}


def read_fork(kwargs: dict[str, Any]) -> Request:
    """Of a session that goes on from where a stored one was; it is a session of its own."""
    request = read_session(kwargs)
    if (stored := text(kwargs.get("session_id"))) is not None:
        request.config["session_id"] = stored
    return request


def read_sideband(kwargs: dict[str, Any]) -> Request:
    """Of a second connection to a session that another one has opened."""
    request = read_session(kwargs)
    if (session := text(kwargs.get("session_id"))) is not None:
        request.params["conversation"] = session
    return request


def _request_of_delegation(kwargs: dict[str, Any]) -> Request:
    return Request(model=text(kwargs.get("model")), params={"api_type": "responses"}, stream=True)


# The tables

_SESSION = Operation(
    name="realtime_session",
    api="realtime.connect",
    methods=(),
    read_request=read_session,
    read_response=lambda result: Response(),
    fold_chunk=fold_session,
    session_request=session_request,
    session_response=session_response,
)
_RESPONSE = Operation(
    name="chat",
    api="realtime.connect",
    methods=(),
    read_request=read_request,
    read_response=lambda result: Response(),
    read_prompt=read_prompt,
    fold_chunk=fold_chunk,
    settle=settle,
    session_request=session_request,
    session_response=session_response,
)


def _operation(of: Operation, api: str, **changes: Any) -> Operation:
    return Operation(**{**vars(of), "api": api, **changes})


def _socket(api: str, module: str, resource: str, connection: str, **readers: Any) -> Socket:
    """The methods of one resource and its two connections, sync and async."""

    def methods(name: str, *, asyncs: bool = True, manager: bool = False) -> tuple[Method, ...]:
        owner = f"{connection}ConnectionManager" if manager else f"{connection}Connection"
        return (
            Method(module, f"{owner}.{name}"),
            Method(module, f"Async{owner}.{name.replace('__enter', '__aenter')}", is_async=asyncs),
        )

    return Socket(
        api=api,
        connects=(Method(module, f"{resource}.connect"), Method(module, f"Async{resource}.connect")),
        enters=(*methods("enter", manager=True), *methods("__enter__", manager=True)),
        sends=methods("send"),
        receives=methods("recv"),
        closes=methods("close"),
        read_ending=read_ending,
        initial=initial,
        **readers,
    )


_OF_REALTIME = {"read_sent": read_sent, "read_received": read_received}
_OF_RESPONSE = _operation(
    _RESPONSE,
    "responses.connect",
    read_request=_request_of_response,
    read_prompt=_prompt_of_response,
    fold_chunk=fold_response,
    settle=responses.settle,
    session_request=_session_request_of_response,
    session_response=responses.session_response,
)
_OF_RESPONSES = {
    "read_sent": read_sent_of_responses,
    "read_received": read_received_of_responses,
    "session": _operation(_SESSION, "responses.connect"),
    "response": _OF_RESPONSE,
    "since": "2.54",
}

_OF_LIVE = _operation(_SESSION, "live.connect", read_prompt=read_session_prompt)


def _live(api: str, module: str, resource: str, **readers: Any) -> Socket:
    """A connection to a session of Live."""
    delegated = _operation(
        _RESPONSE, api, read_request=_request_of_delegation, fold_chunk=fold_response, settle=responses.settle
    )
    common = {"read_sent": read_sent, "read_received": read_received_of_live, "session": _OF_LIVE}
    return _socket(api, module, resource, resource, response=delegated, **{**common, **readers})


SOCKETS = (
    _socket(
        "realtime.connect",
        "openai.resources.realtime.realtime",
        "Realtime",
        "Realtime",
        session=_SESSION,
        response=_RESPONSE,
        **_OF_REALTIME,
    ),
    _socket(
        "beta.realtime.connect",
        "openai.resources.beta.realtime.realtime",
        "Realtime",
        "Realtime",
        session=_operation(_SESSION, "beta.realtime.connect"),
        response=_operation(_RESPONSE, "beta.realtime.connect"),
        **_OF_REALTIME,
    ),
    _socket("responses.connect", "openai.resources.responses.responses", "Responses", "Responses", **_OF_RESPONSES),
    _socket(
        "beta.responses.connect",
        "openai.resources.beta.responses.responses",
        "Responses",
        "Responses",
        **{
            **_OF_RESPONSES,
            "session": _operation(_SESSION, "beta.responses.connect"),
            "response": _operation(_OF_RESPONSE, "beta.responses.connect"),
        },
    ),
    _live("live.connect", "openai.resources.live.live", "Live"),
    _live(
        "live.forks.connect",
        "openai.resources.live.forks",
        "Forks",
        session=_operation(_OF_LIVE, "live.forks.connect", read_request=read_fork),
        since="3.52",
    ),
    _live(
        "live.sideband.connect",
        "openai.resources.live.sideband",
        "Sideband",
        session=_operation(_OF_LIVE, "live.sideband.connect", read_request=read_sideband),
        attached_to=lambda kwargs: text(kwargs.get("session_id")),
        since="3.52",
    ),
    _socket(
        "realtime.translations.connect",
        "openai.resources.realtime.translations.translations",
        "Translations",
        "Translations",
        read_sent=read_sent,
        read_received=read_received_of_live,
        session=_operation(_OF_LIVE, "realtime.translations.connect", positional=("model",)),
        response=_operation(_RESPONSE, "realtime.translations.connect"),
        since="3.52",
    ),
)

_BASE = "openai._websocket_connection"

# In openai 3 all connections have one base, which closes them.
CLOSES = (
    Seam(
        name="close",
        api="end of realtime sessions",
        methods=(Method(_BASE, "WebSocketConnectionBase.close"),),
        drive=close[False],
    ),
    Seam(
        name="close",
        api="end of realtime sessions",
        methods=(Method(_BASE, "AsyncWebSocketConnectionBase.close", is_async=True),),
        drive=close[True],
    ),
)
