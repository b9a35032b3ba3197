"""Live and translations: sessions that count seconds as a whole; the responses in them are those that they delegate."""

from __future__ import annotations

from typing import Any

from aiobs.call import Call, Prompt, Request
from aiobs.capture.provider import NOTHING, Sign, Step
from aiobs.instrumentation.fields import get, items, text
from aiobs.instrumentation.openai import connected, decisions
from aiobs.instrumentation.openai.realtime import read_session
from aiobs.instrumentation.openai.realtime_events import Reader, about_session, about_settings, trouble


def read_received(event: Any, wants_content: bool) -> Sign:
    """The session's events, and those of responses that it delegates, which lie one level deeper."""
    kind = text(get(event, "type")) or ""
    if kind == "response.event":
        return _delegated(event, get(event, "event"))
    if kind == "decision.event":
        return _decided(event, get(get(event, "event"), "decision"))
    if kind == "session.input_transcript.delta":
        return Sign(transcript=text(get(event, "delta")))
    read = _RECEIVED.get(kind)
    return read(event) if read is not None else NOTHING


def _delegated(event: Any, inner: Any) -> Sign:
    sign = connected.read_received(inner, False)
    if sign is NOTHING:
        return NOTHING
    model = text(get(get(inner, "response"), "model"))
    return sign._replace(key=text(get(event, "delegation_id")), chunk=inner, asked={"model": model} if model else None)


def _decided(event: Any, decision: Any) -> Sign:
    """It was made for a delegation, or a piece of a transcript set it off."""
    asked = {"model": text(get(decision, "model")), "set_off_by": text(get(event, "source_event_type"))}
    return Sign(Step.WHOLE, chunk=decision, asked=asked) if decision is not None else NOTHING


_RECEIVED: dict[str, Reader] = {
    "session.created": about_settings,
    "session.started": about_settings,
    "session.updated": about_settings,
    "session.closed": about_settings,
    "session.usage.updated": about_session,
    "session.output_transcript.delta": about_session,
    "error": trouble,
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


def read_delegated(kwargs: dict[str, Any]) -> Request:
    """Of a response that the session asked for by itself."""
    return Request(model=text(kwargs.get("model")), params={"api_type": "responses"}, stream=True)


# Decisions: asked of what was said and of what the session was given, by questions that are among its settings


def read_decided(kwargs: dict[str, Any]) -> Request:
    """The model, which the answer has told, and the session."""
    session = kwargs.get("conversation")
    return Request(model=text(kwargs.get("model")), params={"conversation": session} if session else {})


def read_questions(kwargs: dict[str, Any]) -> Prompt:
    """The questions."""
    return decisions.read_prompt({"questions": _questions(kwargs)})


def _questions(kwargs: dict[str, Any]) -> list[Any]:
    settings, by = kwargs["settings"], kwargs["asked"]["set_off_by"]
    if by is None:
        return list(items(get(get(settings.get("delegation"), "decisions"), "questions")))
    triggers = [each for each in items(settings.get("triggers")) if get(each, "event_type") == by]
    return [question for each in triggers for question in items(get(get(each, "decisions"), "questions"))]


def session_request_of_decision(call: Call) -> dict[str, Any]:
    """``model, input`` (always None), ``questions, other``: what set it off."""
    given = call.request.kwargs
    call.request.kwargs = {"questions": _questions(given), "set_off_by": given["asked"]["set_off_by"]} if given else {}
    return decisions.session_request(call)
