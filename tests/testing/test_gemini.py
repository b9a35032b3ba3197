"""What the simulated Gemini says, as the real SDK reads it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from aiobs.testing import Answer, Request, Simulator
from aiobs.testing.gemini_content import generate, stream
from aiobs.testing.gemini_embeddings import embed_batch, embed_one, predict
from aiobs.testing.gemini_request import json_schema
from aiobs.testing.gemini_usage import count_tokens
from aiobs.testing.improvise import unit_vector
from aiobs.testing.script import Fault, Reply
from aiobs.testing.wire_gemini import error_body

ASK = "What is an API?"
SAID = "Here is a simulated answer to “What is an API?”: it depends on the details, and the details matter."
MODEL = "gemini-2.5-flash"
DEVELOPER = f"/v1/models/{MODEL}"
VERTEX = f"/v1beta1/projects/simulated/locations/us-central1/publishers/google/models/{MODEL}"


class Weather(BaseModel):
    """The weather somewhere."""

    city: str
    days: int


class Forecast(BaseModel):
    summary: str
    days: list[Weather]
    warning: str | None


FUNCTION: Any = {
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}},
        "required": ["city"],
    },
}
CLOCK: Any = {"name": "get_time", "parameters_json_schema": {"type": "object", "properties": {}}}
TOOLS: Any = [{"function_declarations": [FUNCTION, CLOCK]}]


@pytest.fixture(autouse=True)
def no_key_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment says where to go or with which key."""
    for variable in list(os.environ):
        if variable.startswith(("GOOGLE_", "GEMINI_")):
            monkeypatch.delenv(variable)


def ask(client: genai.Client, contents: Any = ASK, **config: Any) -> Any:
    return client.models.generate_content(model=MODEL, contents=contents, config=types.GenerateContentConfig(**config))


def ask_streamed(client: genai.Client, contents: Any = ASK, **config: Any) -> list[Any]:
    found: list[Any] = []
    read_into(found, client, contents, **config)
    return found


def read_into(found: list[Any], client: genai.Client, contents: Any = ASK, **config: Any) -> None:
    """What arrives of a stream, also of one that breaks off."""
    wanted = types.GenerateContentConfig(**config)
    for chunk in client.models.generate_content_stream(model=MODEL, contents=contents, config=wanted):
        found.append(chunk)


async def read_into_async(found: list[Any], aio: Any) -> None:
    async for chunk in await aio.models.generate_content_stream(model=MODEL, contents=ASK):
        found.append(chunk)


def embed(client: genai.Client, model: str, contents: Any, **config: Any) -> Any:
    wanted = types.EmbedContentConfig(**config)
    return client.models.embed_content(model=model, contents=contents, config=wanted)


def parts(*responses: Any) -> list[dict[str, Any]]:
    """The parts of all first candidates, as they were said."""
    candidates = [response.candidates[0] for response in responses]
    said = [part for candidate in candidates for part in candidate.content.parts or ()]
    return [part.model_dump(exclude_none=True, mode="json") for part in said]


def text(responses: list[Any]) -> str:
    return "".join(part.get("text", "") for part in parts(*responses) if not part.get("thought"))


