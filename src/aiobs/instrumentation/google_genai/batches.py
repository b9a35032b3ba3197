"""Batches: submitted, asked after, cancelled; and their results, in the job itself or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from aiobs.call import Call, Failure, Job, Request, Response, Result
from aiobs.capture.provider import Method, Operation, Results
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import count, items, text
from aiobs.instrumentation.google_genai.fields import bare_model, field, plain, word

if TYPE_CHECKING:
    from google.genai.types import BatchJob

_CONTENT = "models.generate_content"
_EMBEDDINGS = "models.embed_content"
_GOES_ON = ("queued", "pending", "running", "cancelling", "paused", "updating")
_STATES = {"pending": "queued", "running": "in_progress", "succeeded": "completed", "partially_succeeded": "completed"}
"""Their word → the conventions' word for it, where they have one."""


# Calls


def read_request(kwargs: dict[str, Any]) -> Request:
    """Whom to ask, and where the requests are if they are in a file."""
    source = kwargs.get("src")
    named = source if isinstance(source, str) else field(source, "file_name")
    config = {} if text(named) is None else {"src": named}
    return Request(model=bare_model(kwargs.get("model")), config=config)


def read_asked(kwargs: dict[str, Any]) -> Request:
    """Which batch."""
    asked = text(kwargs.get("name"))
    return Request(params={} if asked is None else {"response": asked}, job=asked)


def read_response(result: BatchJob | Any) -> Response:
    """Which batch it is, how far it is and where its results are."""
    name, model = text(field(result, "name")), bare_model(field(result, "model"))
    state = (word(field(result, "state")) or "").removeprefix("job_state_")
    file = text(field(field(result, "dest"), "file_name"))
    files = () if file is None else (file,)
    response = Response(id=name, model=model, status=_STATES.get(state, state) or None, native=result)
    if name is not None:
        response.job = Job(name, bool(state) and state not in _GOES_ON, files, _asks(result), model)
    response.requests = _requests(field(result, "completion_stats"))
    if state == "failed":
        response.failure = _failure(field(result, "error"))
    return response


def _asks(result: Any) -> str:
    """Embeddings say so in their results."""
    is_embedding = field(field(result, "dest"), "inlined_embed_content_responses") is not None
    return _EMBEDDINGS if is_embedding else _CONTENT


def _failure(error: Any) -> Failure:
    """Their code is a number of google.rpc.Code, which has a word, and an HTTP status that stands for it."""
    code = field(error, "code")
    word_, status = _RPC.get(code, (code, None)) if isinstance(code, int) else (code, None)
    failure = answered_error(word_, field(error, "message"), status)
    failure.status_code = None  # there was no HTTP
    return failure


_RPC = {
    1: ("CANCELLED", 499),
    3: ("INVALID_ARGUMENT", 400),
    4: ("DEADLINE_EXCEEDED", 504),
    5: ("NOT_FOUND", 404),
    7: ("PERMISSION_DENIED", 403),
    8: ("RESOURCE_EXHAUSTED", 429),
    9: ("FAILED_PRECONDITION", 400),
    13: ("INTERNAL", 500),
    14: ("UNAVAILABLE", 503),
    16: ("UNAUTHENTICATED", 401),
}


def _requests(stats: Any) -> dict[str, int]:
    given = {"completed": "successful_count", "failed": "failed_count"}
    return {name: number for name, key in given.items() if (number := count(field(stats, key))) is not None}


def read_nothing(result: Any) -> Response:
    """Cancelling has no answer."""
    return Response()


