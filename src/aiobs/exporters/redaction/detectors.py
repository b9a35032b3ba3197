"""What is found in text by its shape and its check digits: addresses, numbers, keys.

A detector gives the spans of what it found. Every pattern is linear in the text: it starts where the character before
cannot belong to it, and what it has taken it does not give back (possessive quantifiers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from aiobs.errors import ConfigurationError, MissingExtra
from aiobs.exporters.redaction.iban import IBAN_LENGTHS
from aiobs.exporters.redaction.keys import keys

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]


class Detector(NamedTuple):
    """One kind of thing; ``label`` says in its place what was there."""

    name: str
    label: str
    find: Find


# E-mail

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)++")
_EMAIL_ESCAPED = re.compile(r"(?<![\w.%+-])(?:[\w.+-]|%(?!40))++%40[\w-]++(?:\.[\w-]++)++")
_VERSION = re.compile(r"v?\d++\.\d")
_TOP_LEVEL = re.compile(r"[^\W\d_]{2,63}|xn--[a-z0-9-]+", re.IGNORECASE)


def emails(text: str) -> Iterator[Span]:
    """Addresses, in letters of any script, and those that a URL spells with ``%40``."""
    if "@" in text:
        yield from _addresses(_EMAIL, "@", text)
    if "%40" in text:
        yield from _addresses(_EMAIL_ESCAPED, "%40", text)


def _addresses(pattern: re.Pattern[str], sign: str, text: str) -> Iterator[Span]:
    for match in pattern.finditer(text):
        domain = match[0].rpartition(sign)[2]
        if _TOP_LEVEL.fullmatch(domain.rpartition(".")[2]) and not _VERSION.match(domain):
            yield match.span()


# Payment cards

_RUN = re.compile(r"(?<!\w)(?<!\d\.)\d++(?:[ -]\d++)*+", re.ASCII)
_GROUP = re.compile(r"\d++", re.ASCII)
_SHAPES = ((4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (4, 4, 5))
_ISSUERS = re.compile(
    r"""4\d{12}(?:\d{3}(?:\d{3})?)?                                          # Visa
      | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}     # Mastercard
      | 3[47]\d{13}                                                         # American Express
      | 3(?:0[0-5]|[689]\d)\d{11,16}                                        # Diners
      | (?:6011|64[4-9]\d|65\d\d)\d{12,15}                                  # Discover
      | 35(?:2[89]|[3-8]\d)\d{12,15}                                        # JCB
      | 62\d{14,17}                                                         # UnionPay
      | (?:5018|5020|5038|5893|6304|6759|676[1-3])\d{9,15}                  # Maestro
    """,
    re.VERBOSE | re.ASCII,
)


def cards(text: str) -> Iterator[Span]:
    """Numbers of an issuer that there is (ISO/IEC 7812), in the groups of cards or in none, whose check digit is right.

    A timestamp in milliseconds or less begins with 1 until 2033, and no card does.
    """
    for run in _RUN.finditer(text):
        if run.end() - run.start() >= 13:
            yield from _cards_in(text, run.start(), run.end())


def _cards_in(text: str, start: int, end: int) -> Iterator[Span]:
    """Those in a run of groups of digits: an expiry date may follow, an order's number go before."""
    groups = [group.span() for group in _GROUP.finditer(text, start, end)]
    if _goes_on(text[end : end + 2]):
        groups.pop()
    number, sizes = 0, [last - first for first, last in groups]
    while number < len(groups):
        count = _groups_of_card(text, groups, sizes, number)
        if count:
            yield groups[number][0], groups[number + count - 1][1]
        number += count or 1


def _goes_on(after: str) -> bool:
    """The last group is the beginning of a word, or of a decimal."""
    return after[:1].isalnum() or after[:1] == "_" or (after[:1] == "." and after[1:].isdigit())


def _groups_of_card(text: str, groups: list[Span], sizes: list[int], number: int) -> int:
    """How many groups from this one on are a card's number; 0 for none."""
    if sizes[number] >= 13:
        return int(is_card(text[slice(*groups[number])]))
    for shape in _SHAPES if sizes[number] == 4 else ():
        if tuple(sizes[number : number + len(shape)]) == shape:
            digits = "".join(text[slice(*span)] for span in groups[number : number + len(shape)])
            if is_card(digits):
                return len(shape)
    return 0


def is_card(digits: str) -> bool:
    """The digits are a card's number."""
    return _ISSUERS.fullmatch(digits) is not None and luhn(digits)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


# IBAN

_COUNTRY = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])", re.ASCII)
_LONGEST = max(IBAN_LENGTHS.values()) * 5 // 4 + 1
_SEPARATORS = re.compile(r"[ -]")


def ibans(text: str) -> Iterator[Span]:
    """Account numbers of the countries in the registry, of their length, in groups of four or none (ISO 13616)."""
    for match in _COUNTRY.finditer(text):
        length = IBAN_LENGTHS.get(match[0][:2].upper())
        written = None if length is None else _of_length(text[match.start() : match.start() + _LONGEST], length)
        if written is not None and mod97(_SEPARATORS.sub("", written)):
            yield match.start(), match.start() + len(written)