def usage(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = response.usage_metadata.model_dump(exclude_none=True, mode="json")
    return found


def body(simulator: Simulator, path: str, asked: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and body of a request that the SDK would not make."""
    content = asked if isinstance(asked, bytes) else json.dumps(asked)
    response = httpx2.post(f"{simulator.origin}{path}", content=content, headers=headers)
    return response.status_code, response.json()


def raw_body(simulator: Simulator, path: str) -> Any:
    asked = {"contents": [{"parts": [{"text": ASK}], "role": "user"}]}
    return body(simulator, path, asked, authorization="Bearer simulated")[1]


# Whole and streamed


def test_a_whole_answer(simulator: Simulator) -> None:
    """A request without a script gets text about its last user message, in the service's complete form."""
    assert raw_body(simulator, f"{DEVELOPER}:generateContent") == {
        "candidates": [{"content": {"parts": [{"text": SAID}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 7,
            "candidatesTokenCount": 30,
            "totalTokenCount": 37,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 30}],
            "serviceTier": "standard",
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "simulated000001",
    }
    answer = ask(simulator.gemini())
    assert (answer.text, answer.response_id, answer.model_version) == (SAID, "simulated000002", MODEL)
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP


def test_vertex_has_a_time_and_a_traffic_type(simulator: Simulator) -> None:
    """The same answer over Vertex AI, with what only Vertex AI says."""
    answer = ask(simulator.vertex())
    assert simulator.requests[0].path == f"{VERTEX}:generateContent"
    assert simulator.requests[0].headers["authorization"] == "Bearer simulated"
    assert (answer.text, answer.create_time.isoformat()) == (SAID, "2026-09-21T14:13:20+00:00")
    assert usage(answer)["traffic_type"] == "ON_DEMAND"


def test_a_stream(simulator: Simulator) -> None:
    """A word per chunk, the finish reason in the last one, usage that grows in all of them."""
    simulator.reply("three simulated words", usage={"candidatesTokenCount": 30})
    chunks = ask_streamed(simulator.gemini())
    assert parts(*chunks) == [{"text": "three"}, {"text": " simulated"}, {"text": " words"}]
    assert [chunk.candidates[0].finish_reason for chunk in chunks] == [None, None, types.FinishReason.STOP]
    assert [chunk.usage_metadata.prompt_token_count for chunk in chunks] == [7, 7, 7]
    assert [chunk.usage_metadata.candidates_token_count for chunk in chunks] == [10, 20, 30]
    assert [chunk.usage_metadata.total_token_count for chunk in chunks] == [17, 27, 37]
    assert {chunk.response_id for chunk in chunks} == {"simulated000001"}


def test_a_stream_without_events_is_a_json_array(simulator: Simulator) -> None:
    """``:streamGenerateContent`` without ``alt=sse`` sends one array, piece by piece."""
    simulator.reply("two words")
    first, last = raw_body(simulator, f"{VERTEX}:streamGenerateContent")
    assert first["candidates"] == [{"content": {"parts": [{"text": "two"}], "role": "model"}, "index": 0}]
    assert last["candidates"][0]["finishReason"] == "STOP"


async def test_whole_and_streamed_answers_agree_over_every_client(simulator: Simulator) -> None:
    """Sync, async, Developer API, Vertex AI: the same text and the same usage, whole and streamed."""
    found = []
    for client in (simulator.gemini(), simulator.vertex()):
        async with client.aio as aio:
            whole = await aio.models.generate_content(model=MODEL, contents=ASK)
            chunks: list[Any] = []
            await read_into_async(chunks, aio)
            found += [(whole.text, usage(whole)), (text(chunks), usage(chunks[-1]))]
        found += [(ask(client).text, usage(ask(client)))]
        chunks = ask_streamed(client)
        found += [(text(chunks), usage(chunks[-1]))]
    assert [{**counts, "traffic_type": None} for _, counts in found] == [{**found[0][1], "traffic_type": None}] * 8
    assert {said for said, _ in found} == {SAID}


def test_the_same_request_gets_the_same_answer(simulator: Simulator) -> None:
    """Over two simulators as well, to the byte."""
    path = f"{DEVELOPER}:streamGenerateContent"
    with Simulator() as another:
        assert raw_body(simulator, path) == raw_body(another, path)


@pytest.mark.parametrize(
    "path",
    [
        f"/v1beta/models/{MODEL}",
        "/v1beta/tunedModels/mine",
        f"/v1beta1/publishers/google/models/{MODEL}",
        f"/v1/projects/p/locations/global/publishers/google/models/{MODEL}",
        "/v1beta1/projects/p/locations/global/endpoints/123",
    ],
)
def test_where_models_are(simulator: Simulator, path: str) -> None:
    """Every version and every place where a model may be answers; its last part is the model's version."""
    assert raw_body(simulator, f"{path}:generateContent")["modelVersion"] == path.rpartition("/")[2]


def test_openai_and_gemini_on_one_simulator(simulator: Simulator) -> None:
    """One script for both: each client's request takes the next answer, in its own wire format."""
    simulator.reply("first")
    simulator.reply("second")
    simulator.fail(429)
    assert ask(simulator.gemini()).text == "first"
    message = {"role": "user", "content": ASK}
    answer = simulator.openai().chat.completions.create(model="m", messages=[message])
    assert answer.choices[0].message.content == "second"
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        ask(simulator.gemini())
    assert [request.path for request in simulator.requests] == [
        f"{DEVELOPER}:generateContent",
        "/v1/chat/completions",
        f"{DEVELOPER}:generateContent",
    ]


@pytest.mark.parametrize("vertexai", [False, True])
def test_the_environment_points_an_unchanged_program_here(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, vertexai: bool
) -> None:
    """A client made without arguments talks to the simulator, over the Developer API and over Vertex AI."""
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", str(vertexai))
    with genai.Client() as client:
        assert client.vertexai is vertexai
        assert ask(client).text == SAID


def test_clients_take_the_sdks_keywords(simulator: Simulator) -> None:
    """Keywords go through, and ``http_options`` add to the place."""
    client = simulator.gemini(api_key="mine", http_options={"api_version": "v1beta", "headers": {"x-own": "1"}})
    ask(client)
    (request,) = simulator.requests
    assert (request.path, request.headers["x-goog-api-key"]) == (f"/v1beta/models/{MODEL}:generateContent", "mine")
    assert request.headers["x-own"] == "1"
    ask(simulator.vertex(project="p", location="global"))
    assert simulator.requests[1].path.startswith("/v1beta1/projects/p/locations/global/")


def test_the_first_versions_of_the_sdk(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their clients can not be closed; closing the simulator does not need it."""
    monkeypatch.delattr(genai.Client, "close")
    assert ask(simulator.gemini()).text == SAID
    simulator.close()


# Functions


def test_it_calls_the_first_function_and_then_uses_the_result(simulator: Simulator) -> None:
    """A function on offer is called with arguments that fit its schema; its result is in the next answer."""
    client = simulator.gemini()
    first = ask(client, tools=TOOLS)
    (call,) = first.function_calls
    assert (call.id, call.name, call.args) == ("call_simulated00", "get_weather", {"city": ASK, "days": 1})
    result = types.Part.from_function_response(name=call.name, response={"output": "Sunny, 25 degrees"})
    turns = [types.UserContent(ASK), first.candidates[0].content, types.UserContent(result)]
    assert "“Sunny, 25 degrees”" in ask(client, turns, tools=TOOLS).text
    again = ask(client, [*turns, types.UserContent("And tomorrow?")], tools=TOOLS)
    assert [call.id for call in again.function_calls] == ["call_simulated01"]


def test_function_calling_modes(simulator: Simulator) -> None:
    """NONE calls nothing; ANY calls even after a result, and only what is allowed."""
    client = simulator.gemini()

    def names(mode: str, contents: Any = ASK, allowed: list[str] | None = None) -> list[str]:
        calling = {"mode": mode, "allowed_function_names": allowed}
        answer = ask(client, contents, tools=TOOLS, tool_config={"function_calling_config": calling})
        return [call.name for call in answer.function_calls or ()]

    answered = [ASK, types.Part.from_function_response(name="get_time", response={"result": 12})]
    assert names("NONE") == []
    assert names("AUTO", answered) == []
    assert names("ANY", answered) == ["get_weather"]
    assert names("ANY", allowed=["get_time"]) == ["get_time"]


def test_automatic_function_calling(simulator: Simulator) -> None:
    """A Python function as a tool: the SDK makes two requests, and the second has the function's result."""
    asked = []

    def get_weather(city: str, days: int = 2) -> str:
        """The weather somewhere."""
        asked.append((city, days))
        return "Sunny"

    chat = simulator.gemini().chats.create(model=MODEL, config=types.GenerateContentConfig(tools=[get_weather]))
    assert "“Sunny”" in str(chat.send_message(ASK).text)
    assert asked == [(ASK, 2)]
    assert len(simulator.requests) == 2
    assert len(chat.get_history()) == 4


async def test_a_chat(simulator: Simulator) -> None:
    """Each turn has the turns before it, whole and streamed, sync and async."""
    chat = simulator.gemini().chats.create(model=MODEL)
    chat.send_message("One?")
    assert "“Two?”" in text(list(chat.send_message_stream("Two?")))
    assert len(simulator.requests[1].json["contents"]) == 3
    async with simulator.vertex().aio as aio:
        talk = aio.chats.create(model=MODEL)
        await talk.send_message("One?")
        assert "“Two?”" in text([chunk async for chunk in await talk.send_message_stream("Two?")])


def test_scripted_function_calls(simulator: Simulator) -> None:
    """Several calls beside text, whole and streamed; arguments that are a string are JSON already."""
    script = Answer("Looking.", tool_calls=[("a", {"x": 1}), ("b", '{"y": 2}')])
    expected = [
        {"text": "Looking."},
        {"function_call": {"id": "call_simulated00", "name": "a", "args": {"x": 1}}},
        {"function_call": {"id": "call_simulated01", "name": "b", "args": {"y": 2}}},
    ]
    simulator.next(script, script)
    answer = ask(simulator.gemini())
    assert (parts(answer), answer.candidates[0].finish_reason) == (expected, types.FinishReason.STOP)
    assert parts(*ask_streamed(simulator.gemini())) == expected
    simulator.reply(tool_calls=[("a", "no JSON")])
    with pytest.raises(ValueError, match="validation error"):
        ask(simulator.gemini())


# What an answer may be


@pytest.mark.parametrize("client", ["gemini", "vertex"])
def test_json(simulator: Simulator, client: str) -> None:
    """JSON that fits a pydantic model, a JSON schema or an enum; any JSON if only the type says so."""
    genai_client = getattr(simulator, client)()
    kind = {"response_mime_type": "application/json"}
    forecast = ask(genai_client, **kind, response_schema=Forecast).parsed
    assert forecast == Forecast(summary=ASK, days=[Weather(city=ASK, days=1)], warning=forecast.warning)
    schema = Forecast.model_json_schema()
    assert Forecast.model_validate_json(ask(genai_client, **kind, response_json_schema=schema).text).summary == ASK
    assert json.loads(ask(genai_client, **kind).text) == {"answer": ASK}
    choice = {"type": "STRING", "enum": ["yes", "no"]}
    assert ask(genai_client, response_mime_type="text/x.enum", response_schema=choice).text == "yes"


def test_json_by_response_format(simulator: Simulator) -> None:
    """The service's newer way to ask for JSON."""
    wanted = {"text": {"mimeType": "application/json", "schema": Weather.model_json_schema()}}
    answer = ask(simulator.vertex(), http_options={"extra_body": {"generationConfig": {"responseFormat": [wanted]}}})
    assert Weather.model_validate_json(answer.text) == Weather(city=ASK, days=1)


def test_schemas_in_the_services_own_dialect() -> None:
    """Types in lower case, numbers that came as strings as numbers; a property may be called as a keyword is."""
    either = [{"type": "STRING", "maxLength": "4"}, {"type": "NULL"}]
    schema = {"type": "OBJECT", "properties": {"type": {"type": "ARRAY", "items": {"anyOf": either}}}}
    plain = [{"type": "string", "maxLength": 4}, {"type": "null"}]
    assert json_schema(schema) == {
        "type": "object",
        "properties": {"type": {"type": "array", "items": {"anyOf": plain}}},
    }


def test_thoughts(simulator: Simulator) -> None:
    """Thoughts come first, are counted apart, and sign what follows; scripted, or made up if they are asked for."""
    client = simulator.gemini()
    simulator.reply("Yes.", reasoning="First the question.", usage={"thoughtsTokenCount": 30})
    answer = ask(client)
    signature = "YSBzaW11bGF0ZWQgdGhvdWdodA=="
    assert parts(answer) == [
        {"text": "First the question.", "thought": True},
        {"text": "Yes.", "thought_signature": signature},
    ]
    simulator.reply("Yes. No.", reasoning="First the question.", usage={"thoughtsTokenCount": 30})
    chunks = ask_streamed(client)
    assert parts(*chunks)[2:] == [
        {"text": " question.", "thought": True},
        {"text": "Yes."},
        {"text": " No.", "thought_signature": signature},
    ]
    assert [chunk.usage_metadata.thoughts_token_count for chunk in chunks] == [10, 20, 30, 30, 30]
    assert [bool(chunk.usage_metadata.candidates_token_count) for chunk in chunks] == [False, False, False, True, True]
    made_up = ask(client, thinking_config={"include_thoughts": True})
    assert parts(made_up)[0] == {"text": "The question is “What is an API?”.", "thought": True}


def test_thinking_costs_tokens(simulator: Simulator) -> None:
    """Without thoughts to read, the level or the budget of the thinking says how many."""
    client = simulator.gemini()
    configs: list[Any] = [{"thinking_level": "high"}, {"thinking_budget": 50}, {"thinking_budget": 0}]
    answers = [ask(client, thinking_config=config) for config in configs]
    assert [answer.usage_metadata.thoughts_token_count for answer in answers] == [256, 50, None]
    counts = answers[0].usage_metadata
    assert counts.total_token_count == counts.prompt_token_count + counts.candidates_token_count + 256


@pytest.mark.parametrize(("client", "words"), [("gemini", None), ("vertex", "I can not help.")])
def test_a_refusal_blocks_the_prompt(simulator: Simulator, client: str, words: str | None) -> None:
    """A scripted refusal is a safety block: feedback on the prompt, no candidates, whole and streamed."""
    for answered in (ask, ask_streamed):
        simulator.reply(refusal="I can not help.")
        answer = answered(getattr(simulator, client)())
        (answer,) = answer if isinstance(answer, list) else [answer]
        assert answer.candidates is None
        assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY
        assert answer.prompt_feedback.block_reason_message == words
        assert usage(answer)["total_token_count"] == 7


def test_a_refusal_with_a_finish_reason_stops_the_candidate(simulator: Simulator) -> None:
    """With a finish reason, or as one of several choices, a refusal is a candidate without content."""
    simulator.reply(refusal="I can not help.", finish_reason="PROHIBITED_CONTENT")
    (candidate,) = ask(simulator.vertex()).candidates  # over the Developer API the SDK drops the message
    assert candidate.finish_reason == types.FinishReason.PROHIBITED_CONTENT
    assert (candidate.finish_message, candidate.content.parts) == ("I can not help.", None)
    assert candidate.safety_ratings[0].blocked
    simulator.next(Answer(choices=[Answer("yes"), Answer(refusal="I can not help.")]))
    reasons = [candidate.finish_reason for candidate in ask(simulator.gemini()).candidates]
    assert reasons == [types.FinishReason.STOP, types.FinishReason.SAFETY]


@pytest.mark.parametrize(
    ("reason", "said"), [("MAX_TOKENS", SAID), ("MALFORMED_FUNCTION_CALL", None), ("SAFETY", None)]
)
def test_finish_reasons(simulator: Simulator, reason: str, said: str | None) -> None:
    """Every reason goes out as it is; those of a broken answer come without content unless it is scripted."""
    simulator.reply(finish_reason=reason)
    answer = ask(simulator.gemini())
    assert (answer.candidates[0].finish_reason, answer.text) == (reason, said)
    simulator.reply(finish_reason=reason)
    chunks = ask_streamed(simulator.gemini())
    assert (chunks[-1].candidates[0].finish_reason, text(chunks) or None) == (reason, said)
    simulator.reply("So far", finish_reason=reason)
    assert text(ask_streamed(simulator.gemini())) == "So far"


def test_choices(simulator: Simulator) -> None:
    """``candidateCount`` gets that many candidates; a script can say what each of them is."""
    client = simulator.gemini()
    assert [candidate.index for candidate in ask(client, candidate_count=3).candidates] == [0, 1, 2]
    script = Answer(choices=[Answer("yes"), Answer("no", finish_reason="MAX_TOKENS")])
    simulator.next(script, script)
    whole = ask(client).candidates
    streamed = [chunk.candidates[0] for chunk in ask_streamed(client)]
    for candidates in (whole, streamed):
        said = [(each.index, each.content.parts[0].text, each.finish_reason.value) for each in candidates]
        assert said == [(0, "yes", "STOP"), (1, "no", "MAX_TOKENS")]


def test_audio(simulator: Simulator) -> None:
    """Scripted audio is inline data, counted as audio."""
    simulator.reply(audio="Hello there")
    answer = ask(simulator.gemini(), response_modalities=["AUDIO"])
    (part,) = answer.candidates[0].content.parts
    assert (part.inline_data.mime_type, part.inline_data.data) == ("audio/L16;codec=pcm;rate=24000", b"Hello there")
    assert [each.modality for each in answer.usage_metadata.candidates_tokens_details] == [types.MediaModality.AUDIO]


def test_code_execution(simulator: Simulator) -> None:
    """With ``codeExecution`` on offer the model has run some code before it answers, whole and streamed."""
    client = simulator.gemini()
    simulator.reply("Done.")
    simulator.reply("Done.")
    expected = [
        {"executable_code": {"code": "print('What is an API?')\n", "language": "PYTHON"}},
        {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "What is an API?\n"}},
        {"text": "Done."},
    ]
    answer = ask(client, tools=[{"code_execution": {}}])
    assert parts(answer) == parts(*ask_streamed(client, tools=[{"code_execution": {}}])) == expected
    counts = answer.usage_metadata
    assert counts.tool_use_prompt_token_count == 64
    assert counts.total_token_count == counts.prompt_token_count + counts.candidates_token_count + 64


def test_grounding(simulator: Simulator) -> None:
    """With ``googleSearch`` on offer the answer says what it is based on, in a stream with the last chunk."""
    search: Any = [{"google_search": {}}]
    whole = ask(simulator.gemini(), tools=search)
    chunks = ask_streamed(simulator.gemini(), tools=search)
    found = whole.candidates[0].grounding_metadata
    assert found.web_search_queries == [ASK]
    assert found.grounding_chunks[0].web.uri == "https://example.com/simulated"
    assert found.grounding_supports[0].segment.text == SAID
    assert [chunk.candidates[0].grounding_metadata for chunk in chunks[-2:]] == [None, found]


def test_usage(simulator: Simulator) -> None:
    """Long prompts are cached in whole blocks, cached content is, media count, and a script has the last word."""
    client = simulator.gemini()
    long = usage(ask(client, "x" * 8000))
    assert (long["prompt_token_count"], long["cached_content_token_count"]) == (2003, 896)
    assert long["cache_tokens_details"] == [{"modality": "TEXT", "token_count": 896}]
    cached = usage(ask(client, cached_content="cachedContents/x"))
    assert (cached["prompt_token_count"], cached["cached_content_token_count"]) == (2055, 2048)
    image = types.Part.from_bytes(data=b"image", mime_type="image/png")
    seen = usage(ask(client, [image, ASK]))
    assert seen["prompt_tokens_details"] == [
        {"modality": "TEXT", "token_count": 7},
        {"modality": "IMAGE", "token_count": 258},
    ]
    assert seen["prompt_token_count"] == 265
    simulator.reply("x", usage={"cachedContentTokenCount": 5, "promptTokenCount": 9})
    scripted = usage(ask(client))
    assert (scripted["cached_content_token_count"], scripted["prompt_token_count"]) == (5, 9)
    assert scripted["total_token_count"] == 9 + scripted["candidates_token_count"]
    simulator.reply("three simulated words", usage={"candidatesTokenCount": 30, "totalTokenCount": 9})
    assert [usage(chunk)["total_token_count"] for chunk in ask_streamed(client)] == [0, 0, 9]


def test_overlays(simulator: Simulator) -> None:
    """``fields``, ``choice`` and ``message`` put anything anywhere, null included."""
    overlays: Any = {
        "fields": {"modelVersion": "m-2026", "usageMetadata": None},
        "choice": {"finishReason": None, "avgLogprobs": -0.5},
        "message": {"role": "user"},
    }
    simulator.reply("x", **overlays)
    simulator.reply("x", **overlays)
    for answer in (ask(simulator.gemini()), *ask_streamed(simulator.gemini())):
        (candidate,) = answer.candidates
        assert (answer.model_version, answer.usage_metadata, candidate.finish_reason) == ("m-2026", None, None)
        assert (candidate.avg_logprobs, candidate.content.role) == (-0.5, "user")


@pytest.mark.parametrize(("length", "chunks", "sizes"), [(9, 4, [3, 2, 2, 2]), (3, 9, [1, 1, 1]), (3, 1, [3])])
def test_pieces_of_one_size(simulator: Simulator, length: int, chunks: int, sizes: list[int]) -> None:
    """``chunks`` cuts streamed text into exactly so many pieces, as long as there are characters for them."""
    simulator.reply("x" * length, chunks=chunks)
    assert [len(part["text"]) for part in parts(*ask_streamed(simulator.gemini()))] == sizes


# Embeddings and counting


def test_embeddings_of_the_developer_api(simulator: Simulator) -> None:
    """One vector per text, as long as asked for or as the model's are."""
    client = simulator.gemini()
    answer = embed(client, "gemini-embedding-001", ["one two", "two"], output_dimensionality=8)
    assert simulator.requests[0].path == "/v1/models/gemini-embedding-001:batchEmbedContents"
    assert [len(embedding.values) for embedding in answer.embeddings] == [8, 8]
    assert answer.usage_metadata.prompt_token_count == 2
    (embedding,) = embed(client, "gemini-embedding-001", "x").embeddings
    assert len(embedding.values) == 3072
    asked = {"content": {"parts": [{"text": "one"}]}, "outputDimensionality": 2}
    alone = body(simulator, "/v1beta/models/gemini-embedding-001:embedContent", asked, **{"x-goog-api-key": "k"})[1]
    assert alone == {
        "embedding": {"values": unit_vector(["one"], 2)},
        "usageMetadata": {"promptTokenCount": 1, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 1}]},
    }


@pytest.mark.parametrize(
    ("model", "contents", "verb", "size"),
    [
        ("gemini-embedding-001", "one two", "embedContent", 3072),
        ("gemini-embedding-001", ["one", "two"], "batchEmbedContents", 3072),
        ("text-embedding-005", ["one", "two"], "predict", 768),
    ],
)
def test_embeddings_of_vertex(simulator: Simulator, model: str, contents: Any, verb: str, size: int) -> None:
    """The three ways in which the SDK asks for them."""
    answer = embed(simulator.vertex(), model, contents)
    assert simulator.requests[0].path.endswith(f"/publishers/google/models/{model}:{verb}")
    sizes = [len(embedding.values) for embedding in answer.embeddings]
    assert sizes == [size] * (1 if isinstance(contents, str) else 2)


def test_embedding_statistics(simulator: Simulator) -> None:
    """Vertex AI counts per text and bills characters; a script overlays counts and body."""
    client = simulator.vertex()
    simulator.reply(usage={"truncated": True}, fields={"metadata": {"billableCharacterCount": 99}})
    answer = embed(client, "text-embedding-005", ["one two"])
    (embedding,) = answer.embeddings
    assert embedding.statistics == types.ContentEmbeddingStatistics(token_count=1, truncated=True)
    assert answer.metadata == types.EmbedContentMetadata(billable_character_count=99)
    (embedding,) = embed(client, "gemini-embedding-001", "one two").embeddings
    assert embedding.statistics.token_count == 1


def test_texts_that_share_words_are_near_each_other() -> None:
    """Embeddings have length 1, are the same for the same text, and say how much two texts have in common."""

    def nearness(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(unit_vector(one.split(), 256), unit_vector(other.split(), 256), strict=True))

    assert nearness("the red house", "the red house") == pytest.approx(1, abs=1e-5)
    assert nearness("the red house", "the red door") > 0.5 > nearness("the red house", "an old tree")


@pytest.mark.parametrize("client", ["gemini", "vertex"])
def test_counting_tokens(simulator: Simulator, client: str) -> None:
    """The count is that of the prompt when it is answered."""
    genai_client = getattr(simulator, client)()
    counted = genai_client.models.count_tokens(model=MODEL, contents=ASK)
    assert counted.total_tokens == ask(genai_client).usage_metadata.prompt_token_count == 7
    inner = {"generateContentRequest": {"model": "m", "contents": [{"parts": [{"text": ASK}]}]}}
    status, answer = body(simulator, f"{DEVELOPER}:countTokens", inner, **{"x-goog-api-key": "k"})
    assert (status, answer["promptTokensDetails"][0]["modality"]) == (200, "TEXT")


# Faults


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", errors.ClientError),
        (403, "PERMISSION_DENIED", errors.ClientError),
        (418, "INVALID_ARGUMENT", errors.ClientError),
        (429, "RESOURCE_EXHAUSTED", errors.ClientError),
        (500, "INTERNAL", errors.ServerError),
        (502, "UNKNOWN", errors.ServerError),
        (503, "UNAVAILABLE", errors.ServerError),
        (504, "DEADLINE_EXCEEDED", errors.ServerError),
    ],
)
def test_errors(simulator: Simulator, status: int, word: str, kind: type[errors.APIError]) -> None:
    """A status is the service's error body with its word, whole and streamed."""
    simulator.fail(status, message="No.", times=2)
    for asking in (ask, ask_streamed):
        with pytest.raises(kind) as raised:
            asking(simulator.gemini())
        assert (raised.value.code, raised.value.status, raised.value.message) == (status, word, "No.")


