"""Chat completions: what one call becomes on every signal."""

from __future__ import annotations

import asyncio

import pydantic
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from aiobs import Instrumentor
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import chat_with_parse, needs

ASK = [{"role": "user", "content": "What is an API?"}]
DETAILS = {
    "prompt_tokens": 2000,
    "completion_tokens": 300,
    "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 64, "audio_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 20},
}


def without_place(span) -> dict:
    """The attributes but for those that move with the test file and the port."""
    moving = ("code.", "server.port")
    return {key: value for key, value in span.attributes.items() if not key.startswith(moving)}


@needs("openai arguments and ids of late 2024")
def test_a_call_is_one_client_span_with_everything_the_answer_carries(simulator: Simulator, instrumented) -> None:
    """S1-32, S1-35: name, kind and attributes of a whole call, literally."""
    simulator.reply("A contract.", usage=DETAILS)
    simulator.openai().chat.completions.create(
        model="gpt-4o-mini",
        messages=ASK,
        temperature=0.5,
        top_p=1,
        max_completion_tokens=99,
        stop="END",
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        reasoning_effort="low",
        service_tier="flex",
        response_format={"type": "text"},
    )
    span = instrumented.span("chat gpt-4o-mini")
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert without_place(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "server.address": "127.0.0.1",
        "aiobs.api.name": "chat.completions.create",
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "flex",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "text",
        "gen_ai.response.id": "chatcmpl-simulated000001",
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.response.finish_reasons": ("stop",),
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_simulated",
        "aiobs.http.status_code": 200,
        "aiobs.request.id": "req_000001",
        "gen_ai.usage.input_tokens": 2000,
        "gen_ai.usage.output_tokens": 300,
        "gen_ai.usage.cache_read.input_tokens": 1024,
        "gen_ai.usage.cache_write.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 128,
        "gen_ai.usage.audio.input_tokens": 10,
        "gen_ai.usage.audio.output_tokens": 20,
    }
    assert span.attributes["server.port"] == int(simulator.origin.rpartition(":")[2])
    assert (
        span.attributes["code.function.name"]
        == test_a_call_is_one_client_span_with_everything_the_answer_carries.__name__
    )
    assert span.attributes["code.file.path"] == __file__
    assert span.instrumentation_scope.name == "aiobs"
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"


@needs("openai arguments and ids of late 2024")
async def test_an_async_call_is_the_same_span(simulator: Simulator, instrumented) -> None:
    """S1-36: AsyncOpenAI is recorded as OpenAI is."""
    sync_client = simulator.openai()
    sync_client.chat.completions.create(model="m", messages=ASK)
    async with simulator.async_openai() as client:
        await client.chat.completions.create(model="m", messages=ASK)
    first, second = (without_place(span) for span in instrumented.spans)
    for attributes in (first, second):
        del attributes["gen_ai.response.id"], attributes["aiobs.request.id"]
    assert first == second


