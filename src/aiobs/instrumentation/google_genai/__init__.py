"""The Google GenAI SDK: the table of what is wrapped, and its OpenTelemetry instrumentor."""

from __future__ import annotations

from dataclasses import replace

from aiobs.capture.provider import Helper, Method, Operation, Provider, Seam
from aiobs.errors import summarize
from aiobs.instrumentation.google_genai import (
    batches,
    caches,
    decisions,
    embed,
    generate,
    interactions,
    live,
    music,
    pictures,
    tokens,
    videos,
)
from aiobs.instrumentation.google_genai.client import answer_of, client_of, secrets_of, server_of, shape_of
from aiobs.instrumentation.google_genai.contents import read_prompt
from aiobs.instrumentation.google_genai.functions import (
    may_continue,
    model_of_chat,
    model_with_functions,
    note_calls,
    note_calls_async,
    run_coroutine,
    run_function,
    run_mcp_tool,
)
from aiobs.instrumentation.google_genai.transport import note_attempt, note_attempt_async, note_retry
from aiobs.instrumentation.otel import ProviderInstrumentor

_MODELS = "google.genai.models"
_CHATS = "google.genai.chats"
_TOOLS = "google.genai._extra_utils"
_HTTP = "google.genai._api_client"
_CONTENTS = ("model", "contents", "config")

# The private methods make one request each; the public ones, and chats, call them as often as it takes.
_GENERATE_CONTENT = Operation(
    name="generate_content",
    api="models.generate_content",
    methods=(
        Method(_MODELS, "Models._generate_content", requires=_CONTENTS),
        Method(_MODELS, "AsyncModels._generate_content", is_async=True, requires=_CONTENTS),
    ),
    read_request=generate.read_request,
    read_response=generate.read_response,
    read_prompt=read_prompt,
    read_choices=generate.read_choices,
    fold_chunk=generate.fold_chunk,
    settle=generate.settle,
    session_request=generate.session_request,
    session_response=generate.session_response,
)

PROVIDER = Provider(
    name="gemini",
    distribution="google-genai",
    packages=("google.genai",),
    rivals=(
        "opentelemetry.instrumentation.google_genai",
        "opentelemetry.instrumentation.google_generativeai",
        "openinference.instrumentation.google_genai",
    ),
    client_of=client_of,
    server_of=server_of,
    shape_of=shape_of,
    failure_of=summarize,
    answer_of=answer_of,
    secrets_of=secrets_of,
    model_of=interactions.model_of,
    operations=(
        _GENERATE_CONTENT,
        replace(
            _GENERATE_CONTENT,
            methods=(
                Method(_MODELS, "Models._generate_content_stream", is_lazy=True, requires=_CONTENTS),
                Method(_MODELS, "AsyncModels._generate_content_stream", is_async=True, requires=_CONTENTS),
            ),
            read_request=generate.read_stream_request,
        ),
        Operation(
            name="embeddings",
            api="models.embed_content",
            methods=(
                Method(_MODELS, "Models.embed_content", requires=_CONTENTS),
                Method(_MODELS, "AsyncModels.embed_content", is_async=True, requires=_CONTENTS),
            ),
            read_request=embed.read_request,
            read_response=embed.read_response,
            session_request=embed.session_request,
            session_response=embed.session_response,
        ),
        *videos.OPERATIONS,
        *pictures.OPERATIONS,
        *tokens.OPERATIONS,
        *caches.OPERATIONS,
        *interactions.OPERATIONS,
        *decisions.OPERATIONS,
        *batches.OPERATIONS,
    ),
    results=batches.RESULTS,
    helpers=(
        Helper(
            name="automatic_function_calling",
            api="models.generate_content",
            methods=(
                Method(_MODELS, "Models.generate_content", requires=_CONTENTS),
                Method(_MODELS, "AsyncModels.generate_content", is_async=True, requires=_CONTENTS),
            ),
            model_of=model_with_functions,
        ),
        Helper(
            name="automatic_continuation",
            api="models.generate_content",
            methods=(
                Method(_MODELS, "Models._generate_content_with_continuation"),
                Method(_MODELS, "AsyncModels._generate_content_with_continuation", is_async=True),
            ),
            model_of=lambda instance, args, kwargs: None,
            may_continue=may_continue,
        ),
        Helper(
            name="automatic_function_calling",
            api="models.generate_content_stream",
            methods=(
                Method(_MODELS, "Models.generate_content_stream", is_lazy=True, requires=_CONTENTS),
                Method(_MODELS, "AsyncModels.generate_content_stream", is_async=True, is_lazy=True, requires=_CONTENTS),
            ),
            model_of=model_with_functions,
        ),
        Helper(
            name="automatic_continuation",
            api="models.generate_content_stream",
            methods=(
                Method(_MODELS, "Models._generate_content_stream_with_continuation", is_lazy=True),
                Method(_MODELS, "AsyncModels._generate_content_stream_with_continuation", is_async=True, is_lazy=True),
            ),
            model_of=lambda instance, args, kwargs: None,
            may_continue=may_continue,
        ),
        Helper(
            name="automatic_function_calling",
            api="chats.send_message",
            methods=(
                Method(_CHATS, "Chat.send_message"),
                Method(_CHATS, "AsyncChat.send_message", is_async=True),
            ),
            model_of=model_of_chat,
        ),
        Helper(
            name="automatic_function_calling",
            api="chats.send_message_stream",
            methods=(
                Method(_CHATS, "Chat.send_message_stream", is_lazy=True),
                Method(_CHATS, "AsyncChat.send_message_stream", is_async=True, is_lazy=True),
            ),
            model_of=model_of_chat,
        ),
    ),
    sockets=(*live.SOCKETS, *music.SOCKETS),
    seams=(
        Seam(
            name="function calls",
            api="gen_ai.tool.call.id",
            methods=(Method(_TOOLS, "get_function_response_parts"),),
            drive=note_calls,
        ),
        Seam(
            name="function calls",
            api="gen_ai.tool.call.id",
            methods=(Method(_TOOLS, "get_function_response_parts_async", is_async=True),),
            drive=note_calls_async,
        ),
        Seam(
            name="execute_tool",
            api="functions",
            methods=(Method(_TOOLS, "invoke_function_from_dict_args", requires=("args", "function_to_invoke")),),
            drive=run_function,
        ),
        Seam(
            name="execute_tool",
            api="coroutine functions",
            methods=(
                Method(
                    _TOOLS,
                    "invoke_function_from_dict_args_async",
                    is_async=True,
                    requires=("args", "function_to_invoke"),
                ),
            ),
            drive=run_coroutine,
        ),
        Seam(
            name="execute_tool",
            api="MCP tools",
            methods=(Method("google.genai._adapters", "McpToGenAiToolAdapter.call_tool", is_async=True),),
            drive=run_mcp_tool,
        ),
        Seam(
            name="retries",
            api="aiobs.retry.count",
            methods=(Method(_HTTP, "BaseApiClient._request_once"),),
            drive=note_attempt,
        ),
        Seam(
            name="retries",
            api="aiobs.retry.count",
            methods=(Method(_HTTP, "BaseApiClient._async_request_once", is_async=True),),
            drive=note_attempt_async,
        ),
        Seam(
            name="retries",
            api="aiobs.retry.count",
            methods=(Method("google.genai._gaos.utils.retries", "_get_sleep_interval"),),
            drive=note_retry,
        ),
    ),
)


class GoogleGenAIInstrumentor(ProviderInstrumentor):
    """OpenTelemetry instrumentor of the Google GenAI SDK, for programs that list their instrumentors."""

    provider = PROVIDER
