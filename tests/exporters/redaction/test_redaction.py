"""What becomes of a value: rules, actions, JSON in texts, keys, lists, bytes; and what fails is closed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobs.errors import ConfigurationError
from aiobs.exporters.redaction import ALL, Redaction, Rule, as_redaction
from aiobs.settings import resolve, said
from tests.exporters.redaction.samples import FOUND, SECRETS

everything = Redaction()
MESSAGES = [
    {"role": "user", "parts": [{"type": "text", "content": "I am bob@example.com"}, {"type": "text", "content": "hi"}]}
]


def test_nothing_found_is_the_same_object() -> None:
    """Whatever the value: an exporter can see that nothing was changed."""
    for value in (
        "text",
        ("a", "b"),
        [1, 2.5],
        {"a": {"b": ["c"]}},
        b"\xff\x00",
        json.dumps(MESSAGES[0]["role"]),
        7,
        0.5,
        True,
        None,
    ):
        assert everything("gen_ai.x", value) is value


def test_json_in_a_text_stays_json() -> None:
    """Messages on a span are such a text: what is found goes, all else is as it was."""
    kept = everything("gen_ai.input.messages", json.dumps(MESSAGES))
    expected = json.loads(json.dumps(MESSAGES).replace("bob@example.com", "[EMAIL]"))
    assert json.loads(kept) == expected


def test_json_inside_of_json_texts() -> None:
    """Arguments of tools are text inside of messages, which may be the result of another tool."""
    value: Any = {"password": "hunter22", "n": 1}
    for depth in range(12):
        text = json.dumps(value)
        kept = everything("a", text)
        assert "hunter22" not in kept, depth
        json.loads(kept)
        value = {"arguments": text}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"password": "hunter22", "text": "cut of', '{"password": "[KEY]", "text": "cut of'),
        ('{"a": {"patient": {"name": "Ann", "n": [1, 2', '{"a": {"patient": {"name": "[REDACTED]", "n": "[REDACTED]"'),
        ("{'password': 'hunter22', 'x': None}", "{'password': \"[KEY]\", 'x': None}"),
        ('{"a": 1}\n{"patient": {"name": "Ann"}}', '{"a": 1}\n{"patient": {"name": "[REDACTED]"}}'),
        ('{"patient": {"a": "Ann"}, "patient": {"b": "x"}}', '{"patient": {"a": "[REDACTED]"}, "patient": {"b": "[REDACTED]"}}'),
        ('{"text": "bob@example.com", "text": "b"}', '{"text": "[EMAIL]", "text": "b"}'),
        ("[see bob@example.com]", "[see [EMAIL]]"),
        ('{"a": NaN, "password": "hunter22"}', '{"a": NaN, "password": "[KEY]"}'),
        ('{"password": "hunter22', '{"password": "[KEY]"'),
    ],
)  # fmt: skip
def test_what_only_looks_like_json_is_text(text: str, kept: str) -> None:
    """Cut off, of Python, of several lines, with a key twice: rules by key hold there too, and the rest stays."""
    assert Redaction(rules=(Rule(key="patient.*"),))("a", text) == kept


def test_keys_of_a_mapping_are_looked_at() -> None:
    """Also where two of them look the same then: no value is lost."""
    text = json.dumps({"bob@example.com": 1, "ann@example.com": 2, "x": 3})
    assert json.loads(everything("body", text)) == {"[EMAIL]": 1, "[EMAIL]_2": 2, "x": 3}


def test_an_attribute_whose_name_holds_it_is_dropped() -> None:
    """Its name cannot be changed; a pattern is for texts, and no name is dropped for it."""
    assert everything("label.bob@example.com", "x") is None
    assert Redaction((), rules=(Rule(pattern="b"),))("body", "abc") == "a[REDACTED]c"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (("bob@example.com", "b"), ("[EMAIL]", "b")),
        (["bob@example.com", 1], ["[EMAIL]", 1]),
        (b"from bob@example.com\xff", b"from [EMAIL]\xff"),
        ({"a": [{"b": "bob@example.com", "c": 1.5}]}, {"a": [{"b": "[EMAIL]", "c": 1.5}]}),
        ({"a": b"4111111111111111"}, {"a": b"[CARD]"}),
        ({"api_key": "x", "Authorization": ["y", "z"]}, {"api_key": "[KEY]", "Authorization": ["[KEY]", "[KEY]"]}),
        ((4111111111111111, 5), ("[CARD]", "5")),
    ],
)
def test_values_that_are_no_text(value: Any, kept: Any) -> None:
    """Lists, bytes, nested bodies of log records; an attribute's list stays of one type."""
    assert everything("body", value) == kept