def test_metrics_of_a_call(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Duration, token histograms and counters by modality, with whitelisted attributes only."""
    simulator.reply("A contract.", usage=DETAILS)
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    metrics = instrumented.metrics()
    (duration,) = metrics["gen_ai.client.inference.duration"]
    assert duration.count == 1
    assert set(duration.attributes) == {
        "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
        "openai.response.service_tier", "server.address", "server.port",
    }  # fmt: skip
    assert duration.explicit_bounds[0] == 0.01
    counted = {
        (name.removeprefix("gen_ai.client.inference."), point.attributes.get("gen_ai.token.modality")): point.value
        for name, points in metrics.items()
        for point in points
        if name.startswith("gen_ai.") and hasattr(point, "value")
    }
    assert counted == {
        ("usage.input_tokens", "audio"): 10,
        ("usage.input_tokens", "unknown"): 1990,
        ("usage.output_tokens", "audio"): 20,
        ("usage.output_tokens", "unknown"): 280,
        ("usage.cache_read.input_tokens", "unknown"): 1024,
        ("usage.cache_write.input_tokens", "unknown"): 64,
        ("usage.reasoning.output_tokens", "unknown"): 128,
    }
    (inputs,) = metrics["gen_ai.client.inference.operation.input_tokens"]
    assert (inputs.sum, inputs.explicit_bounds[:3]) == (2000, (1, 4, 16))
    assert "gen_ai.client.inference.time_to_first_chunk" not in metrics


def test_the_details_event_has_the_spans_attributes_and_no_content(simulator: Simulator, instrumented) -> None:
    """With the gate closed the event says what the span says."""
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    (event,) = instrumented.events("gen_ai.client.inference.operation.details")
    span = instrumented.span()
    assert event.severity_number.value == 5
    assert event.span_id == span.context.span_id
    of_openai = {key for key in span.attributes if key.startswith("openai.")}
    assert of_openai == {"openai.api.type", "openai.response.service_tier", "openai.response.system_fingerprint"}
    assert dict(event.attributes) == {key: value for key, value in span.attributes.items() if key not in of_openai}


def test_parse_and_create_inside_it_are_one_span(simulator: Simulator, instrumented) -> None:
    """S1-38: parse() gives the parsed type and one span, whatever it calls.

    breaks-apps #77
    """

    class Answer(pydantic.BaseModel):
        city: str
        population: int

    parsed = chat_with_parse(simulator.openai()).parse(model="m", messages=ASK, response_format=Answer)
    assert parsed.choices[0].message.parsed == Answer(city="What is an API?", population=1)
    assert instrumented.span().attributes["gen_ai.output.type"] == "json"


@needs("openai errors with their completion")
def test_parse_that_fails_after_the_answer_keeps_its_usage(simulator: Simulator, instrumented) -> None:
    """A length limit raises out of parse() although tokens were spent."""
    import openai

    class Answer(pydantic.BaseModel):
        city: str

    simulator.reply('{"city": "Par', finish_reason="length", usage={"prompt_tokens": 5})
    with pytest.raises(openai.LengthFinishReasonError):
        chat_with_parse(simulator.openai()).parse(model="m", messages=ASK, response_format=Answer)
    attributes = instrumented.span().attributes
    assert attributes["error.type"] == "openai.LengthFinishReasonError"
    assert attributes["gen_ai.usage.input_tokens"] == 5
    assert attributes["gen_ai.response.finish_reasons"] == ("length",)


def test_several_choices(simulator: Simulator, signals: InMemoryTelemetry) -> None:
    """n=3: one finish reason and one output message per choice, choice.count on the span.

    breaks-apps #75
    """
    Instrumentor(**signals.providers, capture_content="span_only").instrument()
    simulator.openai().chat.completions.create(model="m", messages=ASK, n=3)
    attributes = signals.span().attributes
    assert attributes["gen_ai.request.choice.count"] == 3
    assert attributes["gen_ai.response.finish_reasons"] == ("stop", "stop", "stop")
    assert attributes["gen_ai.output.messages"].count('"role":"assistant"') == 3


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://x.openai.azure.com/openai/v1", "azure.ai.openai"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gcp.gemini"),
        ("https://us-central1-aiplatform.googleapis.com/v1", "gcp.vertex_ai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.mistral.ai/v1", "mistral_ai"),
        ("https://openrouter.ai/api/v1", "openai"),
        ("http://localhost:8000/v1", "openai"),
        ("http://[::1]:8000/v1", "openai"),
    ],
)
def test_provider_name_by_base_url(base_url: str, provider: str) -> None:
    """The provider is who answers at the client's base URL."""
    import openai

    from aiobs.instrumentation.openai.client import server_of

    with openai.OpenAI(api_key="k", base_url=base_url) as client:
        server = server_of(client)
        assert server.provider == provider
        assert server.port == (8000 if "8000" in base_url else 443)
        assert server_of(client) is server
        client.base_url = "http://other.example:9/v1"
        assert server_of(client) == ("openai", "other.example", 9)


def test_azure_client(simulator: Simulator, instrumented) -> None:
    """AzureOpenAI is azure.ai.openai whatever its host."""
    simulator.azure_openai().chat.completions.create(model="my-deployment", messages=ASK)
    attributes = instrumented.span("chat my-deployment").attributes
    assert attributes["gen_ai.provider.name"] == "azure.ai.openai"
    assert simulator.requests[0].path == "/openai/deployments/my-deployment/chat/completions"


def test_extra_body_overrides_what_is_recorded(simulator: Simulator, instrumented) -> None:
    """extra_body replaces parameters on the wire, and so on the span."""
    simulator.openai().chat.completions.create(model="m", messages=ASK, temperature=1, extra_body={"temperature": 0.25})
    assert simulator.requests[0].json["temperature"] == 0.25
    assert instrumented.span().attributes["gen_ai.request.temperature"] == 0.25


def test_retries_are_inside_one_span(simulator: Simulator, instrumented) -> None:
    """Promise 2: 500, 429, then an answer: one call, one span, no error.

    breaks-apps #78
    """
    simulator.fail(500)
    simulator.fail(429, retry_after=0.01)
    simulator.openai(max_retries=2).chat.completions.create(model="m", messages=ASK)
    assert len(simulator.requests) == 3
    assert "error.type" not in instrumented.span().attributes


async def test_a_cancelled_call(simulator: Simulator, instrumented) -> None:
    """A task cancelled while it waits for the answer: no error, cancelled, and the cancellation goes on."""
    simulator.fault(silence=20)
    async with simulator.async_openai() as client:
        task = asyncio.create_task(client.chat.completions.create(model="m", messages=ASK))
        while not simulator.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    span = instrumented.span()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["aiobs.cancelled"] is True


def test_an_interrupted_call(simulator: Simulator, instrumented, monkeypatch) -> None:
    """Ctrl-C while waiting is the user's: no error, cancelled."""
    client = simulator.openai()

    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "post", interrupt)
    monkeypatch.setattr(client.chat.completions, "_post", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.chat.completions.create(model="m", messages=ASK)
    assert instrumented.span().attributes["aiobs.cancelled"] is True


def test_the_duration_is_the_calls(simulator: Simulator, instrumented) -> None:
    """S1-44: from the request to the answer, on the span and in the metric alike."""
    simulator.fault(silence=0.05)
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    span = instrumented.span()
    seconds = (span.end_time - span.start_time) / 1e9
    assert 0.05 <= seconds < 5
    assert instrumented.metrics()["gen_ai.client.inference.duration"][0].sum == pytest.approx(seconds)


def test_the_duration_does_not_follow_the_clock(simulator: Simulator, instrumented, monkeypatch) -> None:
    """S1-44: a wall clock that is set back during the call does not make it negative."""
    from aiobs import clock

    times = iter([2_000_000_000_000_000_000, 1_000_000_000_000_000_000])
    monkeypatch.setattr(clock, "time_ns", lambda: next(times))
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    span = instrumented.span()
    assert 0 < span.end_time - span.start_time < 5e9
