"""OpenAI's wire format: its routes, errors and clients. One module per operation, ``openai_*``."""

from __future__ import annotations

import json
import re
from typing import Any

from aiobs.testing import (
    openai_agents,
    openai_audio,
    openai_batches,
    openai_chat,
    openai_chat_stored,
    openai_compact,
    openai_completions,
    openai_conversations,
    openai_decisions,
    openai_embeddings,
    openai_images,
    openai_moderations,
    openai_responses,
    openai_responses_stored,
    openai_stored,
    openai_vector_stores,
)
from aiobs.testing.script import Fault, Request
from aiobs.testing.wire import Wire

_CHAT = re.compile(r"POST (/v1|/openai/v1|/openai/deployments/[^/]+)?/chat/completions")
_EMBEDDINGS = re.compile(r"POST (/v1|/openai/v1|/openai/deployments/[^/]+)?/embeddings")
_RESPONSES = r"(/v1|/openai/v1|/openai)?/responses"
_TYPES = {429: "requests"}


def error_body(status: int, fault: Fault) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}``."""
    code = fault.code
    text = fault.message or f"The simulator was told to answer {status}."
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    kind = "insufficient_quota" if code == "insufficient_quota" else kind
    return json.dumps({"error": {"message": text, "type": kind, "param": None, "code": code}}).encode()


def _owns(request: Request) -> bool:
    return request.path.startswith(("/v1/", "/openai/")) and "x-goog-api-key" not in request.headers


# Clients


def _client(name: str, options: dict[str, Any]) -> Any:
    import openai

    return getattr(openai, name)(**{"max_retries": 0, "timeout": 30.0, **options})


def _openai(origin: str, **options: Any) -> Any:
    return _client("OpenAI", {**_place(origin), **options})


def _async_openai(origin: str, **options: Any) -> Any:
    return _client("AsyncOpenAI", {**_place(origin), **options})


def _azure_openai(origin: str, **options: Any) -> Any:
    return _client("AzureOpenAI", {**_azure_place(origin), **options})


def _async_azure_openai(origin: str, **options: Any) -> Any:
    return _client("AsyncAzureOpenAI", {**_azure_place(origin), **options})


def _place(origin: str) -> dict[str, Any]:
    return {"base_url": f"{origin}/v1", "api_key": "sk-simulated"}


def _azure_place(origin: str) -> dict[str, Any]:
    return {"azure_endpoint": origin, "api_version": "2024-10-21", "api_key": "simulated"}


WIRE = Wire(
    name="openai",
    routes=(
        (_CHAT, openai_chat.reply),
        (_EMBEDDINGS, openai_embeddings.reply),
        *openai_stored.ROUTES,
        (re.compile(f"POST {_RESPONSES}"), openai_responses.create),
        (re.compile(f"GET {_RESPONSES}/[^/]+"), openai_responses_stored.retrieve),
        (re.compile(f"POST {_RESPONSES}/[^/]+/cancel"), openai_responses_stored.cancel),
        (re.compile(f"DELETE {_RESPONSES}/[^/]+"), openai_responses_stored.delete),
        *openai_chat_stored.ROUTES,
        *openai_completions.ROUTES,
        *openai_compact.ROUTES,
        *openai_moderations.ROUTES,
        *openai_decisions.ROUTES,
        *openai_conversations.ROUTES,
        *openai_images.ROUTES,
        *openai_audio.ROUTES,
        *openai_vector_stores.ROUTES,
        *openai_batches.ROUTES,
        *openai_agents.ROUTES,
    ),
    owns=_owns,
    error=error_body,
    clients={
        "openai": _openai,
        "async_openai": _async_openai,
        "azure_openai": _azure_openai,
        "async_azure_openai": _async_azure_openai,
    },
    environment=lambda origin: {"OPENAI_BASE_URL": f"{origin}/v1", "OPENAI_API_KEY": "sk-simulated"},
)
