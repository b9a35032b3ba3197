"""One diagnosis: everything that was looked at, and what was found."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from aiobs._version import __version__
from aiobs.diagnosis.conflicts import check_conflicts
from aiobs.diagnosis.exporters import is_by_environment, named_exporters, targets
from aiobs.diagnosis.finding import Finding, Level
from aiobs.diagnosis.otlp_probe import Probe, check_probes, probe, probe_target
from aiobs.diagnosis.pipelines import Pipelines, check_pipelines, inspect_pipelines
from aiobs.diagnosis.providers import ProviderState, check_providers, inspect_providers
from aiobs.diagnosis.settings import Setting, check_settings, inspect_settings

_PACKAGES = ("opentelemetry-api", "opentelemetry-sdk")
_RANK = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True)
class Diagnosis:
    """What ``aiobs doctor`` says; findings come with the worst first."""

    versions: dict[str, str]
    providers: tuple[ProviderState, ...]
    pipelines: Pipelines
    settings: tuple[Setting, ...]
    probes: tuple[Probe, ...]
    findings: tuple[Finding, ...]

    def is_healthy(self, *, strict: bool = False) -> bool:
        """No error; with ``strict`` no warning either."""
        bad = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
        return not any(finding.level in bad for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain values only."""
        plain = asdict(self)
        for state, shown in zip(self.providers, plain["providers"], strict=True):
            for operation, fields in zip(state.operations, shown["operations"], strict=True):
                fields.update(recorded=not operation.unrecorded, summary=operation.summary)
        for finding in plain["findings"]:
            finding["level"] = finding["level"].value
        return {"healthy": self.is_healthy(), **plain}


def diagnose(*, send: bool = False, endpoint: str | None = None, timeout: float = 10.0) -> Diagnosis:
    """Look at everything; with ``send`` or an endpoint, also at what a receiver answers to a test span.

    Imports the provider SDKs that are installed; sends nothing unless asked to.
    """
    return conclude(
        versions={"aiobs": __version__, "Python": platform.python_version(), **_versions()},
        providers=inspect_providers(),
        pipelines=inspect_pipelines(),
        settings=inspect_settings(),
        probes=tuple(_probes(endpoint, timeout)) if send or endpoint else (),
    )


def _probes(endpoint: str | None, timeout: float) -> Iterator[Probe]:
    """To the endpoint that is given; else to each that an exporter names, and to what the environment says."""
    exporters = named_exporters()
    named = [] if endpoint else list(targets(exporters))
    for name, target in named:
        yield probe_target(name, target, timeout)
    if not named or any(is_by_environment(exporter) for exporter in exporters):
        yield probe(endpoint, timeout)


def conclude(
    versions: dict[str, str],
    providers: tuple[ProviderState, ...],
    pipelines: Pipelines,
    settings: tuple[Setting, ...],
    probes: tuple[Probe, ...],
) -> Diagnosis:
    """The diagnosis of what was seen."""
    findings = [
        *check_settings(settings),
        *check_providers(providers),
        *check_pipelines(pipelines),
        *check_conflicts(state.distribution for state in providers if state.installed),
        *check_probes(probes),
    ]
    ranked = tuple(sorted(findings, key=lambda finding: _RANK[finding.level]))
    return Diagnosis(versions, providers, pipelines, settings, probes, ranked)


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _PACKAGES}
