"""What each release of the SDKs has: the one table by which tests are skipped on older ones (``make matrix``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from packaging.version import Version

from aiobs.diagnosis.versions import installed_version

FEATURES = {
    "openai": ("openai", "1.40"),
    "openai vectors without numpy": ("openai", "1.62"),
    "openai responses": ("openai", "1.66"),
    "openai stored completions": ("openai", "1.66"),
    "openai arguments and ids of late 2024": ("openai", "1.66"),
    "openai service tiers of responses": ("openai", "1.75"),
    "openai responses in the background": ("openai", "1.80"),
    "openai prompt templates": ("openai", "1.87"),
    "openai conversations": ("openai", "1.101"),
    "openai errors with their completion": ("openai", "1.66"),
    "openai chat.completions.parse": ("openai", "1.92"),
    "openai omit": ("openai", "1.109"),
    "openai streams of stored responses": ("openai", "1.109"),
    "openai background": ("openai", "1.109"),
    "openai responses.cancel": ("openai", "1.109"),
    "openai responses.compact": ("openai", "2.54"),
    "openai counts of tokens": ("openai", "2.54"),
    "openai decisions": ("openai", "3.26"),
    "openai requests of every recording": ("openai", "3.0"),
    "openai streams of pictures and transcripts": ("openai", "1.109"),
    "openai transcripts by speaker": ("openai", "2.54"),
    "openai errors of broken streams": ("openai", "3.0"),
    "openai realtime": ("openai", "1.109"),
    "openai beta realtime": ("openai", "1.66"),
    "openai responses over a socket": ("openai", "2.54"),
    "openai live": ("openai", "3.0"),
    "openai live decisions": ("openai", "3.52"),
    "openai agents": ("openai", "3.52"),
    "openai further connections": ("openai", "3.52"),
    "gemini": ("google-genai", "1.5"),
    "gemini ids of answers": ("google-genai", "1.7"),
    "gemini sync calls over httpx": ("google-genai", "1.7"),
    "gemini thoughts and modalities": ("google-genai", "1.8"),
    "gemini coroutine functions": ("google-genai", "1.11"),
    "gemini maps": ("google-genai", "1.14"),
    "gemini retries and HTTP status": ("google-genai", "1.21"),
    "gemini JSON schemas": ("google-genai", "1.21"),
    "gemini errors of answers that are no JSON": ("google-genai", "1.29"),
    "gemini errors that are lists": ("google-genai", "1.37"),
    "gemini clients as context managers": ("google-genai", "1.39"),
    "gemini clients of httpx": ("google-genai", "1.46"),
    "gemini errors inside streams": ("google-genai", "1.50"),
    "gemini thinking levels": ("google-genai", "1.51"),
    "gemini streamed arguments": ("google-genai", "1.51"),
    "gemini continuation": ("google-genai", "2.30"),
    "gemini live": ("google-genai", "1.50"),
    "gemini errors of async streams": ("google-genai", "1.50"),
    "gemini sources of videos": ("google-genai", "1.50"),
    "gemini contexts and segments of pictures": ("google-genai", "1.50"),
    "gemini batches": ("google-genai", "1.50"),
    "gemini metadata of batches": ("google-genai", "2.0"),
    "gemini interactions": ("google-genai", "2.0"),
    "gemini continued interactions": ("google-genai", "2.34"),
    "gemini warnings of videos without a source": ("google-genai", "2.34"),
    "gemini interactions of today": ("google-genai", "2.34"),
    "gemini decisions": ("google-genai", "3.4"),
    "gemini interactions that are tried once": ("google-genai", "3.0"),
    "gemini usage of embeddings": ("google-genai", "3.0"),
    "gemini requests of every recording": ("google-genai", "3.0"),
    "gemini past the socket": ("google-genai", "3.0"),
}
"""Feature → distribution, and the release that brought it, or the oldest of the matrix that has it."""

FILES = {
    "tests/instrumentation/google_genai/": "gemini",
    "tests/instrumentation/openai/test_responses": "openai responses",
    "tests/instrumentation/openai/test_bad_input_others": "openai omit",
    "tests/instrumentation/openai/test_vector_stores": "openai responses",
}
"""How a test file's path begins → the feature that all of it needs."""


@cache
def _installed(distribution: str) -> Version | None:
    found = installed_version(distribution)
    return None if found is None else Version(found)


def has(feature: str) -> bool:
    """The installed release has this feature."""
    distribution, since = FEATURES[feature]
    found = _installed(distribution)
    return found is not None and found >= Version(since)


def needs(*features: str) -> pytest.MarkDecorator:
    """Skip where the installed release lacks one of them; the reason names it and the release that brought it."""
    lacking = [feature for feature in features if not has(feature)]
    return pytest.mark.skipif(bool(lacking), reason=", ".join(map(_reason, lacking)))


def chat_with_parse(client: Any) -> Any:
    """Where ``parse()`` and ``stream()`` of chat completions are: below ``beta`` until openai 1.92."""
    return client.chat.completions if has("openai chat.completions.parse") else client.beta.chat.completions


PARSING_MODULE = f"openai.resources{'' if has('openai chat.completions.parse') else '.beta'}.chat.completions"
"""Where the classes with ``parse()`` and ``stream()`` of chat completions are."""


def classes_with_parse() -> tuple[Any, Any]:
    """Those classes, sync and async; imports the SDK."""
    module = import_module(PARSING_MODULE)
    return module.Completions, module.AsyncCompletions


@asynccontextmanager
async def aio_of(client: Any) -> AsyncIterator[Any]:
    """The async side of a Google client, closed afterwards; the oldest ones keep nothing open."""
    try:
        yield client.aio
    finally:
        if has("gemini clients as context managers"):
            await client.aio.aclose()


@contextmanager
def closing(client: Any) -> Iterator[Any]:
    """A Google client, closed afterwards; the oldest ones keep nothing open."""
    try:
        yield client
    finally:
        if has("gemini clients as context managers"):
            client.close()


def _reason(feature: str) -> str:
    distribution, since = FEATURES[feature]
    return f"{feature}: since {distribution} {since}, here is {_installed(distribution) or 'none'}"


def is_newest() -> bool:
    """The installed SDKs are those of constraints.txt."""
    return has("openai") and has("gemini past the socket") and has("openai errors of broken streams")
