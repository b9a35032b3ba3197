"""generate_videos and operations.get: spans, links, units, content, and one event in the session file."""

from __future__ import annotations

import asyncio
import hashlib
import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import errors, types
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.instrumentation.google_genai.shown import SDK, attributes_of, content_of, everything, file_events
from tests.versions import needs

NAME = "projects/p/locations/l/publishers/google/models/veo-2/operations/7"
PNG = b"NEEDLE-png"
SHA = hashlib.sha256(PNG).hexdigest()
IMAGE = {"image_bytes": PNG, "mime_type": "image/png"}
both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
sources = needs("gemini sources of videos")
before_3 = pytest.mark.skipif(SDK >= (3, 0), reason="the Developer API has no videos in this release")
since_3 = pytest.mark.skipif(SDK < (3, 0), reason="the Developer API has videos in this release")
Client = Callable[[], Any]


def run(client: Any, is_async: bool, call: Callable[[Any], Any]) -> Any:
    """What the call gives, of the client or of its async side."""
    if not is_async:
        return call(client)

    async def awaited() -> Any:
        return await call(client.aio)

    return asyncio.run(awaited())


def submit(client: Any, is_async: bool = False, **arguments: Any) -> Any:
    """Start a video."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        given = {"model": "veo-2", "prompt": "NEEDLE cat", **arguments}
        return run(client, is_async, lambda side: side.models.generate_videos(**given))


def poll(client: Any, operation: Any, is_async: bool = False) -> Any:
    """Ask how far it is."""
    return run(client, is_async, lambda side: side.operations.get(operation))


def recording(signals: InMemoryTelemetry, content: str | None = None) -> None:
    """Record into ``signals`` and the session file."""
    observer.observe("videos", tracer_provider=signals.tracer_provider, capture_content=content)
    Instrumentor(**signals.providers, capture_content=content).instrument()


def expected(operation: str, api: str, **more: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "gcp.vertex_ai",
        "server.address": "127.0.0.1",
        "aiobs.api.name": api,
        **({"aiobs.http.status_code": 200} if SDK > (1, 5) else {}),
        **more,
    }


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


# The call that submits


CONFIG: dict[str, Any] = {
    "number_of_videos": 2,
    "aspect_ratio": "16:9",
    "duration_seconds": 8,
    "negative_prompt": "NEEDLE dogs",
    "enhance_prompt": True,
    "person_generation": "allow_adult",
    "seed": 7,
    "output_gcs_uri": "gs://bucket/NEEDLE",
    "fps": 24,
}


@both
@pytest.mark.parametrize("config", [CONFIG, types.GenerateVideosConfig(**CONFIG)], ids=["dict", "model"])
def test_the_span_of_the_call(
    simulator: Simulator, instrumented: InMemoryTelemetry, is_async: bool, config: Any
) -> None:
    """S1-48, S1-50, S1-52: numbers and words of the config, the operation as id of the answer; what is said stays in."""
    operation = submit(simulator.vertex(), is_async, image=IMAGE, config=config)
    span = instrumented.span("generate_videos veo-2")
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    assert operation.name is not None
    assert attributes_of(span) == expected(
        "generate_videos",
        "models.generate_videos",
        **{
            "gen_ai.request.model": "veo-2",
            "gen_ai.request.seed": 7,
            "gen_ai.response.id": operation.name,
            "gen_ai.response.status": "in_progress",
            "aiobs.video.has_image": True,
            "aiobs.request.config.number_of_videos": 2,
            "aiobs.request.config.aspect_ratio": "16:9",
            "aiobs.request.config.duration_seconds": 8,
            "aiobs.request.config.enhance_prompt": True,
            "aiobs.request.config.person_generation": "allow_adult",
            "aiobs.request.config.fps": 24,
        },
    )
    assert "NEEDLE" not in everything(instrumented)


@sources
def test_newer_parameters_of_the_config(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """S1-52: words that are enum members in the SDK are recorded as the program may spell them."""
    config = types.GenerateVideosConfig(
        resolution="1080p", generate_audio=False, compression_quality=types.VideoCompressionQuality.LOSSLESS
    )
    submit(simulator.vertex(), config=config)
    found = {key: value for key, value in attributes_of(instrumented.span()).items() if ".config." in key}
    assert found == {
        "aiobs.request.config.resolution": "1080p",
        "aiobs.request.config.generate_audio": False,
        "aiobs.request.config.compression_quality": "LOSSLESS",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": "NEEDLE cat", "image": IMAGE},
        {"prompt": "NEEDLE cat", "image": types.Image(image_bytes=PNG, mime_type="image/png")},
        pytest.param({"source": {"prompt": "NEEDLE cat", "image": IMAGE}, "prompt": None}, marks=sources),
        pytest.param(
            {
                "source": {"prompt": "NEEDLE cat", "image": types.Image(image_bytes=PNG, mime_type="image/png")},
                "prompt": None,
            },
            marks=sources,
        ),
    ],
    ids=["arguments", "models", "source", "source with a model"],
)
def test_the_content_of_the_request(
    simulator: Simulator, signals: InMemoryTelemetry, arguments: dict[str, Any]
) -> None:
    """S1-49: prompt and picture, whichever way they are passed; of the picture type, size and hash."""
    recording(signals, "span_only")
    submit(simulator.vertex(), **arguments)
    picture = {
        "type": "blob",
        "modality": "image",
        "mime_type": "image/png",
        "content": "",
        "size": len(PNG),
        "sha256": SHA,
    }
    said = {"type": "text", "content": "NEEDLE cat"}
    assert content_of(signals.span()) == {"input.messages": [{"role": "user", "parts": [said, picture]}]}
    (event,) = file_events()
    request = event["request"]
    assert {key: request[key] for key in ("model", "prompt", "image", "video", "config", "other")} == {
        "model": "veo-2",
        "prompt": "NEEDLE cat",
        "image": {"mime_type": "image/png", "bytes": len(PNG), "sha256": SHA},
        "video": None,
        "config": None,
        "other": {},
    }


@sources
def test_a_picture_and_a_film_that_lie_elsewhere(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S1-49: image and video equal what was passed where they hold no bytes; the film is a part of its own."""
    recording(signals, "span_only")
    image, video = {"gcs_uri": "gs://b/i.png", "mime_type": "image/png"}, {"uri": "gs://b/v.mp4", "video_bytes": PNG}
    submit(simulator.vertex(), image=image)
    submit(simulator.vertex(), video=video)
    first, second = (event["request"] for event in file_events())
    assert (first["image"], first["video"]) == (image, None)
    assert (second["image"], second["video"]) == (None, {"uri": "gs://b/v.mp4", "bytes": len(PNG), "sha256": SHA})
    kinds = [content_of(span)["input.messages"][0]["parts"][1]["type"] for span in signals.spans]
    assert kinds == ["uri", "blob"]
    assert ["aiobs.video.has_image" in (span.attributes or {}) for span in signals.spans] == [True, False]


