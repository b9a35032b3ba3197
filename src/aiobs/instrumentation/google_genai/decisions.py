"""Decisions: questions about an input, each with one of a few answers, by the names that the program gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.decisions import answer_part, question_part
from aiobs.instrumentation.fields import fields_of, get
from aiobs.instrumentation.google_genai.fields import plain
from aiobs.instrumentation.google_genai.interactions import as_sent, model_of, read_usage
from aiobs.instrumentation.google_genai.steps import known, messages_of, value_of, words
from aiobs.instrumentation.records import usage_record

if TYPE_CHECKING:
    from google.genai.decisions import CreateDecisionResponse

_FILE_FIELDS = ("input", "questions")
_TRANSPORT = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "api_version"})


def read_request(kwargs: dict[str, Any]) -> Request:
    """The model."""
    return Request(model=model_of(kwargs))


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """What is to be judged, and after it the questions as one message of the user's."""
    sent = as_sent(kwargs)
    messages = messages_of(sent.get("input"))
    questions = [
        question_part(
            words(get(each, "type")),
            words(name),
            _instructions(get(each, "instructions")),
            {"criteria": value_of(get(each, "criteria"))},
        )
        for name, each in _named(sent.get("questions"))
    ]
    return Prompt([*messages, {"role": "user", "parts": questions}] if questions else messages)


def _named(given: Any) -> list[tuple[Any, Any]]:
    return list(given.items()) if isinstance(given, Mapping) else []


def _instructions(given: Any) -> list[Any]:
    return [part for message in messages_of(given) for part in message["parts"]] if given is not None else []


def read_response(result: CreateDecisionResponse | Any) -> Response:
    """Usage, and why nothing was answered; the answer does not name its model."""
    fields = fields_of(result)
    blocked = words(get(fields.get("prompt_feedback"), "block_reason"))
    return Response(
        usage=read_usage(fields.get("usage")),
        finish_reasons=[blocked] if blocked is not None else [],
        native=result,
    )


def read_choices(result: CreateDecisionResponse | Any) -> dict[int, Choice]:
    """The answers, in the order they came."""
    answered = _named(fields_of(result).get("answers"))
    parts = [answer_part(_plain_fields(each), name=words(name)) for name, each in answered]
    return {0: Choice(parts=[*parts])} if parts else {}


def _plain_fields(answer: Any) -> dict[str, Any]:
    plainly = value_of(known(answer))
    return plainly if isinstance(plainly, dict) else {}


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, questions, other``: the request as it was passed."""
    sent = as_sent(call.request.kwargs)
    other = {key: plain(value) for key, value in sent.items() if key not in (*_FILE_FIELDS, "model", *_TRANSPORT)}
    return {"model": call.request.model, **{key: plain(sent.get(key)) for key in _FILE_FIELDS}, "other": other}


def session_response(call: Call) -> dict[str, Any] | None:
    """``id`` and ``model`` (always None), ``usage, answers, finish_reason``; None without an answer."""
    response = call.response
    if response is None:
        return None
    answers = _named(fields_of(response.native).get("answers")) if response.wants_content else []
    return {
        "id": None,
        "model": response.model,
        "usage": usage_record(response.usage),
        "answers": {str(name): value_of(known(each)) for name, each in answers},
        "finish_reason": response.finish_reasons[0] if response.finish_reasons else None,
    }


_MODULE = "google.genai._gaos.google_genai"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="decision",
        api="decisions.create",
        methods=(
            Method(_MODULE, "GeminiNextGenDecisions.create"),
            Method(_MODULE, "AsyncGeminiNextGenDecisions.create", is_async=True),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        session_request=session_request,
        session_response=session_response,
        since="3.4",
    ),
)
