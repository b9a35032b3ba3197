"""The steps that every exporter has, as the settings say."""

from __future__ import annotations

from typing import Any

from aiobs.exporters.redaction import as_redaction
from aiobs.exporters.rewriting.budget import AttributeBudget
from aiobs.exporters.rewriting.rewriter import Step
from aiobs.settings import resolve


def configured_steps(redact: Any = None) -> tuple[Step, ...]:
    """Redaction first, as what is cut in the middle looks like nothing any more; then the bound of an attribute.

    Raises ConfigurationError or MissingExtra.
    """
    redaction = as_redaction(resolve("redact", redact))
    limit = resolve("AIOBS_MAX_ATTRIBUTE_BYTES")
    steps = (redaction, AttributeBudget(limit) if limit else None)
    return tuple(step for step in steps if step is not None)


class CurrentSteps:
    """One step that does what the steps of the moment do: exporters need not be made anew when these change."""

    def __init__(self) -> None:
        self._steps: tuple[Step, ...] | None = None
        self.version = 0  # for those who keep what the steps made of something

    def use(self, redact: Any = None) -> None:
        """Those of the settings; what was said before still holds if nothing is said now."""
        if self._steps is None or redact is not None:
            self._steps = configured_steps(redact)
            self.version += 1  # after the steps: who looks in between makes it once more

    def __call__(self, name: str, value: Any) -> Any:
        """What is left of the value."""
        for step in self._steps or ():
            value = None if value is None else step(name, value)
        return value
