"""Pictures made, edited, enlarged, put into another context or cut out: how requests and answers are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Prompt, Request, Response, Usage
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import items
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
    from google.genai.types import GenerateImagesResponse, SegmentImageResponse

_MODELS = "google.genai.models"
_CONFIG = frozenset(
    {
        "add_watermark",
        "aspect_ratio",
        "base_steps",
        "binary_color_threshold",
        "confidence_threshold",
        "edit_mode",
        "enhance_input_image",
        "enhance_prompt",
        "guidance_scale",
        "image_preservation_factor",
        "image_size",
        "include_rai_reason",
        "include_safety_attributes",
        "language",
        "mask_dilation",
        "max_predictions",
        "mode",
        "number_of_images",
        "output_compression_quality",
        "output_mime_type",
        "person_generation",
        "safety_filter_level",
    }
)


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, seed, and what else is a number or a word of the provider's."""
    config = kwargs.get("config")
    params: dict[str, Any] = {"output_type": "image"}
    if (seed := field(config, "seed")) is not None:
        params["seed"] = seed
    scalars = scalars_of(config, _CONFIG)
    if (factor := kwargs.get("upscale_factor")) is not None:
        scalars["upscale_factor"] = factor
    return Request(model=bare_model(kwargs.get("model")), params=params, config=scalars)


def _no_pictures(kwargs: dict[str, Any]) -> Iterator[Any]:
    yield from ()


def _of_references(kwargs: dict[str, Any]) -> Iterator[Any]:
    yield from (field(reference, "reference_image") for reference in items(kwargs.get("reference_images")))


def _one_picture(kwargs: dict[str, Any]) -> Iterator[Any]:
    yield kwargs.get("image")


def _of_context(kwargs: dict[str, Any]) -> Iterator[Any]:
    source = kwargs.get("source")
    yield field(source, "person_image")
    yield from (field(product, "product_image") for product in items(field(source, "product_images")))


def _of_segments(kwargs: dict[str, Any]) -> Iterator[Any]:
    source = kwargs.get("source")
    yield field(source, "image")
    yield field(field(source, "scribble_image"), "image")


def read_prompt(pictures: Callable[[dict[str, Any]], Iterator[Any]], kwargs: dict[str, Any]) -> Prompt:
    """The prompt and the pictures that it is about."""
    prompt = kwargs.get("prompt")
    prompt = field(kwargs.get("source"), "prompt") if prompt is None else prompt
    return Prompt(asked_message(prompt, ((picture, "image") for picture in pictures(kwargs))))


# Response


def read_response(result: GenerateImagesResponse | SegmentImageResponse | Any) -> Response:
    """How many pictures there are, and a finish reason for each that is kept back."""
    made, name = _made(result)
    filtered = [FILTERED for each in made if field(each, "rai_filtered_reason")]
    count = sum(_is_there(field(each, name)) for each in made)
    return Response(usage=Usage(images=count), finish_reasons=[*filtered], native=result)


def _made(result: Any) -> tuple[list[Any], str]:
    """What was made, and the name of the picture in each."""
    masks = field(result, "generated_masks")
    if masks is not None:
        return [*items(masks)], "mask"
    return [*items(field(result, "generated_images"))], "image"


def _is_there(picture: Any) -> bool:
    return bool(field(picture, "image_bytes") or field(picture, "gcs_uri"))


def read_choices(result: GenerateImagesResponse | SegmentImageResponse | Any) -> dict[int, Choice]:
    """The pictures, and the reasons for those that are kept back."""
    made, name = _made(result)
    return {
        index: made_choice(visual_part(field(each, name), "image"), field(each, "rai_filtered_reason"))
        for index, each in enumerate(made)
        if _is_there(field(each, name)) or field(each, "rai_filtered_reason")
    }


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model``, the arguments of the method, ``config, other``."""
    arguments = {key: plain(value) for key, value in call.request.kwargs.items() if key not in ("model", "config")}
    config = config_record(call.request.kwargs.get("config"))
    return {"model": call.request.model, **arguments, "config": config, "other": {}}


def session_response(call: Call) -> dict[str, Any] | None:
    """``model, usage`` and ``generated_images`` or ``generated_masks``, without bytes; None without an answer."""
    response = call.response
    if response is None:
        return None
    record: dict[str, Any] = {
        "model": response.model,
        "usage": units_record(response.usage),
    }
    if not response.wants_content:
        return record
    made, name = _made(response.native)
    record[f"generated_{name}s"] = [made_record(each, name, response.choices.get(n)) for n, each in enumerate(made)]
    safety = given(response.native).get("positive_prompt_safety_attributes")
    return {**record, **({} if safety is None else {"positive_prompt_safety_attributes": plain(safety)})}


# The table


def _operation(
    name: str,
    pictures: Callable[[dict[str, Any]], Iterator[Any]],
    requires: tuple[str, ...],
    *methods: tuple[str, str | None],
    since: str | None = None,
) -> Operation:
    """One operation, sync and async; ``methods`` with what each is there for in the place of."""
    return Operation(
        name=name,
        api=f"models.{name}",
        methods=tuple(
            Method(_MODELS, f"{owner}.{method}", is_async, requires=requires, instead_of=instead_of)
            for method, instead_of in methods
            for owner, is_async in (("Models", False), ("AsyncModels", True))
        ),
        since=since,
        read_request=read_request,
        read_response=read_response,
        read_prompt=partial(read_prompt, pictures),
        read_choices=read_choices,
        session_request=session_request,
        session_response=session_response,
    )


_PROMPT = ("model", "prompt", "config")
_SOURCE = ("model", "source", "config")

# Of the first two the public methods warn of what is deprecated, in the name of the line that called them.
OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "generate_images",
        _no_pictures,
        _PROMPT,
        ("_generate_images", None),
        ("generate_images", "_generate_images"),
    ),
    _operation(
        "edit_image",
        _of_references,
        (*_PROMPT, "reference_images"),
        ("_edit_image", None),
        ("edit_image", "_edit_image"),
    ),
    _operation(
        "upscale_image",
        _one_picture,
        ("model", "image", "upscale_factor", "config"),
        ("upscale_image", None),
    ),
    _operation("recontext_image", _of_context, _SOURCE, ("recontext_image", None), since="1.50"),
    _operation("segment_image", _of_segments, _SOURCE, ("segment_image", None), since="1.50"),
)
