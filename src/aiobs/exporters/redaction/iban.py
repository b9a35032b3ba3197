"""The length of an IBAN, by country: the SWIFT IBAN registry, release 99."""

from __future__ import annotations

_BY_LENGTH = {
    15: "NO", 16: "BE", 18: "DK FK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ DZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BF CF FR GR IT MC MR SM BI DJ",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV BJ CI ML SN",
    29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip

IBAN_LENGTHS = {country: length for length, countries in _BY_LENGTH.items() for country in countries.split()}
