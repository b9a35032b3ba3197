"""Where signals go from here: the providers in effect, what aiobs would set up, and the session file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider

from aiobs.diagnosis.exporters import (
    ExporterState,
    check_exporters,
    inspect_exporters,
    is_by_environment,
    named_exporters,
    own_destinations,
)
from aiobs.diagnosis.finding import Finding, warning
from aiobs.diagnosis.otlp import Destination, check_distro, check_otlp, destinations, exporter_is_none
from aiobs.errors import AiobsError, public_name
from aiobs.exporters.replies.urls import safe_url
from aiobs.exporters.session.files import DEFAULT_PATH, working_directory
from aiobs.runtime import has_otlp_endpoint, is_disabled
from aiobs.settings import CONTENT_VARIABLE, CaptureContent, resolve


@dataclass(frozen=True)
class GlobalProvider:
    """A provider that somebody has set in this process, and the exporters of its span processors."""

    signal: str
    cls: str
    distribution: str | None
    is_ours: bool
    exporters: tuple[str, ...]


@dataclass(frozen=True)
class Pipelines:
    """What is set up in this process, and what aiobs would set up in a program with this environment."""

    providers: tuple[GlobalProvider, ...]
    exporters: tuple[str, ...]
    named: tuple[ExporterState, ...]
    destinations: tuple[Destination, ...]
    in_code: str
    zero_code: str
    content: str
    session_file: str
    session_file_problem: str | None
    configurator: str | None

    @property
    def is_by_distro(self) -> bool:
        """Only somebody else's set-up under ``opentelemetry-instrument`` sends anything."""
        return self.configurator is not None and "otlp" not in self.exporters


def inspect_pipelines() -> Pipelines:
    """From the environment and the global providers; nothing is set up."""
    providers = tuple(_global_providers())
    configurator = _configurator()
    exporters = _exporters()
    by_distro = configurator is not None and "otlp" not in exporters
    content = _or(None, lambda: resolve("capture_content"))
    path = resolve("path")
    has_provider = any(provider.signal == "traces" for provider in providers)
    return Pipelines(
        providers=providers,
        exporters=exporters,
        named=inspect_exporters(),
        destinations=(*_by_environment(exporters, by_distro=by_distro), *own_destinations()),
        in_code=_in_code(has_provider, exporters),
        zero_code=_zero_code(has_provider, exporters, configurator),
        content=content.value if content else "unset",
        session_file=path,
        session_file_problem=_problem_of(path),
        configurator=configurator,
    )


def _by_environment(exporters: tuple[str, ...], *, by_distro: bool) -> tuple[Destination, ...]:
    return destinations(by_distro=by_distro) if by_distro or _uses_environment(exporters) else ()


def _uses_environment(exporters: tuple[str, ...]) -> bool:
    """An exporter of OTLP sends to what the standard variables name."""
    named = named_exporters()
    return any(map(is_by_environment, named)) if named else "otlp" in exporters


def check_pipelines(found: Pipelines) -> Iterator[Finding]:
    """What keeps signals from going where they are meant to go, or lets more go than that."""
    if is_disabled():
        yield warning("sdk-disabled", "OTEL_SDK_DISABLED is true.", "Nothing is recorded.",
                      "Unset it where you want telemetry.")  # fmt: skip
    if exporter_is_none("traces"):
        yield warning("traces-off", "OTEL_TRACES_EXPORTER is none.",
                      "No span leaves through OTLP; the session file is written all the same.",
                      "Unset it, or use OTEL_SDK_DISABLED=true to switch everything off.")  # fmt: skip
    if found.session_file_problem:
        yield warning("session-file", f"{found.session_file} cannot be written: {found.session_file_problem}.",
                      "Sessions are not saved.", "Set LLM_OBS_OUT to a file that can be written.")  # fmt: skip
    yield from _check_content(found)
    if has_otlp_endpoint() and "otlp" not in found.exporters and not found.configurator:
        yield warning("endpoint-unused", "An OTLP endpoint is set, but AIOBS_EXPORTERS does not name otlp.",
                      "aiobs sends nothing there.", "Add otlp to AIOBS_EXPORTERS, or unset the endpoint.")  # fmt: skip
    if found.is_by_distro or _uses_environment(found.exporters):
        yield from check_otlp(by_distro=found.is_by_distro)
    yield from check_exporters(found.named)
    if found.configurator:
        yield from check_distro(found.configurator)


