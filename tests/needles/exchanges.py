"""What is said to a simulated provider and what it says back, with a needle in every field of both."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest
from operator import or_
from typing import Any

from aiobs.testing import Simulator
from tests.contract.drivers import Driver
from tests.needles.places import ROUNDS, Planter, fields_of, needle

_SAID_OTHERWISE = frozenset({"return", "stream", "timeout", "stream_options"})
"""Parameters that steer the call itself."""


@dataclass(frozen=True)
class Exchange:
    """One request and what the provider is told to answer."""

    name: str
    arguments: dict[str, Any]
    script: Callable[[Simulator], None]


_made: dict[str, Sequence[Exchange]] = {}


def exchanges(driver: Driver) -> Sequence[Exchange]:
    """All for one way of calling one operation; made once."""
    if str(driver) not in _made:
        _made[str(driver)] = tuple(_exchanges(driver))
    return _made[str(driver)]


def _exchanges(driver: Driver) -> Sequence[Exchange]:
    method = _method(driver)
    asked = [request for form in ROUNDS for request in _requests(driver, method, form)]
    forms = [form for form in ROUNDS if form != "wrapped" or not driver.streams]
    answered = [script for form in forms for script in _answers(driver, method, form)]
    pairs = zip_longest(asked, answered)
    whole = [Exchange(f"fields {turn}", *_both(pair, asked[-1])) for turn, pair in enumerate(pairs)]
    return [*whole, *(Exchange(name, asked[-1], script) for name, script in _failures(driver))]


def _both(pair: tuple[Any, Any], smallest: dict[str, Any]) -> tuple[dict[str, Any], Callable[[Simulator], None]]:
    """What has no counterpart any more gets a small one: the shortest request, the simulator's own answer."""
    return pair[0] or smallest, pair[1] or (lambda simulator: None)


def _method(driver: Driver) -> Any:
    """The SDK's function; sync and async have the same parameters."""
    with Simulator() as simulator:
        return inspect.unwrap(driver.method(_plain_client(driver, simulator)))


def _plain_client(driver: Driver, simulator: Simulator) -> Any:
    client = getattr(simulator, driver.of.sdk.clients[0])()
    return client


def _requests(driver: Driver, method: Any, form: str) -> Iterator[dict[str, Any]]:
    """Every parameter; Google's SDK refuses configs with fields of the other API, so there each field goes alone."""
    hints = {
        name: kind
        for name, kind in typing.get_type_hints(method).items()
        if name not in (*_SAID_OTHERWISE, *_anything(method))
    }
    place, planter = f"{driver.of.name} request", Planter(form)
    extra = driver.of.stream_arguments if driver.streams else {}
    if driver.of.sdk.name == "openai":
        for made in planter.rounds(hints, place):
            yield {**made, **extra}
        return
    yield from _google_requests(driver, form, hints, place)


def _anything(method: Any) -> list[str]:
    """The names of ``*args`` and ``**kwargs``."""
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [name for name, each in inspect.signature(method).parameters.items() if each.kind in kinds]


