"""Session labels: the rules for keys and values, and the labels of the environment and of the system.

A rejected set of labels changes nothing: every function here validates first and returns a new dict.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import socket
from collections.abc import Mapping

from aiobs._version import __version__
from aiobs.errors import InvalidLabel

KEY_PATTERN = "^[a-z][a-z0-9_]{0,62}$"
MAX_LABELS = 64
MAX_VALUE_LENGTH = 256
RESERVED_PREFIX = "aiobs_"
ENVIRONMENT_PREFIX = "AIOBS_LABEL_"

_KEY = r"[a-z][a-z0-9_]{0,62}"
_log = logging.getLogger("aiobs")


def check_label(key: object, value: object) -> None:
    """Raise InvalidLabel, naming the label and the rule, unless a user may set this label."""
    if not isinstance(key, str):
        raise InvalidLabel(f"Label key {key!r} must be a string, got {type(key).__name__}.")
    if key.startswith(RESERVED_PREFIX):
        raise InvalidLabel(f"Label key {key!r} uses reserved prefix {RESERVED_PREFIX!r}; choose another name.")
    if not re.fullmatch(_KEY, key):
        raise InvalidLabel(f"Label key {key!r} is invalid. Keys must match pattern {KEY_PATTERN}")
    if not isinstance(value, str):
        raise InvalidLabel(f"Value of label {key!r} must be a string, got {type(value).__name__}.")
    if len(value) > MAX_VALUE_LENGTH:
        raise InvalidLabel(f"Value of label {key!r} exceeds maximum length of {MAX_VALUE_LENGTH} characters.")
    if not value.isascii() and not _encodable(value):
        raise InvalidLabel(f"Value of label {key!r} is invalid. It holds a lone surrogate, which UTF-8 cannot encode.")


def check_labels(labels: object, *, strict: bool = True) -> dict[str, str]:
    """A copy of the labels a user gave, all valid; {} for None.

    Raises InvalidLabel for the first that is not; with ``strict=False`` such ones are left out, each with a warning in
    the log. What is no mapping raises either way.
    """
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise InvalidLabel(f"Labels must be a dictionary, got {type(labels).__name__}.")
    accepted = {}
    for key, value in labels.items():
        try:
            check_label(key, value)
        except InvalidLabel as error:
            if strict:
                raise
            _log.warning("aiobs: label dropped: %s", error)
        else:
            accepted[key] = value
    return accepted


def check_total(count: int) -> None:
    """Raise InvalidLabel if a session would hold more than 64 labels, the system's included."""
    if count > MAX_LABELS:
        raise InvalidLabel(f"Too many labels ({count}). Maximum allowed is {MAX_LABELS}.")


def merge_labels(
    system: Mapping[str, str], environment: Mapping[str, str], explicit: Mapping[str, str]
) -> dict[str, str]:
    """System < environment < explicit; raises InvalidLabel where system and explicit are more than 64.

    The environment never fails a program: its labels give way when the total would exceed the maximum.
    """
    check_total(len(system) + len(explicit))
    merged = {**system, **explicit}
    left_out = []
    for key, value in environment.items():
        if key in explicit:
            continue
        if len(merged) < MAX_LABELS:
            merged[key] = value
        else:
            left_out.append(key)
    if left_out:
        _log.warning(
            "aiobs: a session holds %d labels; left out from the environment: %s", MAX_LABELS, ", ".join(left_out)
        )
    return merged


def session_labels(explicit: Mapping[str, str]) -> dict[str, str]:
    """All labels of a new session with these ``explicit`` ones, which are valid; raises InvalidLabel for too many."""
    return merge_labels(system_labels(), environment_labels(), explicit)


def environment_labels(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """``AIOBS_LABEL_TEAM=x`` → ``{"team": "x"}``; values cut to 256 characters, invalid keys left out.

    ``environ`` is read instead of the process's environment. Never raises: what is left out is in the log.
    """
    found = {}
    for variable, value in (os.environ if environ is None else environ).items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        try:
            check_label(key, _clean(value)[:MAX_VALUE_LENGTH])
        except InvalidLabel as error:
            level = logging.WARNING if key.startswith(RESERVED_PREFIX) else logging.DEBUG
            _log.log(level, "aiobs: %s ignored: %s", variable, error)
        else:
            found[key] = _clean(value)[:MAX_VALUE_LENGTH]
    return found


def system_labels() -> dict[str, str]:
    """The labels every session has: version of aiobs and Python, host name, operating system.

    ``AIOBS_HOSTNAME`` is the host's name instead, ``off`` leaves it out; where the machine has none it is ``unknown``.
    """
    labels = {
        "aiobs_sdk_version": __version__,
        "aiobs_python_version": platform.python_version(),
        "aiobs_hostname": _hostname(),
        "aiobs_os": platform.system().lower(),
    }
    return {key: value for key, value in labels.items() if value}


def _hostname() -> str:
    chosen = os.environ.get("AIOBS_HOSTNAME")
    if chosen:
        return "" if chosen.lower() == "off" else _clean(chosen)[:MAX_VALUE_LENGTH]
    try:
        return _clean(socket.gethostname())[:MAX_VALUE_LENGTH]
    except OSError:
        return "unknown"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean(text: str) -> str:
    """Environment bytes that are not UTF-8 arrive as lone surrogates (os.fsdecode); show them as U+FFFD."""
    return (
        text.encode("utf-8", "replace").decode()
        if text.isascii()
        else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
