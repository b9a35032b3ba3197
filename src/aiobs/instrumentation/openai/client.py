"""Which client makes a call, and who answers it: provider name, host and port from the client's base URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from aiobs.call import Server
from aiobs.errors import header_secrets, query_secrets

client_of = attrgetter("_client")

_HOSTS = (
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.openai"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "x_ai"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.anthropic.com", "anthropic"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("amazonaws.com", "aws.bedrock"),
)
"""Host, or the domain it lies in → well-known provider name."""

_CLASSES = {"BaseAzureClient": "azure.ai.openai", "BedrockOpenAI": "aws.bedrock", "AsyncBedrockOpenAI": "aws.bedrock"}
_RUNTIMES = {"bedrock": "aws.bedrock", "vertex": "gcp.vertex_ai"}
_PORTS = {"https": 443, "http": 80}

_seen: WeakKeyDictionary[Any, tuple[Any, Server]] = WeakKeyDictionary()


def server_of(client: Any) -> Server:
    """Who this client talks to; read anew only when its base URL was replaced.

    The property is not asked for that: since openai 3 it is a function that imports another one, and takes 1 to 3 µs.
    """
    seen = _seen.get(client)
    if seen is not None and seen[0] is client._base_url:
        return seen[1]
    url = client.base_url
    server = Server(_provider_name(client, url.host), url.host, url.port or _PORTS.get(url.scheme))
    if _is_the_sdks(type(client).base_url) and vars(client).get("_base_url") is url:
        _seen[client] = (url, server)
    return server


def _is_the_sdks(attribute: Any) -> bool:
    """The SDK's own property, not one of a subclass that gives another URL each time."""
    return getattr(getattr(attribute, "fget", None), "__module__", "").partition(".")[0] == "openai"


def secrets_of(client: Any) -> tuple[str, ...]:
    """The client's keys, headers and queries, and the URL's userinfo; a key that is a callable is never called."""
    keys = (getattr(client, name, None) for name in ("api_key", "admin_api_key", "webhook_secret", "_azure_ad_token"))
    url = getattr(client, "base_url", None)
    return (
        *_texts((*keys, getattr(url, "username", None), getattr(url, "password", None))),
        *header_secrets(getattr(client, "_custom_headers", None)),
        *query_secrets(getattr(client, "_custom_query", None)),
    )


def _texts(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str) and value)


def _provider_name(client: Any, host: str) -> str:
    """The client's class, its ``provider=`` of openai 3, its host; an unknown host speaks OpenAI's protocol."""
    for cls in type(client).__mro__:
        if cls.__name__ in _CLASSES:
            return _CLASSES[cls.__name__]
    runtime = getattr(getattr(client, "_provider_runtime", None), "name", None)
    if runtime in _RUNTIMES:
        return _RUNTIMES[runtime]
    for domain, name in _HOSTS:
        if host == domain or host.endswith(("." + domain, "-" + domain)):
            return name
    return "openai"
