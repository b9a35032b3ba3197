"""A conversation made short, and its tokens counted beforehand: how requests and answers are read.

To make it short is inference; to count spends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import count, fields_of, get, text
from aiobs.instrumentation.fields import items as listed
from aiobs.instrumentation.openai import items, responses
from aiobs.instrumentation.openai.requests import request_record

if TYPE_CHECKING:
    from openai.types.responses import CompactedResponse, InputTokenCountResponse


def read_compacted(result: CompactedResponse | Any) -> Response:
    """Ids and usage."""
    response = responses.read_response(result)
    response.compacted = response.compacted or fields_of(result).get("object") == "response.compaction"
    return response


def read_choices(result: CompactedResponse | Any) -> dict[int, Choice]:
    """What took the place of the conversation; the user's messages, which come back too, are no answer."""
    choice = Choice()
    for item in listed(fields_of(result).get("output")):
        if get(item, "role") in (None, "assistant"):
            items.fold_item(choice, item)
    return {0: choice} if choice.parts else {}


def session_request(call: Call) -> dict[str, Any]:
    """``model, input, instructions, other``: the request as it was passed."""
    return request_record(call, "input", "instructions")


def read_count(result: InputTokenCountResponse | Any) -> Response:
    """How many tokens the request would take."""
    return Response(
        request_id=text(getattr(result, "_request_id", None)),
        token_count=count(fields_of(result).get("input_tokens")),
        native=result,
    )


def read_count_request(kwargs: dict[str, Any]) -> Request:
    """What of a response's parameters counts here; what is asked for is no response of its own."""
    asked = responses.read_request(kwargs)
    kept = ("api_type", "conversation")
    return Request(model=asked.model, params={name: asked.params[name] for name in kept if name in asked.params})


def session_count(call: Call) -> dict[str, Any] | None:
    """``id`` and ``usage`` (always None), ``model``, ``token_count``; None without an answer."""
    if call.response is None:
        return None
    return {"id": None, "model": call.request.model, "usage": None, "token_count": call.response.token_count}


_MODULE = "openai.resources.responses"
_INPUT = ("input", "model")

COMPACT = Operation(
    name="chat",
    api="responses.compact",
    methods=(
        Method(_MODULE, "Responses.compact", requires=_INPUT),
        Method(_MODULE, "AsyncResponses.compact", is_async=True, requires=_INPUT),
    ),
    read_request=responses.read_request,
    read_response=read_compacted,
    read_prompt=items.read_prompt,
    read_choices=read_choices,
    session_request=session_request,
    session_response=responses.session_response,
    since="2.54",
)
COUNT = Operation(
    name="count_tokens",
    api="responses.input_tokens.count",
    methods=(
        Method(f"{_MODULE}.input_tokens", "InputTokens.count", requires=_INPUT),
        Method(f"{_MODULE}.input_tokens", "AsyncInputTokens.count", is_async=True, requires=_INPUT),
    ),
    read_request=read_count_request,
    read_response=read_count,
    read_prompt=items.read_prompt,
    session_request=session_request,
    session_response=session_count,
)

OPERATIONS: tuple[Operation, ...] = (COMPACT, COUNT)