def test_a_credential_is_known_by_the_name_of_its_field() -> None:
    """As everywhere in aiobs; the parameter of a tool that has such a name is none."""
    schema = {"properties": {"password": {"type": "string", "description": "of the user"}}}
    assert everything("gen_ai.tool.definitions", schema) is schema
    assert everything("http.request.header.authorization", ("Token abc",)) == ("[KEY]",)


# Rules


@pytest.mark.parametrize(
    ("key", "is_out"),
    [
        ("gen_ai.tool.call.arguments.password2", True),
        ("password2", True),
        ("PASSWORD2", True),
        ("arguments.*", True),
        ("*.arguments.pass*", True),
        ("word2", False),
        ("gen_ai.tool", False),
        ("arguments", True),
        ("gen_ai.tool.call.arguments", True),
    ],
)
def test_a_key_is_a_glob_on_the_path_or_its_end(key: str, is_out: bool) -> None:
    """Whole words of it; a key that has things in it goes with them."""
    kept = Redaction((), rules=(Rule(key=key),))("gen_ai.tool.call.arguments", '{"password2": "abc"}')
    assert ("abc" not in kept) is is_out


def test_a_pattern_is_looked_for_in_texts_and_a_label_says_what_it_was() -> None:
    """Everywhere, or under a key only."""
    rules = (Rule(pattern=r"MRN-\d+", label="MRN"), Rule(key="notes", pattern="Ann"))
    kept = Redaction((), rules=rules)("a", json.dumps({"notes": "Ann has MRN-12", "title": "Ann MRN-13"}))
    assert json.loads(kept) == {"notes": "[REDACTED] has [MRN]", "title": "Ann [MRN]"}


def test_what_overlaps_is_one() -> None:
    """Nothing of either is left, and the rule says what was there."""
    assert Redaction(rules=(Rule(pattern="Bob bob@exa", label="WHO"),))("a", "Bob bob@example.com!") == "[WHO]!"


@pytest.mark.parametrize("rule", [{}, {"pattern": "("}, {"key": "a", "action": "mask"}, {"pattern": 7}])
def test_a_rule_that_cannot_work_is_a_mistake(rule: dict[str, Any]) -> None:
    """Said when it is made."""
    with pytest.raises(ConfigurationError):
        Rule(**rule)


# Actions


def test_a_hash_is_equal_for_equal_values_only() -> None:
    """Under one key, however the value is written; another key, another hash."""
    one, other = Redaction(action="hash", hash_key="k"), Redaction(action="hash", hash_key="l")
    assert one("a", "4111 1111 1111 1111") == one("b", "4111-1111-1111-1111") == one("c", 4111111111111111)
    assert one("a", "bob@example.com") != one("a", "ann@example.com")
    assert one("a", "bob@example.com") != other("a", "bob@example.com")


def test_the_key_of_the_hash_comes_from_the_environment_else_each_process_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes with the variable agree, two without do not."""
    code = "from aiobs.exporters.redaction import Redaction; print(Redaction(action='hash')('a', 'bob@example.com'))"

    def printed() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed() != printed()
    monkeypatch.setenv("AIOBS_REDACT_HASH_KEY", "secret")
    assert printed() == printed()


def test_drop_takes_the_leaf() -> None:
    """The key with its value, the item of a list, the attribute."""
    drops = Redaction(action="drop")
    assert drops("a", "bob@example.com") is None
    assert drops("a", ("bob@example.com", "b")) == ("b",)
    assert json.loads(drops("a", '{"a": "I am bob@example.com", "b": ["x", "+491701234567"], "c": 1}')) == {
        "b": ["x"],
        "c": 1,
    }
    assert drops("body", {"bob@example.com": 1, "b": 2}) == {"b": 2}
    assert drops("a", '{"cut": "bob@example.com') is None


def test_a_rule_has_its_own_action() -> None:
    """It wins over that of the redaction, where they overlap too."""
    assert Redaction(rules=(Rule(pattern="bob@", action="drop"),))("a", "x bob@example.com") is None


# Fail closed


class Broken(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise OSError

    def __iter__(self) -> Any:
        raise OSError

    def __len__(self) -> int:
        return 1


def test_what_cannot_be_looked_through_raises() -> None:
    """Whoever calls the step writes that it failed, in the attribute's place."""
    deep: Any = "bob@example.com"
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), Broken(), {"a": {1, 2}}, deep):
        with pytest.raises((TypeError, OSError, RecursionError)):
            everything("body", value)


