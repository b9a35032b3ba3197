"""Stored chat completions: listed by what they were labelled with, fetched, labelled anew.

What one has used was counted when it was made: here it never is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import fields_of, get, items, text
from aiobs.instrumentation.openai import chat
from aiobs.instrumentation.openai.requests import request_record

if TYPE_CHECKING:
    from openai.pagination import SyncCursorPage
    from openai.types.chat import ChatCompletion

_CONFIG = ("limit", "order")


def read_list_request(kwargs: dict[str, Any]) -> Request:
    """The model, how many, and in which order; what they were labelled with is the program's."""
    return Request(
        model=text(kwargs.get("model")),
        params={"api_type": "chat_completions"},
        config={key: kwargs[key] for key in _CONFIG if type(kwargs.get(key)) in (int, str)},
    )


def read_page(result: SyncCursorPage[ChatCompletion] | Any) -> Response:
    """How many are on the page that came. Reading on makes requests, which are the program's to make."""
    found = fields_of(result).get("data")
    return Response(
        request_id=text(getattr(result, "_request_id", None)),
        listed=len(found) if isinstance(found, (list, tuple)) else None,
        native=result,
    )


def session_list_request(call: Call) -> dict[str, Any]:
    """``model, metadata, limit, order, other``: the request as it was passed."""
    return request_record(call, "metadata", "limit", "order")


def session_page(call: Call) -> dict[str, Any] | None:
    """``id, model`` and ``usage`` (always None), ``data``: id and model of each; None without an answer."""
    if call.response is None:
        return None
    found = items(fields_of(call.response.native).get("data"))
    data = [{"id": get(each, "id"), "model": get(each, "model")} for each in found]
    return {"id": None, "model": None, "usage": None, "data": data}


def read_request(kwargs: dict[str, Any]) -> Request:
    """Which one."""
    wanted = text(kwargs.get("completion_id"))
    return Request(params={"api_type": "chat_completions", **({"response": wanted} if wanted else {})})


def read_fetched(result: ChatCompletion | Any) -> Response:
    """Ids and finish reasons."""
    response = chat.read_response(result)
    response.usage = response.system_fingerprint = None
    return response


def read_updated(result: ChatCompletion | Any) -> Response:
    """Ids: nothing was said."""
    response = read_fetched(result)
    response.finish_reasons = []
    return response


def session_request(call: Call) -> dict[str, Any]:
    """``model`` (always None), ``completion_id``, ``other``."""
    return request_record(call, "completion_id")


_MODULE = "openai.resources.chat.completions"
_SINCE = "1.66"


def _methods(name: str, *requires: str, is_paged: bool = False) -> tuple[Method, ...]:
    return (
        Method(_MODULE, f"Completions.{name}", requires=requires),
        Method(_MODULE, f"AsyncCompletions.{name}", is_async=True, is_paged=is_paged, requires=requires),
    )


def _of_one(name: str, method: str, read_response: Callable[[Any], Response], **readers: Any) -> Operation:
    return Operation(
        name=name,
        api=f"chat.completions.{method}",
        methods=_methods(method, "completion_id"),
        read_request=read_request,
        read_response=read_response,
        session_request=session_request,
        session_response=chat.session_response,
        positional=("completion_id",),
        since=_SINCE,
        **readers,
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_responses",
        api="chat.completions.list",
        methods=_methods("list", "metadata", is_paged=True),
        read_request=read_list_request,
        read_response=read_page,
        session_request=session_list_request,
        session_response=session_page,
        since=_SINCE,
    ),
    _of_one("fetch_response", "retrieve", read_fetched, read_choices=chat.read_choices),
    _of_one("update_response", "update", read_updated),
)
