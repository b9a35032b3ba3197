"""What we listen to: one folder per SDK, each exporting a table, and ``Instrumentor`` over all of them."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from typing import Any, Self

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from aiobs.ambient import prefect
from aiobs.capture import telemetry
from aiobs.capture.provider import Provider
from aiobs.capture.request_metadata import chosen_hooks
from aiobs.capture.telemetry import Hook
from aiobs.errors import ConfigurationError, ProviderNotInstalled
from aiobs.instrumentation.patching import Patch, is_installed, patches_beneath, patches_of
from aiobs.settings import CaptureContent, Limits, resolve, said

_log = logging.getLogger("aiobs")


@cache
def _patches() -> dict[str, tuple[Provider, tuple[Patch, ...]]]:
    """Every provider by name with its wrap points; each folder beside this file exports one."""
    folders = [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]
    providers = [importlib.import_module(f"{__name__}.{folder}").PROVIDER for folder in folders]
    return {provider.name: (provider, patches_of(provider)) for provider in providers}


def wrap_points() -> Iterator[tuple[Provider, tuple[Patch, ...]]]:
    """Every provider with its wrap points, as they are at the moment."""
    return iter(_patches().values())


@cache
def _beneath() -> dict[str, tuple[Patch, ...]]:
    """What is wrapped of other instrumentations, by provider."""
    return {name: patches_beneath(provider) for name, (provider, _) in _patches().items()}


class Instrumentor:
    """Switches the instrumentation of provider SDKs on and off.

    ``providers``: names (``"openai"``); None means every SDK that is installed. A provider that is None means the
    global one, whenever the program sets it. ``capture_content`` and ``capture_embeddings`` override their environment
    variables; ``hooks`` see every call. ``openai_metadata`` puts the run that a call is part of into the metadata of
    requests to OpenAI that it takes metadata with; ``"strict"``: what it would not take raises ConfigurationError, in
    the call. Instrumenting twice is the same as once, and the newest options win.
    """

    def __init__(
        self,
        providers: Iterable[str] | None = None,
        *,
        capture_content: CaptureContent | str | bool | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        max_part_bytes: int | None = None,
        max_call_bytes: int | None = None,
        capture_embeddings: str | bool | None = None,
        openai_metadata: bool | str | None = None,
        hooks: Iterable[Hook] | None = None,
    ) -> None:
        self._names = None if providers is None else tuple(providers)
        unknown = [name for name in self._names or () if name not in _patches()]
        if unknown:
            raise ConfigurationError(f"aiobs knows no provider {unknown[0]!r}; it knows {', '.join(_patches())}.")
        self._limits = max_part_bytes, max_call_bytes
        self._capture_content = capture_content
        self._capture_embeddings = capture_embeddings
        self._targets: dict[str, Any] = {
            "tracer_provider": tracer_provider,
            "meter_provider": meter_provider,
            "logger_provider": logger_provider,
        }
        self._hooks = None if hooks is None else tuple(hooks)
        self._openai_metadata = openai_metadata

    def instrument(self, *, automatic: bool = False) -> Self:
        """Wrap what is imported, and what is imported later; returns self.

        Raises ConfigurationError for an option that cannot work, and ProviderNotInstalled for a provider that was
        named and has no SDK here, unless ``automatic``.
        """
        capture = resolve("capture_content", self._capture_content)
        embeddings = said("capture_embeddings", self._capture_embeddings)
        duplicates = resolve("AIOBS_SEMCONV") == "dup"
        hooks = chosen_hooks(self._hooks, self._openai_metadata)
        missing = [provider for provider, _ in self._chosen() if not is_installed(provider)]
        if missing and self._names is not None and not automatic:
            distribution = missing[0].distribution
            raise ProviderNotInstalled(
                f"{missing[0].name} was asked for, but its SDK is not installed; pip install {distribution}"
            )
        telemetry.update(
            capture=capture,
            limits=self._chosen_limits(),
            capture_embeddings=embeddings,
            duplicates=duplicates,
            hooks=hooks,
            **self._targets,
        )
        prefect.listen()
        for provider, patches in self._chosen():
            if provider not in missing:
                for patch in (*patches, *_beneath()[provider.name]):
                    patch.put_on()
                _warn_of_gap(provider, patches)
        return self

    def uninstrument(self) -> None:
        """Restore every method; wrappers that others put on later survive, ours in their hands do nothing."""
        for provider, patches in self._chosen():
            for patch in (*patches, *_beneath()[provider.name]):
                patch.take_off()
        if not any(patch.active for _, patches in _patches().values() for patch in patches):
            telemetry.reset()

    def status(self) -> dict[str, dict[str, Any]]:
        """Per provider: ``available``, ``version``, ``patched``, ``reason`` (empty when patched), ``methods``."""
        return {provider.name: _status(provider, patches) for provider, patches in self._chosen()}

    def _chosen_limits(self) -> Limits:
        part, call = said("max_part_bytes", self._limits[0]), said("max_call_bytes", self._limits[1])
        before = telemetry.current().limits
        return Limits(before.part if part is None else part, before.call if call is None else call)

    def _chosen(self) -> list[tuple[Provider, tuple[Patch, ...]]]:
        return [entry for name, entry in _patches().items() if self._names is None or name in self._names]


def _warn_of_gap(provider: Provider, patches: tuple[Patch, ...]) -> None:
    """An SDK that is here and of which nothing could be wrapped is never passed over in silence."""
    if not _is_patched(patches) and (reason := _reason(True, patches)) != _WAITING:
        _log.warning("aiobs: %s %s is not instrumented: %s", provider.name, _version(provider), reason)


_WAITING = "not imported yet; it is instrumented when it is"


def _status(provider: Provider, patches: tuple[Patch, ...]) -> dict[str, Any]:
    methods = {f"{patch.method.module}:{patch.method.qualname}": patch.state for patch in patches}
    available = is_installed(provider)
    patched = _is_patched(patches)
    return {
        "available": available,
        "version": _version(provider) if available else None,
        "patched": patched,
        "reason": "" if patched else _reason(available, patches),
        "methods": methods,
    }


def _is_patched(patches: tuple[Patch, ...]) -> bool:
    return any(patch.active and patch.state in ("patched", "changed") for patch in patches)


def _reason(available: bool, patches: tuple[Patch, ...]) -> str:
    if not available:
        return "not installed"
    if not any(patch.active for patch in patches):
        return "not instrumented"
    looked_at = [patch for patch in patches if patch.state != "waiting"]
    if looked_at and all(patch.state == "absent" for patch in looked_at):
        return "none of its known methods exists in this version"
    return _WAITING


def _version(provider: Provider) -> str | None:
    try:
        return metadata.version(provider.distribution)
    except metadata.PackageNotFoundError:
        return None
