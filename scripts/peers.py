"""What other instrumentations see of the SDKs, as their packages of November 2026 did when they were run.

● one span of the conventions with model, usage and output, ◐ a span that is generic or lacks some of it, – nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A method, the names that aiobs has for it (``aiobs.api.name``; none: it is not traced), the peers' cells, and
    what there is to say of ours.
    """

    method: str
    apis: tuple[str, ...]
    peers: tuple[str, ...]
    ours: str = ""


PEERS = ("OTel", "OpenLLMetry", "OpenInference", "OpenLIT", "Langfuse", "Logfire")

OPENAI: tuple[Row, ...] = (
    Row("chat.completions.create", ("chat.completions.create",), ("●", "◐", "●", "◐", "●", "●")),
    Row("chat create stream=True (with include_usage)", ("chat.completions.create",), ("●", "◐", "●", "●", "●", "◐")),
    Row(
        "chat stream without include_usage",
        ("chat.completions.create",),
        ("● no usage", "● no usage", "● no usage", "◐ invents usage (len/2)", "● no usage", "◐ no usage"),
    ),
    Row(
        "stream closed early / GC-abandoned",
        ("chat.completions.create",),
        (
            '● finish_reasons=["error"]',
            '◐ status OK, finish ""',
            "◐ UNSET",
            "– span never ends (lost)",
            "◐ no output",
            "◐ no stream record / late bursts",
        ),
    ),
    Row(
        "chat.completions.stream() helper",
        ("chat.completions.create",),
        ("●", "◐ `Omit` type warnings", "●", "◐ same warnings", "●", "◐"),
    ),
    Row("chat.completions.parse", ("chat.completions.create",), ("●", "●", "●", "●", "●", "●")),
    Row("legacy completions.create", ("completions.create",), ("–", "●", "●", "–", "●", "●")),
    Row(
        "chat stored list/retrieve",
        ("chat.completions.list", "chat.completions.retrieve"),
        ("–", "–", "◐ LLM-kind span", "◐ messages.list only", "–", "◐"),
    ),
    Row("responses.create (+stream, .stream(), .parse)", ("responses.create",), ("●", "◐", "●", "◐", "●", "●")),
    Row(
        "responses.create(background=True)",
        ("responses.create", "responses.retrieve"),
        ("●", "– until retrieved", "●", "●", "●", "●"),
    ),
    Row(
        "responses.retrieve",
        ("responses.retrieve",),
        (
            "● `fetch_response`, no usage (spec)",
            "◐ counts tokens again",
            "◐ counts again",
            '◐ model "gpt-4o" invented',
            "–",
            "◐ counts again",
        ),
    ),
    Row("responses.cancel", ("responses.cancel",), ("–", "●", "●", '◐ model "gpt-4o" invented', "–", "◐")),
    Row("responses.compact", ("responses.compact",), ("–", "–", "◐ no usage", "–", "–", "◐ usage")),
    Row("responses.input_tokens.count", ("responses.input_tokens.count",), ("–", "–", "◐", "◐", "–", "◐")),
    Row("responses.connect (WebSocket)", ("responses.connect",), ("–", "–", "–", "–", "–", "–")),
    Row(
        "embeddings.create",
        ("embeddings.create",),
        (
            "◐ dimension.count taken from the returned vector, `dimensions=` request value not recorded",
            "●",
            "● (vectors on by default)",
            "◐",
            "●",
            "●",
        ),
    ),
    Row(
        "images.generate",
        ("images.generate",),
        ("–", "◐ metric only, no span", "◐ LLM span, no usage attrs", '◐ op "image", no token usage', "–", "◐ usage"),
    ),
    Row(
        "images.edit / create_variation",
        ("images.edit", "images.create_variation"),
        ("–", "–", "◐", "◐", "–", "◐ generic"),
    ),
    Row(
        "audio.speech (+ with_streaming_response)",
        ("audio.speech.create",),
        ("–", "–", "◐ output.value = object repr", '◐ op "audio"', "–", "◐ generic"),
    ),
    Row(
        "audio.transcriptions / translations",
        ("audio.transcriptions.create", "audio.translations.create"),
        ("–", "– (open PR #3514)", "◐", '◐ op "speech_to_text", usage', "–", "◐ generic"),
    ),
    Row(
        "moderations.create", ("moderations.create",), ("–", "–", "◐", '◐ op "moderation" + flagged', "–", "◐ generic")
    ),
    Row(
        "decisions.create (new, openai>=3.26)", ("decisions.create",), ("–", "–", "● own DECISION kind", "–", "–", "◐")
    ),
    Row(
        "files / batches / fine_tuning",
        ("batches.create", "batches.retrieve"),
        ("–", "–", "◐ LLM-kind spans", "◐ `file.create unknown`, `batch.create unknown`", "–", "◐ generic"),
    ),
    Row("batch results -> per-request spans/usage/cost", ("batches.results",), ("–", "–", "–", "–", "–", "–")),
    Row(
        "vector_stores.search",
        ("vector_stores.search",),
        ("– (semconv `retrieval` exists)", "–", "◐ LLM kind, not RETRIEVER", "◐", "–", "◐"),
    ),
    Row(
        "assistants / threads / runs (deprecated API)",
        (),
        (
            "–",
            "◐ wraps sync only; one `openai.assistant.run` built from messages.list; none in our run",
            "◐",
            "–",
            "–",
            "◐ generic",
        ),
    ),
    Row(
        "realtime",
        ("realtime.connect",),
        (
            "–",
            "◐ wraps `beta.realtime` only, GA `client.realtime.connect` not wrapped (v1/__init__.py)",
            "–",
            "–",
            "–",
            "–",
        ),
    ),
    Row("live (new openai `client.live`)", ("live.connect",), ("–", "–", "–", "–", "–", "–")),
    Row(
        "videos create/retrieve/create_and_poll (Sora; SDK warns API shut down 2026-09-24)",
        (),
        ("–", "–", "◐ 1 span per HTTP call", '◐ retrieve => model "sora-2" invented', "–", "◐"),
    ),
    Row("conversations", ("conversations.create",), ("–", "–", "◐", "◐", "–", "◐")),
    Row("with_raw_response (non-stream)", ("chat.completions.create",), ("●", "●", "●", "●", "●", "●")),
    Row(
        "with_raw_response + stream",
        ("chat.completions.create",),
        ("●", "◐ no output", "●", "– lost", "– not traced (documented)", "◐"),
    ),
    Row("with_streaming_response", ("chat.completions.create",), ("●", "●", "●", "●", "–", "◐ no output/usage")),
    Row("async variants of all above", ("chat.completions.create",), ("●", "●", "●", "●", "●", "●")),
    Row(
        "AzureOpenAI client",
        ("chat.completions.create",),
        (
            "◐ provider stays `openai`, no `azure.ai.openai` (no azure code at all)",
            "◐ only if host contains openai.azure.com",
            "◐ host-inferred llm.provider",
            "◐ provider `openai`",
            "●",
            "◐ provider openai",
        ),
    ),
    Row(
        "retry (500 then 200)",
        ("chat.completions.create",),
        (
            "1 span, no retry info",
            "same",
            "same",
            "same (+2 `POST` httpx spans on openai 2.x; 0 on 3.x)",
            "same",
            "same",
        ),
    ),
    Row(
        "bad args TypeError",
        ("chat.completions.create",),
        ('span "chat" ERROR', "span", "–", 'span "chat gpt-4o" (invented model)', "span", "–"),
    ),
)
"""openai 3.52."""

