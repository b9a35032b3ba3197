"""Google GenAI: pictures made, edited, enlarged, put into another context, cut out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.operation import VERTEX, Operation

_PICTURE = {"image_bytes": b"N33DLE", "mime_type": "image/png"}
_STORED = {"gcs_uri": "gs://bucket/picture.png", "mime_type": "image/png"}


def _reference() -> Mapping[str, Any]:
    from google.genai.types import Image, RawReferenceImage

    reference = RawReferenceImage(reference_id=1, reference_image=Image(**_PICTURE))
    return {"reference_images": [reference]}


def _operation(name: str, prompt: str | None = "prompt", **more: Any) -> Operation:
    return Operation(
        name=f"vertex-{name.replace('_', '-')}",
        sdk=VERTEX,
        operation=name,
        api=f"models.{name}",
        method=lambda client: getattr(client.models, name),
        prompt=prompt,
        **{"features": ("gemini",), "needles": 1, **more},
    )


def _source(**more: Any) -> Callable[[str], Any]:
    return lambda prompt: {"prompt": prompt, **more}


OPERATIONS = (
    _operation("generate_images"),
    _operation("edit_image", objects=_reference),
    _operation("upscale_image", None, arguments={"model": "m", "image": _PICTURE, "upscale_factor": "x2"}, needles=0),
    _operation(
        "recontext_image",
        "source",
        asks=_source(person_image=_PICTURE, product_images=[{"product_image": _STORED}]),
        features=("gemini", "gemini contexts and segments of pictures"),
    ),
    _operation(
        "segment_image",
        "source",
        asks=_source(image=_STORED),
        features=("gemini", "gemini contexts and segments of pictures"),
    ),
)
