"""The blocks of code in the documents that aiobs was asked to make true, as they stand in the text."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

HERE = Path(__file__).parent
_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LITERAL = re.compile(r"::\n\n((?:(?:[ ]{4}.*)?\n)+)")


def blocks(document: str) -> list[str]:
    """Fenced blocks of a ``.md``, literal blocks of a ``.rst``, in order, without their indentation."""
    text = (HERE / document).read_text("utf-8")
    found = _FENCE.findall(text) if document.endswith(".md") else _LITERAL.findall(text)
    return [dedent(block).strip() + "\n" for block in found]
