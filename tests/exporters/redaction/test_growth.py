"""No text makes a pattern run away: twice the text is twice the work, however it was made."""

from __future__ import annotations

import gc
import time

import pytest

from aiobs.exporters.redaction import Redaction, Rule
from aiobs.exporters.redaction.keys import SHAPES

PIECES = (
    "a", "a.", "a-", "a@", "@", "a@b", "a@b.", "%40", "a%40", "%", "1", "1 ", "1-", "4111 ", "41111111", "1.", "+1", "+1 ", "+1(",
    "00", "00 1", "(415) ", "415-", "415.", "DE12", "DE12 ", "DE89 3704 ", "de89", "eyJ", "eyJaaaaa.", "eyJaaaaa.aaaa.", "sk-",
    "sk-a", "sk_a1", "AIza", "ghp_", "xoxb-", "SG.", "SG.a", "://", "://a:", "://a:a", "?key=", "&token=a", "Bearer ", "1:AA",
    "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "AccountKey=", '"', "'", "\\", '\\"', "{", "[", '{"a":', "{'a':", '{"a":"', '["',
    '{"a":{"b":', "}", "]", ",", ":", "tel:", "tel:1", "é", "\n", " ", '{"password":"a",', "MRN-", "a.b.",
)  # fmt: skip
RULES = (Rule(key="patient.*"), Rule(key="*.secret*.x*"), Rule(pattern=r"MRN-\d+"))
SIGNS = " ".join(["", "@", "%40", "eyJ", "tel:", "+", "00", *(stem for shape in SHAPES for stem in shape.stems)])
"""After each text: all that a detector looks for before it begins."""

LARGE = 1_000_000
RATIO = 8


def _work(redaction: Redaction, text: str) -> float:
    """CPU time of the thread, without that of a collector that goes through all that the tests hold."""
    gc.disable()
    try:
        began = time.thread_time()
        redaction("body", text)
        return time.thread_time() - began
    finally:
        gc.enable()


def _grows_evenly(redaction: Redaction, before: str, piece: str, size: int) -> bool:
    """Eight times the text is not much more than eight times the work; 64 times is what a square would be."""
    small, large = (before + piece * (length // len(piece)) + SIGNS for length in (size // RATIO, size))
    return _work(redaction, large) < 3 * RATIO * max(_work(redaction, small), _work(redaction, small), 0.001)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("piece", PIECES)
def test_work_grows_as_the_text(piece: str) -> None:
    """Of a megabyte; of less in what looks like JSON, and in a string of it that does not end."""
    redaction = Redaction(rules=RULES)
    for before, size in (("", LARGE // 64), ("", LARGE), ("[", LARGE // RATIO), ('{"patient": "', LARGE // RATIO)):
        assert _grows_evenly(redaction, before, piece, size), before  # a square is seen before it takes an hour


@pytest.mark.timeout(300)
@pytest.mark.parametrize("piece", ["1", "1 ", "0171 ", "(", "+1", "1(1", "1-"])
def test_the_number_plans_are_asked_about_pieces(piece: str) -> None:
    """Numbers of a country too: the library by itself takes the square of a run of digits."""
    assert _grows_evenly(Redaction(("phone:DE",)), "", piece, 16_000)


def test_a_square_is_seen() -> None:
    """A pattern of the user's that runs away, which this would find in one of ours."""
    assert not _grows_evenly(Redaction((), rules=(Rule(pattern="[ax]*b"),)), "", "a", 16_000)
