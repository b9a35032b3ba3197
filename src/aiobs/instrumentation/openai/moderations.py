"""Moderations: how requests and verdicts are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Message, Part, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import fields_of, get, items, text
from aiobs.instrumentation.openai.chat import error_in_answer
from aiobs.instrumentation.openai.media import image_part
from aiobs.instrumentation.openai.requests import as_sent, request_record

if TYPE_CHECKING:
    from openai.types import ModerationCreateResponse


def read_request(kwargs: dict[str, Any]) -> Request:
    """The model, if the program chose one."""
    return Request(model=text(as_sent(kwargs).get("model")))


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Texts are judged each for itself; texts and pictures in parts together."""
    given = kwargs.get("input")
    if isinstance(given, str):
        return Prompt([_message(_text(given))])
    parts = [_part(each) for each in items(given)]
    if any(isinstance(each, str) for each in items(given)):
        return Prompt([_message(part) for part in parts])
    return Prompt([_message(*parts)] if parts else [])


def _message(*parts: Part) -> Message:
    return {"role": "user", "parts": [*parts]}


def _part(given: Any) -> Part:
    if isinstance(given, str):
        return _text(given)
    if get(given, "type") == "image_url":
        return image_part(get(given, "image_url"))
    return _text(str(get(given, "text") or ""))


def _text(content: str) -> Part:
    return {"type": "text", "content": content}


def read_response(result: ModerationCreateResponse | Any) -> Response:
    """Ids, and whether anything was found in anything."""
    fields = fields_of(result)
    verdicts = [get(each, "flagged") for each in items(fields.get("results"))]
    known = [verdict for verdict in verdicts if isinstance(verdict, bool)]
    return Response(
        id=text(fields.get("id")),
        model=text(fields.get("model")),
        request_id=text(getattr(result, "_request_id", None)),
        flagged=any(known) if known else None,
        failure=None if verdicts else error_in_answer(fields.get("error")),
        native=result,
    )


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, other``: the request as it was passed."""
    return request_record(call, "input")


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage`` (always None), ``flagged``, ``results``: of each input whether, and for what."""
    response = call.response
    if response is None:
        return None
    record = {"id": response.id, "model": response.model, "usage": None, "flagged": response.flagged}
    if not response.wants_content:
        return record
    found = items(fields_of(response.native).get("results"))
    return {**record, "results": [_verdict(each) for each in found]}


def _verdict(result: Any) -> dict[str, Any]:
    categories = fields_of(get(result, "categories"))
    return {
        "flagged": get(result, "flagged"),
        "categories": [name for name, is_so in categories.items() if is_so is True],
    }


_MODULE = "openai.resources.moderations"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="moderation",
        api="moderations.create",
        methods=(
            Method(_MODULE, "Moderations.create", requires=("input", "model")),
            Method(_MODULE, "AsyncModerations.create", is_async=True, requires=("input", "model")),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        session_request=session_request,
        session_response=session_response,
    ),
)
