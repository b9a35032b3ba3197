"""The SDK call that makes a recorded request, and everything that a program can see of what it comes to."""

from __future__ import annotations

import inspect
import pkgutil
import re
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.corpus.recordings import Recorded

OPENAI_METHODS = {
    "chat": "openai.resources.chat.completions:Completions.create",
    "responses": "openai.resources.responses:Responses.create",
    "embeddings": "openai.resources.embeddings:Embeddings.create",
    "batches": "openai.resources.batches:Batches.create",
}
"""Where the methods are; not every release has all of them."""


@dataclass(frozen=True)
class SDKCall:
    """A method of a client by its path, and what it is given; ``family`` says which client."""

    family: str
    path: tuple[str, ...]
    arguments: dict[str, Any]
    streams: bool


@dataclass
class Outcome:
    """What a program sees of one call: types and values, the exception if there was one, warnings."""

    values: list[Any] = field(default_factory=list)
    error: tuple[str, str] | None = None
    warnings: list[tuple[str, str]] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list, repr=False, compare=False)

    @property
    def seen(self) -> str:
        """All of it as text; equal for equal outcomes, NaN included."""
        return repr((self.values, self.error, self.warnings))


# The call


def call_of(exchange: Recorded) -> SDKCall:
    """The call that makes this request."""
    if exchange.kind == "embed_content":
        return SDKCall(_google(exchange), ("models", "embed_content"), _embed_arguments(exchange), False)
    if exchange.kind == "interactions":
        return SDKCall("gemini", ("interactions", "create"), dict(exchange.request), exchange.is_streamed)
    if exchange.kind.startswith("generate_content"):
        return SDKCall(
            _google(exchange), ("models", exchange.kind), _generate_arguments(exchange), exchange.is_streamed
        )
    if exchange.kind == "batches.retrieve":
        asked = urlsplit(exchange.url).path.rpartition("/")[2]
        return SDKCall("openai", ("batches", "retrieve"), {"batch_id": asked}, False)
    family = "azure_openai" if exchange.host.endswith(".azure.com") else "openai"
    path = ("chat", "completions", "create") if exchange.kind == "chat" else (exchange.kind, "create")
    return SDKCall(family, path, _openai_arguments(exchange.request, path), exchange.is_streamed)


def _google(exchange: Recorded) -> str:
    return "vertex" if "/publishers/" in exchange.url else "gemini"


def _openai_arguments(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The body as keywords; what this SDK has no keyword for, as ``extra_body``."""
    known = _openai_keywords(path)
    extra = {key: value for key, value in body.items() if key not in known}
    arguments = {key: value for key, value in body.items() if key in known}
    return {**arguments, "extra_body": extra} if extra else arguments


def _openai_keywords(path: tuple[str, ...]) -> frozenset[str]:
    return frozenset(inspect.signature(pkgutil.resolve_name(OPENAI_METHODS[path[0]])).parameters)


def _model(exchange: Recorded) -> str:
    """The model in the URL."""
    found = re.search(r"/models/([^/:]+):", unquote(urlsplit(exchange.url).path))
    assert found
    return found[1]


def _generate_arguments(exchange: Recorded) -> dict[str, Any]:
    body = dict(exchange.request)
    contents = body.pop("contents", [])
    config = {**body.pop("generationConfig", {}), **body}
    known = _config_keys()
    extra = {key: config.pop(key) for key in list(config) if key not in known}
    if extra:
        config["http_options"] = {"extra_body": extra}
    return {"model": _model(exchange), "contents": contents, "config": config or None}


def _config_keys() -> frozenset[str]:
    from google.genai.types import GenerateContentConfig

    fields = GenerateContentConfig.model_fields
    return frozenset(fields) | {value.alias for value in fields.values() if value.alias}


def _embed_arguments(exchange: Recorded) -> dict[str, Any]:
    requests = exchange.request["requests"]
    contents = [request["content"] for request in requests]
    options = {key: value for key, value in requests[0].items() if key not in ("model", "content")}
    return {"model": _model(exchange), "contents": contents, "config": options or None}


# Making it


def perform(client: Any, call: SDKCall) -> Outcome:
    """Make the call with a sync client."""
    outcome = Outcome()
    with _watching(outcome):
        result = _method(client, call)(**deepcopy(call.arguments))  # google-genai 1.5 edits schemas in place
        if isinstance(result, Iterator):  # a stream that nobody asked for is read as well
            for chunk in result:
                _see(outcome, chunk)
        else:
            _see(outcome, result)
    return outcome


async def perform_async(client: Any, call: SDKCall) -> Outcome:
    """Make the call with an async client (the ``aio`` of a Google client)."""
    outcome = Outcome()
    with _watching(outcome):
        result = await _method(client, call)(**deepcopy(call.arguments))  # google-genai 1.5 edits schemas in place
        if isinstance(result, AsyncIterator):  # a stream that nobody asked for is read as well
            async for chunk in result:
                _see(outcome, chunk)
        else:
            _see(outcome, result)
    return outcome


def _method(client: Any, call: SDKCall) -> Any:
    found = client
    for name in call.path:
        found = getattr(found, name)
    return found


@contextmanager
def _watching(outcome: Outcome) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except Exception as error:  # whatever the SDK raises is what is compared
            outcome.error = (f"{type(error).__module__}.{type(error).__qualname__}", str(error))
    told = [warning for warning in caught if not issubclass(warning.category, ResourceWarning)]  # the collector's time
    outcome.warnings = [(warning.category.__name__, str(warning.message)) for warning in told]


def _see(outcome: Outcome, value: Any) -> None:
    outcome.objects.append(value)
    outcome.values.append((type(value).__qualname__, dumped(value), getattr(value, "_request_id", None)))


def dumped(value: Any) -> Any:
    """A value of an SDK as plain data; an SDK that cannot dump its own value says why in its place."""
    if not hasattr(value, "model_dump"):
        return value
    try:
        return value.model_dump(warnings=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
