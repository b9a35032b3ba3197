"""The errors aiobs raises (configuration mistakes only) and the reading of any error that a provider raised.

    AiobsError                 everything below
    ├── ConfigurationError     an option has a value that cannot work
    │   └── InvalidLabel       a session label breaks a rule (also a ValueError)
    ├── NoActiveSession        labels were changed with no session open (also a RuntimeError)
    ├── MissingExtra           an optional dependency is not installed; the message has the pip line (also an ImportError)
    └── ProviderNotInstalled   a provider named to ``Instrumentor`` has no SDK here (also an ImportError)
"""

from __future__ import annotations


class AiobsError(Exception):
    """Base of every error that aiobs raises into user code."""


class ConfigurationError(AiobsError, ValueError):
    """An option was given a value that cannot work; the message says what to give instead."""


class InvalidLabel(ConfigurationError):
    """A session label breaks a rule; the message names the label and the rule."""


class NoActiveSession(AiobsError, RuntimeError):
    """Labels were read or changed while no session is open."""


class MissingExtra(AiobsError, ImportError):
    """A feature needs an optional dependency that is not installed."""


class ProviderNotInstalled(AiobsError, ImportError):
    """A provider was named explicitly, but its SDK is not installed."""
