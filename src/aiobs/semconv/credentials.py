"""Credentials inside structured values, known by the names of their fields: tools with a key of their own above all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from aiobs.errors import header_secrets, query_secrets, scrub
from aiobs.semconv.serialise import to_json, to_jsonable

REDACTED = "[REDACTED]"

NAMES = frozenset({
    "accesstoken", "apikey", "apikeysecret", "apikeystring", "authorization", "bearertoken", "clientsecret", "cookie",
    "credentialsecret", "idtoken", "passwd", "password", "privatekey", "proxyauthorization", "refreshtoken", "secret",
    "secretkey", "xapikey", "xgoogapikey",
})  # fmt: skip
"""Fields whose text is replaced, as ``api_key``, ``apiKey`` or ``Api-Key``."""

_HEADERS = frozenset({"headers", "extraheaders"})
"""Fields all of whose values are replaced."""

_CONNECTIONS = frozenset({"httpoptions"})
"""What is about the connection: headers, proxies and what goes with them. None of it is told."""

_SECRETS = frozenset({"domainsecrets"})
"""Lists of secrets that have a name and a value."""

_SAID = frozenset({"messages", "contents", "input", "prompt", "properties"})
"""What the program says to the model, and the names of a tool's parameters: their keys mean something else."""

_STEMS = (
    *("apikey", "api_key", "api-key", "uthorization", "headers", "token", "secret", "passw", "cookie", "private"),
    *("http_options", "httpoptions", "://"),
)
"""Without one of these (in lower case) there is none of the names above, and no URL with a password."""


def names_a_credential(key: str) -> bool:
    """A field of that name holds a credential."""
    return _plain_name(key) in NAMES


def without_credentials(key: str, value: Any) -> Any:
    """The value of a field of that name, credentials at any depth replaced; the value itself if there is none."""
    if key in _SAID:
        return _said(value)
    if isinstance(value, (int, float, type(None))):
        return value
    if not isinstance(value, str) and not _may_name_a_credential(to_json(value).lower()):
        return value  # the walk below costs several times as much, for every tool of every call
    return _redacted(key, to_jsonable(value))  # made plain first: without cycles, and bounded


def _said(value: Any) -> Any:
    """What is said stays; but tools that are offered in the middle of it may have credentials."""
    if not isinstance(value, (list, tuple)) or not any(map(_offers_tools, value)):
        return value
    return [_with_tools_checked(to_jsonable(item)) if _offers_tools(item) else item for item in value]


def _offers_tools(item: Any) -> bool:
    return "tools" in (item if type(item) is dict else getattr(item, "__dict__", ()))


def _with_tools_checked(item: Any) -> Any:
    return {**item, "tools": without_credentials("tools", item["tools"])} if isinstance(item, dict) else item


def _may_name_a_credential(text: str) -> bool:
    return any(stem in text for stem in _STEMS)


def _redacted(key: str, value: Any) -> Any:
    name = _plain_name(key)
    if name in _CONNECTIONS:
        return REDACTED
    if isinstance(value, str):
        if names_a_credential(key):
            return REDACTED
        return scrub(value) if "://" in value else value
    if name in _HEADERS and isinstance(value, (dict, list)):
        return dict.fromkeys(value, REDACTED) if isinstance(value, dict) else REDACTED
    if name in _SECRETS and isinstance(value, (list, tuple)):
        return [{**item, "value": REDACTED} if isinstance(item, dict) else REDACTED for item in value]
    return value if name in _SAID else _each(value)


def _each(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _redacted(key, item) for key, item in plain.items()}
    return [_each(item) for item in plain] if isinstance(plain, (list, tuple)) else plain


@lru_cache(maxsize=4096)
def _plain_name(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def secrets_in(given: Any) -> Iterator[str]:
    """The credentials in what a program passed, at any depth: what an SDK or a server may quote."""
    left, seen = [("", given)], set[int]()
    while left:
        key, value = left.pop()
        if (read := _READERS.get(name := _plain_name(str(key)))) is not None:
            yield from read(value)
        elif isinstance(value, str):
            yield from (value,) if name in NAMES else ()
        elif id(value) not in seen:
            seen.add(id(value))
            left += _inside(name, value)


def _inside(name: str, value: Any) -> Iterable[tuple[Any, Any]]:
    """What is one step below; of what is said, only the tools that are offered in the middle of it."""
    if isinstance(value, (list, tuple)):
        return [("tools", _fields(item).get("tools")) if name in _SAID else (name, item) for item in value]
    return () if name in _SAID else _fields(value).items()


def _fields(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    if not hasattr(type(value), "__pydantic_validator__"):
        return {}
    return {**vars(value), **(getattr(value, "__pydantic_extra__", None) or {})}


def _values(secrets: Any) -> Iterator[str]:
    for each in secrets if isinstance(secrets, (list, tuple)) else ():
        value = _fields(each).get("value")
        if isinstance(value, str):
            yield value


_READERS: Mapping[str, Callable[[Any], Iterable[str]]] = {
    **dict.fromkeys(_HEADERS, header_secrets),
    "extraquery": query_secrets,
    **dict.fromkeys(_SECRETS, _values),
}
"""Fields all of whose values are credentials → how these are read."""
