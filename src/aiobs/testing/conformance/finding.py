"""What a check has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A signal that breaks a rule of the registry.

    ``signal`` is span, metric, event or resource; ``name`` is the signal's; ``message`` says what happened and what the
    registry says.
    """

    signal: str
    name: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.signal} {self.name!r}: {self.message} [{self.rule}]"
