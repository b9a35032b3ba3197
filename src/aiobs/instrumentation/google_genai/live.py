"""Live: how the messages of its sessions are read.

A turn of the model is one response: from what the program put in (or, where the provider listens for itself, from the
model's first word) to ``turn_complete``. Tools that are called within it belong to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiobs.call import Call, Choice, Message, Prompt, Request, Response, ToolCall
from aiobs.capture.provider import NOTHING, Ending, Method, Operation, Sign, Socket, Step
from aiobs.capture.sounds import sounding, take_sounds
from aiobs.instrumentation.fields import items, text
from aiobs.instrumentation.google_genai import generate
from aiobs.instrumentation.google_genai.contents import messages_of, part_of, tools_of
from aiobs.instrumentation.google_genai.fields import bare_model, field, given, plain, word
from aiobs.instrumentation.records import answer_record, media_of, with_extras
from aiobs.semconv.serialise import to_json

_LIVE = "google.genai.live"
_FAREWELLS = (1000, 1001)
"""Codes of a connection that was closed on purpose."""


def read_ending(error: BaseException) -> Ending | None:
    """The SDK raises the code that a connection was closed with as an error of its API.

    Older ones let the error of websockets through, whose ``code`` is deprecated: nobody asks it for that.
    """
    names = {base.__name__ for base in type(error).__mro__}
    if "ConnectionClosedOK" in names or ("APIError" in names and getattr(error, "code", None) in _FAREWELLS):
        return Ending.CLOSED
    return Ending.BROKEN if names & {"ConnectionClosed", "APIError"} else None


def initial(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Model and config of ``connect``."""
    return {"model": kwargs.get("model"), "config": config_of(kwargs.get("config"))}


def config_of(config: Any) -> dict[str, Any]:
    """What was given, ``generation_config`` on the same level."""
    found = given(config) if config is not None else {}
    return {**given(found.get("generation_config") or {}), **found}


# What the program sends


def read_sent(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], wants_content: bool) -> Sign:
    """What one call of a sending method tells."""
    read = _SENT.get(name)
    return read(kwargs, wants_content) if read is not None else NOTHING


def _client_content(kwargs: Mapping[str, Any], wants_content: bool) -> Sign:
    messages = tuple(messages_of(kwargs.get("turns"))) if wants_content else ()
    is_asked = kwargs.get("turn_complete", True)
    return Sign(Step.ASKED if is_asked else None, asked={} if is_asked else None, messages=messages)


def _realtime_input(kwargs: Mapping[str, Any], wants_content: bool) -> Sign:
    if not wants_content:
        return NOTHING
    audio, said = kwargs.get("audio"), kwargs.get("text")
    if isinstance(said, str):
        return Sign(messages=({"role": "user", "parts": [{"type": "text", "content": said}]},))
    if audio is None:
        audio = kwargs.get("media") if str(field(kwargs.get("media"), "mime_type")).startswith("audio/") else None
    if isinstance(data := field(audio, "data"), (bytes, str)):
        return Sign(sound=(text(field(audio, "mime_type")), data))
    picture = kwargs.get("video") if kwargs.get("media") is None else kwargs.get("media")
    return Sign(messages=(_picture(picture),)) if picture is not None else NOTHING


def _picture(picture: Any) -> Message:
    part = part_of({"inline_data": picture} if field(picture, "data") is not None else picture)
    return {"role": "user", "parts": [part]}


def _tool_response(kwargs: Mapping[str, Any], wants_content: bool) -> Sign:
    """Within a turn it is more of that; after one it asks for the next."""
    given_back = kwargs.get("function_responses")
    answers = given_back if isinstance(given_back, (list, tuple)) else [given_back]
    parts = [part_of({"function_response": answer}) for answer in answers] if wants_content else []
    return Sign(Step.ASKED, messages=({"role": "tool", "parts": parts},) if parts else ())


