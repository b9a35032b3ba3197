"""No text makes a pattern run away: twice the text is twice the work, however it was made."""

from __future__ import annotations

import time

import phonenumbers
import pytest

from aiobs.exporters.redaction import Redaction, Rule

PIECES = (
    "a", "a.", "a-", "a@", "@", "a@b", "a@b.", "%40", "a%40", "%", "1", "1 ", "1-", "4111 ", "41111111", "1.", "+1", "+1 ", "+1(",
    "00", "00 1", "(415) ", "415-", "415.", "DE12", "DE12 ", "DE89 3704 ", "de89", "eyJ", "eyJaaaaa.", "eyJaaaaa.aaaa.", "sk-",
    "sk-a", "sk_a1", "AIza", "ghp_", "xoxb-", "SG.", "SG.a", "://", "://a:", "://a:a", "?key=", "&token=a", "Bearer ", "1:AA",
    "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "AccountKey=", '"', "'", "\\", '\\"', "{", "[", '{"a":', "{'a':", '{"a":"', '["',
    '{"a":{"b":', "}", "]", ",", ":", "tel:", "tel:1", "é", "\n", " ", '{"password":"a",', "MRN-", "a.b.",
)  # fmt: skip
RULES = (Rule(key="patient.*"), Rule(key="*.secret*.x*"), Rule(pattern=r"MRN-\d+"))
LARGE = 1_000_000
RATIO = 8


def _work(redaction: Redaction, text: str) -> float:
    """CPU time of the thread, the least of three."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        redaction("body", text)
        times.append(time.thread_time() - began)
    return min(times)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("before", ["", "[", '{"patient": "'])
@pytest.mark.parametrize("piece", PIECES)
def test_work_grows_as_the_text(piece: str, before: str) -> None:
    """A megabyte takes eight times as much as an eighth of it, and not 64 times."""
    redaction = Redaction(rules=RULES)
    small = before + piece * (LARGE // RATIO // len(piece))
    large = before + piece * (LARGE // len(piece))
    assert _work(redaction, large) < 4 * RATIO * max(_work(redaction, small), 0.001)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("piece", ["1", "1 ", "0171 ", "(", "+1", "1(1", "1-"])
def test_the_number_plans_are_asked_about_pieces(piece: str) -> None:
    """Numbers of a country too: the library by itself takes the square of a run of digits."""
    redaction = Redaction(("phone:DE",))
    assert phonenumbers.SUPPORTED_REGIONS
    small, large = piece * (2_000 // len(piece)), piece * (16_000 // len(piece))
    assert _work(redaction, large) < 4 * RATIO * max(_work(redaction, small), 0.001)
