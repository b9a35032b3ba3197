"""Whether signals keep to the semantic conventions: the GenAI registry and that of aiobs.

    from aiobs.testing.conformance import check

    assert check(telemetry.spans, logs=telemetry.logs) == []

Metrics are given as a MetricReader collects them; what arrived over OTLP is read by ``aiobs.testing.conformance.otlp``.
The check of content needs ``jsonschema``.
"""

from __future__ import annotations

from aiobs.testing.conformance.checking import check
from aiobs.testing.conformance.finding import Finding

__all__ = ["Finding", "check"]
