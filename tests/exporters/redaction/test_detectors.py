"""Each detector finds its own, and nothing else."""

from __future__ import annotations

import random
import re
import string
import sys
from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn

from aiobs.errors import ConfigurationError, MissingExtra, scrub
from aiobs.exporters.redaction import ALL, Redaction, detectors
from aiobs.exporters.redaction.iban import IBAN_LENGTHS
from tests.exporters.redaction.samples import CLEAN, FOUND, HEX, SECRETS

SAMPLES = [(name, *pair) for name in FOUND for pair in zip(FOUND[name], SECRETS[name], strict=True)]
AROUND = ("{}", "it is {}, thanks", '"{}"', "({})", "x={}\n", "mail:{} ", "<{}>", "Nr. {}.")
everything = Redaction()


@pytest.mark.parametrize(("name", "text", "secret"), SAMPLES)
@pytest.mark.parametrize("around", AROUND)
def test_it_is_found_alone_and_among_words(name: str, text: str, secret: str, around: str) -> None:
    """S2-45: what is there instead has the name of the detector, and nothing else is touched."""
    label = f"[{name.upper()}]"
    assert Redaction((name,))("a", around.format(text)) == around.format(text.replace(secret, label))


@pytest.mark.parametrize("text", CLEAN)
def test_what_is_none_of_its_business_stays(text: str) -> None:
    """Model names, ids, numbers, dates and versions come back as the same object."""
    assert everything("gen_ai.response.id", text) is text


def test_what_errors_are_scrubbed_of_is_found_in_any_text() -> None:
    """A key of every shape that ``scrub`` takes out of messages is one for the detector too."""
    for key in (
        "sk-" + "a1" * 12,
        "AIza" + "a1" * 16,
        "ya29.a0b1c2d3e4f5g6h7i8",
        "gsk_" + "a1" * 12,
        "hf_" + "a1" * 12,
    ):
        assert scrub(key) == "[REDACTED]"
        assert Redaction(("key",))("a", key) == "[KEY]"


@given(st.text(string.digits, min_size=12, max_size=20))
def test_check_digits_are_those_of_stdnum(digits: str) -> None:
    """Luhn, on any number and on the one that is right."""
    right = digits + luhn.calc_check_digit(digits)
    assert detectors.luhn(right)
    assert detectors.luhn(digits) == luhn.is_valid(digits)


@pytest.mark.parametrize("country", IBAN_LENGTHS)
def test_every_ibans_length_is_that_of_the_registry(country: str) -> None:
    """A number that stdnum's table allows is found; one digit more or less, or another check digit, is not."""
    found = next((info for _, name, _, info, _ in iban._ibandb.prefixes if name == country), None)
    parts = [(int(size), kind) for size, kind in re.findall(r"(\d+)!([nac])", found["bban"])] if found else []
    bban = "".join(random.Random(7).choices(string.ascii_uppercase if kind == "a" else string.digits, k=n)[i] for n, kind in parts for i in range(n)) if parts else "1" * (IBAN_LENGTHS[country] - 4)  # fmt: skip
    number = country + iban.calc_check_digits(f"{country}00{bban}") + bban
    assert everything("a", f"to {number} please") == "to [IBAN] please"
    assert everything("a", number[:-1] + ("0" if number[-1] != "0" else "1")) != "[IBAN]"
    assert "[IBAN]" not in everything("a", number + "A")


def test_no_country_of_the_registry_is_missing() -> None:
    """stdnum's table has none that ours has not."""
    assert {name for _, name, *_ in iban._ibandb.prefixes} - set(IBAN_LENGTHS) == set()


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_the_numbers_of_every_country_are_found(region: str) -> None:
    """As ``phonenumbers`` writes its example of each: E.164, international, and as a tel: URI."""
    number = phonenumbers.example_number(region)
    forms = phonenumbers.PhoneNumberFormat
    for form in (forms.E164, forms.INTERNATIONAL, forms.RFC3966):
        written = phonenumbers.format_number(number, form)
        assert "[PHONE]" in everything("a", f"call {written} now")
        assert not any(part.isdigit() and len(part) > 3 for part in everything("a", f"call {written} now").split())


