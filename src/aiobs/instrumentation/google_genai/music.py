"""Live music: how a session is read in which a model plays what weighted prompts ask for.

It has no turns: prompts and settings change what is being played. The provider counts nothing; how many seconds of
sound have come is worked out from their bytes.
"""

from __future__ import annotations

from typing import Any

from aiobs.call import Call, Choice, Part, Prompt, Request, Response, Usage
from aiobs.capture.provider import NOTHING, Method, Operation, Sign, Socket, Step
from aiobs.capture.sounds import sounding, take_sounds
from aiobs.instrumentation.fields import items, text
from aiobs.instrumentation.google_genai.fields import bare_model, field, given, plain
from aiobs.instrumentation.google_genai.live import read_ending
from aiobs.instrumentation.records import usage_record

_MUSIC = "google.genai.live_music"
_PARAMETERS = ("temperature", "seed")
_CONFIG = (
    *("bpm", "brightness", "density", "guidance", "music_generation_mode", "mute_bass", "mute_drums"),
    *("only_bass_and_drums", "scale", "top_k"),
)


# What the program sends, and receives


def read_sent(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], wants_content: bool) -> Sign:
    """Prompts, which are content, and settings."""
    if name == "set_music_generation_config":
        return Sign(settings=given(args[0] if args else kwargs.get("config")))
    parts = [_prompt(each) for each in items(args[0] if args else kwargs.get("prompts"))] if wants_content else []
    return Sign(messages=({"role": "user", "parts": parts},)) if parts else NOTHING


def _prompt(prompt: Any) -> Part:
    part: Any = {"type": "text", "content": text(field(prompt, "text")) or "", "weight": field(prompt, "weight")}
    return part  # type: ignore[no-any-return]  # a text part with one key more


def read_received(message: Any, wants_content: bool) -> Sign:
    """Sound; the rest is about prompts that were refused, or nothing."""
    return Sign(Step.SESSION) if field(field(message, "server_content"), "audio_chunks") else NOTHING


# Settings


def read_session(kwargs: dict[str, Any]) -> Request:
    """Model, and the newest settings."""
    settings = kwargs["settings"]
    found = {name: plain(settings.get(name)) for name in _CONFIG}
    return Request(
        model=bare_model(kwargs.get("model")),
        params={name: value for name in _PARAMETERS if (value := settings.get(name)) is not None},
        config={name: value for name, value in found.items() if isinstance(value, (str, int, float))},
    )


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """All prompts, in the order they were set."""
    inputs = kwargs.get("inputs")
    return Prompt(inputs.messages if inputs is not None else [])


# Sound


def fold_session(response: Response, message: Any) -> None:
    """The next pieces of sound: how long they last and, where content is wanted, what they are."""
    for chunk in items(field(field(message, "server_content"), "audio_chunks")):
        data, mime_type = field(chunk, "data"), text(field(chunk, "mime_type"))
        if not isinstance(data, bytes):
            continue
        if (seconds := _seconds(len(data), mime_type)) is not None:
            before = response.usage.seconds if response.usage is not None else None
            response.usage = Usage(seconds=(before or 0.0) + seconds)
        if response.wants_content:
            sounding(response.choices.setdefault(0, Choice()), mime_type).add(data)


def _seconds(size: int, mime_type: str | None) -> float | None:
    """Of samples of 16 bits; None for a format whose bytes do not tell. Without a word: 48 kHz, two channels."""
    kind, *rest = (mime_type or "audio/l16").lower().split(";")
    if kind.strip() not in _SAMPLES:
        return None
    told = dict(part.strip().partition("=")[::2] for part in rest)
    rate, channels = (int(told[name]) if told.get(name, "").isdecimal() else usual for name, usual in _USUAL)
    return size / (2 * rate * channels) if rate and channels else None


_SAMPLES = ("audio/l16", "audio/pcm")
_USUAL = (("rate", 48_000), ("channels", 2))


def settle(response: Response) -> None:
    """What the sound came to."""
    for choice in response.choices.values():
        choice.parts.extend(take_sounds(choice))


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, prompts, config, other``: what was asked for, and how it was to be played."""
    kwargs = call.request.kwargs
    inputs = kwargs.get("inputs")
    return {
        "model": call.request.model,
        "prompts": inputs.messages if inputs is not None else None,
        "config": plain(kwargs.get("settings") or {}),
        "other": {},
    }


def session_response(call: Call) -> dict[str, Any] | None:
    """``model, usage, media``; None without an answer."""
    response = call.response
    if response is None:
        return None
    parts = response.choices[0].parts if response.choices else []
    return {
        "model": call.request.model,
        "usage": usage_record(response.usage),
        "media": [part for part in parts if isinstance(part, dict)],
    }


_SESSION = Operation(
    name="realtime_session",
    api="live.music.connect",
    methods=(),
    read_request=read_session,
    read_response=lambda result: Response(),
    read_prompt=read_prompt,
    fold_chunk=fold_session,
    settle=settle,
    session_request=session_request,
    session_response=session_response,
)

SOCKETS = (
    Socket(
        api="live.music.connect",
        connects=(Method(_MUSIC, "AsyncLiveMusic.connect", is_async=True, is_lazy=True, requires=("model",)),),
        sends=tuple(
            Method(_MUSIC, f"AsyncMusicSession.{name}", is_async=True)
            for name in ("set_weighted_prompts", "set_music_generation_config")
        ),
        receives=(Method(_MUSIC, "AsyncMusicSession._receive", is_async=True),),
        closes=(Method(_MUSIC, "AsyncMusicSession.close", is_async=True),),
        read_sent=read_sent,
        read_received=read_received,
        read_ending=read_ending,
        initial=lambda kwargs: {},
        session=_SESSION,
        response=_SESSION,  # it has none
        since="1.50",
    ),
)
