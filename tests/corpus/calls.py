"""The SDK call that makes a recorded request, and everything that a program can see of what it comes to."""

from __future__ import annotations

import inspect
import pkgutil
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.corpus.recordings import Recorded

OPENAI_METHODS = {
    "chat": "openai.resources.chat.completions:Completions.create",
    "responses": "openai.resources.responses:Responses.create",
    "embeddings": "openai.resources.embeddings:Embeddings.create",
    "batches": "openai.resources.batches:Batches.create",
    "batches.retrieve": "openai.resources.batches:Batches.retrieve",
    "completions": "openai.resources.completions:Completions.create",
    "responses.retrieve": "openai.resources.responses:Responses.retrieve",
    "responses.compact": "openai.resources.responses:Responses.compact",
    "responses.input_tokens": "openai.resources.responses.input_tokens:InputTokens.count",
    "conversations.create": "openai.resources.conversations:Conversations.create",
    "conversations.delete": "openai.resources.conversations:Conversations.delete",
    "images.generate": "openai.resources.images:Images.generate",
    "images.edit": "openai.resources.images:Images.edit",
    "speech": "openai.resources.audio.speech:Speech.create",
    "transcriptions": "openai.resources.audio.transcriptions:Transcriptions.create",
    "translations": "openai.resources.audio.translations:Translations.create",
    "moderations": "openai.resources.moderations:Moderations.create",
}
"""Where the methods are; not every release has all of them."""

GOOGLE_METHODS = {
    "generate_content": "models.generate_content",
    "generate_content_stream": "models.generate_content_stream",
    "embed_content": "models.embed_content",
    "count_tokens": "models.count_tokens",
    "caches.create": "caches.create",
    "interactions": "interactions.create",
}

OWN = ("images.edit",)
"""Kinds whose requests the SDK has to make of something else: the answers are what is replayed."""

BOUNDARY = "recorded"
"""Of the forms that are sent: the same each time, so that two requests can be compared."""

_PICTURE = ("logo.png", b"\x89PNG----", "image/png")


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
    arguments = _ARGUMENTS.get(exchange.kind, _openai_arguments)(exchange)
    if exchange.kind in GOOGLE_METHODS:
        path = GOOGLE_METHODS[exchange.kind]
        return SDKCall(_google(exchange), tuple(path.split(".")), arguments, exchange.is_streamed)
    family = "azure_openai" if exchange.host.endswith(".azure.com") else "openai"
    return SDKCall(family, _openai_path(exchange.kind), arguments, exchange.is_streamed)


def _google(exchange: Recorded) -> str:
    return "vertex" if "/publishers/" in exchange.url else "gemini"


def _openai_path(kind: str) -> tuple[str, ...]:
    """``openai.resources.audio.speech:Speech.create`` is ``audio.speech.create`` of a client."""
    module, _, method = OPENAI_METHODS[kind].partition(":")
    return (*module.split(".")[2:], method.partition(".")[2])


def _openai_arguments(exchange: Recorded) -> dict[str, Any]:
    """The body as keywords; what this SDK has no keyword for, as ``extra_body``."""
    body = exchange.request
    known = frozenset(inspect.signature(pkgutil.resolve_name(OPENAI_METHODS[exchange.kind])).parameters)
    extra = {key: value for key, value in body.items() if key not in known}
    arguments = {key: value for key, value in body.items() if key in known}
    return {**arguments, "extra_body": extra} if extra else arguments


def _form_arguments(exchange: Recorded) -> dict[str, Any]:
    """The same of a form, whose fields are text."""
    given = _openai_arguments(exchange)
    file = given["file"]
    if "stream" in given:
        given["stream"] = given["stream"] == "true"
    return {**given, "file": (file.filename, file.content, file.content_type), "extra_headers": _form_headers()}


def _form_headers() -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def _edit_arguments(exchange: Recorded) -> dict[str, Any]:
    """What was asked, of a picture of ours: its own was somewhere on the web, or was not recorded."""
    asked = {key: value for key, value in _openai_arguments(exchange).items() if key != "extra_body"}
    return {**asked, "image": _PICTURE, "extra_headers": _form_headers()}


def _id(name: str) -> Callable[[Recorded], dict[str, Any]]:
    return lambda exchange: {name: exchange.last}


def _generate_arguments(exchange: Recorded) -> dict[str, Any]:
    body = dict(exchange.request)
    contents = body.pop("contents", [])
    config = {**body.pop("generationConfig", {}), **body}
    known = _config_keys()
    extra = {key: config.pop(key) for key in list(config) if key not in known}
    if extra:
        config["http_options"] = {"extra_body": extra}
    return {"model": exchange.model, "contents": contents, "config": config or None}


def _config_keys() -> frozenset[str]:
    from google.genai.types import GenerateContentConfig

    fields = GenerateContentConfig.model_fields
    return frozenset(fields) | {value.alias for value in fields.values() if value.alias}


def _embed_arguments(exchange: Recorded) -> dict[str, Any]:
    requests = exchange.request["requests"]
    contents = [request["content"] for request in requests]
    options = {key: value for key, value in requests[0].items() if key not in ("model", "content")}
    return {"model": exchange.model, "contents": contents, "config": options or None}


def _count_arguments(exchange: Recorded) -> dict[str, Any]:
    """The contents; other clients send them in a request that is to be counted whole."""
    asked = exchange.request.get("generateContentRequest", exchange.request)
    return {"model": exchange.model, "contents": asked["contents"]}


def _cache_arguments(exchange: Recorded) -> dict[str, Any]:
    config = {key: value for key, value in exchange.request.items() if key != "model"}
    return {"model": exchange.request["model"], "config": config}


_ARGUMENTS: dict[str, Callable[[Recorded], dict[str, Any]]] = {
    "batches.retrieve": _id("batch_id"),
    "responses.retrieve": _id("response_id"),
    "conversations.delete": _id("conversation_id"),
    "transcriptions": _form_arguments,
    "translations": _form_arguments,
    "images.edit": _edit_arguments,
    "generate_content": _generate_arguments,
    "generate_content_stream": _generate_arguments,
    "embed_content": _embed_arguments,
    "count_tokens": _count_arguments,
    "caches.create": _cache_arguments,
    "interactions": lambda exchange: dict(exchange.request),
}
"""Kind → the arguments of the call, where they are not the body of the request."""


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
        return getattr(value, "content", value)  # of an answer that is bytes
    try:
        return value.model_dump(warnings=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