def test_the_event_of_the_session_file(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S1-48, S1-49, S1-50, S1-52: the config is what was passed; ``done`` is what the provider said: nothing."""
    recording(signals)
    operation = submit(simulator.vertex(), config=CONFIG)
    (event,) = file_events()
    assert (event["provider"], event["api"], event["error"]) == ("gemini", "models.generate_videos", None)
    assert event["request"]["config"] == CONFIG
    assert event["response"] == {
        "model": None,
        "usage": None,
        "operation_name": operation.name,
        "done": None,
        "generated_videos": None,
    }
    assert event["span_id"] == id_of(signals.span())


def test_nothing_is_told_if_the_user_says_so(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """``no_content``: the session file has neither prompt nor config nor where the film is."""
    recording(signals, "no_content")
    client = simulator.vertex()
    operation = submit(client, config=CONFIG, image=IMAGE)
    simulator.reply("NEEDLE")
    poll(client, operation)
    (event,) = file_events()
    assert "NEEDLE" not in json.dumps(event) + everything(signals)
    assert (event["response"]["done"], event["response"]["generated_videos"]) == (True, None)


@since_3
@both
def test_the_developer_api_has_none(simulator: Simulator, signals: InMemoryTelemetry, is_async: bool) -> None:
    """S1-53: the SDK refuses by a ValueError, which is recorded and raised; no request is made."""
    recording(signals)
    with pytest.raises(ValueError, match="only supported in Gemini Enterprise Agent Platform mode"):
        submit(simulator.gemini(), is_async)
    span = signals.span("generate_videos veo-2")
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (StatusCode.ERROR, "ValueError")
    (event,) = file_events()
    assert event["error"].startswith("ValueError: This method is only supported in Gemini Enterprise")
    assert event["response"] is None
    assert simulator.requests == []


@before_3
def test_the_developer_api_has_them(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S1-53: older releases make videos there too; the answers are read alike."""
    recording(signals)
    client = simulator.gemini()
    operation = poll(client, submit(client))
    assert operation.done is True
    (event,) = file_events()
    assert event["response"]["generated_videos"][0]["video"]["uri"].endswith("film.mp4")
    assert [span.name for span in signals.spans] == ["generate_videos veo-2", "fetch_response"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": 7},
        {"image": "no picture"},
        {"image": {"image_bytes": 7}},
        {"config": "none"},
    ],
    ids=str,
)
def test_what_the_sdk_refuses(simulator: Simulator, instrumented: InMemoryTelemetry, arguments: Any) -> None:
    """An argument of a wrong type is the SDK's to refuse, and a failed call."""
    with pytest.raises(Exception) as raised:  # noqa: PT011  # which one is the SDK's business
        submit(simulator.vertex(), **arguments)
    span = instrumented.span()
    assert span.status.status_code is StatusCode.ERROR
    assert raised.type.__name__ in str((span.attributes or {})["error.type"])


