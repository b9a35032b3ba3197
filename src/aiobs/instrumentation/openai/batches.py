"""Batches: submitted, asked after, cancelled; and their results, when the program reads the file that they are in.

The usage that a batch object has is the sum of its requests', which the spans of the results have: it is on no span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from aiobs.call import Call, Job, Request, Response, Result
from aiobs.capture.provider import Method, Operation, Results
from aiobs.capture.watch import JsonObject
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import count, fields_of, get, items, text
from aiobs.instrumentation.openai.requests import as_sent
from aiobs.instrumentation.records import numbers

if TYPE_CHECKING:
    from openai.types import Batch

_CONFIG = ("endpoint", "completion_window", "input_file_id")
_DONE = frozenset({"completed", "failed", "expired", "cancelled"})


# Calls


def read_request(kwargs: dict[str, Any]) -> Request:
    """What is to be asked, of which file, and by when."""
    given = as_sent(kwargs)
    return Request(config={key: value for key in _CONFIG if (value := text(given.get(key))) is not None})


def read_asked(kwargs: dict[str, Any]) -> Request:
    """Which batch."""
    asked = text(kwargs.get("batch_id"))
    return Request(params={} if asked is None else {"response": asked}, job=asked)


def read_response(result: Batch | Any) -> Response:
    """Which batch it is, how far it is and where its results are."""
    fields = fields_of(result)
    status, found, model = text(fields.get("status")), text(fields.get("id")), text(fields.get("model"))
    files = tuple(name for key in ("output_file_id", "error_file_id") if (name := text(fields.get(key))) is not None)
    response = Response(
        id=found,
        model=model,
        status=status,
        request_id=text(getattr(result, "_request_id", None)),
        job=None if found is None else Job(found, status in _DONE, files, text(fields.get("endpoint")), model),
        requests=_requests(fields.get("request_counts")),
        native=result,
    )
    if status == "failed":
        error = next(iter(items(get(fields.get("errors"), "data"))), None)
        response.failure = answered_error(get(error, "code"), get(error, "message"))
    return response


def _requests(counts: Any) -> dict[str, int]:
    given = {"requests": "total", "completed": "completed", "failed": "failed"}
    return {name: number for name, key in given.items() if (number := count(get(counts, key))) is not None}


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage, status`` and the rest of the batch; None without an answer.

    ``usage`` is None: that of the requests is theirs, ``batch_usage`` is what the provider says of all of them.
    """
    response = call.response
    if response is None:
        return None
    fields = fields_of(response.native)
    kept = {key: value for key in _TEXTS if (value := text(fields.get(key))) is not None}
    counted = {name: found for key, name in _NUMBERS.items() if (found := numbers(fields.get(key)))}
    return {
        "id": response.id, "model": response.model, "usage": None, "status": response.status, **kept, **counted,
    }  # fmt: skip


_TEXTS = ("endpoint", "input_file_id", "output_file_id", "error_file_id", "completion_window")
_NUMBERS = {"request_counts": "request_counts", "usage": "batch_usage"}


# Results

APIS = {
    "/v1/chat/completions": "chat.completions.create",
    "/v1/responses": "responses.create",
    "/v1/embeddings": "embeddings.create",
    "/v1/completions": "completions.create",
    "/v1/moderations": "moderations.create",
    "/v1/images/generations": "images.generate",
    "/v1/images/edits": "images.edit",
}
"""Endpoint of a batch → the operation that reads an answer of it."""


def file_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The id of the file."""
    return text(kwargs.get("file_id", args[0] if args else None))


def body_of(content: Any) -> bytes | None:
    """The file, if the SDK has read it already: ``_content`` is there only then."""
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    response = getattr(content, "response", None) or getattr(content, "http_response", None)
    body = getattr(response, "_content", None)
    return body if isinstance(body, bytes) else None


def read_line(line: bytes, job: Job) -> Result | None:
    """One line of the file with answers, or of the one with errors."""
    try:
        fields = from_json(line)
    except ValueError:
        return None
    api = APIS.get((job.endpoint or "").replace("/openai/", "/v1/", 1))
    response = get(fields, "response")
    body, status = get(response, "body"), get(response, "status_code")
    error = get(fields, "error") or get(body, "error")
    if api is None or not (isinstance(body, dict) or isinstance(error, dict)):
        return None
    result = Result(api, custom_id=text(get(fields, "custom_id")), request_id=text(get(response, "request_id")))
    if isinstance(error, dict) or (type(status) is int and status >= 400):
        code = get(error, "code") or get(error, "type") or status
        stated = status if type(status) is int and status >= 400 else None
        result.failure = answered_error(code, get(error, "message"), stated)
        result.failure.request_id = result.request_id
    else:
        result.model = text(get(body, "model"))
        result.answer = JsonObject({**body, "_request_id": result.request_id})
    return result


# The tables

_BATCHES = "openai.resources.batches"
_FILES = "openai.resources.files"


def _methods(name: str, *requires: str) -> tuple[Method, ...]:
    return (
        Method(_BATCHES, f"Batches.{name}", requires=requires),
        Method(_BATCHES, f"AsyncBatches.{name}", is_async=True, requires=requires),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_batch",
        api="batches.create",
        methods=_methods("create", *_CONFIG),
        read_request=read_request,
        read_response=read_response,
        session_response=session_response,
        has_jobs=True,
    ),
    Operation(
        name="fetch_batch",
        api="batches.retrieve",
        methods=_methods("retrieve", "batch_id"),
        read_request=read_asked,
        read_response=read_response,
        session_response=session_response,
        positional=("batch_id",),
        has_jobs=True,
    ),
    Operation(
        name="cancel_batch",
        api="batches.cancel",
        methods=_methods("cancel", "batch_id"),
        read_request=read_asked,
        read_response=read_response,
        session_response=session_response,
        positional=("batch_id",),
        has_jobs=True,
    ),
)

RESULTS: tuple[Results, ...] = (
    Results(
        name="batch results",
        api="files.content",
        methods=(
            Method(_FILES, "Files.content", requires=("file_id",)),
            Method(_FILES, "AsyncFiles.content", is_async=True, requires=("file_id",)),
            Method(_FILES, "Files.retrieve_content", requires=("file_id",)),
            Method(_FILES, "AsyncFiles.retrieve_content", is_async=True, requires=("file_id",)),
        ),
        file_of=file_of,
        body_of=body_of,
        read_line=read_line,
    ),
)
