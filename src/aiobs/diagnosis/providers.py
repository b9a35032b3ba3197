"""Which provider SDKs are here, and what of them is wrapped. Imports the SDKs: for a process of its own."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from aiobs.capture.provider import Helper, Operation, Provider, Seam, Socket
from aiobs.diagnosis.finding import Finding, Level, error, note, warning
from aiobs.diagnosis.versions import installed_version, supported_versions
from aiobs.errors import scrub
from aiobs.instrumentation import wrap_points
from aiobs.instrumentation.patching import Patch, is_installed


@dataclass(frozen=True)
class WrapPoint:
    """One method.

    ``state``: patched, changed (patched, but parameters are ``missing``), absent, no module (or a module of a version
    that is too old for the method), or failed (our own bug).
    """

    target: str
    is_async: bool
    state: str
    missing: tuple[str, ...] = ()

    @property
    def is_patched(self) -> bool:
        """Calls of it are recorded."""
        return self.state in ("patched", "changed")

    @property
    def name(self) -> str:
        """``Class.method``."""
        return self.target.partition(":")[2]

    @property
    def method(self) -> str:
        """The method alone; a private one that does what the public one of that name did has that name."""
        return self.name.rpartition(".")[2].lstrip("_")


@dataclass(frozen=True)
class OperationState:
    """One operation; its first wrap point names its main method, the others are variants and older spellings.

    ``kind``: ``Operation`` (requests are recorded), ``Socket`` (sessions and their responses are), ``Helper`` (a span
    goes around several requests) or ``Seam`` (a detail of a request is learned). ``is_younger``: the SDK that is here
    may be too old for it.
    """

    api: str
    kind: str
    points: tuple[WrapPoint, ...]
    is_younger: bool = False

    @property
    def unrecorded(self) -> tuple[WrapPoint, ...]:
        """The spellings of the main method (of a seam: of any), sync or async, if none of them is patched."""
        main = [point for point in self.points if self.is_detail or point.method == self.points[0].method]
        kinds = {point.is_async for point in main} - {point.is_async for point in main if point.is_patched}
        return tuple(point for point in main if point.is_async in kinds)

    @property
    def is_detail(self) -> bool:
        """Nothing is recorded through it; it is shown only to those who ask."""
        return self.kind == Seam.__name__

    @property
    def label(self) -> str:
        """The operation's name for a person."""
        return f"{self.api} (several requests)" if self.kind == Helper.__name__ else self.api

    @property
    def is_in_this_version(self) -> bool:
        """The SDK has a module for it, and methods if they are not younger; older versions have not every operation."""
        lacking = ("absent", "no module") if self.is_younger else ("no module",)
        return any(point.state not in lacking for point in self.points)

    @property
    def changed(self) -> tuple[WrapPoint, ...]:
        """Patched, but a parameter that the readers rely on is not there."""
        return tuple(point for point in self.points if point.missing)

    @property
    def summary(self) -> str:
        """One line for a person."""
        if not self.is_in_this_version:
            return "not in this version"
        if self.unrecorded:
            return f"not recorded: {_names(self.unrecorded)} not found"
        patched = sum(point.is_patched for point in self.points)
        text = f"{patched} of {len(self.points)} wrap points"
        if self.changed:
            return f"{text} ({'; '.join(f'{p.name} has no {_names_of(p.missing)}' for p in self.changed)})"
        others = len(self.points) - patched
        return f"{text} ({others} {'belongs' if others == 1 else 'belong'} to other versions)" if others else text


@dataclass(frozen=True)
class ProviderState:
    """One SDK; ``version`` is None if it is not installed, ``failure`` says why it cannot be imported."""

    name: str
    distribution: str
    installed: bool
    version: str | None
    supported: str
    failure: str | None
    operations: tuple[OperationState, ...]

    @property
    def is_patched(self) -> bool:
        """Requests of at least one method are recorded."""
        requests = (operation for operation in self.operations if operation.kind == Operation.__name__)
        return any(point.is_patched for operation in requests for point in operation.points)


def inspect_providers() -> tuple[ProviderState, ...]:
    """Import each SDK that is installed, instrument it, note how that went, and leave it as it was."""
    return tuple(_inspect(provider, patches) for provider, patches in wrap_points())


def check_providers(states: Iterable[ProviderState]) -> Iterator[Finding]:
    """No SDK at all; an SDK that is too old, cannot be imported, or of which something is not recorded."""
    states = tuple(states)
    if not any(state.installed for state in states):
        pip = " or ".join(f'pip install "aiobs[{state.distribution}]"' for state in states)
        yield warning("no-provider", "No provider SDK is installed.", "There is no model call to record here.", pip)
    for state in states:
        if state.installed:
            yield from _check(state)


