"""Conversations that the provider keeps: made, fetched, labelled anew, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import fields_of, text
from aiobs.instrumentation.openai import items
from aiobs.instrumentation.openai.chat import error_in_answer
from aiobs.instrumentation.openai.requests import request_record

if TYPE_CHECKING:
    from openai.types.conversations import Conversation


def read_request(kwargs: dict[str, Any]) -> Request:
    """Which one, if there is one yet."""
    wanted = text(kwargs.get("conversation_id"))
    return Request(params={} if wanted is None else {"conversation": wanted})


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """What the conversation begins with."""
    return Prompt(items.read_messages(kwargs.get("items")))


def read_response(result: Conversation | Any) -> Response:
    """Its id."""
    fields = fields_of(result)
    found = text(fields.get("id"))
    return Response(
        conversation=found,
        request_id=text(getattr(result, "_request_id", None)),
        failure=None if found else error_in_answer(fields.get("error")),
        native=result,
    )


def session_request(call: Call) -> dict[str, Any]:
    """``model`` (always None), ``conversation_id, items, metadata, other``: the request as it was passed."""
    return request_record(call, "conversation_id", "items", "metadata")


def session_response(call: Call) -> dict[str, Any] | None:
    """``id``, and ``model`` and ``usage``, which are always None; None without an answer."""
    return None if call.response is None else {"id": call.response.conversation, "model": None, "usage": None}


_MODULE = "openai.resources.conversations"


def _operation(name: str, method: str, required: str, positional: tuple[str, ...] = ("conversation_id",)) -> Operation:
    return Operation(
        name=name,
        api=f"conversations.{method}",
        methods=(
            Method(_MODULE, f"Conversations.{method}", requires=(required,)),
            Method(_MODULE, f"AsyncConversations.{method}", is_async=True, requires=(required,)),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        session_request=session_request,
        session_response=session_response,
        positional=positional,
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation("create_conversation", "create", "items", positional=()),
    _operation("fetch_conversation", "retrieve", "conversation_id"),
    _operation("update_conversation", "update", "conversation_id"),
    _operation("delete_conversation", "delete", "conversation_id"),
)
