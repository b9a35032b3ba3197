"""The wrap points that each release of the matrix has not; what a release has is what is left of the table."""

from __future__ import annotations

_PARSE_BELOW_BETA = (
    "openai.resources.chat.completions:Completions.parse",
    "openai.resources.chat.completions:AsyncCompletions.parse",
)
_PARSE_MOVED_UP = (
    "openai.resources.beta.chat.completions:Completions.parse",
    "openai.resources.beta.chat.completions:AsyncCompletions.parse",
)
_RESPONSES = (
    "openai.resources.responses:Responses.create",
    "openai.resources.responses:AsyncResponses.create",
    "openai.resources.responses:Responses.parse",
    "openai.resources.responses:AsyncResponses.parse",
)
_OLD_RETRIES = (
    "openai._base_client:SyncAPIClient._sleep_for_retry",
    "openai._base_client:AsyncAPIClient._sleep_for_retry",
)
_NEW_RETRIES = (
    "openai._base_client:SyncAPIClient._retry_request",
    "openai._base_client:AsyncAPIClient._retry_request",
)
_CONTINUATION = (
    "google.genai.models:Models._generate_content_with_continuation",
    "google.genai.models:AsyncModels._generate_content_with_continuation",
    "google.genai.models:Models._generate_content_stream_with_continuation",
    "google.genai.models:AsyncModels._generate_content_stream_with_continuation",
)
_NEW_INTERACTIONS = (
    *(
        f"google.genai._gaos.google_genai:{cls}.{name}"
        for cls in ("GeminiNextGenInteractions", "AsyncGeminiNextGenInteractions")
        for name in ("create", "get", "cancel")
    ),
    "google.genai._gaos.utils.retries:_get_sleep_interval",
)
_OLD_INTERACTIONS = tuple(
    f"google.genai._interactions.resources.interactions:{cls}.{name}"
    for cls in ("InteractionsResource", "AsyncInteractionsResource")
    for name in ("create", "get", "cancel")
)
_NO_INTERACTIONS = (*_NEW_INTERACTIONS, *_OLD_INTERACTIONS)

ABSENT = {
    ("openai", "1.40.0"): (*_PARSE_BELOW_BETA, *_RESPONSES, *_OLD_RETRIES),
    ("openai", "1.66.0"): (*_PARSE_BELOW_BETA, *_OLD_RETRIES),
    ("openai", "1.109.1"): (*_PARSE_MOVED_UP, *_NEW_RETRIES),
    ("openai", "2.54.0"): (*_PARSE_MOVED_UP, *_NEW_RETRIES),
    ("openai", "3.52.0"): (*_PARSE_MOVED_UP, *_NEW_RETRIES),
    ("google-genai", "1.5.0"): (
        *_CONTINUATION,
        *_NO_INTERACTIONS,
        "google.genai.batches:Batches.create_embeddings",
        "google.genai.batches:AsyncBatches.create_embeddings",
        "google.genai._extra_utils:get_function_response_parts_async",
        "google.genai._extra_utils:invoke_function_from_dict_args_async",
        "google.genai._adapters:McpToGenAiToolAdapter.call_tool",
        "google.genai._api_client:BaseApiClient._request_once",
        "google.genai._api_client:BaseApiClient._async_request_once",
    ),
    ("google-genai", "1.50.0"): (*_CONTINUATION, *_NO_INTERACTIONS),
    ("google-genai", "2.0.0"): (*_CONTINUATION, *_NEW_INTERACTIONS),
    ("google-genai", "2.34.0"): _OLD_INTERACTIONS,
    ("google-genai", "3.4.0"): _OLD_INTERACTIONS,
}
"""Distribution and release → ``module:qualname``."""

UNRECORDED = {
    ("openai", "1.40.0"): {"responses.create": "not in this version"},
    ("google-genai", "1.50.0"): {
        "interactions.cancel": "not in this version",
        "interactions.create": "not in this version",
        "interactions.get": "not in this version",
    },
    ("google-genai", "1.5.0"): {
        "batches.create_embeddings": "not in this version",
        "interactions.cancel": "not in this version",
        "interactions.create": "not in this version",
        "interactions.get": "not in this version",
        "MCP tools": "not in this version",
        "aiobs.retry.count": "not recorded: BaseApiClient._request_once, BaseApiClient._async_request_once, "
        "_get_sleep_interval not found",
        "coroutine functions": "not recorded: invoke_function_from_dict_args_async not found",
        "gen_ai.tool.call.id": "not recorded: get_function_response_parts_async not found",
    },
}
"""Release → what of it ``aiobs doctor`` says in its lines about operations and details that are not there."""
