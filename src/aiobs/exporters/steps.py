"""The steps that every exporter has, as the settings say."""

from __future__ import annotations

from typing import Any

from aiobs.exporters.budget import AttributeBudget
from aiobs.exporters.redaction import as_redaction
from aiobs.exporters.rewriting import Step
from aiobs.settings import resolve


def configured_steps(redact: Any = None) -> tuple[Step, ...]:
    """Redaction first, as what is cut in the middle looks like nothing any more; then the bound of an attribute.

    Raises ConfigurationError or MissingExtra.
    """
    redaction = as_redaction(resolve("redact", redact))
    limit = resolve("AIOBS_MAX_ATTRIBUTE_BYTES")
    steps = (redaction, AttributeBudget(limit) if limit else None)
    return tuple(step for step in steps if step is not None)
