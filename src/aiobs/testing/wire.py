"""What a wire format is to the simulator: a value. Each module ``wire_*`` beside this one has one, called ``WIRE``.

Adding a wire format is adding such a module; nothing else is edited.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from aiobs.testing.script import Answer, Fault, Reply, Request

Handler = Callable[[Request, Answer], Reply | Fault]
ErrorBody = Callable[[int, Fault], bytes]  # the fault has code, message and retry_after


@dataclass(frozen=True)
class Wire:
    """One provider's wire format.

    ``routes``: a pattern of ``METHOD /path`` and the pure function from request and Answer to Reply, or to the Fault of
    a request that the provider refuses · ``owns``: whether a request without a route is this provider's to refuse ·
    ``error``: its error body · ``clients``: factories of ready clients by name, given the simulator's origin ·
    ``environment``: variables that point a program at that origin.
    """

    name: str
    routes: Sequence[tuple[re.Pattern[str], Handler]]
    owns: Callable[[Request], bool]
    error: ErrorBody
    clients: Mapping[str, Callable[..., Any]]
    environment: Callable[[str], dict[str, str]]


@cache
def wires() -> tuple[Wire, ...]:
    """Every wire format that there is, by name."""
    package = importlib.import_module("aiobs.testing")
    found = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("wire_")]
    return tuple(importlib.import_module(f"aiobs.testing.{name}").WIRE for name in sorted(found))


def find_route(request: Request) -> tuple[Wire, Handler | None]:
    """Whose request this is, and what answers it; no handler if that provider has no such URL."""
    line = f"{request.method} {request.path}"
    found = [(wire, handler) for wire in wires() for pattern, handler in wire.routes if pattern.fullmatch(line)]
    owner = next((wire for wire in wires() if wire.owns(request)), wires()[0])
    both = next((each for each in found if each[0] is owner), None)  # an URL that two providers have
    return both or (found[0] if found else (owner, None))
