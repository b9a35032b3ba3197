"""Every setting with its value and where it came from, and variables that nobody knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

from aiobs.ambient.labels import ENVIRONMENT_PREFIX, check_label
from aiobs.diagnosis.finding import Finding, error, warning
from aiobs.errors import ConfigurationError, InvalidLabel, scrub
from aiobs.exporters.registry import as_exporter
from aiobs.exporters.replies.urls import safe_url
from aiobs.settings import OPTIONS, Option, resolve_with_source

MASK = "********"
_CREDENTIALS = frozenset({"headers", "public_key", "secret_key", "api_key"})

_PREFIXES = ("AIOBS_", "LLM_OBS_")
_SECRETS = frozenset(
    ("apikey", "auth", "authorization", "credential", "credentials", "key", "passwd", "password", "secret", "token")
)


@dataclass(frozen=True)
class Setting:
    """One option in effect; ``source`` is a variable's name or ``default``; ``problem`` says why it cannot be used."""

    name: str
    value: str
    source: str
    problem: str | None = None


def inspect_settings() -> tuple[Setting, ...]:
    """Every option, in the order of the table, and every label of the environment."""
    return tuple(setting for option in OPTIONS for setting in _settings(option))


def check_settings(settings: Iterable[Setting]) -> Iterator[Finding]:
    """Values that cannot be used, and variables of ours that do not exist."""
    for setting in settings:
        if setting.problem and setting.source.startswith(ENVIRONMENT_PREFIX):
            yield warning("invalid-label", f"{setting.source} is left out: {setting.problem}",
                          "Spans and session file do not have this label.", "Rename it, or unset it.")  # fmt: skip
        elif setting.problem:
            yield error("invalid-setting", setting.problem,
                        "In code this raises; at a zero-code start it is logged, and what needs it does not happen.",
                        f"Correct {setting.source}, or unset it.")  # fmt: skip
    for variable in _unknown_variables():
        close = get_close_matches(variable, [*_variables(), f"{ENVIRONMENT_PREFIX}NAME"], n=1)
        yield warning("unknown-variable", f"{variable} is set, but aiobs knows no such variable.",
                      "It has no effect.", f"Did you mean {close[0]}?" if close else "Unset it.")  # fmt: skip


def masked(name: str, value: str) -> str:
    """The value without what may be a secret, judged by the setting's name and by the value's shape."""
    return MASK if _SECRETS.intersection(re.split(r"[^a-z]+", name.lower())) else scrub(value)


def shown_options(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The options of an exporter without what is secret."""
    for name, value in options.items():
        if "://" in value:
            yield name, safe_url(value)
        else:
            yield name, MASK if name in _CREDENTIALS else masked(name, value)


def _shown_exporter(text: str) -> str:
    """As it was given, without what is secret; of what cannot be read the name alone."""
    name, _, query = text.partition("?")
    options = "&".join(f"{option}={value}" for option, value in shown_options(dict(parse_qsl(query))))
    return f"{scrub(name)}?{options}" if options else scrub(name)


def _settings(option: Option) -> Iterator[Setting]:
    if option.variable.startswith(ENVIRONMENT_PREFIX):
        yield from _labels()
        return
    name = option.keyword or option.variable
    try:
        value, source = resolve_with_source(name)
        if name == "exporters":
            _check_exporters(value or (), source)
    except ConfigurationError as problem:
        shown = _shown(name, os.environ.get(option.variable, ""))
        yield Setting(name, shown, option.variable, scrub(str(problem)))
    else:
        yield Setting(name, _shown(name, _text(value)), source)


def _shown(name: str, value: str) -> str:
    return ",".join(map(_shown_exporter, value.split(","))) if name == "exporters" else masked(name, value)


def _check_exporters(names: Iterable[str], source: str) -> None:
    """Every exporter can be found by its name."""
    try:
        for name in names:
            as_exporter(name)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{source}: {problem}") from None


def _labels() -> Iterator[Setting]:
    for variable in sorted(os.environ):
        if variable.startswith(ENVIRONMENT_PREFIX):
            key, value = variable.removeprefix(ENVIRONMENT_PREFIX).lower(), os.environ[variable]
            try:
                check_label(key, value[:1])  # a long value is cut, not refused
            except InvalidLabel as problem:
                yield Setting(f"label {key}", masked(key, value), variable, str(problem))
            else:
                yield Setting(f"label {key}", masked(key, value), variable)


def _text(value: Any) -> str:
    """As it would be given: words rather than Python."""
    if value is None:
        return "unset"
    if isinstance(value, Enum):
        return str(value.value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _variables() -> list[str]:
    return [option.variable for option in OPTIONS if option.variable.startswith(_PREFIXES)]


def _unknown_variables() -> list[str]:
    known = set(_variables())
    ours = [variable for variable in sorted(os.environ) if variable.startswith(_PREFIXES)]
    return [variable for variable in ours if variable not in known and not variable.startswith(ENVIRONMENT_PREFIX)]