GOOGLE: tuple[Row, ...] = (
    Row(
        "models.generate_content (sync/async)",
        ("models.generate_content",),
        (
            '● provider "gemini"/"vertex_ai" (non-spec values; spec: gcp.gemini/gcp.vertex_ai); top_k float',
            "◐ response.model = request model; no seed/top_k…; output excludes thoughts",
            "●",
            "◐",
            "–",
            "– (delegates to OTel -> no-op)",
        ),
    ),
    Row(
        "generate_content_stream",
        ("models.generate_content_stream",),
        (
            "● incl. TTFC",
            '◐ keeps only last chunk\'s text ("s" of "Paris"), span leak if abandoned',
            "●",
            "◐ span lasts 0.4 ms, no streaming=… timing wrong",
            "–",
            "–",
        ),
    ),
    Row(
        "stream abandoned",
        ("models.generate_content_stream",),
        ('● ERROR "abandoned stream", error.type=_OTHER', "– lost", "●", "– lost", "–", "–"),
    ),
    Row(
        "chats.send_message(_stream)",
        ("chats.send_message", "chats.send_message_stream"),
        ("● via models", "●", "●", "◐", "–", "–"),
    ),
    Row(
        "automatic function calling (2 HTTP calls, 1 tool run)",
        ("models.generate_content",),
        (
            "◐ 1 inference span for the whole loop + `execute_tool`; usage = last call only (100 of 200 tokens); no tool.call.id / tool.type",
            "◐ 1 span, last usage, no tool span",
            "◐ 1 span, last usage, no tool span",
            "◐ input messages `[]`",
            "–",
            "–",
        ),
    ),
    Row("embed_content", ("models.embed_content",), ("●", "–", "◐ no usage", "–", "–", "–")),
    Row(
        "generate_images / edit_image / upscale (deprecated, Vertex-only)",
        ("models.generate_images", "models.edit_image", "models.upscale_image"),
        ("–", "–", "–", "–", "–", "–"),
    ),
    Row(
        "generate_videos + operations.get polling",
        ("models.generate_videos", "operations.get"),
        ("–", "–", "–", "–", "–", "–"),
    ),
    Row(
        "count_tokens / compute_tokens",
        ("models.count_tokens", "models.compute_tokens"),
        ("–", "–", "–", "–", "–", "–"),
    ),
    Row("caches.create", ("caches.create",), ("–", "–", "◐", "–", "–", "–")),
    Row(
        "batches / files / file_search_stores / tunings",
        ("batches.create", "batches.get"),
        ("–", "–", "–", "–", "–", "–"),
    ),
    Row(
        "interactions.create/get (+stream)",
        ("interactions.create", "interactions.get"),
        ("◐ op `interactions.create` (not a spec value); get = fetch_response", "–", "●", "–", "–", "–"),
    ),
    Row(
        "agents / decisions / environments / triggers / voices (new in 3.x)",
        ("decisions.create",),
        ("–", "–", "–", "–", "–", "–"),
    ),
    Row("live / live_music (WebSocket)", ("live.connect", "live.music.connect"), ("–", "–", "–", "–", "–", "–")),
    Row(
        "Vertex client",
        ("models.generate_content",),
        (
            "●",
            "● provider gcp.gen_ai always",
            "●",
            "◐ server.address hard-coded generativelanguage.googleapis.com",
            "–",
            "–",
        ),
    ),
)
"""google-genai 3.4; the OTel package was made to run on it, which it refuses by default."""
