"""Pictures made, edited, enlarged, put into another context and cut out: spans, units, content, the session file."""

from __future__ import annotations

import asyncio
import hashlib
import json
import warnings
from typing import Any

import pytest
from google.genai import types
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import SDK, attributes_of, content_of, everything, file_events
from tests.versions import needs

PNG = b"NEEDLE-png"
SHA = hashlib.sha256(PNG).hexdigest()
HELD = {"image_bytes": PNG, "mime_type": "image/png"}
STORED = {"gcs_uri": "gs://b/i.png", "mime_type": "image/png"}
RECORD = {"mime_type": "image/png", "bytes": len(PNG), "sha256": SHA}
BLOB = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "size": len(PNG), "sha256": SHA}
URI = {"type": "uri", "modality": "image", "mime_type": "image/png", "uri": "gs://b/i.png"}
SAID = {"type": "text", "content": "NEEDLE cat"}
since_3 = pytest.mark.skipif(SDK < (3, 0), reason="the Developer API has pictures in this release")
later = needs("gemini contexts and segments of pictures")


def references() -> list[Any]:
    """A picture to edit, and a mask that is to be worked out."""
    mask = types.MaskReferenceConfig(mask_mode=types.MaskReferenceMode.MASK_MODE_FOREGROUND)
    return [
        types.RawReferenceImage(reference_id=1, reference_image=types.Image(**HELD)),
        types.MaskReferenceImage(reference_id=2, config=mask),
    ]


def arguments_of(name: str) -> dict[str, Any]:
    """What each method is called with."""
    source = {"prompt": "NEEDLE cat"}
    context = {**source, "person_image": HELD, "product_images": [{"product_image": STORED}]}
    return {
        "generate_images": {"prompt": "NEEDLE cat"},
        "edit_image": {"prompt": "NEEDLE cat", "reference_images": references()},
        "upscale_image": {"image": HELD, "upscale_factor": "x2"},
        "recontext_image": {"source": context},
        "segment_image": {"source": {**source, "image": STORED, "scribble_image": {"image": HELD}}},
    }[name]


PARTS = {
    "generate_images": [SAID],
    "edit_image": [SAID, BLOB],
    "upscale_image": [BLOB],
    "recontext_image": [SAID, BLOB, URI],
    "segment_image": [SAID, URI, BLOB],
}
"""What each call says, by method."""

CONFIGS: dict[str, dict[str, Any]] = {
    "generate_images": {"number_of_images": 2, "aspect_ratio": "16:9", "seed": 7, "guidance_scale": 1.5},
    "edit_image": {"edit_mode": "EDIT_MODE_INPAINT_INSERTION", "number_of_images": 1},
    "upscale_image": {"output_mime_type": "image/png"},
    "recontext_image": {"base_steps": 3, "safety_filter_level": "BLOCK_ONLY_HIGH"},
    "segment_image": {"mode": "FOREGROUND", "confidence_threshold": 0.5, "mask_dilation": 0.1},
}
EACH = [pytest.param(name, marks=later if name[:2] in ("re", "se") else ()) for name in PARTS]
each = pytest.mark.parametrize("name", EACH)
both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def make(client: Any, name: str, is_async: bool = False, **more: Any) -> Any:
    """Call the method."""
    arguments = {"model": "imagen", **arguments_of(name), **more}
    if not is_async:
        return getattr(client.models, name)(**arguments)

    async def call() -> Any:
        return await getattr(client.aio.models, name)(**arguments)

    return asyncio.run(call())


def recording(signals: InMemoryTelemetry, content: str | None = None) -> None:
    """Record into ``signals`` and the session file."""
    observer.observe("pictures", tracer_provider=signals.tracer_provider, capture_content=content)
    Instrumentor(**signals.providers, capture_content=content).instrument()


@each
@both
@pytest.mark.parametrize("kind", ["dict", "model"])
@pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")  # google-genai 1.5 calls it
def test_the_span_of_the_call(
    simulator: Simulator, instrumented: InMemoryTelemetry, name: str, is_async: bool, kind: str
) -> None:
    """Model, seed, the numbers and words of the config, and how many pictures came; what is said and shown stays in."""
    given = CONFIGS[name]
    model = {
        "generate_images": types.GenerateImagesConfig,
        "edit_image": types.EditImageConfig,
        "upscale_image": types.UpscaleImageConfig,
    }.get(name) or getattr(types, f"{name.partition('_')[0].capitalize()}ImageConfig", None)
    simulator.reply("NEEDLE-png")
    answer = make(simulator.vertex(), name, is_async, config=given if kind == "dict" else model(**given))
    made = getattr(answer, "generated_images", None) or answer.generated_masks
    span = instrumented.span(f"{name} imagen")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    scalars = {f"aiobs.request.config.{key}": value for key, value in given.items() if key != "seed"}
    assert attributes_of(span) == {
        "gen_ai.operation.name": name,
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.model": "imagen",
        "gen_ai.output.type": "image",
        "server.address": "127.0.0.1",
        "aiobs.api.name": f"models.{name}",
        **({"aiobs.http.status_code": 200} if SDK > (1, 5) else {}),
        **scalars,
        **({"gen_ai.request.seed": 7} if "seed" in given else {}),
        **({"aiobs.request.config.upscale_factor": "x2"} if name == "upscale_image" else {}),
        "aiobs.usage.images": len(made),
    }
    assert len(made) == given.get("number_of_images", 1)
    assert "NEEDLE" not in everything(instrumented)


