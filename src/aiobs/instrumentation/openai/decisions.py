"""Decisions: questions about an input, each with one of a few answers; how both are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Part, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.decisions import answer_part, question_part
from aiobs.instrumentation.fields import fields_of, get, text
from aiobs.instrumentation.fields import items as listed
from aiobs.instrumentation.openai import items, responses
from aiobs.instrumentation.openai.chat import error_in_answer
from aiobs.instrumentation.openai.requests import as_sent, request_record
from aiobs.instrumentation.records import usage_record
from aiobs.semconv.serialise import to_jsonable

if TYPE_CHECKING:
    from openai.types import Decision


def read_request(kwargs: dict[str, Any]) -> Request:
    """The model."""
    return Request(model=text(as_sent(kwargs).get("model")))


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """What is to be judged, and after it the questions as one message of the user's."""
    messages = items.read_messages(kwargs.get("input"))
    if questions := [_question(each) for each in listed(kwargs.get("questions"))]:
        messages.append({"role": "user", "parts": questions})
    return Prompt(messages)


def _question(given: Any) -> Part:
    options = {key: to_jsonable(get(given, key)) for key in ("choices", "levels")}
    return question_part(
        get(given, "type"), get(given, "name"), items.content_parts(get(given, "instructions")), options
    )


def read_response(result: Decision | Any) -> Response:
    """Model and usage."""
    fields = fields_of(result)
    answered = fields.get("answers")
    return Response(
        model=text(fields.get("model")),
        usage=responses.usage_of(fields.get("usage")),
        request_id=text(getattr(result, "_request_id", None)),
        failure=None if answered else error_in_answer(fields.get("error")),
        native=result,
    )


def read_choices(result: Decision | Any) -> dict[int, Choice]:
    """The answers, in the order of the questions."""
    answered = listed(fields_of(result).get("answers"))
    parts = [answer_part({key: to_jsonable(value) for key, value in fields_of(each).items()}) for each in answered]
    return {0: Choice(parts=[*parts])} if parts else {}


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, questions, other``: the request as it was passed."""
    return request_record(call, "input", "questions")


def session_response(call: Call) -> dict[str, Any] | None:
    """``id`` (always None), ``model, usage, answers``; None without an answer."""
    response = call.response
    if response is None:
        return None
    answers = listed(fields_of(response.native).get("answers")) if response.wants_content else ()
    return {
        "id": None,
        "model": response.model,
        "usage": usage_record(response.usage),
        "answers": [to_jsonable(each) for each in answers],
    }


_MODULE = "openai.resources.decisions"
_REQUIRED = ("input", "model", "questions")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="decision",
        api="decisions.create",
        methods=(
            Method(_MODULE, "Decisions.create", requires=_REQUIRED),
            Method(_MODULE, "AsyncDecisions.create", is_async=True, requires=_REQUIRED),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        session_request=session_request,
        session_response=session_response,
    ),
)
