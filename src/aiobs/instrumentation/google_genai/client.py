"""Which client makes a call, and who answers it: the Developer API or Vertex, host and port.

Interactions have a client of their own: since 2.9 the resource is it (``sdk_configuration`` says where it goes), before
that it was a client as OpenAI's SDK has one, below the resource.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from functools import cache, lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from aiobs.call import Server
from aiobs.capture.provider import Shape
from aiobs.errors import header_secrets, query_secrets
from aiobs.instrumentation.google_genai.fields import field

_PORTS = {"https": 443, "http": 80}


def client_of(instance: Any) -> Any:
    """The API client below ``models`` and ``chats``; that of interactions."""
    modules = getattr(instance, "_modules", instance)
    found = getattr(modules, "_api_client", None)
    return found if found is not None else getattr(instance, "_client", instance)


def server_of(client: Any) -> Server:
    """Who this client talks to."""
    if (configuration := getattr(client, "sdk_configuration", None)) is not None:
        version = getattr(getattr(configuration, "globals", None), "api_version", None)
        return _server_of_interactions(str(configuration.server_url), "/projects/" in str(version))
    if (adapter := getattr(client, "client_adapter", None)) is not None:
        return _server_of_interactions(str(client.base_url), bool(adapter.is_vertex_ai()))
    options = getattr(client, "_http_options", None)
    url = options.get("base_url") if isinstance(options, dict) else getattr(options, "base_url", None)
    provider = "gcp.vertex_ai" if getattr(client, "vertexai", None) else "gcp.gemini"
    return _server(provider, url if isinstance(url, str) else "")


def _server_of_interactions(url: str, has_project: bool) -> Server:
    is_vertex = has_project or "aiplatform.googleapis.com" in url
    return _server("gcp.vertex_ai" if is_vertex else "gcp.gemini", url)


@lru_cache(maxsize=256)
def _server(provider: str, url: str) -> Server:
    parts = urlsplit(url)
    return Server(provider, parts.hostname, parts.port or _PORTS.get(parts.scheme))


def secrets_of(client: Any) -> tuple[str, ...]:
    """The client's key and token, its headers, the URL's userinfo; nothing is refreshed."""
    if hasattr(client, "sdk_configuration") or hasattr(client, "client_adapter"):
        return _secrets_of_interactions(client)
    options = getattr(client, "_http_options", None)
    url = urlsplit(str(field(options, "base_url") or ""))
    token = getattr(getattr(client, "_credentials", None), "token", None)
    given = (getattr(client, "api_key", None), token, url.username, url.password)
    return (
        *(key for key in given if isinstance(key, str) and key),
        *header_secrets(field(options, "headers")),
    )


def _secrets_of_interactions(client: Any) -> tuple[str, ...]:
    """Its key, the headers it was made with; nothing is refreshed."""
    configuration = getattr(client, "sdk_configuration", client)
    security = getattr(configuration, "security", None)
    url = urlsplit(str(getattr(configuration, "server_url", None) or getattr(client, "base_url", "")))
    api = getattr(getattr(security, "access_token", None), "_api_client", None)
    keys = (
        getattr(security, "api_key", None),
        getattr(client, "api_key", None),
        getattr(getattr(api, "_credentials", None), "token", None),
        url.username,
        url.password,
    )
    return (
        *(key for key in keys if isinstance(key, str) and key),
        *header_secrets(getattr(security, "default_headers", None)),
        *header_secrets(getattr(client, "_custom_headers", None)),
        *query_secrets(url.query),
    )


def shape_of(result: Any) -> Shape:
    """An answer, bare chunks, or a stream or a raw response of interactions."""
    shape = _shape_of_class(cast("Hashable", type(result)))
    if shape is Shape.RAW and not hasattr(result.http_response, "_content"):
        return Shape.STREAMING
    return shape


@cache
def _shape_of_class(cls: Hashable) -> Shape:
    for base in inspect.getmro(cast("type", cls)):
        if base.__module__.startswith("google.genai."):
            if base.__name__ in ("Stream", "AsyncStream"):
                return Shape.STREAM
            if base.__name__.endswith("APIResponse"):
                return Shape.RAW
    return Shape.ITERATOR if hasattr(cls, "__anext__") or hasattr(cls, "__next__") else Shape.VALUE


def answer_of(error: BaseException) -> Any:
    """What was there when the SDK could not get the rest of an interaction; None for any other error."""
    return getattr(error, "partial_interaction", None)