def _anything(kwargs: Mapping[str, Any], wants_content: bool) -> Sign:
    """The older ``send``: it tells by the type of its input what it is."""
    put_in, ends = kwargs.get("input"), bool(kwargs.get("end_of_turn"))
    if (turns := field(put_in, "turns")) is not None:
        return _client_content({"turns": turns, "turn_complete": field(put_in, "turn_complete")}, wants_content)
    if (chunks := field(put_in, "media_chunks")) is not None:
        return _realtime_input({"media": next(iter(items(chunks)), None)}, wants_content)
    answers = field(put_in, "function_responses") or (put_in if field(put_in, "response") is not None else None)
    if answers is not None:
        return _tool_response({"function_responses": answers}, wants_content)
    if field(put_in, "data") is not None:
        return _realtime_input({"media": put_in}, wants_content)
    return _client_content({"turns": put_in, "turn_complete": ends or put_in is None}, wants_content)


_SENT: dict[str, Callable[[Mapping[str, Any], bool], Sign]] = {
    "send_client_content": _client_content,
    "send_realtime_input": _realtime_input,
    "send_tool_response": _tool_response,
    "send": _anything,
}


# What the program receives


def read_received(message: Any, wants_content: bool) -> Sign:
    """What one message of the server tells."""
    content = field(message, "server_content")
    heard = text(field(field(content, "input_transcription"), "text")) if wants_content else None
    is_cut = field(content, "interrupted")
    if field(content, "turn_complete"):
        return Sign(Step.BREAKS_OFF if is_cut else Step.ENDS, transcript=heard)
    if field(message, "tool_call") is not None or _speaks(content):
        return Sign(Step.SPEAKS, transcript=heard)
    if is_cut or field(message, "usage_metadata") is not None:
        return Sign(Step.INTERRUPTED if is_cut else Step.GOES_ON, transcript=heard)
    return Sign(transcript=heard) if heard else NOTHING


def _speaks(content: Any) -> bool:
    names = ("model_turn", "output_transcription", "grounding_metadata", "generation_complete")
    return content is not None and any(field(content, name) for name in names)


# Settings


def read_session(kwargs: dict[str, Any]) -> Request:
    """Model and parameters of the session."""
    config = (kwargs["settings"] or initial(kwargs))["config"]
    request = generate.read_request({"model": kwargs.get("model"), "config": config})
    voice = field(field(field(config.get("speech_config"), "voice_config"), "prebuilt_voice_config"), "voice_name")
    found = {
        "modalities": tuple(str(plain(item)) for item in items(config.get("response_modalities"))) or None,
        "voice": voice,
        "language": field(config.get("speech_config"), "language_code"),
        "media_resolution": plain(config.get("media_resolution")),
    }
    request.config = {name: value for name, value in found.items() if isinstance(value, (str, tuple))}
    return request


