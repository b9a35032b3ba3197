"""generate_videos and the polls of what it started: how requests and operations are read.

``generate_videos`` answers at once with an operation that goes on; ``operations.get`` asks how far it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Failure, Job, Prompt, Request, Response, Usage
from aiobs.capture.provider import Method, Operation
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import items, text
from aiobs.instrumentation.google_genai.fields import bare_model, field, given, plain
from aiobs.instrumentation.google_genai.visuals import (
    FILTERED,
    asked_message,
    config_record,
    made_choice,
    made_record,
    scalars_of,
    visual_part,
)
from aiobs.instrumentation.records import units_record

if TYPE_CHECKING:
    from google.genai.types import GenerateVideosOperation

_MODELS = "google.genai.models"
_OPERATIONS = "google.genai.operations"
_CONFIG = frozenset(
    {
        "aspect_ratio",
        "compression_quality",
        "duration_seconds",
        "enhance_prompt",
        "fps",
        "generate_audio",
        "number_of_videos",
        "person_generation",
        "resize_mode",
        "resolution",
    }
)
_STATUS = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
"""The codes of ``google.rpc.Status``, which the error of an operation has, as the words that other errors have."""


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, seed, and what else of the config is a number or a word of the provider's."""
    config = kwargs.get("config")
    params = {"seed": seed} if (seed := field(config, "seed")) is not None else {}
    if source_of(kwargs, "image") is not None:
        params["has_image"] = True
    return Request(model=bare_model(kwargs.get("model")), params=params, config=scalars_of(config, _CONFIG))


def source_of(kwargs: dict[str, Any], name: str) -> Any:
    """Prompt, image or video, passed by themselves or as parts of ``source``."""
    found = kwargs.get(name)
    return field(kwargs.get("source"), name) if found is None else found


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """The prompt, and the picture or film to go on from."""
    visuals = [(source_of(kwargs, modality), modality) for modality in ("image", "video")]
    return Prompt(asked_message(source_of(kwargs, "prompt"), visuals))


def read_poll(kwargs: dict[str, Any]) -> Request:
    """Which operation it is about."""
    name = text(field(kwargs.get("operation"), "name"))
    return Request(params={} if name is None else {"response": name}, job=name)


# Response


def read_response(result: GenerateVideosOperation | Any) -> Response:
    """The operation, how far it is, and how many videos there are; an operation that failed is a call that failed."""
    name, done, error = text(field(result, "name")), field(result, "done") is True, field(result, "error")
    response = Response(id=name, status=_status(done, error), native=result)
    if name is not None:
        response.job = Job(name, done)
    if done and error:
        response.failure = _failure(error)
    elif done:
        answer = _answer(result)
        response.usage = Usage(videos=len(_videos(answer)))
        response.finish_reasons = [FILTERED] if field(answer, "rai_media_filtered_count") else []
    return response


def _status(done: bool, error: Any) -> str:
    if not done:
        return "in_progress"
    if not error:
        return "completed"
    return "cancelled" if field(error, "code") == 1 else "failed"


def _failure(error: Any) -> Failure:
    code = field(error, "code")
    return answered_error(_STATUS.get(code, code) if type(code) is int else code, field(error, "message"))


def _answer(operation: Any) -> Any:
    """google-genai 1.5 has it in ``result`` only."""
    found = field(operation, "result")
    return field(operation, "response") if found is None else found


def _videos(answer: Any) -> list[Any]:
    return [*items(field(answer, "generated_videos"))]


def read_choices(result: GenerateVideosOperation | Any) -> dict[int, Choice]:
    """The videos that were made, and the reasons for those that are kept back."""
    answer = _answer(result)
    choices = [made_choice(visual_part(field(made, "video"), "video")) for made in _videos(answer)]
    choices += [made_choice(None, reason) for reason in items(field(answer, "rai_media_filtered_reasons"))]
    return dict(enumerate(choices))


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, prompt, image, video, config, other``, whichever way the three in the middle were passed."""
    given = call.request.kwargs
    return {
        "model": call.request.model,
        "prompt": plain(source_of(given, "prompt")),
        "image": plain(source_of(given, "image")),
        "video": plain(source_of(given, "video")),
        "config": config_record(given.get("config")),
        "other": {},
    }


def session_poll(call: Call) -> dict[str, Any]:
    """``model, operation_name, config, other``: a poll names no model."""
    config = config_record(call.request.kwargs.get("config"))
    return {"model": None, "operation_name": call.request.job, "config": config, "other": {}}


def session_response(call: Call) -> dict[str, Any] | None:
    """``model, usage, operation_name, done, generated_videos``; ``done`` as the provider said, or None."""
    response = call.response
    if response is None:
        return None
    answer = _answer(response.native) if response.wants_content else None
    videos = [made_record(made, "video", response.choices.get(index)) for index, made in enumerate(_videos(answer))]
    about = {key: plain(value) for key, value in given(answer).items() if key.startswith("rai_")}
    return {
        "model": response.model,
        "usage": units_record(response.usage),
        "operation_name": response.id,
        "done": field(response.native, "done"),
        "generated_videos": videos or None,
        **about,
    }


# The table

_ASKED = ("model", "prompt", "image", "config")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="generate_videos",
        api="models.generate_videos",
        methods=(
            # The public ones warn of what is deprecated, in the name of the line that called them.
            Method(_MODELS, "Models._generate_videos", requires=_ASKED),
            Method(_MODELS, "AsyncModels._generate_videos", is_async=True, requires=_ASKED),
            Method(_MODELS, "Models.generate_videos", requires=_ASKED, instead_of="_generate_videos"),
            Method(
                _MODELS, "AsyncModels.generate_videos", is_async=True, requires=_ASKED, instead_of="_generate_videos"
            ),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        session_request=session_request,
        session_response=session_response,
        has_jobs=True,
    ),
    Operation(
        name="fetch_response",
        api="operations.get",
        methods=(
            Method(_OPERATIONS, "Operations.get", requires=("operation",)),
            Method(_OPERATIONS, "AsyncOperations.get", is_async=True, requires=("operation",)),
        ),
        read_request=read_poll,
        read_response=read_response,
        read_choices=read_choices,
        session_request=session_poll,
        session_response=session_response,
        positional=("operation",),
        has_jobs=True,
    ),
)
