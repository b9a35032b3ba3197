"""Gemini's wire format, that of the Developer API and that of Vertex AI: its routes, errors and clients.

One module per operation: ``gemini_content``, ``gemini_embeddings``, ``gemini_usage``, ``gemini_videos``,
``gemini_pictures``, ``gemini_caches``.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

from aiobs.testing import (
    gemini_batches,
    gemini_caches,
    gemini_content,
    gemini_decisions,
    gemini_embeddings,
    gemini_interactions,
    gemini_pictures,
    gemini_usage,
    gemini_videos,
)
from aiobs.testing.gemini_request import is_vertex, model_of
from aiobs.testing.script import Answer, Fault, Request
from aiobs.testing.wire import Handler, Wire

_VERSION = r"/v1(?:alpha|beta|beta1)?"
_DEVELOPER = r"(?:models|tunedModels)/[^/]+"
_VERTEX = r"(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/models|endpoints)/[^/]+"
_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MORE_WORDS = frozenset({"FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS", "DATA_LOSS", "UNKNOWN"})
_RPC = "type.googleapis.com/google.rpc"


def error_body(status: int, fault: Fault) -> bytes:
    """``{"error": {"code", "message", "status", "details"}}``.

    ``code`` is the status word if it is one (``FAILED_PRECONDITION``), or the reason in an ``ErrorInfo``
    (``API_KEY_INVALID``) · ``retry_after``: seconds in a ``RetryInfo``.
    """
    code, retry_after = fault.code, fault.retry_after
    is_word = code in _MORE_WORDS or code in _WORDS.values()
    word = code if is_word else _WORDS.get(status, "INVALID_ARGUMENT" if status < 500 else "UNKNOWN")
    text = fault.message or f"The simulator was told to answer {status}."
    details: list[dict[str, Any]] = []
    if code is not None and not is_word:
        details.append({"@type": f"{_RPC}.ErrorInfo", "reason": code, "domain": "googleapis.com"})
    if retry_after is not None:
        details.append({"@type": f"{_RPC}.RetryInfo", "retryDelay": f"{retry_after:g}s"})
    error = {"code": status, "message": text, "status": word, **({"details": details} if details else {})}
    return json.dumps({"error": error}).encode()


def _route(verb: str, handler: Handler, models: str = f"(?:{_DEVELOPER}|{_VERTEX})") -> tuple[re.Pattern[str], Handler]:
    return re.compile(f"POST {_VERSION}/{models}:{verb}"), handler


def _not_found(request: Request, answer: Answer) -> Fault:
    """What the service says to a model that it has not, or that can not do this."""
    path, _, verb = request.path.lstrip("/").partition("/")[2].rpartition(":")
    if is_vertex(request):
        return Fault(404, message=f"Publisher Model `{path}` not found.")
    version = request.path.split("/")[1]
    return Fault(
        404,
        message=f"models/{model_of(request)} is not found for API version {version}, or is not supported for {verb}. "
        "Call ListModels to see the list of available models and their supported methods.",
    )


def _owns(request: Request) -> bool:
    return (
        "x-goog-api-key" in request.headers
        or "key" in parse_qs(request.query)
        or "/publishers/google/models" in request.path
        or re.search(r"/models/[^/]+:\w+$", request.path) is not None
    )


# Clients


def _gemini(origin: str, **options: Any) -> Any:
    return _client(origin, {"vertexai": False, "api_key": "simulated", **options})


def _vertex(origin: str, **options: Any) -> Any:
    from google.oauth2.credentials import Credentials

    credentials = Credentials("simulated")  # type: ignore[no-untyped-call]  # google-auth has no types for it
    place = {"project": "simulated", "location": "us-central1", "credentials": credentials}
    return _client(origin, {"vertexai": True, **place, **options})


def _client(origin: str, options: dict[str, Any]) -> Any:
    from google import genai

    ours: dict[str, Any] = {"base_url": origin, "timeout": 30_000}  # milliseconds
    if "retry_options" in genai.types.HttpOptions.model_fields:
        ours["retry_options"] = {"attempts": 1}  # interactions would try again by themselves
    return genai.Client(**{**options, "http_options": {**ours, **options.get("http_options", {})}})


WIRE = Wire(
    name="gemini",
    routes=(
        _route("generateContent", gemini_content.generate),
        _route("streamGenerateContent", gemini_content.stream),
        _route("countTokens", gemini_usage.count_tokens),
        _route("embedContent", gemini_embeddings.embed_one),
        _route("batchEmbedContents", gemini_embeddings.embed_batch),
        _route("computeTokens", gemini_usage.compute_tokens, _VERTEX),
        *gemini_pictures.ROUTES,
        *gemini_videos.ROUTES,
        *gemini_caches.ROUTES,
        *gemini_interactions.ROUTES,
        *gemini_decisions.ROUTES,
        *gemini_batches.ROUTES,
        _route(r"\w+", _not_found, ".+"),
    ),
    owns=_owns,
    error=error_body,
    clients={"gemini": _gemini, "vertex": _vertex},
    environment=lambda origin: {
        "GOOGLE_GEMINI_BASE_URL": origin,
        "GOOGLE_VERTEX_BASE_URL": origin,
        "GEMINI_API_KEY": "simulated",
    },
)
