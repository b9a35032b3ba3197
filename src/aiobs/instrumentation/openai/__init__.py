"""The OpenAI SDK: the table of what is wrapped, and its OpenTelemetry instrumentor."""

from __future__ import annotations

from aiobs.capture.beneath import pass_by
from aiobs.capture.provider import Method, Operation, Provider, Seam
from aiobs.errors import summarize
from aiobs.instrumentation.openai import (
    agents,
    batches,
    beta,
    chat,
    chat_stored,
    compact,
    completions,
    connections,
    conversations,
    decisions,
    embeddings,
    images,
    items,
    moderations,
    responses,
    speech,
    stored,
    transcriptions,
    vector_stores,
)
from aiobs.instrumentation.openai.client import client_of, secrets_of, server_of
from aiobs.instrumentation.openai.messages import read_prompt
from aiobs.instrumentation.openai.requests import model_of
from aiobs.instrumentation.openai.results import answer_of, shape_of
from aiobs.instrumentation.openai.transport import note_response, note_retry
from aiobs.instrumentation.otel import ProviderInstrumentor

_CHAT = "openai.resources.chat.completions"
_BETA_CHAT = "openai.resources.beta.chat.completions"
_RESPONSES = "openai.resources.responses"
_EMBEDDINGS = "openai.resources.embeddings"
_BASE = "openai._base_client"
_OPENINFERENCE = "openinference.instrumentation.openai._request"
_INPUT = ("input", "model")
_MESSAGES = ("messages", "model")

PROVIDER = Provider(
    name="openai",
    distribution="openai",
    packages=("openai",),
    rivals=(
        "opentelemetry.instrumentation.genai.openai",
        "opentelemetry.instrumentation.openai_v2",
        "opentelemetry.instrumentation.openai.",
        "openinference.instrumentation.openai",
    ),
    client_of=client_of,
    server_of=server_of,
    shape_of=shape_of,
    failure_of=summarize,
    answer_of=answer_of,
    secrets_of=secrets_of,
    model_of=model_of,
    request_id_header="x-request-id",
    operations=(
        Operation(
            name="chat",
            api="chat.completions.create",
            methods=(
                Method(_CHAT, "Completions.create", requires=(*_MESSAGES, "stream")),
                Method(_CHAT, "AsyncCompletions.create", is_async=True, requires=(*_MESSAGES, "stream")),
                # parse() goes to the wire by itself. In openai 1.40 to 1.91 it lived under beta.
                Method(_CHAT, "Completions.parse", requires=_MESSAGES),
                Method(_CHAT, "AsyncCompletions.parse", is_async=True, requires=_MESSAGES),
                Method(_BETA_CHAT, "Completions.parse", requires=_MESSAGES),
                Method(_BETA_CHAT, "AsyncCompletions.parse", is_async=True, requires=_MESSAGES),
            ),
            read_request=chat.read_request,
            read_response=chat.read_response,
            read_prompt=read_prompt,
            read_choices=chat.read_choices,
            fold_chunk=chat.fold_chunk,
            session_request=chat.session_request,
            session_response=chat.session_response,
        ),
        Operation(
            name="chat",
            api="responses.create",
            methods=(
                Method(_RESPONSES, "Responses.create", requires=(*_INPUT, "stream")),
                Method(_RESPONSES, "AsyncResponses.create", is_async=True, requires=(*_INPUT, "stream")),
                Method(_RESPONSES, "Responses.parse", requires=_INPUT),
                Method(_RESPONSES, "AsyncResponses.parse", is_async=True, requires=_INPUT),
            ),
            read_request=responses.read_request,
            read_response=responses.read_response,
            read_prompt=items.read_prompt,
            read_choices=responses.read_choices,
            fold_chunk=responses.fold_chunk,
            session_request=responses.session_request,
            session_response=responses.session_response,
            settle=responses.settle,
            has_jobs=True,
        ),
        Operation(
            name="embeddings",
            api="embeddings.create",
            methods=(
                Method(_EMBEDDINGS, "Embeddings.create", requires=_INPUT),
                Method(_EMBEDDINGS, "AsyncEmbeddings.create", is_async=True, requires=_INPUT),
            ),
            read_request=embeddings.read_request,
            read_response=embeddings.read_response,
            session_request=embeddings.session_request,
            session_response=embeddings.session_response,
        ),
        *completions.OPERATIONS,
        *stored.OPERATIONS,
        *compact.OPERATIONS,
        *beta.OPERATIONS,
        *chat_stored.OPERATIONS,
        *moderations.OPERATIONS,
        *decisions.OPERATIONS,
        *conversations.OPERATIONS,
        *images.OPERATIONS,
        *speech.OPERATIONS,
        *transcriptions.OPERATIONS,
        *vector_stores.OPERATIONS,
        *batches.OPERATIONS,
        *agents.OPERATIONS,
    ),
    results=batches.RESULTS,
    sockets=connections.SOCKETS,
    seams=(
        *connections.CLOSES,
        Seam(
            name="retries",
            api="aiobs.retry.count",
            methods=(
                Method(_BASE, "SyncAPIClient._sleep_for_retry"),
                Method(_BASE, "AsyncAPIClient._sleep_for_retry", is_async=True),
                Method(_BASE, "SyncAPIClient._retry_request"),
                Method(_BASE, "AsyncAPIClient._retry_request", is_async=True),
            ),
            drive=note_retry,
        ),
        Seam(
            name="status",
            api="aiobs.http.status_code",
            methods=(
                Method(_BASE, "SyncAPIClient._process_response", requires=("response",)),
                Method(_BASE, "AsyncAPIClient._process_response", is_async=True, requires=("response",)),
            ),
            drive=note_response,
        ),
    ),
    beneath=(
        Seam(
            name="openinference",
            api="one span for a call",
            methods=(
                Method(_OPENINFERENCE, "_Request.__call__"),  # around OpenAI.request
                Method(_OPENINFERENCE, "_AsyncRequest.__call__", is_async=True),
            ),
            drive=pass_by,
        ),
    ),
)


class OpenAIInstrumentor(ProviderInstrumentor):
    """OpenTelemetry instrumentor of the OpenAI SDK, for programs that list their instrumentors."""

    provider = PROVIDER
