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


def _both(module: str, cls: str, *methods: str) -> tuple[str, ...]:
    """Methods of a class and of its async twin."""
    return tuple(f"openai.resources.{module}:{kind}{cls}.{method}" for method in methods for kind in ("", "Async"))


_STORED_COMPLETIONS = _both("chat.completions", "Completions", "list", "retrieve", "update")
_FETCHED = _both("responses", "Responses", "retrieve")
_CANCELLED = _both("responses", "Responses", "cancel")
_BETA = (
    *_both("beta.responses.responses", "Responses", "create", "retrieve", "cancel", "compact"),
    *_both("beta.responses.input_tokens", "InputTokens", "count"),
)
_COMPACTED = (*_both("responses", "Responses", "compact"), *_both("responses.input_tokens", "InputTokens", "count"))
_DECISIONS = _both("decisions", "Decisions", "create")
_CONVERSATIONS = _both("conversations", "Conversations", "create", "retrieve", "update", "delete")
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


def _connections(module: str, resource: str) -> tuple[str, ...]:
    """The wrap points of a resource that has connections."""
    return (
        *(f"{module}:{prefix}{resource}.connect" for prefix in ("", "Async")),
        *(
            f"{module}:{name}"
            for name in (f"{resource}ConnectionManager.enter", f"Async{resource}ConnectionManager.enter")
        ),
        f"{module}:{resource}ConnectionManager.__enter__",
        f"{module}:Async{resource}ConnectionManager.__aenter__",
        *(
            f"{module}:{prefix}{resource}Connection.{name}"
            for prefix in ("", "Async")
            for name in ("recv", "send", "close")
        ),
    )


_REALTIME = _connections("openai.resources.realtime.realtime", "Realtime")
_BETA_REALTIME = _connections("openai.resources.beta.realtime.realtime", "Realtime")
_CONNECTED_RESPONSES = (
    *_connections("openai.resources.responses.responses", "Responses"),
    *_connections("openai.resources.beta.responses.responses", "Responses"),
)
_LIVE = _connections("openai.resources.live.live", "Live")
_ONE_BASE = (
    "openai._websocket_connection:WebSocketConnectionBase.close",
    "openai._websocket_connection:AsyncWebSocketConnectionBase.close",
)
_CLOSED_BY_THEIR_BASE = tuple(
    place for place in (*_REALTIME, *_CONNECTED_RESPONSES, *_LIVE) if place.endswith(".close")
)
_SENDING = tuple(
    f"google.genai.live:AsyncSession.send_{what}" for what in ("client_content", "realtime_input", "tool_response")
)

ABSENT = {
    ("openai", "1.40.0"): (
        *_PARSE_BELOW_BETA,
        *_RESPONSES,
        *_OLD_RETRIES,
        *_STORED_COMPLETIONS,
        *_FETCHED,
        *_CANCELLED,
        *_COMPACTED,
        *_BETA,
        *_DECISIONS,
        *_CONVERSATIONS,
        *_SEARCHES,
        *_REALTIME,
        *_BETA_REALTIME,
        *_CONNECTED_RESPONSES,
        *_LIVE,
        *_ONE_BASE,
    ),
    ("openai", "1.66.0"): (
        *_PARSE_BELOW_BETA,
        *_OLD_RETRIES,
        *_CANCELLED,
        *_COMPACTED,
        *_BETA,
        *_DECISIONS,
        *_CONVERSATIONS,
        *_REALTIME,
        *_CONNECTED_RESPONSES,
        *_LIVE,
        *_ONE_BASE,
    ),
    ("openai", "1.109.1"): (
        *_PARSE_MOVED_UP,
        *_NEW_RETRIES,
        *_COMPACTED,
        *_BETA,
        *_DECISIONS,
        *_CONNECTED_RESPONSES,
        *_LIVE,
        *_ONE_BASE,
    ),
    ("openai", "2.54.0"): (*_PARSE_MOVED_UP, *_NEW_RETRIES, *_DECISIONS, *_LIVE, *_ONE_BASE),
    ("openai", "3.52.0"): (*_PARSE_MOVED_UP, *_NEW_RETRIES, *_CLOSED_BY_THEIR_BASE),
    ("google-genai", "1.5.0"): (
        *_CONTINUATION,
        *_SENDING,
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


def _absent(*apis: str) -> dict[str, str]:
    return dict.fromkeys(apis, "not in this version")


_NO_LIVE = {"live.connect": "not in this version", "end of realtime sessions": "not in this version"}
_NO_CONNECTED_RESPONSES = {
    "responses.connect": "not recorded: Responses.connect, AsyncResponses.connect not found",
    "beta.responses.connect": "not in this version",
}

_NOT_IN_2_54 = {**_absent("decisions.create"), **_NO_LIVE}
_NOT_IN_1_109 = {
    **_NOT_IN_2_54,
    **_NO_CONNECTED_RESPONSES,
    **_absent("responses.compact", "responses.input_tokens.count", "beta.responses.create", "beta.responses.retrieve"),
    **_absent("beta.responses.cancel", "beta.responses.compact", "beta.responses.input_tokens.count"),
}
_NOT_IN_1_66 = {
    **_NOT_IN_1_109,
    **_absent(*(f"conversations.{method}" for method in ("create", "retrieve", "update", "delete"))),
    **_absent("responses.cancel", "realtime.connect"),
}
_NOT_IN_1_40 = {
    **_NOT_IN_1_66,
    **_absent("responses.create", "responses.retrieve", "responses.connect", "vector_stores.search"),
    **_absent("beta.realtime.connect"),
    **_absent(*(f"chat.completions.{method}" for method in ("list", "retrieve", "update"))),
}

UNRECORDED = {
    ("openai", "1.40.0"): _NOT_IN_1_40,
    ("openai", "1.66.0"): _NOT_IN_1_66,
    ("openai", "1.109.1"): _NOT_IN_1_109,
    ("openai", "2.54.0"): _NOT_IN_2_54,
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
