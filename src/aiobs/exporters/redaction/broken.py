"""Keys and values in text that only looks like JSON: cut off, of several documents, or what Python prints of a dict.

A rule by key has to find what it is for there too: a long text is often cut in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from aiobs.exporters.redaction.rules import joined

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\],:]', re.DOTALL)
_PYTHON_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+"?|[{}\[\],:]""", re.DOTALL)
_SPACE = re.compile(r"\s*+")
_SCALAR = re.compile(r"[^,}\]\n]*+")
MOST_LEVELS = 64


class Member(NamedTuple):
    """A key and its value: ``path`` is that of the key, the value is from ``start`` to ``end``, and may be a string."""

    key: str
    path: str
    start: int
    end: int
    is_text: bool


def members(text: str, path: str) -> Iterator[Member]:
    """Every key with its value, outer ones before those inside of them; what is never closed goes on to the end."""
    pattern = _PYTHON_TOKEN if text.find("'") != -1 and text.find("'") < (text + '"').find('"') else _TOKEN
    tokens = [match.span() for match in pattern.finditer(text)]
    ends = _ends(text, tokens)
    paths = [path]
    key = ""
    for number, (start, end) in enumerate(tokens):
        mark = text[start]
        if mark in "{[" and len(paths) <= MOST_LEVELS:
            paths.append(joined(paths[-1], key) if key else paths[-1])
        elif mark in "}]" and len(paths) > 1:
            paths.pop()
        if mark in "\"'" and _is_key(text, tokens, number):
            key = text[start + 1 : end - 1]
            begin = _SPACE.match(text, tokens[number + 1][1]).end()  # type: ignore[union-attr]  # it matches nothing too
            yield Member(key, joined(paths[-1], key), begin, *_value(text, begin, ends))
        elif mark != ":":
            key = ""


def _is_key(text: str, tokens: list[tuple[int, int]], number: int) -> bool:
    """A colon comes next."""
    return number + 1 < len(tokens) and text[tokens[number + 1][0]] == ":"


def _ends(text: str, tokens: list[tuple[int, int]]) -> dict[int, int]:
    """Where each bracket and each string ends, by where it begins."""
    ends, open_ones = {}, []
    for start, end in tokens:
        if text[start] in "{[":
            open_ones.append(start)
            ends[start] = len(text)
        elif text[start] in "}]" and open_ones:
            ends[open_ones.pop()] = end
        elif text[start] in "\"'":
            ends[start] = end
    return ends


def _value(text: str, begin: int, ends: dict[int, int]) -> tuple[int, bool]:
    if begin in ends:
        return ends[begin], text[begin] in "\"'"
    return _SCALAR.match(text, begin).end(), False  # type: ignore[union-attr]  # it matches nothing too
