"""URLs of endpoints: how they are shown, and what of them is not."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def safe_url(url: str) -> str:
    """The URL without userinfo, query and fragment, which may hold credentials."""
    parts = split(url)
    if parts is None:
        return "(not a URL)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else _no_scheme(url)


def secrets_in(url: str) -> tuple[str, ...]:
    """What ``safe_url`` leaves out."""
    parts = split(url)
    return tuple(text for text in (parts.username, parts.password, parts.query) if text) if parts else ()


def split(url: str) -> SplitResult | None:
    """Its parts; None for what is no URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts


def _no_scheme(url: str) -> str:
    """``user:password@host/path?key=value`` → ``host/path``."""
    return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
