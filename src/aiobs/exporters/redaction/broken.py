"""Keys and values in text that only looks like JSON: cut off, of several documents, or what Python prints of a dict.

A rule by key has to find what it is for there too: a long text is often cut in the middle.
"""

from __future__ import annotations

import json
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


_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_CUT_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")


def strings(text: str) -> Iterator[tuple[int, int, str]]:
    """Every string with an escape in it, and what it says; one that is cut off is read as far as it goes."""
    if "\\" not in text:
        return
    for match in _STRING.finditer(text):
        if "\\" in match[0]:
            said = _read(match[0])
            if said is not None:
                yield *match.span(), said


def _read(token: str) -> str | None:
    is_whole = len(token) > 1 and token[-1] == '"' and not token.endswith('\\"')
    for whole in (token, _without_cut_escape(token) + '"') if not is_whole else (token,):
        try:
            said = json.loads(whole, strict=False)
        except ValueError:
            continue
        return said if isinstance(said, str) else None
    return None


def _without_cut_escape(token: str) -> str:
    found = _CUT_ESCAPE.search(token, max(0, len(token) - 64))
    return token if found is None else token[: found.start(1)]
