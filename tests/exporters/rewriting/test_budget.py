"""A bound for each attribute: what is too long is cut, and JSON stays JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobs.errors import ConfigurationError
from aiobs.exporters.redaction import Redaction
from aiobs.exporters.rewriting.budget import AttributeBudget
from aiobs.exporters.rewriting.steps import configured_steps

LONG = "x" * 5_000


def size(value: Any) -> int:
    """Bytes of UTF-8, of what is no text as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode())


def test_what_fits_is_the_same_object() -> None:
    """Numbers always do."""
    for value in ("short", json.dumps({"a": [1, 2]}), ("a", "b"), {"a": {"b": 1}}, 7, 0.5, True, None, b"abc"):
        assert AttributeBudget(128)("a", value) is value


def test_text_is_cut_at_its_end_and_says_so() -> None:
    """As parts of messages are."""
    kept = AttributeBudget(200)("a", LONG)
    assert kept == "x" * 136 + "… [truncated by aiobs: 136 of 5000 bytes kept]"


def test_the_longest_texts_are_cut_first() -> None:
    """All to the same length; short ones are whole, as are keys and numbers."""
    messages = [
        {"role": "user", "parts": [{"type": "text", "content": LONG}, {"type": "text", "content": "y" * 4_000}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "short answer"}], "n": 1.5},
    ]
    kept = json.loads(AttributeBudget(1_000)("gen_ai.input.messages", json.dumps(messages)))
    first, second = (part["content"] for part in kept[0]["parts"])
    assert kept[1] == messages[1]
    assert first.startswith("x" * 200)
    assert first.rpartition("x")[0].count("x") == second.partition("…")[0].count("y") - 1
    assert first.endswith("of 5000 bytes kept]")
    assert second.endswith("of 4000 bytes kept]")


@pytest.mark.parametrize("value", [("x" * 500, "short"), ["x" * 500, {"a": LONG}], {"a": [LONG, LONG], "b": 1}])
def test_values_that_are_no_text(value: Any) -> None:
    """Lists stay lists of the same length, and mappings have their keys."""
    kept = AttributeBudget(400)("body", value)
    assert size(kept) <= 400
    assert type(kept) is type(value)
    assert len(kept) == len(value)


@pytest.mark.parametrize(
    "value",
    [
        list(range(100_000)),
        {f"key{number}": number for number in range(50_000)},
        [["x"] * 50 for _ in range(500)],
        {"k" * 5_000: 1},
    ],
)
def test_many_small_things(value: Any) -> None:
    """The middle of long lists is left out, and what cannot be shortened at all is a text that says how long it was."""
    kept = AttributeBudget(600)("a", json.dumps(value))
    assert size(kept) <= 600
    assert "by aiobs" in kept
    assert type(json.loads(kept)) is (str if "k" * 5_000 in value else type(value))


def test_a_character_is_never_cut_nor_an_escape() -> None:
    """Of four bytes, escaped or not; quotes and line breaks take two when they are written."""
    for character in ("😀", "é", '"', "\\", "\n", "\x00"):
        for ascii_only in (True, False):
            kept = AttributeBudget(256)("a", json.dumps([character * 1_000], ensure_ascii=ascii_only))
            said, rest = json.loads(kept)[0].split("…")
            assert set(said) == {character}
            assert "truncated by aiobs" in rest
            assert 100 < size(kept) <= 256


_leaves = st.one_of(st.text(max_size=400), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
_values = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=40), inner, max_size=8), max_leaves=40)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(_values.filter(lambda value: isinstance(value, (list, dict))), st.integers(128, 3_000), st.booleans())
def test_any_json_stays_json_within_its_bound(value: Any, limit: int, ascii_only: bool) -> None:
    """And what fits comes back as it was."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    kept = AttributeBudget(limit)("a", text)
    json.loads(kept)
    assert size(kept) <= limit
    assert (kept is text) == (size(text) <= limit)
    assert size(AttributeBudget(limit)("body", value)) <= limit


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=2_000), st.integers(128, 1_000))
def test_any_text_is_within_its_bound(text: str, limit: int) -> None:
    """Broken JSON among them."""
    for given_text in (text, "{" + text, '["' + text):
        assert size(AttributeBudget(limit)("a", given_text)) <= limit


def test_a_hundred_megabytes_take_time_as_they_are_long() -> None:
    """Eight times the text, about eight times the work."""

    def work(length: int) -> float:
        text = json.dumps([{"content": "x" * (length // 4)}] * 4)
        began = time.thread_time()
        AttributeBudget(65_536)("a", text)
        return time.thread_time() - began

    assert work(16_000_000) < 24 * max(work(2_000_000), work(2_000_000), 0.001)


def test_a_budget_that_has_no_room_is_a_mistake() -> None:
    """The marker itself has to fit."""
    with pytest.raises(ConfigurationError, match="128 or more"):
        AttributeBudget(64)


def test_the_steps_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redaction is first: what is cut in the middle looks like nothing any more."""
    (redaction,) = configured_steps()
    assert [each.name for each in redaction.detectors] == ["jwt", "key"]  # type: ignore[attr-defined]  # it is a Redaction
    monkeypatch.setenv("AIOBS_MAX_ATTRIBUTE_BYTES", "4096")
    first, second = configured_steps("email")
    assert (type(first), type(second)) == (Redaction, AttributeBudget)
    assert configured_steps("email") == (first, second)
    monkeypatch.setenv("AIOBS_MAX_ATTRIBUTE_BYTES", "0")
    assert configured_steps("none") == ()
