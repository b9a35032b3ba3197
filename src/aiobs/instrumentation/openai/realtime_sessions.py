"""Sessions of Realtime and Live: what they use beside their responses, and the records of both in the session file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiobs.call import Call, Choice, Prompt, Response, Usage, total_usage
from aiobs.capture.inputs import LONGEST
from aiobs.instrumentation.fields import get, text
from aiobs.instrumentation.openai.realtime import in_effect, read_prompt, read_usage
from aiobs.instrumentation.openai.realtime_events import messages_of
from aiobs.instrumentation.records import answer_record, called_record, media_of, units_record, with_extras


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
    settings = in_effect(given) if given else {}
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
    return with_extras(
        answer_record(response, choice.said("text"), model=response.model or call.request.model),
        call,
        conversation=response.conversation,
        units=units_record(response.usage),
        tool_calls=[called_record(called) for called in choice.calls.values()],
        media=media_of(choice),
    )
