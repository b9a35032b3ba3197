"""Which client makes a call, and who answers it: the Developer API or Vertex, host and port."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiobs.call import Server
from aiobs.capture.provider import Shape
from aiobs.errors import header_secrets
from aiobs.instrumentation.google_genai.fields import field

_PORTS = {"https": 443, "http": 80}


def client_of(instance: Any) -> Any:
    """The API client below ``models`` and ``chats``."""
    modules = getattr(instance, "_modules", instance)
    return getattr(modules, "_api_client", instance)


def server_of(client: Any) -> Server:
    """Who this client talks to."""
    options = getattr(client, "_http_options", None)
    url = options.get("base_url") if isinstance(options, dict) else getattr(options, "base_url", None)
    provider = "gcp.vertex_ai" if getattr(client, "vertexai", None) else "gcp.gemini"
    return _server(provider, url if isinstance(url, str) else "")


@lru_cache(maxsize=256)
def _server(provider: str, url: str) -> Server:
    parts = urlsplit(url)
    return Server(provider, parts.hostname, parts.port or _PORTS.get(parts.scheme))


def secrets_of(client: Any, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """The client's key and token, the headers of client and request, the URL's userinfo; nothing is refreshed."""
    options = getattr(client, "_http_options", None)
    url = urlsplit(str(field(options, "base_url") or ""))
    token = getattr(getattr(client, "_credentials", None), "token", None)
    given = (getattr(client, "api_key", None), token, url.username, url.password)
    return (
        *(key for key in given if isinstance(key, str) and key),
        *header_secrets(field(options, "headers")),
        *header_secrets(field(field(kwargs.get("config"), "http_options"), "headers")),
    )


def shape_of(result: Any) -> Shape:
    """The private methods give an answer, or bare chunks."""
    return Shape.ITERATOR if hasattr(result, "__anext__") or hasattr(result, "__next__") else Shape.VALUE


def answer_of(error: BaseException) -> None:
    """No error of this SDK holds an answer."""
