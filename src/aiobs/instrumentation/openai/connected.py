"""Responses over a connection: the answers and events of the Responses API, in one direction and the other."""

from __future__ import annotations

from typing import Any

from aiobs.call import Call, Prompt, Request, Response
from aiobs.capture.provider import NOTHING, Sign, Step
from aiobs.instrumentation.fields import fields_of, get, text
from aiobs.instrumentation.openai import items, responses
from aiobs.instrumentation.openai.realtime import fail


def read_sent(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], wants_content: bool) -> Sign:
    """A request is one event."""
    event = args[0] if args else kwargs.get("event")
    if get(event, "type") != "response.create":
        return NOTHING
    asked = {key: value for key, value in fields_of(event).items() if value is not None and key != "type"}
    return Sign(Step.ASKED, text(asked.get("stream_id")), asked=asked)


def read_received(event: Any, wants_content: bool) -> Sign:
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
        fail(response, get(event, "error") or event)
    else:
        responses.fold_chunk(response, event)


def read_request(kwargs: dict[str, Any]) -> Request:
    """Of what was asked for."""
    request = responses.read_request(kwargs.get("asked") or {})
    request.model, request.stream = request.model or text(kwargs.get("model")), True
    return request


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """The same, its content."""
    return items.read_prompt(kwargs.get("asked") or {})


def session_request(call: Call) -> dict[str, Any]:
    """In the shape of ``responses.create``."""
    given = call.request.kwargs
    call.request.kwargs = given.get("asked") or {}
    return responses.session_request(call)
