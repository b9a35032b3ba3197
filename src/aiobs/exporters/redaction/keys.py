"""Keys of known providers: the prefix that each gives its keys, and how they go on.

What ``errors.scrub`` takes out of every error is here too, but not its shortest forms: in texts at large "sk-learn"
is a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

SHORTEST = 11
"""No text that is shorter holds a key."""


class Shape(NamedTuple):
    """Texts of which one is there where such a key is; the key, or the group that is it; what it has to be besides."""

    stems: tuple[str, ...]
    pattern: re.Pattern[str]
    check: Callable[[str], object] = str


def _shape(stems: str, pattern: str, check: Callable[[str], object] = str, before: str = r"(?<![\w-])") -> Shape:
    return Shape(tuple(stems.split("|")), re.compile(before + f"(?:{pattern})", re.ASCII), check)


_SEGMENT = re.compile(r"[A-Za-z0-9]{8,}+")


def _is_random(key: str) -> bool:
    """It is no compound of words."""
    return any(not segment.isalpha() for segment in _SEGMENT.findall(key))


SHAPES = (
    # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse, Stripe and others
    _shape("k-|k_", r"(?:sk|pk|rk)[-_][\w-]{16,}+", _is_random),
    _shape("AIza", r"AIza[\w-]{30,}+"),  # Google
    _shape("ya29.|1//0|GOCSPX-", r"(?:ya29\.|1//0|GOCSPX-)[\w.-]{16,}+"),  # Google OAuth
    _shape("AKIA|ASIA|AGPA|AIDA|AROA|ABIA", r"A(?:KIA|SIA|GPA|IDA|ROA|BIA)[A-Z0-9]{16}(?![A-Z0-9])"),  # AWS
    # Groq, xAI, Hugging Face, Replicate, NVIDIA, Perplexity, Together, Jina, Cerebras, Fireworks, Pinecone, LangSmith,
    # Tavily, Supabase, E2B
    _shape(
        "gsk_|xai-|hf_|r8_|nvapi-|pplx-|tgp_v1_|jina_|csk-|fw_|pcsk_|lsv2_|tvly-|sbp_|e2b_",
        r"(?:gsk_|xai-|hf_|r8_|nvapi-|pplx-|tgp_v1_|jina_|csk-|fw_|pcsk_|lsv2_|tvly-|sbp_|e2b_)[\w-]{20,}+",
        _is_random,
    ),
    _shape("gh|github_pat_", r"gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_\w{40,}+"),  # GitHub
    _shape("gl", r"gl(?:pat|dt|rt|cbt|ptt|agent)-[\w-]{16,}+", _is_random),  # GitLab
    _shape("xox|xapp-", r"(?:xox[abeoprs]|xapp)-[\w-]{10,}+", _is_random),  # Slack
    _shape("whsec_", r"whsec_[\w+/=]{16,}+"),  # webhooks of Stripe and of OpenAI
    _shape("SG.", r"SG\.[\w-]{16,}+\.[\w-]{16,}+"),  # SendGrid
    _shape("key-", r"key-[0-9a-f]{32}(?!\w)"),  # Mailgun
    _shape("npm_|pypi-", r"npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{40,}+"),
    _shape("_v1_", r"do[opr]_v1_[a-f0-9]{40,}+"),  # DigitalOcean
    _shape("dapi", r"dapi[a-f0-9]{32}(?:-\d)?(?!\w)"),  # Databricks
    _shape("glsa_|glc_", r"gl(?:sa|c)_[\w=+/]{30,}+"),  # Grafana
    _shape("hvs.|hvb.|hvr.", r"hv[sbr]\.[\w-]{20,}+"),  # Vault
    _shape("NRAK-|lin_api_|ntn_", r"NRAK-[A-Z0-9]{20,}+|(?:lin_api|ntn)_\w{30,}+"),  # New Relic, Linear, Notion
    _shape("shp|sntry", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|sntry[su]_[\w=+/-]{30,}+"),  # Shopify, Sentry
    _shape(":AA", r"\d{8,10}:AA[\w-]{30,}+"),  # Telegram
    _shape("AccountKey=|SharedAccess", r"(?:AccountKey|SharedAccessKey|SharedAccessSignature)=[\w%+/=&-]{20,}+"),
    _shape("earer |asic ", r"(?<=[Bb]earer )[\w.~+/=-]{8,}+|(?<=[Bb]asic )[\w+/=-]{8,}+", before=""),
    _shape("://", r"(?<=://)[^/\s:@?#]{0,256}+:[^/\s@]{1,256}+(?=@)", before=""),  # user:password@ in a URL
    _shape(
        "=",
        r"(?i:(?:x-)?(?:api[_-]?)?key|(?:access_|id_|refresh_)?token|(?:client_)?secret|password|sig|signature"
        r"|x-amz-(?:signature|security-token)|x-goog-signature)=(?!\[)([^&\s\"'<>#(),]{6,}+)",
        before="(?<=[?&;])",
    ),
    _shape(
        "PRIVATE KEY",
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]*+(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?",
        before="",
    ),
)


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Where keys are. Most texts have none of the stems, which are looked for much faster than patterns."""
    if len(text) < SHORTEST:
        return
    for stems, pattern, check in SHAPES:
        for stem in stems:
            if stem in text:
                yield from (_span(match) for match in pattern.finditer(text) if check(match[0]))
                break


def _span(match: re.Match[str]) -> tuple[int, int]:
    """Without the full stop of a sentence."""
    start, end = match.span(match.re.groups)
    return start, end - (match.string[end - 1] == ".")