def _inspect(provider: Provider, patches: tuple[Patch, ...]) -> ProviderState:
    installed = is_installed(provider)
    failure = _imported(patches) if installed else None
    found = _tried(patches) if installed else ()
    version = installed_version(provider.distribution) if installed else None
    return ProviderState(
        name=provider.name,
        distribution=provider.distribution,
        installed=installed,
        version=version,
        supported=str(supported_versions(provider.distribution)),
        failure=failure,
        operations=tuple(
            OperationState(api, kind, tuple(point for _, point in points), _is_younger(since, version))
            for (api, kind, since), points in groupby(found, key=lambda pair: pair[0])
        ),
    )


def _is_younger(since: str | None, version: str | None) -> bool:
    return since is not None and version is not None and Version(version) < Version(since)


def _imported(patches: tuple[Patch, ...]) -> str | None:
    """Import every module with a wrap point; why one that is there cannot be, or None."""
    failure = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in {patch.method.module: None for patch in patches}:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as missing:
                if not f"{module}.".startswith(f"{missing.name}."):  # else this version has no such module
                    failure = failure or f"{type(missing).__name__}: {missing}"
            except Exception as raised:  # importing runs code of others, which may raise anything
                failure = failure or scrub(f"{type(raised).__name__}: {raised}")
    return failure


def _tried(patches: tuple[Patch, ...]) -> tuple[tuple[tuple[str, str, str | None], WrapPoint], ...]:
    """Put each patch on, look, and take it off again where it was not on before."""
    found = []
    for patch in patches:
        was_active = patch.active
        patch.put_on()
        target = f"{patch.method.module}:{patch.method.qualname}"
        since = patch.operation.since if isinstance(patch.operation, (Operation, Socket)) else None
        operation = patch.operation.api, type(patch.operation).__name__, since
        found.append((operation, WrapPoint(target, patch.method.is_async, _state(patch), patch.missing)))
        if not was_active:
            patch.take_off()
    return tuple(found)


def _state(patch: Patch) -> str:
    """``waiting`` is over: the module has been imported, is not in this version, or the patch broke."""
    if patch.state != "waiting":
        return patch.state
    return "failed" if patch.method.module in sys.modules else "no module"


def _check(state: ProviderState) -> Iterator[Finding]:
    sdk = f"{state.distribution} {state.version or '(version unknown)'}"
    if state.version and not SpecifierSet(state.supported).contains(state.version, prereleases=True):
        yield warning("old-provider", f"{sdk} is older than what aiobs is tested with ({state.supported}).",
                      "Calls may be recorded incompletely or not at all.",
                      f'pip install "{state.distribution}{state.supported}"')  # fmt: skip
    if state.failure:
        yield error("provider-import", f"{sdk} cannot be imported: {state.failure}",
                    "Your program cannot import it either, or part of it is not recorded.",
                    f"pip install --force-reinstall {state.distribution}")  # fmt: skip
    elif not state.is_patched:
        yield error("not-patched", f"{sdk} is installed, but nothing of it could be wrapped.",
                    "Its calls are not recorded.", _OTHER_VERSION)  # fmt: skip
    if state.is_patched:
        for operation in state.operations:
            yield from _check_operation(sdk, operation)


def _check_operation(sdk: str, operation: OperationState) -> Iterator[Finding]:
    if not operation.is_in_this_version:
        yield note("operation-absent", f"{sdk} has no {operation.api}.", "There is nothing to record.",
                   "Nothing, unless your program calls it under another name.")  # fmt: skip
    elif operation.unrecorded:
        level, means = _LOST[operation.kind]
        yield Finding(level, "operation-missing", f"{sdk}: {_names(operation.unrecorded)} not found.",
                      means.format(operation.api), _OTHER_VERSION)  # fmt: skip
    for point in operation.changed:
        yield warning("signature-changed", f"{sdk}: {point.name} has no {_names_of(point.missing)} any more.",
                      "It is recorded, but what that parameter says may be missing from its spans.",
                      _OTHER_VERSION)  # fmt: skip


_LOST = {
    Operation.__name__: (Level.WARNING, "Calls of {} through it are not recorded."),
    Socket.__name__: (Level.NOTE, "Sessions of {} through it are not recorded."),
    Helper.__name__: (Level.WARNING, "The requests that {} makes are recorded without a span around them."),
    Seam.__name__: (Level.NOTE, "Spans lack a detail: {}."),
}
_OTHER_VERSION = "Upgrade aiobs, or use an older SDK; --verbose lists every wrap point."


def _names(points: Iterable[WrapPoint]) -> str:
    return ", ".join(dict.fromkeys(point.name for point in points))


def _names_of(parameters: tuple[str, ...]) -> str:
    return f"parameter {', '.join(parameters)}"
