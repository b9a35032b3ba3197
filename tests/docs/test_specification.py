"""The requirement rows, and the tests that name them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPECIFICATION = ROOT / "docs" / "specification"
ROW = re.compile(r"\bS(?:\d|X)-\d+\b")
DEFINITION = re.compile(rf"^\*\*({ROW.pattern})\*\*", re.MULTILINE)


def rows_of(file: Path) -> list[str]:
    """The rows that a file of the specification defines."""
    return DEFINITION.findall(file.read_text("utf-8"))


def rows_named(file: Path) -> set[str]:
    """The rows that the docstrings of a test file name."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, documented)]
    return {row for node in nodes for row in ROW.findall(ast.get_docstring(node) or "")}


def test_every_row_is_defined_once() -> None:
    """No id stands for two rows."""
    counts = Counter(row for file in SPECIFICATION.glob("S*.md") for row in rows_of(file))
    assert len(counts) == 341
    assert [row for row, count in counts.items() if count > 1] == []


def test_every_row_that_a_test_names_exists() -> None:
    """A docstring that says S1-14 points at a row of the specification."""
    known = {row for file in SPECIFICATION.glob("S*.md") for row in rows_of(file)}
    named = {file.relative_to(ROOT).as_posix(): rows_named(file) for file in (ROOT / "tests").rglob("test_*.py")}
    assert {file: rows - known for file, rows in named.items() if rows - known} == {}


def test_the_index_counts_the_rows() -> None:
    """docs/specification/README.md lists every file with the number of its rows."""
    index = (SPECIFICATION / "README.md").read_text("utf-8")
    for file in SPECIFICATION.glob("S*.md"):
        assert re.search(rf"^\| \[{file.stem}\]\({file.name}\) \| {len(rows_of(file))} \|", index, re.MULTILINE), (
            file.name
        )
