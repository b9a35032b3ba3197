"""Suppression: nothing is recorded of what runs inside an exporter, or inside ``suppress_instrumentation()``.

OpenTelemetry has two keys for it: a private one, which the SDK sets while it exports, and the plain name, which
instrumentations agreed on.
"""

from __future__ import annotations

import opentelemetry.context
from opentelemetry.context import Context

_PLAIN = "suppress_instrumentation"
_PRIVATE: str = getattr(opentelemetry.context, "_SUPPRESS_INSTRUMENTATION_KEY", _PLAIN)


def is_suppressed(context: Context) -> bool:
    """Somebody asked for silence in this context."""
    return bool(context.get(_PRIVATE) or context.get(_PLAIN))