@pytest.mark.parametrize("status", [400, 429, 500])
def test_what_the_provider_refuses(simulator: Simulator, signals: InMemoryTelemetry, status: int) -> None:
    """The provider's code, and no job."""
    recording(signals)
    simulator.fail(status)
    with pytest.raises(errors.APIError):
        submit(simulator.vertex())
    words = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
    assert (signals.span().attributes or {})["error.type"] == words[status]
    (event,) = file_events()
    assert (event["response"], event["error_details"]["status_code"]) == (None, status)


@needs("gemini warnings of videos without a source")
def test_the_sdk_warns_in_the_name_of_the_program(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """What it deprecates is said of the line that called it, not of ours: else Python would not show it."""
    for owner in ("Models", "AsyncModels"):
        import google.genai.models

        setattr(getattr(google.genai.models, owner), "_logged_generate_videos_deprecation_warning", False)  # noqa: B010
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        simulator.vertex().models.generate_videos(model="veo-2", prompt="cat")
    found = [(warning.category, warning.filename) for warning in caught if "deprecated" in str(warning.message)]
    assert found == [(DeprecationWarning, __file__)]
    assert len(instrumented.spans) == 1


# Polls


@both
def test_polls_are_linked_and_counted(simulator: Simulator, signals: InMemoryTelemetry, is_async: bool) -> None:
    """S1-51: a span for each poll, linked to the submitting one; how long it took and the units once, when done."""
    recording(signals)
    operation = submit(simulator.vertex(), is_async)
    simulator.reply(fields={"done": False})
    simulator.reply()
    simulator.reply()
    for _ in range(3):
        operation = poll(simulator.vertex(), operation, is_async)  # each async call has an event loop of its own
    submitting, *polls = signals.spans
    assert [span.name for span in polls] == ["fetch_response"] * 3
    assert [[link.context for link in span.links] for span in polls] == [[submitting.context]] * 3
    found = [attributes_of(span) for span in polls]
    took = found[1].pop("aiobs.job.duration")
    assert took > 0
    common = expected("fetch_response", "operations.get", **{"gen_ai.response.id": operation.name})
    assert found == [
        {**common, "gen_ai.response.status": "in_progress", "aiobs.job.polls": 1},
        {**common, "gen_ai.response.status": "completed", "aiobs.job.polls": 2, "aiobs.usage.videos": 1},
        {**common, "gen_ai.response.status": "completed", "aiobs.job.polls": 3},
    ]
    (event,) = file_events()
    video = event["response"].pop("generated_videos")
    assert video == [{"video": {"uri": "gs://simulated/film.mp4", "mime_type": "video/mp4"}}]
    assert event["response"] == {
        "model": None,
        "usage": {"videos": 1},
        "operation_name": operation.name,
        "done": True,
        "poll_count": 3,
        "time_to_done_ms": round(took * 1e3, 3),
        "rai_media_filtered_count": 0,
    }
    assert (event["api"], event["span_id"]) == ("models.generate_videos", id_of(submitting))


def test_a_video_that_is_ready_after_a_flush(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S1-51: the event that was written already is changed, and is still the only one."""
    recording(signals)
    client = simulator.vertex()
    operation = submit(client)
    (before,) = file_events()
    operation = poll(client, operation)
    (after,) = file_events()
    assert (before["response"]["done"], after["response"]["done"]) == (None, True)
    moved = ("response",)
    assert {k: v for k, v in before.items() if k not in moved} == {k: v for k, v in after.items() if k not in moved}


def test_an_operation_of_another_process(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """No link and no count; each poll is an event; what it used is told by the first that finds it done."""
    recording(signals)
    client, operation = simulator.vertex(), types.GenerateVideosOperation(name=NAME)
    for _ in range(2):
        poll(client, operation)
    first, second = signals.spans
    assert [len(span.links) for span in signals.spans] == [0, 0]
    assert attributes_of(first) == {**attributes_of(second), "aiobs.usage.videos": 1}
    assert "aiobs.usage.videos" not in attributes_of(second)
    assert "aiobs.job.polls" not in attributes_of(first)
    events = file_events()
    assert [event["api"] for event in events] == ["operations.get"] * 2
    assert events[0]["request"] == {"model": None, "operation_name": NAME, "config": None, "other": {}}
    assert events[0]["response"]["done"] is True


def test_two_operations_at_once(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """Each poll is linked to its own."""
    recording(signals)
    client = simulator.vertex()
    first, second = (submit(client, prompt=prompt) for prompt in ("one", "two"))
    poll(client, second)
    poll(client, first)
    one, two, *polls = signals.spans
    assert [span.links[0].context for span in polls] == [two.context, one.context]
    assert [event["response"]["poll_count"] for event in file_events()] == [1, 1]


@pytest.mark.parametrize("passed", [lambda get, it: get(it), lambda get, it: get(operation=it)])
def test_the_operation_by_position_and_by_name(
    simulator: Simulator, instrumented: InMemoryTelemetry, passed: Callable[[Any, Any], Any]
) -> None:
    """The id of the span is there either way."""
    passed(simulator.vertex().operations.get, types.GenerateVideosOperation(name=NAME))
    assert attributes_of(instrumented.span("fetch_response"))["gen_ai.response.id"] == NAME


@pytest.mark.parametrize(
    ("code", "error_type", "means", "status"),
    [
        (3, "INVALID_ARGUMENT", "BAD_REQUEST", "failed"),
        (8, "RESOURCE_EXHAUSTED", "RATE_LIMITED", "failed"),
        (13, "INTERNAL", "PROVIDER_ERROR", "failed"),
        (1, "CANCELLED", "CANCELLED", "cancelled"),
        (429, "429", "RATE_LIMITED", "failed"),
        ("ODD_CODE", "ODD_CODE", "PROVIDER_ERROR", "failed"),
        (None, "error", "PROVIDER_ERROR", "failed"),
    ],
)
def test_an_operation_that_failed(
    simulator: Simulator, signals: InMemoryTelemetry, code: Any, error_type: str, means: str, status: str
) -> None:
    """S1-51: the poll that is told so is ERROR, by the name of the code; the event of the submitting call has it."""
    recording(signals)
    client = simulator.vertex()
    operation = submit(client)
    simulator.reply(fields={"error": {"code": code, "message": "NEEDLE is not allowed"}})
    operation = poll(client, operation)
    assert operation.done is True
    submitting, span = signals.spans
    assert submitting.status.status_code is StatusCode.UNSET
    attributes = attributes_of(span)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, error_type)
    assert (attributes["error.type"], attributes["aiobs.error.code"]) == (error_type, means)
    assert attributes["gen_ai.response.status"] == status
    assert "aiobs.usage.videos" not in attributes
    assert "NEEDLE" not in everything(signals)
    (event,) = file_events()
    assert event["error"] == f"{error_type}: NEEDLE is not allowed"
    assert event["error_details"]["code"] == means
    assert (event["response"]["done"], event["response"]["poll_count"]) == (True, 1)


def test_a_poll_that_fails_says_nothing_of_the_job(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """It is an event of its own; the next one that gets an answer counts it and changes the job's event."""
    recording(signals)
    client = simulator.vertex()
    operation = submit(client)
    simulator.fail(503)
    with pytest.raises(errors.APIError):
        poll(client, operation)
    poll(client, operation)
    job, failed = file_events()
    assert (failed["api"], failed["error_details"]["status_code"]) == ("operations.get", 503)
    assert (job["error"], job["response"]["done"], job["response"]["poll_count"]) == (None, True, 2)


def test_videos_that_are_kept_back(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """A finish reason, and the provider's own reasons as a refusal under the gate and in the file."""
    recording(signals, "span_only")
    client = simulator.vertex()
    operation = submit(client)
    reasons = ["NEEDLE violates something"]
    answer = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": reasons}
    simulator.reply(fields={"response": answer})
    poll(client, operation)
    attributes = attributes_of(signals.spans[-1])
    assert attributes["gen_ai.response.finish_reasons"] == ("content_filter",)
    assert attributes["aiobs.usage.videos"] == 0
    refusal = {"type": "text", "content": reasons[0], "refusal": True}
    assert content_of(signals.spans[-1]) == {"output.messages": [{"role": "assistant", "parts": [refusal]}]}
    (event,) = file_events()
    assert event["response"]["rai_media_filtered_reasons"] == reasons
    assert event["response"]["generated_videos"] is None


def test_a_film_that_comes_in_the_answer(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """S1-50: of its bytes only size and hash are anywhere."""
    recording(signals, "span_and_event")
    client = simulator.vertex()
    operation = submit(client)
    film = {"bytesBase64Encoded": "TkVFRExFLXBuZw==", "mimeType": "video/mp4"}
    simulator.reply(fields={"response": {"videos": [film, {"gcsUri": "gs://b/2.mp4"}]}})
    operation = poll(client, operation)
    assert operation.result.generated_videos[0].video.video_bytes == PNG
    first, second = content_of(signals.spans[-1])["output.messages"]
    assert first["parts"] == [
        {"type": "blob", "modality": "video", "mime_type": "video/mp4", "content": "", "size": 10, "sha256": SHA}
    ]
    assert second["parts"][0]["uri"] == "gs://b/2.mp4"
    (event,) = file_events()
    assert event["response"]["generated_videos"] == [
        {"video": {"mime_type": "video/mp4", "bytes": 10, "sha256": SHA}},
        {"video": {"uri": "gs://b/2.mp4"}},
    ]
    assert attributes_of(signals.spans[-1])["aiobs.usage.videos"] == 2
    assert "TkVFRExF" not in everything(signals) + json.dumps(event)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"response": None},
        {"response": {"videos": None}},
        {"response": {"videos": []}},
        {"response": {"videos": [{}]}},
        {"response": {"raiMediaFilteredReasons": None, "raiMediaFilteredCount": None}},
        {"error": {}},
        {"error": {"code": None, "message": None}},
        {"metadata": {"deep": [{"er": 1}]}},
    ],
    ids=str,
)
def test_answers_that_lack_things(simulator: Simulator, signals: InMemoryTelemetry, fields: dict[str, Any]) -> None:
    """Whatever is missing is left out; the poll is recorded, and changes the event all the same."""
    recording(signals, "span_only")
    client = simulator.vertex()
    operation = submit(client)
    simulator.reply(fields=fields)
    poll(client, operation)
    assert attributes_of(signals.spans[-1])["gen_ai.response.id"] == operation.name
    assert len(signals.spans[-1].links) == 1
    events = file_events()
    assert events[0]["response"]["operation_name"] == operation.name
    assert [event["api"] for event in events[1:]] == ["operations.get"] * ("name" in fields)


@pytest.mark.nonconforming("the SDK makes no request without a name, and there is none to say")
def test_an_operation_without_a_name(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """The SDK refuses it; that is a failed call."""
    with pytest.raises(ValueError, match="Operation name is empty"):
        simulator.vertex().operations.get(types.GenerateVideosOperation())
    assert attributes_of(instrumented.span("fetch_response"))["error.type"] == "ValueError"