def test_a_country_has_its_own_numbers() -> None:
    """``phone:DE`` finds what only Germans write so."""
    text = "ruf an: 030 901820 oder 0171 1234567"
    assert everything("a", text) is text
    assert Redaction(("phone:DE",))("a", text) == "ruf an: [PHONE] oder [PHONE]"


def test_without_the_number_plans_the_message_has_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra is told when the redaction is made."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'aiobs\[redaction\]'"):
        Redaction(("phone:DE",))


@pytest.mark.parametrize("name", ["mail", "phone:XX", "phone:", "EMAIL"])
def test_a_detector_that_is_none_is_a_mistake(name: str) -> None:
    """The message says which there are."""
    with pytest.raises(ConfigurationError, match="email|phone:DE"):
        Redaction((name,))


# What telemetry is full of, made up by the thousand

_models = st.from_regex(r"(gpt|claude|gemini|llama|mistral)-[0-9]{1,2}(\.[0-9])?[a-z]?(-(mini|pro|flash|large))?(-20[12][0-9]-[01][0-9]-[0-3][0-9]|@20[12][0-9][01][0-9][0-3][0-9])?", fullmatch=True)  # fmt: skip
_hex = st.text(HEX, min_size=16, max_size=64).filter(lambda text: not text.isdigit() and not text.startswith("00"))
_base62 = st.text(string.ascii_letters + string.digits, min_size=20, max_size=40).filter(
    lambda text: not text.isdigit()
)
_ids = st.tuples(st.sampled_from(["chatcmpl-", "resp_", "req_", "call_", "msg_", "run_", "file-", "batch_", "fp_"]), _base62).map("".join)  # fmt: skip
_moments = st.datetimes().flatmap(lambda when: st.sampled_from([when.isoformat(), f"{when.isoformat()}Z", f"{when.isoformat()}+02:00", f"{when:%Y-%m-%d %H:%M:%S}", f"{when:%d.%m.%Y}"]))  # fmt: skip
_epochs = st.integers(10**9, 2 * 10**9).flatmap(lambda second: st.sampled_from([f"{second}", f"{second}123", f"{second}123456", f"{second}123456789", f"{second}.123456"]))  # fmt: skip
_versions = st.from_regex(r"v?[0-9]{1,2}(\.[0-9]{1,2}){1,3}((-|\+)(rc|alpha|beta|dev)\.?[0-9]{1,3})?", fullmatch=True)
_counts = st.integers(0, 10**12 - 1).map(str)
_floats = st.floats().map(repr)
_traces = st.tuples(st.text(HEX, min_size=32, max_size=32), _hex.map(lambda text: text[:16])).map(lambda ids: f"00-{ids[0]}-{ids[1]}-01")  # fmt: skip
_telemetry = st.one_of(
    _models, _hex, _ids, st.uuids().map(str), _moments, _epochs, _versions, _counts, _floats, _traces
)


@settings(max_examples=3000, deadline=None)
@given(_telemetry)
def test_nothing_is_found_in_what_telemetry_is_made_of(text: str) -> None:
    """Token counts, timestamps, trace and request ids, UUIDs, floats, model names and versions come back untouched."""
    assert everything("gen_ai.response.id", text) is text


@settings(max_examples=500, deadline=None)
@given(st.lists(_telemetry, min_size=2, max_size=6))
def test_nor_where_they_stand_side_by_side(texts: list[str]) -> None:
    """As in a log line, separated by commas or bars."""
    for line in (", ".join(texts), "|".join(texts)):
        assert everything("body", line) is line


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.integers(-(10**12) + 1, 10**12 - 1), st.integers(10**18, 2 * 10**18), st.floats(), st.booleans()))
def test_numbers_stay_numbers(value: Any) -> None:
    """Counts, nanoseconds since 1970, floats and flags."""
    assert everything("gen_ai.usage.input_tokens", value) is value


def test_a_card_is_found_as_a_number() -> None:
    """A model may write it so into the arguments of a tool."""
    assert everything("card", 4111111111111111) == "[CARD]"


@pytest.mark.parametrize("name", ALL)
def test_a_detector_alone_leaves_what_the_others_find(name: str) -> None:
    """``detectors`` are those that are named."""
    for other, texts in FOUND.items():
        kinds = {name, other}
        if len(kinds) == 2 and kinds not in ({"email", "key"}, {"phone", "card"}):
            assert Redaction((name,))("a", texts[0]) is texts[0]
