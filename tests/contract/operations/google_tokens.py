"""Google GenAI: tokens counted and listed, contents cached."""

from __future__ import annotations

from tests.contract.operation import GEMINI, SDK, VERTEX, Operation


def _count(name: str, sdk: SDK, operation: str = "count_tokens") -> Operation:
    return Operation(
        name=name,
        sdk=sdk,
        operation=operation,
        api=f"models.{operation}",
        method=lambda client: getattr(client.models, operation),
        prompt="contents",
        features=("gemini",),
        needles=1,
    )


def _cache(name: str, sdk: SDK) -> Operation:
    return Operation(
        name=name,
        sdk=sdk,
        operation="create_cache",
        api="caches.create",
        method=lambda client: client.caches.create,
        prompt="config",
        asks=lambda prompt: {"contents": prompt, "ttl": "60s"},
        features=("gemini",),
        needles=1,
    )


OPERATIONS = (
    _count("gemini-tokens", GEMINI),
    _count("vertex-tokens", VERTEX),
    _count("vertex-computed-tokens", VERTEX, "compute_tokens"),
    _cache("gemini-caches", GEMINI),
    _cache("vertex-caches", VERTEX),
)