@pytest.mark.parametrize("depth", [70, 500, 100_000])
def test_json_of_any_depth_is_looked_through(depth: int) -> None:
    """Deeper than anybody reads it, it is text."""
    text = "[" * depth + '{"password": "hunter22", "to": "bob@example.com"}' + "]" * depth
    kept = everything("a", text)
    assert "hunter22" not in kept
    assert "bob@" not in kept


# What holds for every value

_needles = st.sampled_from(
    [(text, secret) for name in FOUND for text, secret in zip(FOUND[name], SECRETS[name], strict=True)]
)
_leaves = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)
_values = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=8)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(_values, _needles, st.data())
def test_a_needle_anywhere_is_gone_and_json_stays_json(
    value: Any, needle: tuple[str, str], data: st.DataObject
) -> None:
    """As leaf or as key, as text in text, in each way to write JSON; doing it again changes nothing."""
    text, secret = needle
    place = {"before": value, "said": [f"so: {text} ok"], f"k {text} k": data.draw(_values)}
    for _ in range(data.draw(st.integers(1, 4))):
        place = {
            "inside": json.dumps(
                place, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 2]))
            )
        }
    written = json.dumps(place)
    kept = everything("gen_ai.input.messages", written)
    assert secret not in json.dumps(_all_texts(json.loads(kept)), ensure_ascii=False)
    assert everything("gen_ai.input.messages", kept) == kept


def _all_texts(value: Any) -> list[str]:
    """Every text and key, those of JSON in texts too."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _all_texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _all_texts(item)]
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            inner = None
        return [value, *(_all_texts(inner) if isinstance(inner, (dict, list)) else [])]
    return []


@settings(max_examples=500, deadline=None)
@given(st.text(), st.sampled_from(["replace", "hash", "drop"]))
def test_any_text_is_looked_through(text: str, action: str) -> None:
    """Without raising, and a text comes back, or nothing."""
    rules = (Rule(key="a.*"), Rule(pattern="x+"))
    assert isinstance(Redaction(rules=rules, action=action)("a", text), str | None)


@settings(max_examples=300, deadline=None)
@given(st.text("{}[]:,\"'\\ab1 \n", max_size=60))
def test_any_broken_json_is_looked_through(text: str) -> None:
    """Nor does a scanner of brackets and quotes fall over them."""
    assert isinstance(Redaction(rules=(Rule(key="a"), Rule(key="b.*")))("x", text), str)


# Settings


def test_settings_name_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """``AIOBS_REDACT`` has names, ``all`` or ``none``; unset: keys and tokens, for exporters only."""
    assert resolve("redact") == "key,jwt"
    assert said("redact") is None
    monkeypatch.setenv("AIOBS_REDACT", "email,card")
    assert [each.name for each in said("redact").detectors] == ["email", "card"]
    monkeypatch.setenv("AIOBS_REDACT", "none")
    assert resolve("redact") is None
    with monkeypatch.context() as patch:
        patch.setenv("AIOBS_REDACT", "mail")
        with pytest.raises(ConfigurationError, match=r"AIOBS_REDACT: There is no detector 'mail'"):
            resolve("redact")


def test_the_same_names_are_the_same_redaction() -> None:
    """Exporters are not made anew for it; ``all`` and True are every detector."""
    assert as_redaction("email,phone") is as_redaction(["email", "phone"])
    assert {each.name for each in as_redaction("all").detectors} == set(ALL)  # type: ignore[union-attr]  # it is one
    assert as_redaction(True) is as_redaction("all")
    own = Redaction(())
    assert as_redaction(own) is own
    assert as_redaction(False) is None