async def test_async_errors(simulator: Simulator) -> None:
    """The same over the async client."""
    simulator.fail(503, times=2)
    async with simulator.gemini().aio as aio:
        with pytest.raises(errors.ServerError, match="UNAVAILABLE"):
            await aio.models.generate_content(model=MODEL, contents=ASK)
        with pytest.raises(errors.ServerError, match="UNAVAILABLE"):
            await read_into_async([], aio)


def test_codes() -> None:
    """A code is the status word or the reason for it; how long to wait is a detail."""
    assert json.loads(error_body(400, Fault(code="FAILED_PRECONDITION", message="No.")))["error"] == {
        "code": 400,
        "message": "No.",
        "status": "FAILED_PRECONDITION",
    }
    assert json.loads(error_body(429, Fault(code="RATE_LIMIT_EXCEEDED", retry_after=34.4)))["error"] == {
        "code": 429,
        "message": "The simulator was told to answer 429.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "domain": "googleapis.com",
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"},
        ],
    }


def test_retries(simulator: Simulator) -> None:
    """The SDK's own retries, which are off unless asked for, get the answer after the errors."""
    simulator.fail(503, times=2)
    client = simulator.gemini(http_options={"retry_options": {"attempts": 3, "initial_delay": 0.01, "jitter": 0.01}})
    assert ask(client).text == SAID
    assert [request.status for request in simulator.requests] == [503, 503, 200]


