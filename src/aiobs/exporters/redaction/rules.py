"""Rules of the user's: by key, a glob on the path of keys; by pattern, on texts; or a pattern in texts under a key."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from aiobs.errors import ConfigurationError

ACTIONS = ("replace", "hash", "drop")
LONGEST_KEY = 200
"""Characters of a key that are compared: a path is no place to hide, nor to compute."""


@dataclass(frozen=True)
class Rule:
    """What is taken out: all under ``key``, or what ``pattern`` finds (under ``key`` only, if both are given).

    ``key`` is a glob on the dotted path of an attribute and the keys inside of it, or on the end of that path, in any
    case: ``password`` is a key of that name anywhere, ``patient.*`` all that is under ``patient``. ``pattern`` is a
    regular expression. ``label`` says in its place what was there. ``action`` None: that of the ``Redaction``.
    """

    key: str | None = None
    pattern: str | re.Pattern[str] | None = None
    label: str = "REDACTED"
    action: str | None = None
    regex: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if not self.key and not self.pattern:
            raise ConfigurationError("A redaction Rule needs a key or a pattern: Rule(key='patient.*').")
        checked_action(self.action or "replace")
        try:
            object.__setattr__(self, "regex", re.compile(self.pattern) if self.pattern else None)
        except (re.error, TypeError) as error:
            raise ConfigurationError(f"pattern={self.pattern!r} is no regular expression: {error}.") from None

    def fits(self, path: str) -> bool:
        """The rule is for what is at this path, as ``joined`` writes it."""
        return self.key is None or self._glob.match(path) is not None

    @cached_property
    def _glob(self) -> re.Pattern[str]:
        """``(?:.*\\.)?`` before the glob: it may be the end of a path."""
        return re.compile(rf"(?s:.*?\.|)(?:{fnmatch.translate(str(self.key).lower())})")


def joined(path: str, key: str) -> str:
    """One key deeper; lower case, and no longer than keys are."""
    return f"{path}.{_lower(key)}" if path else _lower(key)


@lru_cache(maxsize=4096)
def _lower(key: str) -> str:
    return key[:LONGEST_KEY].lower()


def checked_action(action: str) -> str:
    """``replace``, ``hash`` or ``drop``."""
    if action not in ACTIONS:
        raise ConfigurationError(f"action={action!r} is not one of {', '.join(ACTIONS)}.")
    return action
