"""Pictures: made from a prompt, edited, varied; whole and streamed. Their pixels are on no signal and in no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Part, Prompt, Request, Response, Usage
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import count, fields_of, get, items, text
from aiobs.instrumentation.media import blob_part, blob_record, file_parts, file_record, without_none
from aiobs.instrumentation.openai.requests import as_sent, config_of
from aiobs.instrumentation.records import request_record, usage_record, with_extras

if TYPE_CHECKING:
    from openai.types import ImageEditStreamEvent, ImageGenStreamEvent, ImagesResponse

_MODULE = "openai.resources.images"
_GIVEN = ("image", "mask", "markup")
"""Parameters that hold pictures."""

_CONFIG = (
    "size", "quality", "style", "background", "moderation", "input_fidelity", "complexity", "output_format",
    "output_compression", "response_format", "partial_images", "frame_count", "frame_duration_ms",
)  # fmt: skip
_FILE_FIELDS = ("prompt", "n", "size", "quality", "response_format")
_ABOUT = ("created", "created_at", "size", "quality", "background", "output_format")
_BEGINNINGS = (("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("UklGR", "image/webp"), ("R0lG", "image/gif"))
"""How the base64 of a picture begins → what it is; for answers that do not say."""


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model, number of pictures and how they are to be; ``extra_body`` overrides them, as it does on the wire."""
    given = as_sent(kwargs)
    params: dict[str, Any] = {"output_type": "image"}
    if (wanted := given.get("n")) is not None:
        params["choice_count"] = wanted
    return Request(
        model=text(given.get("model")),
        params=params,
        stream=bool(given.get("stream")),
        config=config_of(given, _CONFIG),
    )


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """One message: the text, and the given pictures that are in memory."""
    prompt = kwargs.get("prompt")
    parts: list[Part] = [{"type": "text", "content": prompt}] if isinstance(prompt, str) else []
    for name in _GIVEN:
        parts.extend(file_parts("image", kwargs.get(name)))
    return Prompt([{"role": "user", "parts": parts}] if parts else [])


# Response


def read_response(result: ImagesResponse | Any) -> Response:
    """Usage, and how many pictures came."""
    fields = fields_of(result)
    pictures = [item for item in items(fields.get("data")) if _is_picture(item)]
    return Response(
        usage=_usage(fields.get("usage"), len(pictures)),
        request_id=text(getattr(result, "_request_id", None)),
        native=result,
    )


def _is_picture(item: Any) -> bool:
    return text(get(item, "b64_json")) is not None or text(get(item, "url")) is not None


def _usage(usage: Any, pictures: int) -> Usage:
    spent, made = get(usage, "input_tokens_details"), get(usage, "output_tokens_details")
    counts = {name: get(usage, name) for name in ("input_tokens", "output_tokens", "total_tokens")}
    return Usage(
        native={name: value for name, value in counts.items() if type(value) is int},
        input=count(counts["input_tokens"]),
        output=count(counts["output_tokens"]),
        cache_read=count(get(spent, "cached_tokens")),
        input_text=count(get(spent, "text_tokens")),
        input_image=count(get(spent, "image_tokens")),
        output_text=count(get(made, "text_tokens")),
        output_image=count(get(made, "image_tokens")),
        images=pictures,
    )


def read_choices(result: ImagesResponse | Any) -> dict[int, Choice]:
    """Each picture is a choice."""
    fields = fields_of(result)
    pictures = enumerate(items(fields.get("data")))
    return {
        index: Choice(parts=list(parts))
        for index, item in pictures
        if (parts := _parts(item, text(fields.get("output_format"))))
    }


def _parts(item: Any, output_format: str | None) -> list[Part]:
    """The picture, and what the provider made of the prompt."""
    parts: list[Part] = []
    if (data := text(get(item, "b64_json"))) is not None:
        parts.append(blob_part("image", _mime_type(data, output_format), data))
    elif (url := text(get(item, "url"))) is not None:
        parts.append({"type": "uri", "modality": "image", "mime_type": None, "uri": _without_signature(url)})
    if (revised := text(get(item, "revised_prompt"))) is not None:
        parts.append({"type": "text", "content": revised})
    return parts


def _mime_type(data: str, output_format: str | None) -> str:
    if output_format is not None:
        return "image/svg+xml" if output_format == "svg" else f"image/{output_format}"
    return next((kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), "image/png")


def _without_signature(url: str) -> str:
    """Where the picture is, without what gives leave to fetch it."""
    if url.startswith("data:"):
        return "data:"
    scheme, separator, rest = url.partition("?")[0].partition("#")[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


# Stream


def fold_chunk(response: Response, chunk: ImageGenStreamEvent | ImageEditStreamEvent | Any) -> None:
    """Add a picture that is complete; sketches on the way to it are nothing. The last usage counts."""
    if not str(get(chunk, "type")).endswith(".completed"):
        return
    before = response.usage.images if response.usage is not None else 0
    response.usage = _usage(get(chunk, "usage"), (before or 0) + 1)
    response.native = {key: get(chunk, key) for key in _ABOUT}
    response.is_whole = True
    if response.wants_content:
        parts = _parts(chunk, text(get(chunk, "output_format")))
        response.choices[len(response.choices)] = Choice(parts=list(parts))


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, prompt, n, size, quality, response_format, other``; given pictures as type, size and hash."""
    given = call.request.kwargs
    return request_record(call, _FILE_FIELDS, **{name: file_record(given[name]) for name in _GIVEN if name in given})


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage, data`` and how the pictures are; each is its type, size and hash, or where it is."""
    response = call.response
    if response is None:
        return None
    fields = fields_of(response.native) if response.wants_content else {}
    record = {
        "id": response.id,
        "model": response.model,
        "usage": usage_record(response.usage),
        "data": [_record(response.choices[index]) for index in sorted(response.choices)],
        **without_none({key: fields.get(key) for key in _ABOUT}),
    }
    return with_extras(record, call)


def _record(choice: Choice) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in choice.parts:
        if not isinstance(part, dict):
            continue
        if part["type"] == "blob":
            found.update(blob_record(part))
        elif part["type"] == "uri":
            found["url"] = part["uri"]
        else:
            found["revised_prompt"] = part["content"]
    return found


def _operation(name: str, method: str, *requires: str) -> Operation:
    return Operation(
        name=name,
        api=f"images.{method}",
        methods=(
            Method(_MODULE, f"Images.{method}", requires=requires),
            Method(_MODULE, f"AsyncImages.{method}", is_async=True, requires=requires),
        ),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        fold_chunk=fold_chunk,
        session_request=session_request,
        session_response=session_response,
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation("generate_images", "generate", "prompt", "model"),
    _operation("edit_image", "edit", "image", "prompt", "model"),
    _operation("create_image_variation", "create_variation", "image", "model"),
)