def test_a_stream_that_is_cut(simulator: Simulator) -> None:
    """The chunks before the cut arrive, then the connection is gone; so it is in the middle of a whole body."""
    simulator.fault(cut_after=2)
    received: list[Any] = []
    with pytest.raises(httpx2.RemoteProtocolError):
        read_into(received, simulator.gemini())
    assert text(received) == "Here is"
    simulator.fault(cut_after=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(simulator.gemini())


async def test_an_async_stream_that_is_cut(simulator: Simulator) -> None:
    """The same over the async client."""
    simulator.fault(cut_after=2)
    received: list[Any] = []
    async with simulator.vertex().aio as aio:
        with pytest.raises(httpx2.RemoteProtocolError):
            await read_into_async(received, aio)
    assert text(received) == "Here is"


def test_an_error_within_a_stream(simulator: Simulator) -> None:
    """The chunks before it arrive, then the SDK raises what the event says."""
    simulator.fault(error_after=2, code="UNAVAILABLE", message="Overloaded.")
    received: list[Any] = []
    with pytest.raises(errors.ServerError, match="Overloaded") as raised:
        read_into(received, simulator.gemini())
    assert (len(received), raised.value.status) == (2, "UNAVAILABLE")


def test_a_malformed_answer(simulator: Simulator) -> None:
    """Half a body, or a chunk that is no JSON."""
    simulator.fault(malformed=True)
    with pytest.raises(json.JSONDecodeError):
        ask(simulator.gemini())
    simulator.fault(malformed=True)
    with pytest.raises(errors.UnknownApiResponseError):
        ask_streamed(simulator.gemini())


def test_nothing_comes(simulator: Simulator) -> None:
    """The connection closes instead of an answer; or the client's patience ends before the silence does."""
    simulator.fault(hang_up=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(simulator.gemini())
    simulator.fault(silence=30)
    with pytest.raises(httpx2.ReadTimeout):
        ask(simulator.gemini(http_options={"timeout": 100}))
    assert simulator.wait_for(lambda running: running.requests[1].disconnected)


def test_padding(simulator: Simulator) -> None:
    """So many characters more."""
    simulator.next(Answer("x", chunks=1))
    simulator.fault(padding=100_000)
    client = simulator.gemini()
    assert ask(client).text == "x"
    assert len(ask(client).text) == len(SAID) + 100_000


def test_a_gate(simulator: Simulator) -> None:
    """Chunks arrive one by one, as they are let out."""
    gate = simulator.gated("three simulated words")
    chunks = simulator.gemini().models.generate_content_stream(model=MODEL, contents=ASK)
    for released, word in enumerate(("three", " simulated", " words"), start=1):
        gate.release()
        assert text([next(chunks)]) == word
        assert gate.passed == released
    assert list(chunks) == []


async def test_an_abandoned_stream(simulator: Simulator) -> None:
    """A task that is cancelled in the middle of a stream is seen to be gone."""
    gate = simulator.gated("three simulated words")
    gate.release()
    arrived = asyncio.Event()

    async def read() -> None:
        async with simulator.gemini().aio as aio:
            async for _ in await aio.models.generate_content_stream(model=MODEL, contents=ASK):
                arrived.set()

    task = asyncio.create_task(read())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert simulator.wait_for(lambda running: running.requests[0].disconnected)


# Bad requests


@pytest.mark.parametrize(
    ("path", "asked", "message"),
    [
        (f"{DEVELOPER}:generateContent", {}, "* GenerateContentRequest.contents: contents is not specified\n"),
        (f"{VERTEX}:streamGenerateContent", {"contents": []}, "* GenerateContentRequest.contents: contents is not specified\n"),
        (f"{DEVELOPER}:countTokens", {}, "* CountTokensRequest.contents: contents is not specified\n"),
        (f"{DEVELOPER}:batchEmbedContents", {}, "* BatchEmbedContentsRequest.requests: requests is not specified\n"),
        (f"{VERTEX}:embedContent", {}, "* EmbedContentRequest.content: content is not specified\n"),
        (f"{VERTEX}:predict", {"instances": [{"text": "a cat"}]}, "Invalid instances: each must have a string as its content."),
        (f"{DEVELOPER}:generateContent", b"no JSON", "Invalid JSON payload received. Unexpected token."),
        (f"{DEVELOPER}:generateContent", [], "Invalid JSON payload received. Unexpected token."),
    ],
)  # fmt: skip
def test_bad_requests(simulator: Simulator, path: str, asked: Any, message: str) -> None:
    """What is missing or no JSON is a 400 in the service's words."""
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    assert body(simulator, path, asked, authorization="Bearer simulated") == (400, {"error": error})


def test_unknown_models(simulator: Simulator) -> None:
    """A model in a form that there is not, or a verb that it has not, is the service's 404."""
    with pytest.raises(errors.ClientError, match="models/c is not found for API version v1") as raised:
        simulator.gemini().models.generate_content(model="models/a/b/c", contents=ASK)
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError, match="Publisher Model `projects/simulated/.*/models/b/c` not found"):
        simulator.vertex().models.generate_content(model="publishers/a/models/b/c", contents=ASK)
    with pytest.raises(errors.ClientError, match="Invalid URL"):
        simulator.gemini().models.get(model="m")


def test_no_key(simulator: Simulator) -> None:
    """Without a key or a token the service refuses; a key may be in the query too."""
    asked = {"contents": [{"parts": [{"text": ASK}]}]}
    assert body(simulator, f"{DEVELOPER}:generateContent", asked)[1]["error"]["status"] == "PERMISSION_DENIED"
    assert body(simulator, f"{VERTEX}:generateContent", asked)[1]["error"]["status"] == "UNAUTHENTICATED"
    assert body(simulator, f"{DEVELOPER}:generateContent?key=k", asked)[0] == 200


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PART_NAMES = ["text", "functionCall", "function_response", "inlineData", "fileData", "thought"]
CONTENTS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"role": JSON, "parts": st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(PART_NAMES, JSON)))}
    )
    | JSON
)  # fmt: skip
CONFIG_NAMES = ["candidateCount", "thinkingConfig", "responseSchema", "responseFormat", "response_mime_type"]
REQUESTS = st.fixed_dictionaries(
    {"contents": CONTENTS | JSON},
    optional={
        "generationConfig": st.fixed_dictionaries({}, optional=dict.fromkeys(CONFIG_NAMES, JSON)) | JSON,
        **dict.fromkeys(["tools", "toolConfig", "systemInstruction", "content", "requests", "instances"], JSON),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=REQUESTS)
def test_no_request_breaks_it(asked: Mapping[str, Any]) -> None:
    """Whatever a program sends is answered or refused, never a failure of the simulator."""
    for handler in (generate, stream, count_tokens, embed_one, embed_batch, predict):
        request = Request(1, "POST", f"{DEVELOPER}:x", "alt=sse", {"x-goog-api-key": "k"}, b"", dict(asked))
        given_back = handler(request, Answer())
        if isinstance(given_back, Reply) and isinstance(given_back.body, bytes):
            json.loads(given_back.body)
