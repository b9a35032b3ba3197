"""Arguments and results of observed functions, reduced to small JSON-safe values.

Defaults follow the seed: text to 500 characters, 10 items, 20 keys, objects as ``<TypeName>``; what was cut off is
marked. Nothing of the program's is called but mapping and sequence access of built-in types.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aiobs.semconv.credentials import REDACTED, names_a_credential


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """A parameter or key of that name holds a credential: what any provider calls so, and ``token``."""
    return name.lower() == "token" or names_a_credential(name)


@dataclass(frozen=True, slots=True)
class CapturePolicy:
    """How much of a value is kept."""

    max_str: int = 500
    max_items: int = 10
    max_keys: int = 20
    max_depth: int = 6


DEFAULT_POLICY = CapturePolicy()


def reduced(value: Any, policy: CapturePolicy = DEFAULT_POLICY, depth: int = 0) -> Any:
    """A JSON-safe picture of any value; cycles and deep nesting end at ``max_depth``."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= policy.max_str else value[: policy.max_str] + "..."
    if kind is int:
        return value if -(2**63) <= value < 2**63 else str(value)
    if value is None or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else str(value)
    return _reduced_object(value, policy, depth)


def _reduced_object(value: Any, policy: CapturePolicy, depth: int) -> Any:
    kind = type(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{kind.__name__} {len(value)}>"
    if isinstance(value, (str, int, float)):  # a subclass: an enum member, a numpy scalar
        return f"<{kind.__name__}>"
    if depth >= policy.max_depth:
        return f"<{kind.__name__}>"
    if isinstance(value, dict):
        return _reduced_mapping(value, policy, depth)
    if isinstance(value, (list, tuple)):
        return _reduced_items(value, policy, depth)
    if (fields := _fields(value)) is not None:
        return _reduced_mapping(fields, policy, depth)
    return f"<{kind.__name__}>"


def _reduced_mapping(value: Mapping[Any, Any], policy: CapturePolicy, depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if len(kept) == policy.max_keys:
            kept["..."] = f"(+{len(value) - policy.max_keys} more)"
            break
        name = key[:100] if type(key) is str else str(reduced(key, policy, policy.max_depth))[:100]
        kept[name] = REDACTED if is_secret(name) else reduced(item, policy, depth + 1)
    return kept


def _reduced_items(value: list[Any] | tuple[Any, ...], policy: CapturePolicy, depth: int) -> list[Any]:
    kept = [reduced(item, policy, depth + 1) for item in value[: policy.max_items]]
    if len(value) > policy.max_items:
        kept.append(f"... (+{len(value) - policy.max_items} more)")
    return kept


def _fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of a dataclass or pydantic model, read from where they lie: no property or validator runs."""
    state = getattr(value, "__dict__", None)
    if not isinstance(state, dict) or isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value) or hasattr(type(value), "__pydantic_validator__"):
        return state
    return None
