"""Session labels in W3C baggage: to the services that are called, if the user says which, and from those that call us.

Baggage goes to every host that an instrumented HTTP client talks to, providers included, and labels may be private:
so nothing is sent unless ``AIOBS_BAGGAGE_LABELS`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

from aiobs.ambient.labels import MAX_LABELS, check_label
from aiobs.errors import InvalidLabel
from aiobs.settings import resolve

_PREFIX = "label."


def with_labels(
    context: Context, now: Mapping[str, AttributeValue], before: Mapping[str, AttributeValue] | None = None
) -> Context:
    """The context with the labels that may be sent as baggage, without those that held ``before`` and do not now."""
    allowed = resolve("AIOBS_BAGGAGE_LABELS")
    for name in allowed or ():
        key = _PREFIX + name
        if key in now:
            context = baggage.set_baggage(key, now[key], context)
        elif before is not None and key in before:
            context = baggage.remove_baggage(key, context)
    return context


def received_labels(context: Context) -> dict[str, AttributeValue]:
    """Labels that a caller sent as baggage; what is not a legal label of a user is not looked at."""
    labels = [(key, str(value)) for key, value in baggage.get_all(context).items() if _is_label(key, value)]
    return dict(labels[:MAX_LABELS])


def _is_label(key: str, value: object) -> bool:
    if not key.startswith(_PREFIX):
        return False
    try:
        check_label(key.removeprefix(_PREFIX), value)
    except InvalidLabel:
        return False
    return True
