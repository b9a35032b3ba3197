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
_SEARCHES = (
    "openai.resources.vector_stores.vector_stores:VectorStores.search",
    "openai.resources.vector_stores.vector_stores:AsyncVectorStores.search",
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


def _of_models(*names: str) -> tuple[str, ...]:
    return tuple(f"google.genai.models:{owner}.{name}" for name in names for owner in ("Models", "AsyncModels"))


_PUBLIC_TWINS = _of_models("generate_videos", "generate_images", "edit_image")
"""Of these the private method is wrapped, where there is one."""

ABSENT = {
    ("openai", "1.40.0"): (*_PARSE_BELOW_BETA, *_RESPONSES, *_SEARCHES, *_OLD_RETRIES),
    ("openai", "1.66.0"): (*_PARSE_BELOW_BETA, *_OLD_RETRIES),
    ("openai", "1.109.1"): (*_PARSE_MOVED_UP, *_NEW_RETRIES),
    ("openai", "2.54.0"): (*_PARSE_MOVED_UP, *_NEW_RETRIES),
    ("openai", "3.52.0"): (*_PARSE_MOVED_UP, *_NEW_RETRIES),
    ("google-genai", "1.5.0"): (
        *_CONTINUATION,
        "google.genai._extra_utils:get_function_response_parts_async",
        "google.genai._extra_utils:invoke_function_from_dict_args_async",
        "google.genai._adapters:McpToGenAiToolAdapter.call_tool",
        "google.genai._api_client:BaseApiClient._request_once",
        "google.genai._api_client:BaseApiClient._async_request_once",
        *_of_models("_generate_videos", "_generate_images", "_edit_image", "recontext_image", "segment_image"),
    ),
    ("google-genai", "1.50.0"): (*_CONTINUATION, *_PUBLIC_TWINS),
    ("google-genai", "2.0.0"): (*_CONTINUATION, *_PUBLIC_TWINS),
    ("google-genai", "2.34.0"): _PUBLIC_TWINS,
    ("google-genai", "3.4.0"): _PUBLIC_TWINS,
}
"""Distribution and release → ``module:qualname``."""

UNRECORDED = {
    ("openai", "1.40.0"): {"responses.create": "not in this version", "vector_stores.search": "not in this version"},
    ("google-genai", "1.5.0"): {
        "MCP tools": "not in this version",
        "models.recontext_image": "not in this version",
        "models.segment_image": "not in this version",
        "aiobs.retry.count": "not recorded: BaseApiClient._request_once, BaseApiClient._async_request_once not found",
        "coroutine functions": "not recorded: invoke_function_from_dict_args_async not found",
        "gen_ai.tool.call.id": "not recorded: get_function_response_parts_async not found",
    },
}
"""Release → what of it ``aiobs doctor`` says in its lines about operations and details that are not there."""
