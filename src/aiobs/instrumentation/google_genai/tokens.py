"""count_tokens and compute_tokens: how many tokens something is. Nothing is used by that, so it is no usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import count, items
from aiobs.instrumentation.google_genai.contents import read_prompt
from aiobs.instrumentation.google_genai.fields import bare_model, field, plain
from aiobs.instrumentation.google_genai.visuals import config_record

if TYPE_CHECKING:
    from google.genai.types import ComputeTokensResponse, CountTokensResponse

_MODELS = "google.genai.models"
_ASKED = ("model", "contents", "config")


def read_request(kwargs: dict[str, Any]) -> Request:
    """The model."""
    return Request(model=bare_model(kwargs.get("model")))


def read_count(result: CountTokensResponse | Any) -> Response:
    """The number."""
    return Response(token_count=count(field(result, "total_tokens")), native=result)


def read_tokens(result: ComputeTokensResponse | Any) -> Response:
    """The number of them all; an answer without any, as some servers give, says nothing."""
    found = field(result, "tokens_info")
    return Response(token_count=None if found is None else sum(map(_length, items(found))), native=result)


def _length(info: Any) -> int:
    return len([*items(field(info, "token_ids"))])


def session_request(call: Call) -> dict[str, Any]:
    """``model, contents, config, other``: the request as it was passed."""
    asked = call.request.kwargs
    contents, config = plain(asked.get("contents")), config_record(asked.get("config"))
    return {"model": call.request.model, "contents": contents, "config": config, "other": {}}


def session_count(call: Call) -> dict[str, Any] | None:
    """``model, usage, total_tokens, cached_content_token_count``; None for a call without an answer."""
    if call.response is None:
        return None
    cached = count(field(call.response.native, "cached_content_token_count"))
    return {
        "model": None,
        "usage": None,
        "total_tokens": call.response.token_count,
        "cached_content_token_count": cached,
    }


def session_tokens(call: Call) -> dict[str, Any] | None:
    """``model, usage, total_tokens, tokens_info``: how many each content has; which ones would be the text again."""
    if call.response is None:
        return None
    infos = items(field(call.response.native, "tokens_info")) if call.response.wants_content else ()
    counts = [{"role": plain(field(info, "role")), "tokens": _length(info)} for info in infos]
    return {"model": None, "usage": None, "total_tokens": call.response.token_count, "tokens_info": counts}


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="count_tokens",
        api="models.count_tokens",
        methods=(
            Method(_MODELS, "Models.count_tokens", requires=_ASKED),
            Method(_MODELS, "AsyncModels.count_tokens", is_async=True, requires=_ASKED),
        ),
        read_request=read_request,
        read_response=read_count,
        read_prompt=read_prompt,
        session_request=session_request,
        session_response=session_count,
    ),
    Operation(
        name="compute_tokens",
        api="models.compute_tokens",
        methods=(
            Method(_MODELS, "Models.compute_tokens", requires=_ASKED),
            Method(_MODELS, "AsyncModels.compute_tokens", is_async=True, requires=_ASKED),
        ),
        read_request=read_request,
        read_response=read_tokens,
        read_prompt=read_prompt,
        session_request=session_request,
        session_response=session_tokens,
    ),
)