def read_request(kwargs: dict[str, Any]) -> Request:
    """The same for a turn, which is streamed."""
    request = read_session(kwargs)
    request.stream = True
    if kwargs.get("conversation"):
        request.params["conversation"] = kwargs["conversation"]
    return request


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Instructions and tools of the session, and what was put in since the turn before."""
    config = kwargs["settings"]["config"]
    told = config.get("system_instruction")
    return Prompt(
        messages=kwargs["inputs"].messages,
        instructions=[part for message in messages_of(told) for part in message["parts"]] if told is not None else [],
        tools=[tool for item in items(config.get("tools")) for tool in tools_of(item)],
    )


# Turns


def fold_chunk(response: Response, message: Any) -> None:
    """Add one message of a turn."""
    content, usage = field(message, "server_content"), field(message, "usage_metadata")
    choice = response.choices.setdefault(0, Choice())
    if usage is not None:
        response.native = {**(response.native or {}), **_counts_of(usage)}
    calls = items(field(field(message, "tool_call"), "function_calls"))
    if field(content, "interrupted"):
        choice.finish_reason = "interrupted"
    elif field(content, "turn_complete") and choice.finish_reason is None:
        choice.finish_reason = _reason(content)
    if response.wants_content:
        _say(choice, content)
        for call in calls:
            _call(choice, call)


def _reason(content: Any) -> str:
    """Why a turn is complete, where the provider says it."""
    return word(field(content, "turn_complete_reason")) or "stop"


def _counts_of(usage: Any) -> dict[str, Any]:
    """The counts by the names that those of other answers have."""
    named = {name.replace("response_token", "candidates_token"): value for name, value in given(usage).items()}
    return generate.counts_of(named)


def _say(choice: Choice, content: Any) -> None:
    for part in items(field(field(content, "model_turn"), "parts")):
        said, blob = field(part, "text"), field(part, "inline_data")
        if isinstance(said, str):
            choice.say("reasoning" if field(part, "thought") else "text", said)
        elif isinstance(data := field(blob, "data"), (bytes, str)) and _is_sound(blob):
            sounding(choice, text(field(blob, "mime_type"))).add(data)
        else:
            choice.parts.append(part_of(part))
    if isinstance(spoken := field(field(content, "output_transcription"), "text"), str):
        choice.say("text", spoken)


def _is_sound(blob: Any) -> bool:
    return str(field(blob, "mime_type")).startswith("audio/")


def _call(choice: Choice, call: Any) -> None:
    known = ToolCall(id=text(field(call, "id")), name=str(field(call, "name") or ""))
    known.arguments.append(to_json(plain(field(call, "args")) or {}))
    choice.parts.append(known)


def settle(response: Response) -> None:
    """Work out the usage, and what the sound came to."""
    if isinstance(response.native, dict):
        response.usage = generate.read_usage(response.native)
    choice = response.choices.get(0)
    if choice is not None:
        choice.parts.extend(take_sounds(choice))


def fold_session(response: Response, connection: Any) -> None:
    """A session has an id on Vertex."""
    response.conversation = text(field(connection, "session_id"))


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, contents, system_instruction, config, other``: the session's, and what was put in."""
    kwargs = call.request.kwargs
    config = (kwargs.get("settings") or {}).get("config") or {}
    inputs = kwargs.get("inputs")
    return {
        "model": call.request.model,
        "contents": inputs.messages if inputs is not None else None,
        "system_instruction": plain(config.get("system_instruction")),
        "config": plain({key: value for key, value in config.items() if key != "http_options"}),
        "other": {},
    }


def session_response(call: Call) -> dict[str, Any] | None:
    """``model, text, usage, finish_reason``, tool calls and media; None without an answer."""
    response = call.response
    if response is None:
        return None
    choice = response.choices.get(0, Choice())
    record = answer_record(response, choice.said("text"), model=bare_model(response.model or call.request.model))
    del record["id"]  # a turn has none
    return with_extras(
        record,
        call,
        conversation=response.conversation,
        tool_calls=[
            {"id": part.id, "name": part.name, "args": "".join(part.arguments)}
            for part in choice.parts
            if isinstance(part, ToolCall)
        ],
        media=media_of(choice),
    )


_SESSION = Operation(
    name="realtime_session",
    api="live.connect",
    methods=(),
    read_request=read_session,
    read_response=lambda result: Response(),
    fold_chunk=fold_session,
    session_request=session_request,
    session_response=session_response,
)

SOCKETS = (
    Socket(
        api="live.connect",
        connects=(Method(_LIVE, "AsyncLive.connect", is_async=True, is_lazy=True, requires=("model", "config")),),
        sends=tuple(
            Method(_LIVE, f"AsyncSession.{name}", is_async=True)
            for name in ("send", "send_client_content", "send_realtime_input", "send_tool_response")
        ),
        receives=(Method(_LIVE, "AsyncSession._receive", is_async=True),),
        closes=(Method(_LIVE, "AsyncSession.close", is_async=True),),
        read_sent=read_sent,
        read_received=read_received,
        read_ending=read_ending,
        initial=initial,
        session=_SESSION,
        response=Operation(
            name="generate_content",
            api="live.connect",
            methods=(),
            read_request=read_request,
            read_response=lambda result: Response(),
            read_prompt=read_prompt,
            fold_chunk=fold_chunk,
            settle=settle,
            session_request=session_request,
            session_response=session_response,
        ),
    ),
)