def _check_content(found: Pipelines) -> Iterator[Finding]:
    mode = None if found.content == "unset" else CaptureContent(found.content)
    carriers = {"traces": mode and mode.on_spans, "logs": mode and mode.on_events}
    away = [place for place in found.destinations if place.is_remote and carriers.get(place.signal)]
    if away:
        yield warning("content-leaves", f"Prompts and outputs leave this machine, to {away[0].url}.",
                      f"{CONTENT_VARIABLE} is {found.content}, and that endpoint is not on this machine.",
                      f"If that is not meant: unset {CONTENT_VARIABLE}.")  # fmt: skip


def _exporters() -> tuple[str, ...]:
    """The names that ``configure()`` would use for a provider of its own."""
    named = _or(None, lambda: resolve("exporters"))
    if named is not None:
        return tuple(text.partition("?")[0] for text in named)
    return ("otlp",) if has_otlp_endpoint() else ()


def _in_code(has_provider: bool, exporters: tuple[str, ...]) -> str:
    if is_disabled():
        return "nothing (OTEL_SDK_DISABLED)"
    if has_provider:
        return "uses the TracerProvider that is set"
    return f"makes a TracerProvider of its own; exporters: {_listed(exporters)}"


def _zero_code(has_provider: bool, exporters: tuple[str, ...], configurator: str | None) -> str:
    if is_disabled() or has_provider:
        return _in_code(has_provider, exporters)
    if configurator is not None:
        added = f"; adds {_listed(exporters)}" if os.environ.get("AIOBS_EXPORTERS") else ""
        return f"uses the TracerProvider that {configurator} sets{added}"
    if not (exporters or os.environ.get("AIOBS_SESSION")):
        return "nothing: no OTEL_EXPORTER_OTLP_ENDPOINT, AIOBS_EXPORTERS or AIOBS_SESSION"
    return f"makes a global TracerProvider; exporters: {_listed(exporters)}"


def _listed(exporters: tuple[str, ...]) -> str:
    return ", ".join(exporters) or "none"


def _global_providers() -> Iterator[GlobalProvider]:
    current: dict[str, Callable[[], Any]] = {
        "traces": trace.get_tracer_provider, "metrics": metrics.get_meter_provider, "logs": get_logger_provider,
    }  # fmt: skip
    for signal, get in current.items():
        provider = get()
        cls = type(provider)
        if "Proxy" not in cls.__name__ and "NoOp" not in cls.__name__:
            exporters = tuple(_exporters_of(provider))
            yield GlobalProvider(signal, public_name(cls), _distribution_of(cls), _is_ours(provider), exporters)


def _is_ours(provider: Any) -> bool:
    """Its resource says so; the SDK's MeterProvider keeps that in its configuration."""
    holder = provider if hasattr(provider, "resource") else getattr(provider, "_sdk_config", None)
    attributes = getattr(getattr(holder, "resource", None), "attributes", {})
    return bool(attributes.get("telemetry.distro.name") == "aiobs")


def _exporters_of(provider: Any) -> Iterator[str]:
    """Classes and endpoints, where the SDK keeps them today; there is no public way to ask."""
    attached = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())
    for processor in (one for each in attached for one in getattr(each, "processors", (each,))):
        exporter = getattr(processor, "span_exporter", None)
        if exporter is not None:
            endpoint = getattr(exporter, "_endpoint", None)
            yield type(exporter).__name__ + (f" to {safe_url(endpoint)}" if isinstance(endpoint, str) else "")


def _distribution_of(cls: type) -> str | None:
    """The distribution that has the file of the class; a namespace package belongs to many."""
    file = cls.__module__.replace(".", "/")
    for name in dict.fromkeys(metadata.packages_distributions().get(cls.__module__.partition(".")[0], ())):
        files = {path.as_posix() for path in metadata.files(name) or ()}
        if files.intersection((f"{file}.py", f"{file}/__init__.py")):
            return f"{name} {metadata.version(name)}"
    return None


def _configurator() -> str | None:
    """The distribution that sets the SDK up under ``opentelemetry-instrument``; of several the first one does."""
    wanted = os.environ.get("OTEL_PYTHON_CONFIGURATOR")
    for point in metadata.entry_points(group="opentelemetry_configurator"):
        if wanted in (None, point.name):
            return f"{point.dist.name} {point.dist.version}" if point.dist else point.name
    return None


def _problem_of(path: str) -> str | None:
    """Why the session file could not be written; only looks, nothing is created."""
    file = Path(working_directory(), DEFAULT_PATH if path == "-" else path)  # the journal lies there even for `-`
    if file.is_dir():
        return "it is a directory"
    folder = next((folder for folder in file.parents if folder.exists()), None)
    if folder is None or not folder.is_dir():
        return "its folder cannot be made"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is not writable"


def _or(default: Any, read: Callable[[], Any]) -> Any:
    """What is read, or the default where a setting is invalid; the check of the settings says so."""
    try:
        return read()
    except AiobsError:
        return default
