"""Every public method of a client, found by walking the SDK's own objects."""

from __future__ import annotations

import inspect
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

_ACCESSORS = ("parent_ref", "sdk_configuration", "with_options", "with_raw_response", "with_streaming_response")
_INNER = ("_api_client", "_qs", "types")
"""Modules of what a client is made of, not of what it offers."""


def methods(client: Any, package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """``chat.completions.create`` and the method, bound; each class by the shortest way to it.

    Properties that are no part of the surface (``chats`` knows ``models``) lead to classes that were found already.
    """
    seen: set[type] = set()
    queue = deque([("", client)])
    while queue:
        path, owner = queue.popleft()
        for name in _public(owner):
            value = _get(owner, name)
            if inspect.ismethod(value):
                if path:
                    yield path + name, value
            elif _is_part(value, package) and type(value) not in seen:
                seen.add(type(value))
                queue.append((f"{path}{name}.", value))


def _public(owner: Any) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_") and name not in _ACCESSORS]


def _get(owner: Any, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations, which are not what is asked after
        return getattr(owner, name, None)


def _is_part(value: Any, package: str) -> bool:
    module = type(value).__module__
    return module.startswith(package) and module.rpartition(".")[2] not in _INNER


def matches(name: str, patterns: Sequence[tuple[str, str]]) -> bool:
    """One of the patterns fits."""
    return any(fnmatchcase(name, pattern) for pattern, _ in patterns)
