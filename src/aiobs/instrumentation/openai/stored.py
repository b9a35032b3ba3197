"""Stored responses: fetched, polled while they are being made, read again as a stream, cancelled.

What one has used was counted, or not, when it was made: on spans and metrics it never is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import fields_of, text
from aiobs.instrumentation.openai import items, responses
from aiobs.instrumentation.openai.requests import request_record
from aiobs.instrumentation.records import usage_record

if TYPE_CHECKING:
    from openai.types.responses import Response as NativeResponse


def read_request(kwargs: dict[str, Any]) -> Request:
    """Which response, and after which event of it."""
    wanted, after = text(kwargs.get("response_id")), kwargs.get("starting_after")
    params: dict[str, Any] = {"api_type": "responses"}
    if wanted is not None:
        params["response"] = wanted
    if type(after) in (int, str):
        params["stream_cursor"] = str(after)
    return Request(params=params, stream=bool(kwargs.get("stream")), job=wanted)


def read_response(result: NativeResponse | Any) -> Response:
    """How far it is, its ids and why it ended."""
    response = responses.read_response(result)
    _settle(response)
    return response


def settle(response: Response) -> None:
    """The same of a stream."""
    responses.settle(response)
    _settle(response)


def _settle(response: Response) -> None:
    """Without what the conventions have for the making of a response only."""
    response.status = text(fields_of(response.native).get("status"))
    response.job = responses.job_of(response.id, response.status)
    if response.job is not None and response.job.is_done:
        response.job.usage = response.usage
    response.usage = response.conversation = None
    response.compacted = False


def read_recalled(result: NativeResponse | Any) -> Prompt:
    """The instructions and tools that the response was made with."""
    fields = fields_of(result)
    return items.read_prompt({key: fields.get(key) for key in ("instructions", "tools")})


def session_request(call: Call) -> dict[str, Any]:
    """``model`` (always None), ``response_id``, ``other``."""
    return request_record(call, "response_id")


def session_response(call: Call) -> dict[str, Any] | None:
    """As of a call; the first that finds a job done tells what that has used, which nothing else in the file does."""
    record = responses.session_response(call)
    if record is not None and call.response is not None and call.job_duration_ns is not None:
        record["usage"] = usage_record(responses.usage_of(fields_of(call.response.native).get("usage")))
    return record


_MODULE = "openai.resources.responses"
_REQUIRED = ("response_id",)

RETRIEVE = Operation(
    name="fetch_response",
    api="responses.retrieve",
    methods=(
        Method(_MODULE, "Responses.retrieve", requires=_REQUIRED),
        Method(_MODULE, "AsyncResponses.retrieve", is_async=True, requires=_REQUIRED),
    ),
    read_request=read_request,
    read_response=read_response,
    read_recalled=read_recalled,
    read_choices=responses.read_choices,
    fold_chunk=responses.fold_chunk,
    settle=settle,
    session_request=session_request,
    session_response=session_response,
    positional=_REQUIRED,
    has_jobs=True,
)
CANCEL = Operation(
    name="cancel_response",
    api="responses.cancel",
    methods=(
        Method(_MODULE, "Responses.cancel", requires=_REQUIRED),
        Method(_MODULE, "AsyncResponses.cancel", is_async=True, requires=_REQUIRED),
    ),
    read_request=read_request,
    read_response=read_response,
    read_choices=responses.read_choices,
    session_request=session_request,
    session_response=responses.session_response,
    positional=_REQUIRED,
    has_jobs=True,
    since="1.109",
)

OPERATIONS: tuple[Operation, ...] = (RETRIEVE, CANCEL)
