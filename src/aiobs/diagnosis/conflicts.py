"""Other instrumentations of the same SDKs, and what of ours ``opentelemetry-instrument`` would leave out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aiobs.diagnosis.finding import Finding, note, warning
from aiobs.diagnosis.versions import installed_version

DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"

BY_CALL = {
    "langfuse": "imports langfuse.openai",
    "logfire": "calls logfire.instrument_openai() or logfire.instrument_google_genai()",
    "openlit": "calls openlit.init()",
    "traceloop-sdk": "calls Traceloop.init()",
}
"""Distributions that record model calls without an entry point: what the program does to switch them on."""


@dataclass(frozen=True)
class Rival:
    """Somebody else's instrumentation of an SDK; ``entry_point`` is its name for ``opentelemetry-instrument``."""

    distribution: str
    version: str
    sdk: str
    entry_point: str
    is_active: bool


def rivals(sdks: Iterable[str]) -> tuple[Rival, ...]:
    """Every instrumentor of these distributions that is installed and not ours.

    Found as ``opentelemetry-instrument`` finds them: by entry points, and by what their extra ``instruments`` names.
    """
    wanted = {canonicalize_name(sdk) for sdk in sdks}
    return tuple(
        Rival(dist.name, dist.version, sdk, point.name, not _is_disabled(point.name) and not _has_conflict(dist))
        for point in metadata.entry_points(group="opentelemetry_instrumentor")
        if (dist := point.dist) is not None and canonicalize_name(dist.name) != "aiobs"
        for sdk in sorted(_instrumented(dist) & wanted)
    )


def check_conflicts(sdks: Iterable[str]) -> Iterator[Finding]:
    """Instrumentations that would record the same calls again, and ours where it is switched off."""
    sdks = tuple(sdks)
    for rival in rivals(sdks):
        if rival.is_active:
            yield _recorded_twice(rival)
    for point in metadata.entry_points(group="opentelemetry_instrumentor"):
        if point.value.startswith("aiobs.") and _is_disabled(point.name):
            yield warning("disabled", f"{DISABLED} switches {point.name} off.",
                          "Under opentelemetry-instrument its SDK is not recorded.",
                          f"Take {point.name} out of {DISABLED}.")  # fmt: skip
    for distribution, condition in BY_CALL.items():
        if sdks and (version := installed_version(distribution)):
            yield note("other-library", f"{distribution} {version} is installed.",
                       f"Where the program {condition}, a call is recorded by both.",
                       "Nothing, unless you see calls twice.")  # fmt: skip


def _recorded_twice(rival: Rival) -> Finding:
    return warning(
        "recorded-twice",
        f"{rival.distribution} {rival.version} instruments {rival.sdk} too.",
        "Under opentelemetry-instrument a call can have two spans, and its tokens be counted twice.",
        f"Keep one of them: {DISABLED}={rival.entry_point}, or uninstall {rival.distribution}.",
    )


def _instrumented(dist: metadata.Distribution) -> set[str]:
    """The distributions in the extras ``instruments`` and ``instruments-any``."""
    requirements = [Requirement(text) for text in dist.requires or () if "instruments" in text]
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker
        and any(requirement.marker.evaluate({"extra": extra}) for extra in ("instruments", "instruments-any"))
    }


def _has_conflict(dist: metadata.Distribution) -> bool:
    """Its own version range leaves the installed SDK out, so that it is not loaded."""
    return get_dist_dependency_conflicts(dist) is not None


def _is_disabled(name: str) -> bool:
    names = [entry.strip() for entry in os.environ.get(DISABLED, "").split(",")]
    return name in names or "*" in names