def session_request(call: Call) -> dict[str, Any]:
    """``model, src, config, other``: the request as it was passed."""
    given = call.request.kwargs
    config = plain(given.get("config"))
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key not in ("http_options", "httpOptions")}
    other = {"name": given["name"]} if "name" in given else {}
    return {"model": call.request.model, "src": plain(given.get("src")), "config": config, "other": other}


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage, status`` and what the requests came to in numbers; None without an answer."""
    response = call.response
    if response is None:
        return None
    stats = plain(field(response.native, "completion_stats"))
    record = {"id": response.id, "model": response.model, "usage": None, "status": response.status}
    return {**record, "request_counts": stats} if stats else record


# Results


def read_results(result: BatchJob | Any) -> list[Result]:
    """The answers that came with the job."""
    where, model = field(result, "dest"), bare_model(field(result, "model"))
    contents = [_inline(_CONTENT, model, each) for each in items(field(where, "inlined_responses"))]
    vectors = items(field(where, "inlined_embed_content_responses"))
    return contents + [_inline(_EMBEDDINGS, model, each) for each in vectors]


def _inline(api: str, model: str | None, each: Any) -> Result:
    """One answer, or why there is none; the program's own name for it is in its metadata, if anywhere."""
    metadata, answer = field(each, "metadata"), field(each, "response")
    key = field(metadata, "key") if isinstance(metadata, dict) else None
    result = Result(api, model=model, custom_id=text(key) or text(field(each, "key")))
    if (error := field(each, "error")) is not None or answer is None:
        result.failure = _failure(error)
        return result
    result.answer = answer if api == _CONTENT else _as_answer(answer)
    return result


def _as_answer(single: Any) -> dict[str, Any]:
    """One vector, in the shape of an answer that has several."""
    tokens = field(single, "token_count")
    used = {} if tokens is None else {"usage_metadata": {"prompt_token_count": tokens}}
    return {"embeddings": [field(single, "embedding")], **used}


def file_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The name of the file, however it is named."""
    given = kwargs.get("file", args[0] if args else None)
    name = given if isinstance(given, str) else field(given, "name")
    return None if not isinstance(name, str) else name if name.startswith("files/") else f"files/{name}"


def body_of(content: Any) -> bytes | None:
    """The file, as the SDK gives it."""
    return content if isinstance(content, bytes) else None


def read_line(line: bytes, job: Job) -> Result | None:
    """One line of the file: ``key``, and ``response`` or ``error``."""
    try:
        fields = from_json(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("response") or fields.get("error"), dict):
        return None
    is_vector = field(fields.get("response"), "embedding") is not None
    return _inline(_EMBEDDINGS if is_vector else job.endpoint or _CONTENT, job.model, fields)


# The tables

_BATCHES = "google.genai.batches"
_FILES = "google.genai.files"


def _methods(*names: str) -> tuple[Method, ...]:
    return tuple(
        Method(_BATCHES, f"{cls}.{name}", is_async=cls.startswith("Async"))
        for name in names
        for cls in ("Batches", "AsyncBatches")
    )


def _create(name: str, since: str | None = None) -> Operation:
    return Operation(
        name="create_batch",
        api=f"batches.{name}",
        methods=_methods(name),
        read_request=read_request,
        read_response=read_response,
        session_request=session_request,
        session_response=session_response,
        has_jobs=True,
        since=since,
    )


OPERATIONS: tuple[Operation, ...] = (
    _create("create"),
    _create("create_embeddings", since="1.50"),
    Operation(
        name="fetch_batch",
        api="batches.get",
        methods=_methods("get"),
        read_request=read_asked,
        read_response=read_response,
        session_request=session_request,
        session_response=session_response,
        has_jobs=True,
        read_results=read_results,
    ),
    Operation(
        name="cancel_batch",
        api="batches.cancel",
        methods=_methods("cancel"),
        read_request=read_asked,
        read_response=read_nothing,
        session_request=session_request,
        has_jobs=True,
    ),
)

RESULTS: tuple[Results, ...] = (
    Results(
        name="batch results",
        api="files.download",
        methods=(
            Method(_FILES, "Files.download", requires=("file",)),
            Method(_FILES, "AsyncFiles.download", is_async=True, requires=("file",)),
        ),
        file_of=file_of,
        body_of=body_of,
        read_line=read_line,
    ),
)