@each
def test_content_and_the_session_file(simulator: Simulator, signals: InMemoryTelemetry, name: str) -> None:
    """Prompt and pictures in, pictures out: of bytes size and hash, on signals under the gate and in the file."""
    recording(signals, "span_only")
    simulator.reply("NEEDLE-png")
    make(simulator.vertex(), name, config=CONFIGS[name] | ({"number_of_images": 1} if name[:2] in ("ge", "ed") else {}))
    assert content_of(signals.span()) == {
        "input.messages": [{"role": "user", "parts": PARTS[name]}],
        "output.messages": [{"role": "assistant", "parts": [BLOB]}],
    }
    (event,) = file_events()
    request, response = event["request"], event["response"]
    assert (event["provider"], event["api"], event["error"]) == ("gemini", f"models.{name}", None)
    assert (request["model"], request["other"]) == ("imagen", {})
    assert CONFIGS[name].keys() <= request["config"].keys()
    assert response["usage"] == {"images": 1}
    (made,) = response["generated_masks" if name == "segment_image" else "generated_images"]
    assert made["mask" if name == "segment_image" else "image"] == RECORD
    whole = json.dumps(event)
    assert "NEEDLE-png" not in whole + everything(signals)
    assert whole.count(SHA) == 1 + sum(part == BLOB for part in PARTS[name])


def test_the_arguments_in_the_session_file(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Each under its own name, as it was passed."""
    recording(signals)
    client = simulator.vertex()
    make(client, "upscale_image")
    make(client, "edit_image")
    first, second = (event["request"] for event in file_events())
    assert first == {"model": "imagen", "image": RECORD, "upscale_factor": "x2", "config": None, "other": {}}
    assert second["prompt"] == "NEEDLE cat"
    assert second["reference_images"][0]["reference_image"] == RECORD
    assert second["reference_images"][1]["reference_id"] == 2


@pytest.mark.parametrize("name", ["generate_images", "edit_image"])
def test_pictures_that_are_kept_back(simulator: Simulator, signals: InMemoryTelemetry, name: str) -> None:
    """A finish reason for each, no unit; the provider's reason is a refusal under the gate and in the file."""
    recording(signals, "span_only")
    simulator.reply("NEEDLE-png", refusal="NEEDLE violates something")
    make(simulator.vertex(), name, config={"include_rai_reason": True})
    attributes = attributes_of(signals.span())
    assert attributes["gen_ai.response.finish_reasons"] == ("content_filter",)
    assert attributes["aiobs.usage.images"] == 1
    refusal = {"type": "text", "content": "NEEDLE violates something", "refusal": True}
    messages = content_of(signals.span())["output.messages"]
    assert [message["parts"] for message in messages] == [[BLOB], [refusal]]
    (event,) = file_events()
    assert event["response"]["generated_images"][1]["rai_filtered_reason"] == "NEEDLE violates something"


def test_nothing_is_told_if_the_user_says_so(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """``no_content``: neither prompt nor picture, not even its hash."""
    recording(signals, "no_content")
    simulator.reply("NEEDLE-png", refusal="NEEDLE")
    make(simulator.vertex(), "edit_image")
    (event,) = file_events()
    assert event["response"] == {"model": None, "usage": {"images": 1}}
    assert not {"NEEDLE", SHA} & set(json.dumps(event).split('"'))
    assert "NEEDLE" not in json.dumps(event) + everything(signals)


@since_3
@both
@each
def test_the_developer_api_has_none(
    simulator: Simulator, signals: InMemoryTelemetry, name: str, is_async: bool
) -> None:
    """The SDK refuses by a ValueError, which is recorded and raised; no request is made."""
    recording(signals)
    with pytest.raises(ValueError, match="only supported in"):
        make(simulator.gemini(), name, is_async)
    assert attributes_of(signals.span(f"{name} imagen"))["error.type"] == "ValueError"
    (event,) = file_events()
    assert (event["response"], event["error"].partition(":")[0]) == (None, "ValueError")
    assert simulator.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"predictions": None},
        {"predictions": []},
        {"predictions": [{}]},
        {"predictions": [{"bytesBase64Encoded": None, "mimeType": None, "raiFilteredReason": None}]},
        {"predictions": [{"raiFilteredReason": ""}]},
        {
            "predictions": [
                {"safetyAttributes": {"categories": ["x"], "scores": [0.5]}, "contentType": "Positive Prompt"}
            ]
        },
    ],
    ids=str,
)
def test_answers_that_lack_things(simulator: Simulator, signals: InMemoryTelemetry, fields: dict[str, Any]) -> None:
    """No picture is no unit; the call is recorded whatever is missing."""
    recording(signals, "span_only")
    simulator.reply(fields=fields)
    make(simulator.vertex(), "generate_images")
    assert attributes_of(signals.span())["aiobs.usage.images"] == 0
    assert "output.messages" not in content_of(signals.span())
    (event,) = file_events()
    assert event["response"]["usage"] == {"images": 0}


@since_3
@pytest.mark.parametrize("name", ["generate_images", "edit_image"])
@both
def test_the_sdk_warns_in_the_name_of_the_program(
    simulator: Simulator, signals: InMemoryTelemetry, name: str, is_async: bool
) -> None:
    """What it deprecates is said of the line that called it. It says so once, so the test makes it forget that."""
    from google.genai import models

    owner = models.AsyncModels if is_async else models.Models
    function = vars(owner)[name]
    said = next(cell for key, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True)
                if key == "warning_done")  # fmt: skip
    said.cell_contents = False
    recording(signals)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(simulator.vertex(), name, is_async)
    assert [warning.filename for warning in caught if "deprecated" in str(warning.message)] == [__file__]
    assert len(signals.spans) == 1