def _google_requests(driver: Driver, form: str, hints: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    planter = Planter(form)
    base = driver.arguments(needle(f"{place}.{driver.of.prompt or 'nothing'}"))
    if "model" in base:
        yield {**base, "model": needle(f"{place}.model")}
    for name, kind in {**hints, **_body(driver)}.items():
        if name not in ("model", "config", *_SAID_OTHERWISE):
            for value in planter.variants(kind, f"{place}.{name}"):
                yield {**base, name: value}
    for field, kind, where in _config(hints, place):
        for value in planter.variants(kind, where, 1):
            if form == "plain" or value not in Planter().variants(kind, where, 1):
                yield {**base, "config": {field: value}}


def _body(driver: Driver) -> Mapping[str, Any]:
    """What the method takes as ``**`` of anything."""
    return fields_of(driver.of.body()) if driver.of.body else {}


def _config(hints: dict[str, Any], place: str) -> Iterator[tuple[str, Any, str]]:
    """The fields of the method's config, if it has one, with their types and places."""
    options = typing.get_args(hints.get("config"))
    for model in [option for option in options if hasattr(option, "model_fields")][:1]:
        for field, kind in fields_of(model).items():
            yield field, kind, f"{place}.config:{model.__name__}.{field}"


def _answers(driver: Driver, method: Any, form: str) -> Iterator[Callable[[Simulator], None]]:
    whole, chunk = _answer_types(driver, method)
    planter = Planter(form, by_alias=True)
    made = planter.variants(chunk if driver.streams else whole, f"{driver.of.name} answer")
    if not driver.streams:
        yield from (_whole(each) for each in made)
        return
    last = ("error", "response.failed")
    quiet = [each for each in made if _kind(each) not in last]
    yield _streamed(quiet)
    for kind in last:
        if any(_kind(each) == kind for each in made):
            yield _streamed([*quiet[:20], *(each for each in made if _kind(each) == kind)])


def _kind(event: Any) -> str | None:
    """What an event says that it is."""
    found: str | None = event.get("type") or event.get("event_type") if isinstance(event, dict) else None
    return found


def _answer_types(driver: Driver, method: Any) -> tuple[Any, Any]:
    """Of a whole answer, and of a chunk."""
    returned = typing.get_type_hints(method)["return"]
    is_one_of_many = typing.get_origin(returned) in (typing.Union, types.UnionType)
    options = typing.get_args(returned) if is_one_of_many else (returned,)
    streams = [option for option in options if typing.get_origin(option) is not None]
    whole = [option for option in options if option not in streams]
    return reduce(or_, whole) if whole else None, typing.get_args(streams[0])[0] if streams else None


def _whole(answer: Any) -> Callable[[Simulator], None]:
    body = json.dumps(answer, default=str).encode()
    headers = {"x-request-id": needle("answer.request_id"), "x-echo": needle("answer.headers")}
    return lambda simulator: simulator.raw(body, headers=headers)


def _streamed(chunks: Sequence[Any]) -> Callable[[Simulator], None]:
    events = [
        (f"event: {kind}\n" if (kind := _kind(each)) else "").encode() + f"data: {json.dumps(each)}\n\n".encode()
        for each in chunks
    ]
    return lambda simulator: simulator.raw([*events, b"data: [DONE]\n\n"])


# What goes wrong


def _failures(driver: Driver) -> Iterator[tuple[str, Callable[[Simulator], None]]]:
    for status in (400, 401, 404, 429, 500, 503):
        yield f"status {status}", _refused(driver, status)
    body = json.dumps(_error(driver, 400)).encode()
    text = f"<html>{needle('error.page')}</html>".encode()
    yield "error in 200", lambda simulator: simulator.raw(body)
    yield "no json", lambda simulator: simulator.raw(text, 200, {"content-type": "text/html"})
    yield "no json, failed", lambda simulator: simulator.raw(text, 502, {"content-type": "text/html"})
    yield "broken json", lambda simulator: simulator.raw(b'{"x": "' + text)
    yield "other types", lambda simulator: simulator.raw(json.dumps(_odd()).encode())
    yield "a list", lambda simulator: simulator.raw(json.dumps([needle("error.list")]).encode())
    yield "cut", lambda simulator: simulator.raw(body * 3, cut_after=1)
    if driver.streams:
        good, event = list(driver.of.opening), b"data: " + body + b"\n\n"
        named = b"event: error\n" + event
        for name, last in (("event", event), ("named", named), ("broken", b"data: {" + text + b"\n\n")):
            yield f"stream {name}", _raw([*good, last])
        odd = b"data: " + json.dumps(_odd()).encode() + b"\n\n"
        yield "stream odd", _raw([*good, odd])


def _raw(chunks: list[bytes]) -> Callable[[Simulator], None]:
    return lambda simulator: simulator.raw(chunks)


def _refused(driver: Driver, status: int) -> Callable[[Simulator], None]:
    body = json.dumps(_error(driver, status)).encode()
    headers = {"x-request-id": needle("error.request_id"), "x-echo": needle("error.headers")}
    return lambda simulator: simulator.raw(body, status, headers)


def _error(driver: Driver, status: int) -> dict[str, Any]:
    said = {name: needle(f"error.{name}") for name in ("message", "param", "type")}
    if driver.of.sdk.name == "openai":
        return {"error": {**said, "code": needle("error.code"), "more": {"deep": [needle("error.more")]}}}
    details = [{"@type": "x", "reason": needle("error.reason"), "metadata": {"deep": needle("error.more")}}]
    return {"error": {"code": status, "message": said["message"], "status": needle("error.code"), "details": details}}


def _odd() -> dict[str, Any]:
    """Every field that matters, with a type that it never has."""
    odd = needle("answer.odd")
    fields = ("id", "choices", "candidates", "output", "usage", "usageMetadata", "error", "model", "embeddings", "data")
    return {**{name: {"odd": odd} for name in fields}, "object": odd, "promptFeedback": [odd], "sdkHttpResponse": odd}
