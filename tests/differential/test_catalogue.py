"""The list of ways in which instrumentation has broken programs: each has a test that names it.

A test names an entry by ``breaks-apps #14`` (or ``breaks-apps #14, #15``) in its docstring or in the name of one of its
cases. The list is ``docs/specification/breakages.md``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "specification" / "breakages.md"
TESTS = ROOT / "tests"
ENTRY = re.compile(r"^\| (\d+) \| ([^|]+) \|", re.MULTILINE)
NAMED = re.compile(r"breaks-apps((?:,? #\d+)+)")
NOT_APPLICABLE: dict[int, str] = {}
"""Entries about what aiobs has not, each with the experiment that shows it; five at most."""


def entries() -> dict[int, str]:
    """Every entry of the list with its title."""
    return {int(number): title for number, title in ENTRY.findall(LIST.read_text("utf-8"))}


def named_in(source: str) -> Iterator[int]:
    """The numbers that a test file names: in docstrings of tests, and in the tables and decorators of their cases."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        text = literal(node)
        for numbers in NAMED.findall(text):
            yield from map(int, re.findall(r"\d+", numbers))


def literal(node: ast.AST) -> str:
    """A string as it stands in the source."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def named() -> dict[int, set[str]]:
    """Every number with the files that name it."""
    found: dict[int, set[str]] = {}
    for file in TESTS.rglob("test_*.py"):
        if file != Path(__file__).resolve() and "breaks-apps" in file.read_text("utf-8"):
            for number in named_in(file.read_text("utf-8")):
                found.setdefault(number, set()).add(file.relative_to(ROOT).as_posix())
    return found


def test_the_list_is_complete() -> None:
    """105 entries, numbered from 1, each with a title."""
    assert list(entries()) == list(range(1, 106))
    assert all(title.strip() for title in entries().values())


def test_every_entry_has_a_test() -> None:
    """Or a reason why it can have none; not both."""
    missing = {number: title for number, title in entries().items() if number not in {*named(), *NOT_APPLICABLE}}
    assert missing == {}
    assert len(NOT_APPLICABLE) <= 5
    assert not named().keys() & NOT_APPLICABLE.keys()


def test_every_number_that_a_test_names_is_in_the_list() -> None:
    """No test names what is not there."""
    assert {number: files for number, files in named().items() if number not in entries()} == {}


def test_the_syntax_is_read() -> None:
    """One number, several, in docstrings and in names of cases; nothing else counts."""
    source = '''
def test_a():
    """What it does. breaks-apps #1, #22"""
CASES = {"breaks-apps #3 a case": 1}
# breaks-apps #4
#5
"""#6"""
'''
    assert sorted(named_in(source)) == [1, 3, 22]
