"""What a simulated model says when nobody told it what to say: readable, and the same for the same request.

Shared by the wire formats; nothing here knows one.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any


def sentence(prompt: str, results: list[str]) -> str:
    """An answer to the prompt, and to the results of the tools that were called for it."""
    asked = f"Here is a simulated answer to “{shortened(prompt, 60)}”"
    if results:
        found = " and ".join(f"“{shortened(result, 60)}”" for result in results)
        return f"{asked}: the tools said {found}, and that settles it."
    return f"{asked}: it depends on the details, and the details matter."


def shortened(text: str, limit: int) -> str:
    """On one line, no longer than that."""
    return " ".join(text.split())[:limit].strip()


def pieces(text: str | None, count: int | None = None) -> list[str]:
    """Words with the space before them, or ``count`` pieces of about one size; together they are the text.

    Text with fewer characters than that makes one piece of each.
    """
    if not text:
        return []
    if count is None:
        return re.findall(r"\s*\S+|\s+$", text)
    count = max(1, min(count, len(text)))
    cuts = [-(-len(text) * number // count) for number in range(count + 1)]
    return [text[start:end] for start, end in pairwise(cuts)]


def token_count(text: str) -> int:
    """A quarter of a token per character, and at least one."""
    return max(1, len(text) // 4)


def cached_counts(prompt_tokens: int) -> tuple[int, int]:
    """Tokens read from and written to the prompt cache: nothing below 1024, then whole blocks of 128, half and half."""
    if prompt_tokens < 1024:
        return 0, 0
    blocks = prompt_tokens // 128
    return blocks // 2 * 128, (blocks - blocks // 2) * 128


def overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the changes; dicts in it are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = overlaid(below, value)
        merged[key] = value
    return merged


# Vectors


def unit_vector(words: Sequence[object], size: int) -> list[float]:
    """The sum of the words' vectors, of length 1: texts that share words are near each other."""
    vector = [0.0] * size
    for word in words:
        chance = random.Random(repr(word))
        for place in chance.sample(range(size), min(size, _PLACES_PER_WORD)):
            vector[place] += chance.gauss(0, 1)
    length = math.hypot(*vector)
    return [value / length for value in vector]


_PLACES_PER_WORD = 32


# Reading a request: what has an odd type counts as absent, so that odd requests can be tested with good answers


def as_dict(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_dicts(value: Any) -> list[Mapping[str, Any]]:
    """The objects in the value if it is a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def as_count(value: Any, limit: int) -> int:
    """The value if it is a positive number, at most ``limit``; else 0."""
    return min(value, limit) if isinstance(value, int) and value > 0 else 0
