"""caches.create: contents that are kept at the provider for later requests. What else caches can do is not recorded."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import count, text
from aiobs.instrumentation.google_genai import contents
from aiobs.instrumentation.google_genai.fields import bare_model, field, given, plain
from aiobs.instrumentation.google_genai.visuals import config_record, scalars_of

if TYPE_CHECKING:
    from google.genai.types import CachedContent

_CACHES = "google.genai.caches"
_CONFIG = frozenset({"ttl"})
_TIMES = ("create_time", "update_time", "expire_time")


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, and how long the cache is to live."""
    return Request(model=bare_model(kwargs.get("model")), config=scalars_of(kwargs.get("config"), _CONFIG))


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """What is cached: messages, instructions and tools."""
    config = kwargs.get("config")
    return contents.read_prompt({"contents": field(config, "contents"), "config": config})


def read_response(result: CachedContent | Any) -> Response:
    """The name of the cache, its model and how many tokens are in it."""
    return Response(
        id=text(field(result, "name")),
        model=bare_model(field(result, "model")),
        token_count=count(field(field(result, "usage_metadata"), "total_token_count")),
        native=result,
    )


def session_request(call: Call) -> dict[str, Any]:
    """``model, config, other``; the contents are in the config."""
    config = call.request.kwargs.get("config")
    return {"model": call.request.model, "config": _with_times(config, config_record(config)), "other": {}}


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage, total_tokens`` and the times of the cache; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    known = given(response.native)
    times = {name: plain(_as_text(known[name])) for name in _TIMES if name in known}
    return {
        "id": response.id,
        "model": response.model,
        "usage": None,
        "total_tokens": response.token_count,
        **times,
    }


def _with_times(config: Any, record: Any) -> Any:
    if not isinstance(record, dict) or (expires := field(config, "expire_time")) is None:
        return record
    return {**record, "expire_time": plain(_as_text(expires))}


def _as_text(time: Any) -> Any:
    return time.isoformat() if isinstance(time, datetime) else time


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_cache",
        api="caches.create",
        methods=(
            Method(_CACHES, "Caches.create", requires=("model", "config")),
            Method(_CACHES, "AsyncCaches.create", is_async=True, requires=("model", "config")),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        session_request=session_request,
        session_response=session_response,
    ),
)