def _of_length(text: str, length: int) -> str | None:
    """The beginning that has so many letters and digits, if it ends there."""
    separator = text[4] if text[4] in " -" else ""
    size = length + (length - 1) // 4 * len(separator)
    written, after = text[:size], text[size : size + 1]
    groups = written.split(separator) if separator else [written]
    fits = "".join(groups).isalnum() and len(written) == size and written.isascii()
    is_even = not separator or all(len(group) == 4 for group in groups[:-1])
    return written if fits and is_even and not (after.isalnum() or after == "_") else None


def mod97(iban: str) -> bool:
    """ISO 7064, MOD 97-10."""
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


# Telephone

_INTERNATIONAL = re.compile(
    r"(?<![\w+])(?:\+|(?<![.-])00)[1-9](?:[ ./-]{0,2}(?:\(\d{1,5}\)|\d))++|(?<=tel:)\d(?:[.-]?(?:\(\d{1,5}\)|\d)){6,}+",
    re.ASCII,
)
_AMERICAN = re.compile(
    r"(?<![\w.+-])(?:1[ .-])?(?:\([2-9]\d\d\)[ ]?[2-9]\d\d[ .-]|[2-9]\d\d([.-])[2-9]\d\d\1)\d{4}(?![.-]?\d|\w|-)",
    re.ASCII,
)
_E164 = 15


def phones(text: str) -> Iterator[Span]:
    """International numbers (E.164: ``+`` or ``00``, 7 to 15 digits), American ones in their usual groups, ``tel:``."""
    if "+" in text or "00" in text or "tel:" in text:
        for match in _INTERNATIONAL.finditer(text):
            if (size := _size_of_phone(match[0])) is not None:
                yield match.start(), match.start() + size
    yield from (match.span() for match in _AMERICAN.finditer(text))


def _size_of_phone(written: str) -> int | None:
    """How much of it is the number: it ends with the group in which the fifteenth digit is."""
    most, least = (_E164 + 2, 11) if written.startswith("00") else (_E164, 7)
    counts = list(accumulate(int(letter.isdigit()) for letter in written[: 4 * most]))
    if counts[-1] < least:
        return None
    if counts[-1] <= most:
        return min(len(written), 4 * most)
    end = counts.index(most) + 1
    whole = next((place for place in range(end, len(written)) if not written[place].isdigit()), len(written))
    return whole if whole == end or not written[1:whole].isdigit() else None


def national_phones(region: str) -> Find:
    """Numbers as people of that country write them, by the number plans of ``phonenumbers``."""
    try:
        import phonenumbers
    except ImportError:
        raise MissingExtra(
            f"The detector phone:{region} needs the number plans of phonenumbers: pip install 'aiobs[redaction]'"
        ) from None
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ConfigurationError(f"phone:{region} is no country of two letters, as phone:DE.")
    return partial(_national, region)


_NUMBERS = re.compile(r"(?<![\w.])[+(]{0,2}\d[\d ()/.-]{4,}+", re.ASCII)
_MOST_TRIED = 200
"""Characters that the library is given at once: what it does with a run of digits grows faster than the run."""


def _national(region: str, text: str) -> Iterator[Span]:
    """Only runs of digits are given to the library: it looks at every character of a text three times."""
    import phonenumbers

    yield from phones(text)
    for run in _NUMBERS.finditer(text):
        for start in range(run.start(), run.end(), _MOST_TRIED // 2):
            piece = text[start : min(run.end(), start + _MOST_TRIED)]
            for found in phonenumbers.PhoneNumberMatcher(piece, region):
                yield start + found.start, start + found.end


# What is looked for on request only: a number of nine digits, and an address of a machine, are often nobody's

_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])", re.ASCII)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = re.compile(rf"(?<![\w.-])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w-]|\.\d)", re.ASCII)


def _by_pattern(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    yield from (match.span() for match in pattern.finditer(text))


# Keys and tokens

_JWT = re.compile(r"(?<![\w.-])eyJ[\w-]{5,}+\.[\w-]{4,}+\.[\w-]*+(?:\.[\w-]*+\.[\w-]*+)?", re.ASCII)


def jwts(text: str) -> Iterator[Span]:
    """JSON web tokens, signed (RFC 7519) or encrypted (RFC 7516); their header begins as ``{"`` does in base64."""
    if "eyJ" in text:
        yield from (match.span() for match in _JWT.finditer(text))


DETECTORS = {
    detector.name: detector
    for detector in (
        Detector("jwt", "JWT", jwts),
        Detector("key", "KEY", keys),
        Detector("email", "EMAIL", emails),
        Detector("iban", "IBAN", ibans),
        Detector("card", "CARD", cards),
        Detector("phone", "PHONE", phones),
        Detector("ssn", "SSN", partial(_by_pattern, _SSN)),
        Detector("ip", "IP", partial(_by_pattern, _IPV4)),
    )
}
"""By name; where two find the same text, the first of this table says what it was. The last two are on request."""


def detector(name: str) -> Detector:
    """The detector of that name; ``phone:DE`` knows the numbers of a country."""
    kind, _, region = name.partition(":")
    if kind == "phone" and region:
        return DETECTORS["phone"]._replace(name=name, find=national_phones(region.upper()))
    if name not in DETECTORS:
        known = ", ".join([*DETECTORS, "phone:<country>"])
        raise ConfigurationError(f"There is no detector {name!r}. Known are: {known}.")
    return DETECTORS[name]
